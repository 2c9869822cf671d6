//! What past remediations of one kind of resource have in common: alert and class of error.

use chrono::{DateTime, Utc};

use super::snapshot::Snapshot;
use super::{Reader, error_class};
use crate::StoreError;

/// Only so many of the newest terminal incidents are looked at, which bounds the time of an answer.
const MOST_CONSIDERED: i64 = 1_000;

/// Which incidents count; `None` restricts nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternFilter {
    /// Kind of the affected resource, in its canonical case.
    pub kind: String,
    /// Namespace of the affected resource.
    pub namespace: Option<String>,
    /// Only resources recorded without a namespace.
    pub without_namespace: bool,
    /// Name of the affected resource.
    pub name: Option<String>,
    /// Where the signal came from.
    pub signal_type: Option<String>,
    /// Name of the alert.
    pub alert_name: Option<String>,
    /// Created at or after.
    pub since: DateTime<Utc>,
    /// An incident to leave out: the one that is asked about.
    pub except: Option<i64>,
}

/// Incidents by their ids and times, which say in which month each is.
#[derive(Debug)]
pub(super) struct Instances {
    pub(super) ids: Vec<i64>,
    pub(super) times: Vec<DateTime<Utc>>,
}

impl FromIterator<Instance> for Instances {
    fn from_iter<I: IntoIterator<Item = Instance>>(instances: I) -> Self {
        let instances = instances.into_iter();
        let (ids, times) = instances
            .map(|instance| (instance.id, instance.created_at))
            .unzip();
        Self { ids, times }
    }
}

/// An incident by its id and time.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) id: i64,
    pub(super) created_at: DateTime<Utc>,
}

/// Terminal incidents (Completed or Failed) with one alert and one class of error.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// Name of the alert.
    pub alert_name: String,
    /// Class of the error, from the first of reason, error message and message that tells one.
    pub error_type: String,
    /// How many incidents.
    pub occurrences: i64,
    /// How many of them Completed.
    pub successful: i64,
    /// The most frequent root cause; of equally frequent ones the first in alphabetical order.
    pub common_root_cause: Option<String>,
    /// The most frequent newest workflow; of equally frequent ones the first in alphabetical order.
    pub common_workflow: Option<String>,
    /// Mean time from start to end of those that have both, in seconds.
    pub average_duration_seconds: Option<f64>,
    /// The same of the Completed ones only.
    pub average_recovery_seconds: Option<f64>,
    /// createdAt of the newest.
    pub last_occurrence: DateTime<Utc>,
}

/// What the history of a target or of its like holds.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Incidents that pass the filter, those under way too.
    pub total: i64,
    /// The patterns, most frequent first; equally frequent ones by alert and class.
    pub patterns: Vec<Pattern>,
    /// The newest incident that passes the filter.
    pub newest: Option<i64>,
}

/// A query over `incidents i` with the filter's conditions, and what stands before and behind them. A macro for the reason
/// that those of lists are: the text must be a literal.
macro_rules! matching {
    ($query:ident $(<$row:ident>)?, $head:literal, $filter:expr, $tail:literal $(, $argument:expr)*) => {
        sqlx::$query!(
            $($row,)?
            $head
                + "
               WHERE i.resource_kind = $1
                 AND ($2::text IS NULL OR i.resource_namespace = $2)
                 AND (NOT $3 OR i.resource_namespace IS NULL)
                 AND ($4::text IS NULL OR i.resource_name = $4)
                 AND ($5::text IS NULL OR i.signal_type = $5)
                 AND ($6::text IS NULL OR i.alert_name = $6)
                 AND i.created_at >= $7
                 AND ($8::bigint IS NULL OR i.id <> $8)"
                + $tail,
            $filter.kind,
            $filter.namespace.as_deref() as _,
            $filter.without_namespace,
            $filter.name.as_deref() as _,
            $filter.signal_type.as_deref() as _,
            $filter.alert_name.as_deref() as _,
            $filter.since,
            $filter.except as _,
            $($argument),*
        )
    };
}

