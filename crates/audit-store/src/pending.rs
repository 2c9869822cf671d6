//! Texts that wait for their vectors, shared out among any number of workers.
//!
//! A worker claims due texts by a short statement that gives it a *lease*: until the lease ends no other worker sees
//! them, and no transaction stays open while a model computes. Then it stores vectors ([`fill`]) or reports failures
//! ([`fail`]), which set the time of the next attempt. A worker that is gone reports nothing, and its texts are due
//! again when the lease ends.
//!
//! Every statement acts for one model and does nothing once the database has moved to another one.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use pgvector::Vector;

use crate::compatibility::ModelIdentity;
use crate::{StoreError, WriteStore};

/// First pause after a failure; it doubles with every attempt.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(1);
/// Longest pause after a failure that may pass.
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(5);
/// Pause of a poisoned text: often enough to notice a repaired model, too seldom to cost anything.
const POISONED_PAUSE: TimeDelta = TimeDelta::hours(1);
/// From so many refusals on a text counts as poisoned.
pub const POISONED_AFTER: i32 = 5;
/// Characters kept of an error; the schema allows no more.
const ERROR_CHARACTERS: usize = 200;
/// One in so many claimed texts is the oldest that is due, the others are the newest.
const OLDEST_SHARE: i64 = 4;

/// A text claimed by a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingText {
    /// Row of `incident_embeddings`.
    pub id: i64,
    /// The text.
    pub text: String,
    /// Which attempt this is, from 1; it tells this claim from later ones.
    pub attempt: i32,
    /// How many earlier attempts may have failed because of the text.
    pub refusals: i32,
}

/// What a failure says about the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Nothing: the model was busy, slow or away.
    Passing,
    /// Perhaps something: the model failed on it.
    Suspicious,
    /// It will never have a vector of this model.
    Permanent,
}

/// A claimed text without a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The text.
    pub text: PendingText,
    /// What the failure says about it.
    pub kind: FailureKind,
    /// Why there is no vector, for people; cut to 200 characters.
    pub error: String,
}

impl Failure {
    /// How many refusals the text has with this one.
    fn refusals(&self) -> i32 {
        match self.kind {
            FailureKind::Passing => self.text.refusals,
            FailureKind::Suspicious => self.text.refusals.saturating_add(1),
            FailureKind::Permanent => self.text.refusals.saturating_add(1).max(POISONED_AFTER),
        }
    }

    /// How long the text is left alone.
    fn pause(&self) -> TimeDelta {
        if self.kind != FailureKind::Passing && self.refusals() >= POISONED_AFTER {
            return POISONED_PAUSE;
        }
        let doublings = u32::try_from(self.text.attempt - 1).unwrap_or(0);
        2_i32
            .checked_pow(doublings)
            .and_then(|factor| FIRST_PAUSE.checked_mul(factor))
            .map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE))
    }

    /// The error as the schema keeps it: short, and without NUL, which PostgreSQL's text cannot hold.
    fn short_error(&self) -> String {
        self.error
            .chars()
            .filter(|character| *character != '\0')
            .take(ERROR_CHARACTERS)
            .collect()
    }
}

