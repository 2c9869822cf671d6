//! Semantic search within hard filters.
//!
//! Vectors belong to distinct texts, not to incidents, so a search has two directions:
//!
//! * *from incidents to texts*, exact, where few incidents pass the filter: the distance of every text of each of them;
//! * *from texts to incidents* otherwise: the nearest texts by the HNSW index, each expanded to its incidents that pass
//!   the filter, as many as can be among the best. If too few are found, more texts are taken, and in the end all of
//!   them, without the index.
//!
//! Either way an incident that fails the filter cannot appear, and one that passes is not lost behind others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::{DateTime, Utc};
use pgvector::Vector;
use sqlx::PgConnection;

use super::filter::filtered;
use super::{Evidence, Incident, IncidentFilter, Reader, evidence};
use crate::StoreError;
use crate::compatibility::ModelIdentity;

/// Up to this many incidents are compared one by one. A comparison costs a few microseconds, an index scan as much
/// as several hundred of them.
const EXACT_UP_TO: i64 = 500;
/// How many nearest texts are expanded, try after try; after the last, all texts.
const NEAREST_TEXTS: [i64; 2] = [100, 1_000];

/// A question to the memory.
#[derive(Debug, Clone)]
pub struct Search {
    /// The vector of the description, of unit length.
    pub vector: Vec<f32>,
    /// The model the vector comes from.
    pub model: ModelIdentity,
    /// Hard filters.
    pub filter: IncidentFilter,
    /// How many incidents to give at most.
    pub max_results: i64,
    /// Least cosine similarity, -1 to 1.
    pub min_similarity: f64,
    /// An incident to leave out: the one that is asked about.
    pub except: Option<i64>,
}

/// An incident found by meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The incident.
    pub incident: Incident,
    /// Cosine similarity of the description and the nearest text of the incident, -1 to 1.
    pub similarity: f64,
    /// Kind of the record that text belongs to.
    pub record_kind: String,
    /// That text.
    pub text: String,
    /// What speaks for it and against it.
    pub evidence: Evidence,
}

/// The nearest text of an incident.
pub(super) struct Candidate {
    pub(super) incident_id: i64,
    created_at: DateTime<Utc>,
    pub(super) text_id: i64,
    pub(super) record_kind: String,
    text: String,
    similarity: f64,
}

impl Reader {
    /// The incidents most similar to a description, best first; equally similar ones newest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached, takes too long, or has moved to another model.
    pub async fn search(&self, search: &Search) -> Result<Vec<Hit>, StoreError> {
        let hits = self.nearest(search).await;
        self.if_still_of(&search.model, hits).await
    }

    async fn nearest(&self, search: &Search) -> Result<Vec<Hit>, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let candidates = match few_incidents(&mut snapshot, search).await? {
            Some(incidents) => from_incidents(&mut snapshot, search, &incidents).await?,
            None => from_texts(&mut snapshot, search).await?,
        };
        let ids: Vec<i64> = candidates.iter().map(|candidate| candidate.incident_id).collect();
        let mut incidents: HashMap<i64, Incident> = Self::incidents_by_id(&mut snapshot, &ids)
            .await?
            .into_iter()
            .map(|incident| (incident.id, incident))
            .collect();
        let mut evidence = evidence::of(&mut snapshot, &search.filter, &candidates).await?;
        snapshot.commit().await?;
        Ok(candidates
            .into_iter()
            .filter_map(|candidate| {
                Some(Hit {
                    incident: incidents.remove(&candidate.incident_id)?,
                    similarity: candidate.similarity,
                    record_kind: candidate.record_kind,
                    text: candidate.text,
                    evidence: evidence.remove(&candidate.incident_id)?,
                })
            })
            .collect())
    }

    /// The vector of an incident's text: `None` where there is no such incident, `Some(None)` where its text has no
    /// vector of this model (yet).
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached, takes too long, or has moved to another model.
    pub async fn vector_of_incident(
        &self,
        id: i64,
        model: &ModelIdentity,
    ) -> Result<Option<Option<Vec<f32>>>, StoreError> {
        let vector = self.stored_vector(id).await;
        self.if_still_of(model, vector).await
    }

    async fn stored_vector(&self, id: i64) -> Result<Option<Option<Vec<f32>>>, StoreError> {
        let vector = sqlx::query_scalar!(
            r#"SELECT embedding AS "embedding: Vector" FROM incidents WHERE id = $1"#,
            id
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(vector.map(|vector| vector.map(|vector| vector.to_vec())))
    }
}

/// An incident by the keys its texts are found with.
struct Key {
    id: i64,
    created_at: DateTime<Utc>,
    namespace: String,
    name: String,
}

/// The incidents that pass the filter, if they are few enough to be compared one by one.
async fn few_incidents(
    connection: &mut PgConnection,
    search: &Search,
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
        EXACT_UP_TO + 1
    )
    .fetch_all(connection)
    .await?;
    Ok((i64::try_from(keys.len()).unwrap_or(i64::MAX) <= EXACT_UP_TO).then_some(keys))
}

/// Compares every text of each incident.
async fn from_incidents(
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

/// Expands the nearest texts until there are enough incidents, or no texts left.
async fn from_texts(connection: &mut PgConnection, search: &Search) -> Result<Vec<Candidate>, StoreError> {
    sqlx::query("SET LOCAL hnsw.iterative_scan = strict_order")
        .execute(&mut *connection)
        .await?;
    sqlx::query("SET LOCAL hnsw.ef_search = 200")
        .execute(&mut *connection)
        .await?;
    for limit in NEAREST_TEXTS {
        let texts = nearest_texts(connection, search, limit).await?;
        // The texts not taken are less similar than the last one taken.
        let rest_is_too_far = texts
            .last()
            .is_some_and(|text| 1.0 - text.distance < search.min_similarity);
        let candidates = expand(connection, search, &texts).await?;
        if rest_is_too_far || i64::try_from(candidates.len()).unwrap_or(i64::MAX) >= search.max_results {
            return Ok(candidates);
        }
    }
    // The index may have ended early; a scan of all texts does not.
    sqlx::query("SET LOCAL enable_indexscan = off")
        .execute(&mut *connection)
        .await?;
    let texts = nearest_texts(connection, search, i64::MAX).await?;
    sqlx::query("SET LOCAL enable_indexscan = on")
        .execute(&mut *connection)
        .await?;
    expand(connection, search, &texts).await
}

async fn nearest_texts(
    connection: &mut PgConnection,
    search: &Search,
    limit: i64,
) -> Result<Vec<NearText>, StoreError> {
    Ok(sqlx::query_as!(
        NearText,
        r#"SELECT v.id AS "id!", v.embedding <=> $1 AS "distance!" FROM texts v
           WHERE v.model = $2 ORDER BY v.embedding <=> $1 LIMIT $3"#,
        Vector::from(search.vector.clone()) as _,
        search.model.name,
        limit,
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
