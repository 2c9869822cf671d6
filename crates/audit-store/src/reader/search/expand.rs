//! From texts to the incidents of which a record says one of them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::nearest::NearText;
use super::records::{self, Record};
use super::{Candidate, Search};
use crate::StoreError;
use crate::reader::filter::within;
use crate::reader::snapshot::Snapshot;

/// Where the portions end in which texts are expanded, nearest first: as a rule the incidents of few are enough.
const PORTIONS: [usize; 4] = [10, 100, 1_000, usize::MAX];
/// Of each kind so many records of a text are followed for each result asked for, before all of them are.
const RECORDS_FOR_A_RESULT: i64 = 4;

/// An incident with one of the texts.
struct Near {
    incident_id: i64,
    created_at: DateTime<Utc>,
    text_id: i64,
    record_kind: String,
    similarity: f64,
}

/// The incidents of texts, each with its nearest text; the best `max_results`, equally similar ones newest first.
pub(super) async fn expand(
    snapshot: &mut Snapshot,
    search: &Search,
    texts: &[NearText],
) -> Result<Vec<Candidate>, StoreError> {
    let mut found = Vec::new();
    let mut from = 0;
    for to in PORTIONS {
        let to = to.min(texts.len());
        found = best(snapshot, search, found, &texts[from..to]).await?;
        from = to;
        let Some(next) = texts.get(to).map(|next| 1.0 - next.distance) else {
            break;
        };
        // Of farther texts no incident could come before the last of these, or none is similar enough.
        let is_settled = is_enough(search, &found) && found.last().is_some_and(|last| last.similarity > next);
        if is_settled || next < search.min_similarity {
            break;
        }
    }
    let ids: Vec<i64> = found.iter().map(|near| near.text_id).collect();
    let texts = records::texts(snapshot, &ids).await?;
    Ok(found
        .into_iter()
        .filter_map(|near| {
            Some(Candidate {
                incident_id: near.incident_id,
                created_at: near.created_at,
                text: texts.get(&near.text_id)?.clone(),
                text_id: near.text_id,
                record_kind: near.record_kind,
                similarity: near.similarity,
            })
        })
        .collect())
}

fn is_enough(search: &Search, found: &[Near]) -> bool {
    i64::try_from(found.len()).unwrap_or(i64::MAX) >= search.max_results
}

/// The best of those found before and of those with farther texts.
async fn best(
    snapshot: &mut Snapshot,
    search: &Search,
    before: Vec<Near>,
    texts: &[NearText],
) -> Result<Vec<Near>, StoreError> {
    let texts: Vec<NearText> = texts
        .iter()
        // The distance of a vector without direction is no number, and keeps nothing out.
        .filter(|text| text.distance.is_nan() || 1.0 - text.distance >= search.min_similarity)
        .copied()
        .collect();
    if texts.is_empty() {
        return Ok(before);
    }
    let few = search.max_results.saturating_mul(RECORDS_FOR_A_RESULT);
    let (by_others, cuts) = by_others(snapshot, search, &texts, few).await?;
    let own = by_own(snapshot, search, &texts).await?;
    let found = in_order(search, before.into_iter().chain(own).chain(by_others));
    let is_safe = |cut: &Cut| {
        found
            .last()
            .is_some_and(|last| (cut.similarity, cut.created_at) < (last.similarity, last.created_at))
    };
    let is_enough = is_enough(search, &found);
    let unsafe_texts: HashSet<i64> = cuts
        .iter()
        .filter(|cut| !(is_enough && is_safe(cut)))
        .map(|cut| cut.text_id)
        .collect();
    if unsafe_texts.is_empty() {
        return Ok(found);
    }
    // Those that the filter lets pass are farther back.
    let texts: Vec<NearText> = texts
        .into_iter()
        .filter(|text| unsafe_texts.contains(&text.id))
        .collect();
    let (by_others, _) = self::by_others(snapshot, search, &texts, i64::MAX).await?;
    Ok(in_order(search, found.into_iter().chain(by_others)))
}