/// Claims up to `limit` texts that are due at `now`, until `now` + `lease`; texts claimed by another worker are not due.
///
/// Three in four are the newest ones, because fresh incidents are what is asked about; one in four is the oldest, so
/// that none waits for ever while more come than can be embedded. `now` is the worker's clock: where the clocks of two
/// workers differ by more than a lease, a text may be embedded twice, which wastes work and nothing else.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached.
pub async fn claim(
    store: &WriteStore,
    model: &ModelIdentity,
    limit: i64,
    now: DateTime<Utc>,
    lease: Duration,
) -> Result<Vec<PendingText>, StoreError> {
    let oldest = (limit + OLDEST_SHARE - 1) / OLDEST_SHARE;
    let lease = TimeDelta::from_std(lease).unwrap_or(LONGEST_PAUSE);
    let mut texts = sqlx::query_as!(
        PendingText,
        r#"WITH newest AS MATERIALIZED (
               SELECT e.id FROM incident_embeddings e
               WHERE e.embedding IS NULL AND e.model = $1 AND e.next_attempt_at <= $4
               ORDER BY e.next_attempt_at DESC, e.id DESC LIMIT $6 FOR UPDATE SKIP LOCKED
           ),
           oldest AS MATERIALIZED (
               SELECT e.id FROM incident_embeddings e
               WHERE e.embedding IS NULL AND e.model = $1 AND e.next_attempt_at <= $4
               ORDER BY e.next_attempt_at, e.id LIMIT $7 FOR UPDATE SKIP LOCKED
           ),
           due AS (SELECT id FROM newest UNION SELECT id FROM oldest)
           UPDATE incident_embeddings e SET attempts = e.attempts + 1, next_attempt_at = $5
           FROM due, store_properties p
           WHERE e.id = due.id
             AND p.embedding_model = $1 AND p.embedding_model_version = $2 AND p.embedding_dimension = $3
           RETURNING e.id, e.text, e.attempts AS attempt, e.refusals"#,
        model.name,
        model.version,
        model.stored_dimension(),
        now,
        now + lease,
        limit - oldest,
        oldest,
    )
    .fetch_all(store.pool())
    .await?;
    texts.sort_unstable_by_key(|text| std::cmp::Reverse(text.id));
    Ok(texts)
}

/// Stores vectors, as pairs of text id and vector, where there is none yet; gives how many were stored.
///
/// A worker whose lease ran out may store its vectors all the same: they are the vectors of that text and model.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached or refuses a vector; then none is stored.
pub async fn fill(
    store: &WriteStore,
    model: &ModelIdentity,
    vectors: Vec<(i64, Vec<f32>)>,
) -> Result<u64, StoreError> {
    if vectors.is_empty() {
        return Ok(0);
    }
    let (ids, vectors): (Vec<i64>, Vec<Vector>) = vectors
        .into_iter()
        .map(|(id, vector)| (id, Vector::from(vector)))
        .unzip();
    // One statement, because it takes its snapshot after its locks: once the database has moved to another model, it
    // sees that model.
    let filled = sqlx::query!(
        "WITH v AS MATERIALIZED (
             SELECT e.id, v.embedding FROM UNNEST($1::bigint[], $2::vector[]) AS v (id, embedding)
             JOIN incident_embeddings e ON e.id = v.id
             WHERE e.embedding IS NULL AND e.model = $3
             ORDER BY e.id FOR UPDATE OF e
         )
         UPDATE incident_embeddings e SET embedding = v.embedding, embedded_at = clock_timestamp(), last_error = NULL
         FROM v, store_properties p
         WHERE e.id = v.id
           AND p.embedding_model = $3 AND p.embedding_model_version = $4 AND p.embedding_dimension = $5",
        &ids,
        &vectors as _,
        model.name,
        model.version,
        model.stored_dimension(),
    )
    .execute(store.pool())
    .await?;
    Ok(filled.rows_affected())
}

/// Records failures and sets the time of the next attempt: after a pause of 1 s that doubles with every attempt up to
/// 5 min, or after 1 h for a text that is poisoned. Gives how many were recorded: a failure of a claim that another
/// one followed is none of the text any more.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached.
pub async fn fail(
    store: &WriteStore,
    model: &ModelIdentity,
    now: DateTime<Utc>,
    mut failures: Vec<Failure>,
) -> Result<u64, StoreError> {
    if failures.is_empty() {
        return Ok(0);
    }
    failures.sort_unstable_by_key(|failure| failure.text.id);
    let ids: Vec<i64> = failures.iter().map(|failure| failure.text.id).collect();
    let attempts: Vec<i32> = failures.iter().map(|failure| failure.text.attempt).collect();
    let refusals: Vec<i32> = failures.iter().map(Failure::refusals).collect();
    let times: Vec<DateTime<Utc>> = failures.iter().map(|failure| now + failure.pause()).collect();
    let errors: Vec<String> = failures.iter().map(Failure::short_error).collect();
    let recorded = sqlx::query!(
        "WITH f AS MATERIALIZED (
             SELECT e.id, f.refusals, f.next_attempt_at, f.last_error
             FROM UNNEST($1::bigint[], $2::integer[], $3::integer[], $4::timestamptz[], $5::text[])
                  AS f (id, attempt, refusals, next_attempt_at, last_error)
             JOIN incident_embeddings e ON e.id = f.id
             WHERE e.embedding IS NULL AND e.attempts = f.attempt
             ORDER BY e.id FOR UPDATE OF e
         )
         UPDATE incident_embeddings e
         SET refusals = f.refusals, next_attempt_at = f.next_attempt_at, last_error = f.last_error
         FROM f, store_properties p
         WHERE e.id = f.id
           AND p.embedding_model = $6 AND p.embedding_model_version = $7 AND p.embedding_dimension = $8",
        &ids,
        &attempts,
        &refusals,
        &times,
        &errors,
        model.name,
        model.version,
        model.stored_dimension(),
    )
    .execute(store.pool())
    .await?;
    Ok(recorded.rows_affected())
}

