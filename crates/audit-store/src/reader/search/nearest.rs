//! The incidents with the nearest texts, from either side.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::{DateTime, Utc};
use pgvector::Vector;
use sqlx::PgConnection;

use super::tuning::Try;
use super::{Candidate, Search, Tuning};
use crate::StoreError;
use crate::reader::filter::filtered;

/// The best `max_results`, best first; equally similar ones newest first.
pub(super) async fn find(
    connection: &mut PgConnection,
    search: &Search,
    tuning: &Tuning,
) -> Result<Vec<Candidate>, StoreError> {
    match few_incidents(connection, search, tuning).await? {
        Some(incidents) => from_incidents(connection, search, &incidents).await,
        None => from_texts(connection, search, tuning).await,
    }
}

/// An incident by the keys its texts are found with.
pub(super) struct Key {
    pub(super) id: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The incidents that pass the filter, if they are few enough to be compared one by one.
async fn few_incidents(
    connection: &mut PgConnection,
    search: &Search,
    tuning: &Tuning,
) -> Result<Option<Vec<Key>>, StoreError> {
    if search.filter.is_empty() {
        return Ok(None);
    }
    let filter = &search.filter;
    let keys = filtered!(
        query_as<Key>,
        r#"SELECT i.id AS "id!", i.created_at AS "created_at!", i.remediation_namespace AS "namespace!",
                  i.remediation_name AS "name!" FROM incidents i"#,
        filter,
        "LIMIT $16",
        tuning.exact_up_to + 1
    )
    .fetch_all(connection)
    .await?;
    Ok((i64::try_from(keys.len()).unwrap_or(i64::MAX) <= tuning.exact_up_to).then_some(keys))
}

/// Compares every text of each incident.
pub(super) async fn from_incidents(
    connection: &mut PgConnection,
    search: &Search,
    incidents: &[Key],
) -> Result<Vec<Candidate>, StoreError> {
    let ids: Vec<i64> = incidents.iter().map(|key| key.id).collect();
    let times: Vec<DateTime<Utc>> = incidents.iter().map(|key| key.created_at).collect();
    let namespaces: Vec<String> = incidents.iter().map(|key| key.namespace.clone()).collect();
    let names: Vec<String> = incidents.iter().map(|key| key.name.clone()).collect();
    Ok(sqlx::query_as!(
        Candidate,
        r#"WITH mentioned AS MATERIALIZED (
               SELECT s.id, s.created_at, t.record_kind, t.embedding_id
               FROM UNNEST($1::bigint[], $2::text[], $3::text[], $9::timestamptz[]) AS s (id, namespace, name, created_at)
               CROSS JOIN LATERAL (
                   SELECT x.record_kind, x.embedding_id FROM incident_texts x
                   WHERE x.remediation_namespace = s.namespace AND x.remediation_name = s.name AND x.incident_id = s.id
                   OFFSET 0
               ) t
               WHERE s.id IS DISTINCT FROM $6
           ),
           -- Materialised, so that the distances are computed: ordered by the vector index, whose scan ends after some
           -- texts, most incidents would lose theirs.
           measured AS MATERIALIZED (
               SELECT m.id, m.created_at, m.record_kind, v.id AS text_id, v.text, v.embedding <=> $4 AS distance
               FROM mentioned m
               JOIN texts v ON v.id = m.embedding_id
               WHERE v.model = $5
           ),
           nearest AS (
               SELECT DISTINCT ON (id) id, created_at, record_kind, text_id, text, distance FROM measured
               ORDER BY id, distance, record_kind
           )
           SELECT n.id AS "incident_id!", n.created_at AS "created_at!", n.text_id AS "text_id!",
                  n.record_kind AS "record_kind!", n.text AS "text!",
                  1 - n.distance AS "similarity!"
           FROM nearest n
           WHERE 1 - n.distance >= $7
           ORDER BY n.distance, n.created_at DESC, n.id DESC
           LIMIT $8"#,
        &ids,
        &namespaces,
        &names,
        Vector::from(search.vector.clone()) as _,
        search.model.name,
        search.except as _,
        search.min_similarity,
        search.max_results,
        &times,
    )
    .fetch_all(connection)
    .await?)
}

/// A text and its distance to the description.
struct NearText {
    id: i64,
    distance: f64,
}

/// Expands the nearest texts until there are enough incidents; if there are not, compares all that pass the filter.
async fn from_texts(
    connection: &mut PgConnection,
    search: &Search,
    tuning: &Tuning,
) -> Result<Vec<Candidate>, StoreError> {
    let mut all = false;
    for attempt in tuning.tries {
        let texts = nearest_texts(connection, search, tuning, attempt).await?;
        let candidates = expand(connection, search, &texts).await?;
        if safe(search, &texts, &candidates) {
            return Ok(candidates);
        }
        all = i64::try_from(texts.len()).unwrap_or(i64::MAX) < attempt.texts;
    }
    // So few texts can have very many incidents. The index may have left some out; a comparison with all does not.
    if all {
        let [.., last] = tuning.tries;
        let texts = nearest_texts(connection, search, &Tuning::EXACT, last).await?;
        if i64::try_from(texts.len()).unwrap_or(i64::MAX) < last.texts {
            return expand(connection, search, &texts).await;
        }
    }
    from_all_incidents(connection, search).await
}

