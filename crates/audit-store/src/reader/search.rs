//! Semantic search within hard filters.
//!
//! Vectors belong to distinct texts, not to incidents, so a search has two directions:
//!
//! * *from incidents to texts*, exact, where few incidents pass the filter: the distance of every text of each of them;
//! * *from texts to incidents* otherwise: the nearest texts by the HNSW index, each expanded to its incidents that pass
//!   the filter, as many as can be among the best. If too few are found, or the last of them lies where the index is no
//!   longer reliable, more texts are taken, and in the end all incidents that pass are compared, without the index.
//!
//! Either way an incident that fails the filter cannot appear, and one that passes is not lost behind others. Beside the
//! vectors, [`Reader::search_fused`] looks for the words of the description as they were written.

mod expand;
mod fused;
mod nearest;
mod recall;
mod records;
mod tuning;
mod written;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use pgvector::Vector;

use super::snapshot::Snapshot;
use super::{Evidence, Incident, IncidentFilter, Reader, evidence};
use crate::StoreError;
use crate::compatibility::ModelIdentity;

pub use fused::{Found, Question, score_of_place};
pub use recall::{RECALL_AT, RecallSample};
pub use tuning::{Try, Tuning};

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
    pub(super) created_at: DateTime<Utc>,
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
        self.search_tuned(search, &Tuning::MEASURED).await
    }

    /// Like [`Self::search`], with other knobs: for measuring.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub async fn search_tuned(&self, search: &Search, tuning: &Tuning) -> Result<Vec<Hit>, StoreError> {
        let hits = self.nearest(search, tuning).await;
        self.if_still_of(&search.model, hits).await
    }

    async fn nearest(&self, search: &Search, tuning: &Tuning) -> Result<Vec<Hit>, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let candidates = nearest::find(&mut snapshot, search, tuning).await?;
        let known = Self::known(&mut snapshot, &search.filter, &candidates).await?;
        snapshot.commit().await?;
        Ok(candidates
            .into_iter()
            .zip(known)
            .filter_map(|(candidate, known)| {
                let (incident, evidence) = known?;
                Some(Hit {
                    incident,
                    similarity: candidate.similarity,
                    record_kind: candidate.record_kind,
                    text: candidate.text,
                    evidence,
                })
            })
            .collect())
    }

    /// The incident of each candidate, and what speaks for and against it.
    async fn known(
        snapshot: &mut Snapshot,
        filter: &IncidentFilter,
        candidates: &[Candidate],
    ) -> Result<Vec<Option<(Incident, Evidence)>>, StoreError> {
        let ids: Vec<i64> = candidates.iter().map(|candidate| candidate.incident_id).collect();
        snapshot.keep_plans().await?;
        let mut incidents: HashMap<i64, Incident> = Self::incidents_by_id(&mut *snapshot, &ids)
            .await?
            .into_iter()
            .map(|incident| (incident.id, incident))
            .collect();
        let mut evidence = evidence::of(snapshot, filter, candidates).await?;
        Ok(ids
            .into_iter()
            .map(|id| Some((incidents.remove(&id)?, evidence.remove(&id)?)))
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