/// What waits for vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overview {
    /// Texts without a vector.
    pub pending: i64,
    /// When the oldest of them was recorded.
    pub oldest: Option<DateTime<Utc>>,
    /// How many of them are poisoned.
    pub poisoned: i64,
}

/// How much waits for vectors, and since when.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached.
pub async fn overview(store: &WriteStore) -> Result<Overview, StoreError> {
    Ok(sqlx::query_as!(
        Overview,
        r#"SELECT count(*) AS "pending!", min(created_at) AS oldest, count(*) FILTER (WHERE refusals >= $1) AS "poisoned!"
           FROM incident_embeddings WHERE embedding IS NULL"#,
        POISONED_AFTER,
    )
    .fetch_one(store.pool())
    .await?)
}

/// How many distinct texts there are, with and without vectors.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached.
pub async fn count_texts(store: &WriteStore) -> Result<i64, StoreError> {
    Ok(
        sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM incident_embeddings"#)
            .fetch_one(store.pool())
            .await?,
    )
}

/// The stored vector of a text, so that a text already embedded is never embedded again; `None` also where the
/// database holds vectors of another model.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached.
pub async fn vector_of(
    store: &WriteStore,
    model: &ModelIdentity,
    text_sha256: &[u8; 32],
) -> Result<Option<Vec<f32>>, StoreError> {
    let vector = sqlx::query_scalar!(
        r#"SELECT e.embedding AS "embedding: Vector" FROM incident_embeddings e, store_properties p
           WHERE e.model = $1 AND e.text_sha256 = $2
             AND p.embedding_model = $1 AND p.embedding_model_version = $3 AND p.embedding_dimension = $4"#,
        model.name,
        text_sha256.as_slice(),
        model.version,
        model.stored_dimension(),
    )
    .fetch_optional(store.pool())
    .await?;
    Ok(vector.flatten().map(|vector| vector.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(attempt: i32, refusals: i32, kind: FailureKind) -> Failure {
        Failure {
            text: PendingText {
                id: 1,
                text: String::new(),
                attempt,
                refusals,
            },
            kind,
            error: String::new(),
        }
    }

    #[test]
    fn a_passing_failure_pauses_from_one_second_to_five_minutes() {
        let seconds: Vec<i64> = (1..=11)
            .chain([i32::MAX])
            .map(|attempt| failure(attempt, 0, FailureKind::Passing).pause().num_seconds())
            .collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    }

    #[test]
    fn the_fifth_suspicious_failure_and_the_first_permanent_one_pause_for_an_hour() {
        let pauses: Vec<(i32, i64)> = (1..=6)
            .map(|attempt| {
                let failure = failure(attempt, attempt - 1, FailureKind::Suspicious);
                (failure.refusals(), failure.pause().num_seconds())
            })
            .collect();
        assert_eq!(pauses, [(1, 1), (2, 2), (3, 4), (4, 8), (5, 3_600), (6, 3_600)]);
        let permanent = failure(1, 0, FailureKind::Permanent);
        assert_eq!(
            (permanent.refusals(), permanent.pause().num_seconds()),
            (5, 3_600)
        );
        // A poisoned text whose model is away says nothing new about itself.
        let away = failure(2, 5, FailureKind::Passing);
        assert_eq!((away.refusals(), away.pause().num_seconds()), (5, 2));
    }
}
