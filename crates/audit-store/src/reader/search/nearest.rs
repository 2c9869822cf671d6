//! The incidents with the nearest texts, from either side.

use chrono::{DateTime, Utc};
use pgvector::Vector;

use super::records::Key;
use super::tuning::Try;
use super::{Candidate, Search, Tuning, expand};
use crate::StoreError;
use crate::reader::filter::filtered;
use crate::reader::incidents;
use crate::reader::snapshot::Snapshot;

/// The best `max_results`, best first; equally similar ones newest first.
pub(super) async fn find(
    snapshot: &mut Snapshot,
    search: &Search,
    tuning: &Tuning,
) -> Result<Vec<Candidate>, StoreError> {
    match few_incidents(snapshot, search, tuning).await? {
        Some(incidents) => from_incidents(snapshot, search, &incidents).await,
        None => from_texts(snapshot, search, tuning).await,
    }
}

/// The incidents that pass the filter, if they are few enough to be compared one by one.
async fn few_incidents(
    snapshot: &mut Snapshot,
    search: &Search,
    tuning: &Tuning,
) -> Result<Option<Vec<Key>>, StoreError> {
    let filter = &search.filter;
    if filter.is_empty() || incidents::are_certainly_more_than(snapshot, filter, tuning.exact_up_to).await? {
        return Ok(None);
    }
    snapshot.plan_anew().await?;
    let keys = filtered!(
        query_as<Key>,
        r#"SELECT i.id AS "id!", i.created_at AS "created_at!", i.remediation_namespace AS "namespace!",
                  i.remediation_name AS "name!" FROM incidents i"#,
        filter,
        "LIMIT $16",
        tuning.exact_up_to + 1
    )
    .fetch_all(&mut **snapshot)
    .await?;
    Ok((i64::try_from(keys.len()).unwrap_or(i64::MAX) <= tuning.exact_up_to).then_some(keys))
}

/// Compares every text of each incident.
pub(super) async fn from_incidents(
    snapshot: &mut Snapshot,
    search: &Search,
    incidents: &[Key],
) -> Result<Vec<Candidate>, StoreError> {
    let ids: Vec<i64> = incidents.iter().map(|key| key.id).collect();
    let times: Vec<DateTime<Utc>> = incidents.iter().map(|key| key.created_at).collect();
    let namespaces: Vec<String> = incidents.iter().map(|key| key.namespace.clone()).collect();
    let names: Vec<String> = incidents.iter().map(|key| key.name.clone()).collect();
    snapshot.keep_plans().await?;
    Ok(sqlx::query_as!(
        Candidate,
        r#"WITH mentioned AS MATERIALIZED (
               SELECT s.id, s.created_at, t.record_kind, t.embedding_id
               FROM UNNEST($1::bigint[], $2::text[], $3::text[], $9::timestamptz[]) AS s (id, namespace, name, created_at)
               CROSS JOIN LATERAL (
                   -- Its own text with its time, which says in which month it is.
                   SELECT 'remediation' AS record_kind, i.embedding_id FROM incidents i
                   WHERE i.id = s.id AND i.created_at = s.created_at AND i.embedding_id IS NOT NULL
                   UNION ALL
                   SELECT x.record_kind, x.embedding_id FROM incident_texts x
                   WHERE x.record_kind <> 'remediation'
                     AND x.remediation_namespace = s.namespace AND x.remediation_name = s.name AND x.incident_id = s.id
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
    .fetch_all(&mut **snapshot)
    .await?)
}

/// A text and its distance to the description.
#[derive(Debug, Clone, Copy)]
pub(super) struct NearText {
    pub(super) id: i64,
    pub(super) distance: f64,
}

/// Expands the nearest texts until there are enough incidents; if there are not, compares all that pass the filter.
async fn from_texts(
    snapshot: &mut Snapshot,
    search: &Search,
    tuning: &Tuning,
) -> Result<Vec<Candidate>, StoreError> {
    let mut all = false;
    for attempt in tuning.tries {
        let texts = nearest_texts(snapshot, search, tuning, attempt).await?;
        let candidates = expand::expand(snapshot, search, &texts).await?;
        if safe(search, &texts, &candidates) {
            return Ok(candidates);
        }
        all = i64::try_from(texts.len()).unwrap_or(i64::MAX) < attempt.texts;
        if all {
            // The scan has come to its end: asked for more, it gives no more.
            break;
        }
    }
    // So few texts can have very many incidents. The index may have left some out; a comparison with all does not.
    if all {
        let [.., last] = tuning.tries;
        let texts = nearest_texts(snapshot, search, &Tuning::EXACT, last).await?;
        if i64::try_from(texts.len()).unwrap_or(i64::MAX) < last.texts {
            return expand::expand(snapshot, search, &texts).await;
        }
    }
    from_all_incidents(snapshot, search).await
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
    snapshot: &mut Snapshot,
    search: &Search,
    tuning: &Tuning,
    attempt: Try,
) -> Result<Vec<NearText>, StoreError> {
    // How far the index is worth its while depends on how many texts are asked for.
    snapshot.plan_anew().await?;
    // In strict order the scan throws a text away that it comes to after a farther one; here it is kept, and sorted below.
    sqlx::query!(
        "SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true) AS iterative_scan,
                set_config('hnsw.ef_search', $1, true) AS ef_search,
                set_config('enable_indexscan', $2, true) AS enable_indexscan,
                set_config('hnsw.max_scan_tuples', $3, true) AS max_scan_tuples,
                set_config('hnsw.scan_mem_multiplier', '8', true) AS scan_mem_multiplier",
        attempt.ef_search.to_string(),
        if tuning.index { "on" } else { "off" },
        attempt.scanned.to_string(),
    )
    .fetch_one(&mut **snapshot)
    .await?;
    let mut texts = sqlx::query_as!(
        NearText,
        r#"SELECT v.id AS "id!", v.embedding <=> $1 AS "distance!" FROM texts v
           WHERE v.model = $2 ORDER BY v.embedding <=> $1 LIMIT $3"#,
        Vector::from(search.vector.clone()) as _,
        search.model.name,
        attempt.texts,
    )
    .fetch_all(&mut **snapshot)
    .await?;
    if !tuning.index {
        sqlx::query("SET LOCAL enable_indexscan = on")
            .execute(&mut **snapshot)
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
async fn from_all_incidents(snapshot: &mut Snapshot, search: &Search) -> Result<Vec<Candidate>, StoreError> {
    let filter = &search.filter;
    snapshot.plan_anew().await?;
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
    .fetch_all(&mut **snapshot)
    .await?)
}
