//! Search by vector and by words at once.
//!
//! Vectors find what is meant, words what is named: an alert, an id, an error code. Both lists are made within the hard
//! filters, each has at most `max_results` incidents, and they are fused by reciprocal rank: Cormack, Clarke and
//! Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::nearest;
use super::records::{self, Key};
use super::written::{self, Written};
use super::{Candidate, Search, Tuning};
use crate::StoreError;
use crate::compatibility::ModelIdentity;
use crate::reader::snapshot::Snapshot;
use crate::reader::{Evidence, Incident, IncidentFilter, Reader};

/// k of the fusion, as its authors have it.
const K: f64 = 60.0;
/// Below every cosine similarity.
const ANY_SIMILARITY: f64 = -2.0;
/// No text has this id: a record without a text.
const NO_TEXT: i64 = 0;

/// A question to the memory, in words.
#[derive(Debug, Clone)]
pub struct Question {
    /// The description as it was given.
    pub description: String,
    /// Its vector, of unit length, and the model it comes from; without one only words are searched.
    pub vector: Option<(Vec<f32>, ModelIdentity)>,
    /// Hard filters.
    pub filter: IncidentFilter,
    /// How many incidents to give at most.
    pub max_results: i64,
    /// Least cosine similarity, -1 to 1; an incident without one does not reach it.
    pub min_similarity: Option<f64>,
}

/// An incident found by meaning, by words, or by both.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The incident.
    pub incident: Incident,
    /// The sum of 1 / (60 + place) over the lists it is in, its place in each counted from 1.
    pub score: f64,
    /// Whether it is in the list by vector.
    pub by_vector: bool,
    /// Whether it is in the list by words.
    pub by_words: bool,
    /// Cosine similarity of the description and the nearest text of the incident, -1 to 1; `None` where either has no
    /// vector.
    pub similarity: Option<f64>,
    /// Kind of the record that text belongs to; without a similarity, of the record with the words.
    pub record_kind: String,
    /// That text; `None` where that record has none with a vector.
    pub text: Option<String>,
    /// What speaks for it and against it.
    pub evidence: Evidence,
}

/// The score of a place in one list, counted from 1.
#[must_use]
pub fn score_of_place(place: usize) -> f64 {
    // More places than an integer of 32 bits has would all have the score 0.
    1.0 / (K + f64::from(u32::try_from(place).unwrap_or(u32::MAX)))
}

/// An incident in the lists.
#[derive(Debug, Clone, PartialEq)]
struct Ranked {
    id: i64,
    created_at: DateTime<Utc>,
    similarity: Option<f64>,
    score: f64,
    by_vector: bool,
    by_words: bool,
}

/// Best first: by score; equal ones with the words first, then the more similar, then the newer.
fn fuse(by_vector: &[Ranked], by_words: &[Ranked]) -> Vec<Ranked> {
    let mut fused: HashMap<i64, Ranked> = HashMap::new();
    let mut add = |list: &[Ranked]| {
        for (index, ranked) in list.iter().enumerate() {
            let entry = fused.entry(ranked.id).or_insert_with(|| Ranked {
                score: 0.0,
                by_vector: false,
                by_words: false,
                ..ranked.clone()
            });
            entry.score += score_of_place(index + 1);
            entry.by_vector |= ranked.by_vector;
            entry.by_words |= ranked.by_words;
        }
    };
    add(by_vector);
    add(by_words);
    let mut fused: Vec<_> = fused.into_values().collect();
    let similarity = |ranked: &Ranked| ranked.similarity.unwrap_or(ANY_SIMILARITY);
    fused.sort_by(|one, other| {
        other
            .score
            .total_cmp(&one.score)
            .then(other.by_words.cmp(&one.by_words))
            .then(similarity(other).total_cmp(&similarity(one)))
            .then((other.created_at, other.id).cmp(&(one.created_at, one.id)))
    });
    fused
}

impl Reader {
    /// The incidents that answer a question, best first.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached, takes too long, or has moved to another model than that of
    /// the vector.
    pub async fn search_fused(&self, question: &Question) -> Result<Vec<Found>, StoreError> {
        let found = self.fused(question).await;
        match &question.vector {
            Some((_, model)) => self.if_still_of(model, found).await,
            None => found,
        }
    }