/// Whether no other text can matter: the index loses texts at the far edge of what it gives, so the farthest hit, or
/// the least similarity asked for, must lie within the nearer half.
fn safe(search: &Search, texts: &[NearText], candidates: &[Candidate]) -> bool {
    let Some(middle) = texts.get(texts.len() / 2) else {
        return false;
    };
    let similarity = 1.0 - middle.distance;
    let enough = i64::try_from(candidates.len()).unwrap_or(i64::MAX) >= search.max_results;
    similarity < search.min_similarity
        || enough
            && candidates
                .last()
                .is_some_and(|farthest| farthest.similarity >= similarity)
}

/// The nearest texts, nearest first.
async fn nearest_texts(
    connection: &mut PgConnection,
    search: &Search,
    tuning: &Tuning,
    attempt: Try,
) -> Result<Vec<NearText>, StoreError> {
    // In strict order the scan throws a text away that it comes to after a farther one; here it is kept, and sorted below.
    sqlx::query!(
        "SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true) AS iterative_scan,
                set_config('hnsw.ef_search', $1, true) AS ef_search,
                set_config('enable_indexscan', $2, true) AS enable_indexscan",
        attempt.ef_search.to_string(),
        if tuning.index { "on" } else { "off" },
    )
    .fetch_one(&mut *connection)
    .await?;
    let mut texts = sqlx::query_as!(
        NearText,
        r#"SELECT v.id AS "id!", v.embedding <=> $1 AS "distance!" FROM texts v
           WHERE v.model = $2 ORDER BY v.embedding <=> $1 LIMIT $3"#,
        Vector::from(search.vector.clone()) as _,
        search.model.name,
        attempt.texts,
    )
    .fetch_all(&mut *connection)
    .await?;
    if !tuning.index {
        sqlx::query("SET LOCAL enable_indexscan = on")
            .execute(connection)
            .await?;
    }
    texts.sort_by(|one, other| {
        one.distance
            .total_cmp(&other.distance)
            .then(one.id.cmp(&other.id))
    });
    Ok(texts)
}

/// Compares every text of every incident that passes the filter, set by set.
async fn from_all_incidents(
    connection: &mut PgConnection,
    search: &Search,
) -> Result<Vec<Candidate>, StoreError> {
    let filter = &search.filter;
    Ok(filtered!(
        query_as<Candidate>,
        r#"WITH passing AS MATERIALIZED (
               SELECT i.id, i.created_at, i.remediation_namespace, i.remediation_name FROM incidents i"#,
        filter,
        "AND i.id IS DISTINCT FROM $18
           ),
           mentioned AS MATERIALIZED (
               SELECT p.id, p.created_at, t.record_kind, t.embedding_id
               FROM passing p
               JOIN incident_texts t ON t.incident_id = p.id AND t.remediation_namespace = p.remediation_namespace
                                    AND t.remediation_name = p.remediation_name
           ),
           -- A distance for each text and not for each incident; fenced from the vector index, whose scan may end early.
           distances AS MATERIALIZED (
               SELECT v.id, v.embedding <=> $16 AS distance FROM texts v
               WHERE v.model = $17 AND v.id IN (SELECT m.embedding_id FROM mentioned m)
           ),
           nearest AS (
               SELECT DISTINCT ON (m.id) m.id, m.created_at, m.record_kind, m.embedding_id, d.distance
               FROM mentioned m JOIN distances d ON d.id = m.embedding_id
               WHERE 1 - d.distance >= $19
               ORDER BY m.id, d.distance, m.record_kind
           ),
           best AS (
               SELECT * FROM nearest n ORDER BY n.distance, n.created_at DESC, n.id DESC LIMIT $20
           )
           SELECT b.id AS \"incident_id!\", b.created_at AS \"created_at!\", b.embedding_id AS \"text_id!\",
                  b.record_kind AS \"record_kind!\", v.text AS \"text!\", 1 - b.distance AS \"similarity!\"
           FROM best b JOIN texts v ON v.id = b.embedding_id
           ORDER BY b.distance, b.created_at DESC, b.id DESC",
        Vector::from(search.vector.clone()) as _,
        search.model.name,
        search.except as _,
        search.min_similarity,
        search.max_results,
    )
    .fetch_all(connection)
    .await?)
}