impl Reader {
    /// The patterns of a filter, `limit` at most, how many incidents there are and which is the newest.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached or takes too long.
    pub async fn history(&self, filter: &PatternFilter, limit: i64) -> Result<History, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let incidents = matching!(
            query,
            r#"SELECT count(*) AS "total!", (array_agg(i.id ORDER BY i.created_at DESC, i.id DESC))[1] AS newest
               FROM incidents i"#,
            filter,
            ""
        )
        .fetch_one(&mut *snapshot)
        .await?;
        let considered = considered(&mut snapshot, filter).await?;
        let patterns = patterns_of(&mut snapshot, &considered, limit).await?;
        snapshot.commit().await?;
        Ok(History {
            total: incidents.total,
            patterns,
            newest: incidents.newest,
        })
    }
}

/// The newest terminal incidents that pass the filter.
async fn considered(snapshot: &mut Snapshot, filter: &PatternFilter) -> Result<Instances, StoreError> {
    snapshot.plan_anew().await?;
    let instances = matching!(
        query_as<Instance>,
        r#"SELECT i.id AS "id!", i.created_at AS "created_at!"
           FROM incidents i"#,
        filter,
        " AND i.phase IN ('Completed', 'Failed') ORDER BY i.created_at DESC, i.id DESC LIMIT $9",
        MOST_CONSIDERED
    )
    .fetch_all(&mut **snapshot)
    .await?;
    Ok(instances.into_iter().collect())
}

/// The patterns among incidents, `limit` at most.
pub(super) async fn patterns_of(
    snapshot: &mut Snapshot,
    considered: &Instances,
    limit: i64,
) -> Result<Vec<Pattern>, StoreError> {
    let (classes, needles) = error_class::columns();
    snapshot.keep_plans().await?;
    Ok(sqlx::query_as!(
        Pattern,
        r#"WITH considered AS MATERIALIZED (
               SELECT i.alert_name, i.phase, i.reason, i.error_message, i.message, i.root_cause, i.workflow,
                      i.duration_ms, i.created_at
               FROM UNNEST($1::bigint[], $2::timestamptz[]) AS k (id, created_at)
               JOIN incidents i ON i.id = k.id AND i.created_at = k.created_at
           )
           SELECT c.alert_name AS "alert_name!", coalesce(e.class, $5) AS "error_type!",
                  count(*) AS "occurrences!", count(*) FILTER (WHERE c.phase = 'Completed') AS "successful!",
                  mode() WITHIN GROUP (ORDER BY c.root_cause COLLATE "C") AS common_root_cause,
                  mode() WITHIN GROUP (ORDER BY c.workflow COLLATE "C") AS common_workflow,
                  (avg(c.duration_ms) / 1000)::double precision AS average_duration_seconds,
                  (avg(c.duration_ms) FILTER (WHERE c.phase = 'Completed') / 1000)::double precision
                      AS average_recovery_seconds,
                  max(c.created_at) AS "last_occurrence!"
           FROM considered c
           LEFT JOIN LATERAL (
               SELECT r.class
               FROM UNNEST(ARRAY[lower(c.reason), lower(c.error_message), lower(c.message)]) WITH ORDINALITY AS t (text, place)
               JOIN UNNEST($3::text[], $4::text[]) WITH ORDINALITY AS r (class, needle, place)
                 ON strpos(t.text, r.needle) > 0
               ORDER BY t.place, r.place LIMIT 1
           ) e ON true
           GROUP BY 1, 2
           ORDER BY 3 DESC, 1, 2
           LIMIT $6"#,
        &considered.ids,
        &considered.times,
        &classes,
        &needles,
        error_class::UNKNOWN,
        limit,
    )
    .fetch_all(&mut **snapshot)
    .await?)
}