    async fn fused(&self, question: &Question) -> Result<Vec<Found>, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let search = question.vector.as_ref().map(|(vector, model)| Search {
            vector: vector.clone(),
            model: model.clone(),
            filter: question.filter.clone(),
            max_results: question.max_results,
            min_similarity: question.min_similarity.unwrap_or(ANY_SIMILARITY),
            except: None,
        });
        let near = match &search {
            Some(search) => nearest::find(&mut snapshot, search, &Tuning::MEASURED).await?,
            None => Vec::new(),
        };
        let mut written = written::find(&mut snapshot, question).await?;
        let mut candidates: HashMap<i64, Candidate> = HashMap::new();
        let mut by_vector = Vec::new();
        for candidate in near {
            by_vector.push(Ranked {
                id: candidate.incident_id,
                created_at: candidate.created_at,
                similarity: Some(candidate.similarity),
                score: 0.0,
                by_vector: true,
                by_words: false,
            });
            candidates.insert(candidate.incident_id, candidate);
        }
        if let Some(search) = &search {
            for candidate in similarities(&mut snapshot, search, &written, &candidates).await? {
                candidates.insert(candidate.incident_id, candidate);
            }
        }
        if question.min_similarity.is_some() {
            // What is there now has the similarity.
            written.retain(|written| candidates.contains_key(&written.id));
        }
        let by_words: Vec<_> = written
            .iter()
            .map(|written| Ranked {
                id: written.id,
                created_at: written.created_at,
                similarity: candidates.get(&written.id).map(|candidate| candidate.similarity),
                score: 0.0,
                by_vector: false,
                by_words: true,
            })
            .collect();
        for candidate in without_similarity(&mut snapshot, &written, &candidates).await? {
            candidates.insert(candidate.incident_id, candidate);
        }
        let mut ranked = fuse(&by_vector, &by_words);
        ranked.truncate(usize::try_from(question.max_results).unwrap_or(usize::MAX));
        let in_order: Vec<Candidate> = ranked
            .iter()
            .filter_map(|ranked| candidates.remove(&ranked.id))
            .collect();
        let known = Self::known(&mut snapshot, &question.filter, &in_order).await?;
        snapshot.commit().await?;
        Ok(ranked
            .into_iter()
            .zip(in_order)
            .zip(known)
            .filter_map(|((ranked, candidate), known)| {
                let (incident, evidence) = known?;
                Some(Found {
                    incident,
                    score: ranked.score,
                    by_vector: ranked.by_vector,
                    by_words: ranked.by_words,
                    similarity: ranked.similarity,
                    record_kind: candidate.record_kind,
                    text: (!candidate.text.is_empty()).then_some(candidate.text),
                    evidence,
                })
            })
            .collect())
    }
}

/// The nearest texts of the incidents that were found by words alone, as far as they reach the least similarity.
async fn similarities(
    snapshot: &mut Snapshot,
    search: &Search,
    written: &[Written],
    near: &HashMap<i64, Candidate>,
) -> Result<Vec<Candidate>, StoreError> {
    let keys: Vec<Key> = written
        .iter()
        .filter(|written| !near.contains_key(&written.id))
        .map(|written| Key {
            id: written.id,
            created_at: written.created_at,
            namespace: written.namespace.clone(),
            name: written.name.clone(),
        })
        .collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    nearest::from_incidents(snapshot, search, &keys).await
}

/// The records with the words, of the incidents whose similarity is not known.
async fn without_similarity(
    snapshot: &mut Snapshot,
    written: &[Written],
    similar: &HashMap<i64, Candidate>,
) -> Result<Vec<Candidate>, StoreError> {
    let rest: Vec<&Written> = written
        .iter()
        .filter(|written| !similar.contains_key(&written.id))
        .collect();
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = rest.iter().filter_map(|written| written.text_id).collect();
    let texts = records::texts(snapshot, &ids).await?;
    Ok(rest
        .into_iter()
        .map(|written| Candidate {
            incident_id: written.id,
            created_at: written.created_at,
            text_id: written.text_id.unwrap_or(NO_TEXT),
            record_kind: written.record_kind.clone(),
            text: written
                .text_id
                .and_then(|id| texts.get(&id).cloned())
                .unwrap_or_default(),
            similarity: ANY_SIMILARITY,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(id: i64, similarity: Option<f64>, by_vector: bool) -> Ranked {
        Ranked {
            id,
            created_at: DateTime::UNIX_EPOCH,
            similarity,
            score: 0.0,
            by_vector,
            by_words: !by_vector,
        }
    }

    #[test]
    fn who_is_in_both_lists_goes_first_and_of_equal_places_the_one_with_the_words() {
        let fused = fuse(
            &[ranked(1, Some(0.9), true), ranked(2, Some(0.8), true)],
            &[
                ranked(3, None, false),
                ranked(2, Some(0.8), false),
                ranked(4, Some(0.1), false),
            ],
        );
        let told: Vec<_> = fused
            .iter()
            .map(|it| (it.id, it.by_vector, it.by_words, it.score))
            .collect();
        assert_eq!(
            told,
            [
                (2, true, true, 1.0 / 62.0 + 1.0 / 62.0),
                (3, false, true, 1.0 / 61.0),
                (1, true, false, 1.0 / 61.0),
                (4, false, true, 1.0 / 63.0),
            ]
        );
        assert_eq!(fused[1].similarity, None);
    }

    #[test]
    fn equal_scores_are_ordered_by_similarity_then_the_newest() {
        let place = |id| {
            let mut by_words = vec![ranked(9, None, false)];
            by_words.push(ranked(id, None, false));
            by_words
        };
        let fused = fuse(&place(1), &place(2));
        assert_eq!(fused.iter().map(|it| it.id).collect::<Vec<_>>(), [9, 2, 1]);
    }
}