/// Each incident with its nearest text; the best `max_results`, equally similar ones newest first.
fn in_order(search: &Search, found: impl Iterator<Item = Near>) -> Vec<Near> {
    let mut nearest: HashMap<i64, Near> = HashMap::new();
    for near in found {
        match nearest.entry(near.incident_id) {
            Entry::Vacant(entry) => {
                entry.insert(near);
            }
            Entry::Occupied(mut entry) => {
                let old = entry.get();
                let order = near.similarity.total_cmp(&old.similarity);
                if order.then(old.record_kind.cmp(&near.record_kind)).is_gt() {
                    entry.insert(near);
                }
            }
        }
    }
    let mut best: Vec<_> = nearest.into_values().collect();
    best.sort_by(|one, other| {
        other
            .similarity
            .total_cmp(&one.similarity)
            .then((other.created_at, other.incident_id).cmp(&(one.created_at, one.incident_id)))
    });
    best.truncate(usize::try_from(search.max_results).unwrap_or(usize::MAX));
    best
}

/// The incidents whose remediation says one of the texts.
///
/// A text of a storm has a hundred thousand of them, so each text gives its newest `max_results` that pass the filter and
/// no more. That loses nothing: those behind them have as many before them that are as similar and newer.
async fn by_own(
    snapshot: &mut Snapshot,
    search: &Search,
    texts: &[NearText],
) -> Result<Vec<Near>, StoreError> {
    let ids: Vec<i64> = texts.iter().map(|text| text.id).collect();
    let distances: Vec<f64> = texts.iter().map(|text| text.distance).collect();
    let filter = &search.filter;
    Ok(within!(
        snapshot,
        Near,
        r#"SELECT o.id AS "incident_id!", o.created_at AS "created_at!", a.text_id AS "text_id!",
                  'remediation' AS "record_kind!", 1 - a.distance AS "similarity!"
           FROM UNNEST($16::bigint[], $17::double precision[]) AS a (text_id, distance)
           CROSS JOIN LATERAL (
               SELECT i.id, i.created_at FROM incidents i"#,
        filter,
        "AND i.embedding_id = a.text_id AND i.id IS DISTINCT FROM $18
               ORDER BY i.created_at DESC, i.id DESC LIMIT $19
           ) o",
        &ids,
        &distances,
        search.except as _,
        search.max_results,
    ))
}

/// Where records of a text were left out: its similarity, and the time of the last record taken.
struct Cut {
    text_id: i64,
    similarity: f64,
    created_at: DateTime<Utc>,
}

/// The incidents of which another record says one of the texts, as far as the newest `limit` records of each kind tell.
async fn by_others(
    snapshot: &mut Snapshot,
    search: &Search,
    texts: &[NearText],
    limit: i64,
) -> Result<(Vec<Near>, Vec<Cut>), StoreError> {
    let ids: Vec<i64> = texts.iter().map(|text| text.id).collect();
    let records = records::with_texts(snapshot, &ids, limit).await?;
    let passing = records::passing(snapshot, &search.filter, &records).await?;
    let mut by_text: HashMap<i64, Vec<&Record>> = HashMap::new();
    for record in &records {
        if let Some(text_id) = record.text_id {
            by_text.entry(text_id).or_default().push(record);
        }
    }
    let mut near = Vec::new();
    let mut cuts = Vec::new();
    for text in texts {
        let similarity = 1.0 - text.distance;
        let of_text = by_text.get(&text.id).map_or(&[][..], Vec::as_slice);
        cuts.extend(
            records::cut(of_text.iter().copied(), limit).map(|created_at| Cut {
                text_id: text.id,
                similarity,
                created_at,
            }),
        );
        near.extend(of_text.iter().filter_map(|record| {
            let key = passing.get(&record.incident_id?)?;
            (search.except != Some(key.id)).then(|| Near {
                incident_id: key.id,
                created_at: key.created_at,
                text_id: text.id,
                record_kind: record.record_kind.clone(),
                similarity,
            })
        }));
    }
    Ok((near, cuts))
}
