//! The incidents in whose records a description's words stand literally.

mod terms;

use std::collections::HashMap;

use chrono::{DateTime, Months, Utc};

use self::terms::{Term, terms};
use super::Question;
use super::records::{self, Key, NewestMonths, Record};
use crate::StoreError;
use crate::reader::IncidentFilter;
use crate::reader::filter::filtered;
use crate::reader::snapshot::Snapshot;

/// The newest incidents with a term that are considered.
const FOUND_UP_TO: usize = 100;
/// Incidents with a term are looked for in the newest month before they are in all. The planner takes words that always come
/// together for a rare coincidence, and would read and sort all incidents that have them.
const NEWEST: Months = Months::new(1);
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
    if terms.is_empty() {
        return Ok(Vec::new());
    }
    let windows = windows(snapshot, &question.filter).await?;
    let months = NewestMonths::of(snapshot).await?;
    let mut own = Vec::new();
    for term in &terms {
        own.push(in_incidents(snapshot, &windows, term).await?);
    }
    let related = in_related(snapshot, question, &terms, &months).await?;
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
    windows: &[IncidentFilter],
    term: &Term,
) -> Result<Vec<Written>, StoreError> {
    // Whether the words are looked up or the incidents read in the order of time depends on how many have them. Beyond the
    // newest window they are never read in that order: a word that is frequent, but not among those that pass the filter, would
    // be read after through all the years. So the first thing to sort by is then no column, and no index has the order.
    snapshot.plan_anew().await?;
    let mut found = Vec::new();
    for (place, window) in windows.iter().enumerate() {
        let rest = FOUND_UP_TO - found.len();
        let further = filtered!(
            query_as<Written>,
            r#"SELECT i.id AS "id!", i.created_at AS "created_at!", i.remediation_namespace AS "namespace!",
                      i.remediation_name AS "name!", 'remediation' AS "record_kind!", i.embedding_id AS text_id
               FROM incidents i"#,
            window,
            "AND i.words @> $16
             ORDER BY CASE WHEN $18 THEN i.created_at END DESC, i.created_at + interval '0' DESC, i.id DESC LIMIT $17",
            term,
            i64::try_from(rest).unwrap_or(i64::MAX),
            place == 0,
        )
        .fetch_all(&mut **snapshot)
        .await?;
        found.extend(further);
        if found.len() == FOUND_UP_TO {
            break;
        }
    }
    Ok(found)
}

/// The parts of the filter's time that a search goes through, newest first.
async fn windows(
    snapshot: &mut Snapshot,
    filter: &IncidentFilter,
) -> Result<Vec<IncidentFilter>, StoreError> {
    snapshot.keep_plans_in_order().await?;
    let newest = sqlx::query_scalar!(
        r#"SELECT i.created_at AS "created_at!" FROM remediations i
           WHERE i.created_at < coalesce($1::timestamptz, 'infinity') ORDER BY i.created_at DESC LIMIT 1"#,
        filter.until as _,
    )
    .fetch_optional(&mut **snapshot)
    .await?;
    Ok(newest.map_or_else(Vec::new, |newest| windows_before(newest, filter)))
}

/// The month before the newest incident, and what is before that.
fn windows_before(newest: DateTime<Utc>, filter: &IncidentFilter) -> Vec<IncidentFilter> {
    match newest.checked_sub_months(NEWEST) {
        Some(month) if filter.since.is_none_or(|since| since < month) => vec![
            IncidentFilter {
                since: Some(month),
                ..filter.clone()
            },
            IncidentFilter {
                until: Some(month),
                ..filter.clone()
            },
        ],
        _ => vec![filter.clone()],
    }
}

/// For each term the newest incidents of which another record has it.
async fn in_related(
    snapshot: &mut Snapshot,
    question: &Question,
    terms: &[Term],
    months: &NewestMonths,
) -> Result<Vec<Vec<Written>>, StoreError> {
    let mut found: Vec<Option<Vec<Written>>> = vec![None; terms.len()];
    for (step, limit) in RELATED_UP_TO.into_iter().enumerate() {
        let mut records: Vec<(usize, Vec<Record>)> = Vec::new();
        for (index, term) in terms.iter().enumerate() {
            if found[index].is_none() {
                records.push((index, records::with_words(snapshot, term, months, limit).await?));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<DateTime<Utc>> {
        Some(text.parse().unwrap())
    }

    fn window(since: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> IncidentFilter {
        IncidentFilter {
            since,
            until,
            ..IncidentFilter::default()
        }
    }

    fn windows(filter: &IncidentFilter) -> Vec<IncidentFilter> {
        windows_before(at("2026-06-15T10:00:00Z").unwrap(), filter)
    }

    #[test]
    fn windows_hold_everything_newest_first() {
        let month = at("2026-05-15T10:00:00Z");
        assert_eq!(
            windows(&IncidentFilter::default()),
            [window(month, None), window(None, month)]
        );
    }

    #[test]
    fn windows_keep_to_the_bounds_of_the_filter() {
        let (since, until) = (at("2026-03-01T00:00:00Z"), at("2026-07-01T00:00:00Z"));
        let month = at("2026-05-15T10:00:00Z");
        assert_eq!(
            windows(&window(since, until)),
            [window(month, until), window(since, month)]
        );
        let late = at("2026-06-01T00:00:00Z");
        assert_eq!(windows(&window(late, until)), [window(late, until)]);
    }
}
