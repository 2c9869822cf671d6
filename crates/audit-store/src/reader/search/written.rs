//! The incidents in whose records a description's words stand literally.

mod terms;

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use self::terms::{Term, terms};
use super::Question;
use super::records::{self, Key, Record};
use crate::StoreError;
use crate::reader::filter::filtered;
use crate::reader::snapshot::Snapshot;

/// The newest incidents with a term that are considered.
const FOUND_UP_TO: usize = 200;
/// Of the analyses, workflows and executions with a term, how many of each kind are followed to their incidents, newest
/// first: as a rule so many are enough, and if they are not, no more than so many.
const RELATED_UP_TO: [i64; 2] = [300, 2_000];

/// An incident with a term in one of its records.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) id: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) record_kind: String,
    pub(super) text_id: Option<i64>,
}

/// The best `max_results`, best first. A term weighs one over how many incidents it was found in, so that a rare name goes
/// before a common code; equal ones newest first.
pub(super) async fn find(snapshot: &mut Snapshot, question: &Question) -> Result<Vec<Written>, StoreError> {
    let terms = terms(&question.description);
    let mut own = Vec::new();
    for term in &terms {
        own.push(in_incidents(snapshot, question, term).await?);
    }
    let related = in_related(snapshot, question, &terms).await?;
    let mut weighed: HashMap<i64, (f64, Written)> = HashMap::new();
    for (own, related) in own.into_iter().zip(related) {
        let mut found: HashMap<i64, Written> = HashMap::new();
        for written in own.into_iter().chain(related) {
            found.entry(written.id).or_insert(written);
        }
        let incidents = u32::try_from(found.len()).unwrap_or(u32::MAX);
        for (id, written) in found {
            weighed.entry(id).or_insert((0.0, written)).0 += 1.0 / f64::from(incidents);
        }
    }
    let mut weighed: Vec<_> = weighed.into_values().collect();
    weighed.sort_by(|(weight, one), (other_weight, other)| {
        other_weight
            .total_cmp(weight)
            .then((other.created_at, other.id).cmp(&(one.created_at, one.id)))
    });
    weighed.truncate(usize::try_from(question.max_results).unwrap_or(usize::MAX));
    Ok(weighed.into_iter().map(|(_, written)| written).collect())
}

/// The newest incidents that have the term themselves.
async fn in_incidents(
    snapshot: &mut Snapshot,
    question: &Question,
    term: &Term,
) -> Result<Vec<Written>, StoreError> {
    let filter = &question.filter;
    // Whether the words are looked up or the incidents read in the order of time depends on how many have them.
    snapshot.plan_anew().await?;
    Ok(filtered!(
        query_as<Written>,
        r#"SELECT i.id AS "id!", i.created_at AS "created_at!", i.remediation_namespace AS "namespace!",
                  i.remediation_name AS "name!", 'remediation' AS "record_kind!", i.embedding_id AS text_id
           FROM incidents i"#,
        filter,
        "AND i.words @> $16 ORDER BY i.created_at DESC, i.id DESC LIMIT $17",
        term,
        i64::try_from(FOUND_UP_TO).unwrap_or(i64::MAX),
    )
    .fetch_all(&mut **snapshot)
    .await?)
}

/// For each term the newest incidents of which another record has it.
async fn in_related(
    snapshot: &mut Snapshot,
    question: &Question,
    terms: &[Term],
) -> Result<Vec<Vec<Written>>, StoreError> {
    let mut found: Vec<Option<Vec<Written>>> = vec![None; terms.len()];
    for (step, limit) in RELATED_UP_TO.into_iter().enumerate() {
        let mut records: Vec<(usize, Vec<Record>)> = Vec::new();
        for (index, term) in terms.iter().enumerate() {
            if found[index].is_none() {
                records.push((index, records::with_words(snapshot, term, limit).await?));
            }
        }
        let all = records.iter().flat_map(|(_, records)| records);
        let passing = records::passing(snapshot, &question.filter, all).await?;
        for (index, records) in records {
            let newest = newest(&records, &passing);
            // Of the records left out, none has an incident that is newer than they are themselves.
            let is_enough = records::cut(&records, limit).is_none_or(|cut| {
                newest.len() == FOUND_UP_TO && newest.last().is_some_and(|last| last.created_at > cut)
            });
            if is_enough || step + 1 == RELATED_UP_TO.len() {
                found[index] = Some(newest);
            }
        }
    }
    Ok(found.into_iter().map(Option::unwrap_or_default).collect())
}

/// The newest incidents of the records, each with the first of its records by kind and text.
fn newest(records: &[Record], passing: &HashMap<i64, Key>) -> Vec<Written> {
    let mut found: HashMap<i64, &Record> = HashMap::new();
    let place = |record: &Record| (record.record_kind.clone(), record.text_id.unwrap_or(i64::MAX));
    for record in records {
        if let Some(id) = record.incident_id.filter(|id| passing.contains_key(id)) {
            let first = found.entry(id).or_insert(record);
            if place(record) < place(first) {
                *first = record;
            }
        }
    }
    let mut newest: Vec<Written> = found
        .into_iter()
        .filter_map(|(id, record)| {
            let key = passing.get(&id)?;
            Some(Written {
                id,
                created_at: key.created_at,
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                record_kind: record.record_kind.clone(),
                text_id: record.text_id,
            })
        })
        .collect();
    newest.sort_by_key(|written| std::cmp::Reverse((written.created_at, written.id)));
    newest.truncate(FOUND_UP_TO);
    newest
}