/// The incidents of texts, each with its nearest text; the best `max_results`.
async fn expand(
    connection: &mut PgConnection,
    search: &Search,
    texts: &[NearText],
) -> Result<Vec<Candidate>, StoreError> {
    let mut nearest: HashMap<i64, Candidate> = HashMap::new();
    let mut found = expand_to_own(connection, search, texts).await?;
    found.extend(expand_by_others(connection, search, texts).await?);
    for candidate in found {
        match nearest.entry(candidate.incident_id) {
            Entry::Vacant(entry) => {
                entry.insert(candidate);
            }
            Entry::Occupied(mut entry) => {
                let (old, new) = (entry.get(), &candidate);
                let order = new.similarity.total_cmp(&old.similarity);
                if order.then(old.record_kind.cmp(&new.record_kind)).is_gt() {
                    entry.insert(candidate);
                }
            }
        }
    }
    let mut candidates: Vec<_> = nearest.into_values().collect();
    candidates.sort_by(|one, other| {
        other
            .similarity
            .total_cmp(&one.similarity)
            .then((other.created_at, other.incident_id).cmp(&(one.created_at, one.incident_id)))
    });
    candidates.truncate(usize::try_from(search.max_results).unwrap_or(usize::MAX));
    Ok(candidates)
}

/// The incidents whose remediation says one of the texts.
///
/// A text of a storm has a hundred thousand of them, so each text gives its newest `max_results` that pass the filter and
/// no more. That loses nothing: those behind them have as many before them that are as similar and newer.
async fn expand_to_own(
    connection: &mut PgConnection,
    search: &Search,
    texts: &[NearText],
) -> Result<Vec<Candidate>, StoreError> {
    let ids: Vec<i64> = texts.iter().map(|text| text.id).collect();
    let distances: Vec<f64> = texts.iter().map(|text| text.distance).collect();
    let filter = &search.filter;
    Ok(filtered!(
        query_as<Candidate>,
        r#"SELECT n.incident_id AS "incident_id!", n.created_at AS "created_at!", n.text_id AS "text_id!",
                  'remediation' AS "record_kind!", v.text AS "text!", 1 - n.distance AS "similarity!"
           FROM (
               SELECT a.text_id, a.distance, o.id AS incident_id, o.created_at
               FROM UNNEST($16::bigint[], $17::double precision[]) AS a (text_id, distance)
               CROSS JOIN LATERAL (
                   SELECT i.id, i.created_at FROM incidents i"#,
        filter,
        "AND i.embedding_id = a.text_id AND i.id IS DISTINCT FROM $18
                   ORDER BY i.created_at DESC, i.id DESC LIMIT $20
               ) o
               WHERE 1 - a.distance >= $19
               ORDER BY a.distance, o.created_at DESC, o.id DESC
               LIMIT $20
           ) n
           JOIN texts v ON v.id = n.text_id",
        &ids,
        &distances,
        search.except as _,
        search.min_similarity,
        search.max_results,
    )
    .fetch_all(connection)
    .await?)
}

/// The incidents of which another record says one of the texts.
async fn expand_by_others(
    connection: &mut PgConnection,
    search: &Search,
    texts: &[NearText],
) -> Result<Vec<Candidate>, StoreError> {
    let ids: Vec<i64> = texts.iter().map(|text| text.id).collect();
    let distances: Vec<f64> = texts.iter().map(|text| text.distance).collect();
    let filter = &search.filter;
    // Materialised and fenced (OFFSET 0), because the planner would rather walk all incidents or all texts in order than
    // look a few up.
    Ok(filtered!(
        query_as<Candidate>,
        r#"WITH mentioned AS MATERIALIZED (
               SELECT n.text_id, n.distance, t.record_kind, t.incident_id
               FROM UNNEST($16::bigint[], $17::double precision[]) AS n (text_id, distance)
               CROSS JOIN LATERAL (
                   SELECT x.record_kind, x.incident_id FROM incident_texts x
                   WHERE x.embedding_id = n.text_id AND x.record_kind <> 'remediation' OFFSET 0
               ) t
               WHERE 1 - n.distance >= $19 AND t.incident_id IS DISTINCT FROM $18
           ),
           nearest AS (
               SELECT DISTINCT ON (i.id) i.id, i.created_at, m.text_id, m.record_kind, m.distance
               FROM mentioned m
               JOIN incidents i ON i.id = m.incident_id"#,
        filter,
        "ORDER BY i.id, m.distance, m.record_kind
           )
           SELECT n.id AS \"incident_id!\", n.created_at AS \"created_at!\", n.text_id AS \"text_id!\", n.record_kind AS \"record_kind!\", v.text AS \"text!\",
                  1 - n.distance AS \"similarity!\"
           FROM nearest n
           JOIN texts v ON v.id = n.text_id
           ORDER BY n.distance, n.created_at DESC, n.id DESC
           LIMIT $20",
        &ids,
        &distances,
        search.except as _,
        search.min_similarity,
        search.max_results,
    )
    .fetch_all(connection)
    .await?)
}
