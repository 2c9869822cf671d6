//! The newest records with a text or with words, and which of their incidents pass the filter.
//!
//! Records are followed to their incidents newest first, and no more of them than a search needs. An incident is no newer
//! than its records (but where clocks disagree), so that what was left out can be told by the time of the last one taken.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Datelike, Utc};
use sqlx::PgConnection;

use crate::StoreError;
use crate::reader::IncidentFilter;
use crate::reader::filter::within;
use crate::reader::snapshot::Snapshot;

/// How many months are looked at before the others: a month that has just begun has little in it.
const MONTHS_FIRST: i64 = 2;

/// An analysis, a workflow or an execution.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) record_kind: String,
    /// `None` while its remediation is not recorded.
    pub(super) incident_id: Option<i64>,
    pub(super) text_id: Option<i64>,
    pub(super) created_at: DateTime<Utc>,
}

/// An incident by the keys its records are found with.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) id: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The time behind which records of some kind may have been left out; `None` where all are there.
pub(super) fn cut<'a>(records: impl IntoIterator<Item = &'a Record>, limit: i64) -> Option<DateTime<Utc>> {
    let mut kinds: HashMap<&str, (i64, DateTime<Utc>)> = HashMap::new();
    for record in records {
        let (count, oldest) = kinds.entry(&record.record_kind).or_insert((0, record.created_at));
        *count += 1;
        *oldest = record.created_at.min(*oldest);
    }
    kinds
        .into_values()
        .filter_map(|(count, oldest)| (count >= limit).then_some(oldest))
        .max()
}

/// Months whose records are looked at before those of the others: words of the index, newest first.
#[derive(Debug, Clone)]
pub(super) struct NewestMonths(Vec<String>);

impl NewestMonths {
    /// The month of the newest record, and the one before.
    pub(super) async fn of(snapshot: &mut Snapshot) -> Result<Self, StoreError> {
        snapshot.keep_plans_in_order().await?;
        let newest = sqlx::query_scalar!(
            r#"SELECT greatest((SELECT a.created_at FROM analyses a ORDER BY a.created_at DESC, a.id DESC LIMIT 1),
                               (SELECT w.created_at FROM workflows w ORDER BY w.created_at DESC, w.id DESC LIMIT 1),
                               (SELECT e.created_at FROM executions e ORDER BY e.created_at DESC, e.id DESC LIMIT 1))
                      AS newest"#
        )
        .fetch_one(&mut **snapshot)
        .await?;
        Ok(Self(newest.map_or_else(Vec::new, Self::until)))
    }

    fn until(newest: DateTime<Utc>) -> Vec<String> {
        let month = i64::from(newest.year()) * 12 + i64::from(newest.month());
        // As `written_month` of `migrations/0019` has them.
        (0..MONTHS_FIRST)
            .map(|back| format!("@{}", month - back))
            .collect()
    }
}

/// Of each kind the newest `limit` records with all the words.
///
/// Records of the newest months are looked at first, which the index of words finds; if they are enough, the limit of the others
/// is zero, and they are not looked at. What a word costs does so not grow with all the years in which it was written.
pub(super) async fn with_words(
    snapshot: &mut Snapshot,
    words: &[String],
    months: &NewestMonths,
    limit: i64,
) -> Result<Vec<Record>, StoreError> {
    // Whether the words are looked up or the records read in the order of time depends on how many have them.
    snapshot.plan_anew().await?;
    Ok(sqlx::query_as!(
        Record,
        r#"WITH new_analyses AS MATERIALIZED (
               SELECT a.incident_id, a.embedding_id, a.created_at FROM analyses a
               WHERE a.dated_words @> $1 AND a.dated_words && $3 ORDER BY a.created_at DESC, a.id DESC LIMIT $2
           ), new_workflows AS MATERIALIZED (
               SELECT w.incident_id, w.embedding_id, w.created_at FROM workflows w
               WHERE w.dated_words @> $1 AND w.dated_words && $3 ORDER BY w.created_at DESC, w.id DESC LIMIT $2
           ), new_executions AS MATERIALIZED (
               SELECT e.workflow_id, e.embedding_id, e.created_at FROM executions e
               WHERE e.dated_words @> $1 AND e.dated_words && $3 ORDER BY e.created_at DESC, e.id DESC LIMIT $2
           ), all_executions AS (
               SELECT * FROM new_executions
               UNION ALL
               (SELECT e.workflow_id, e.embedding_id, e.created_at FROM executions e
                WHERE e.dated_words @> $1 AND NOT e.dated_words && $3
                ORDER BY e.created_at DESC, e.id DESC LIMIT $2 - (SELECT count(*) FROM new_executions))
           )
           SELECT 'aianalysis' AS "record_kind!", n.incident_id, n.embedding_id AS text_id, n.created_at AS "created_at!"
           FROM new_analyses n
           UNION ALL
           (SELECT 'aianalysis', a.incident_id, a.embedding_id, a.created_at FROM analyses a
            WHERE a.dated_words @> $1 AND NOT a.dated_words && $3
            ORDER BY a.created_at DESC, a.id DESC LIMIT $2 - (SELECT count(*) FROM new_analyses))
           UNION ALL
           SELECT 'workflow', n.incident_id, n.embedding_id, n.created_at FROM new_workflows n
           UNION ALL
           (SELECT 'workflow', w.incident_id, w.embedding_id, w.created_at FROM workflows w
            WHERE w.dated_words @> $1 AND NOT w.dated_words && $3
            ORDER BY w.created_at DESC, w.id DESC LIMIT $2 - (SELECT count(*) FROM new_workflows))
           UNION ALL
           SELECT 'execution', w.incident_id, x.embedding_id, x.created_at
           FROM all_executions x LEFT JOIN workflows w ON w.id = x.workflow_id"#,
        words,
        limit,
        &months.0,
    )
    .fetch_all(&mut **snapshot)
    .await?)
}

/// Of each kind the newest `limit` records with each of the texts.
pub(super) async fn with_texts(
    snapshot: &mut Snapshot,
    texts: &[i64],
    limit: i64,
) -> Result<Vec<Record>, StoreError> {
    snapshot.keep_plans().await?;
    Ok(sqlx::query_as!(
        Record,
        r#"SELECT t.record_kind AS "record_kind!", t.incident_id, a.text_id, t.created_at AS "created_at!"
           FROM UNNEST($1::bigint[]) AS a (text_id)
           CROSS JOIN LATERAL (
               (SELECT 'aianalysis' AS record_kind, x.incident_id, x.created_at
                FROM analyses x WHERE x.embedding_id = a.text_id ORDER BY x.created_at DESC, x.id DESC LIMIT $2)
               UNION ALL
               (SELECT 'workflow', x.incident_id, x.created_at
                FROM workflows x WHERE x.embedding_id = a.text_id ORDER BY x.created_at DESC, x.id DESC LIMIT $2)
               UNION ALL
               (SELECT 'execution', w.incident_id, x.created_at
                FROM (SELECT e.workflow_id, e.created_at
                      FROM executions e WHERE e.embedding_id = a.text_id ORDER BY e.created_at DESC, e.id DESC LIMIT $2) x
                LEFT JOIN workflows w ON w.id = x.workflow_id)
           ) t"#,
        texts,
        limit,
    )
    .fetch_all(&mut **snapshot)
    .await?)
}

/// The incidents of records that pass the filter, by id.
pub(super) async fn passing<'a>(
    snapshot: &mut Snapshot,
    filter: &IncidentFilter,
    records: impl IntoIterator<Item = &'a Record>,
) -> Result<HashMap<i64, Key>, StoreError> {
    let ids: HashSet<i64> = records
        .into_iter()
        .filter_map(|record| record.incident_id)
        .collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<i64> = ids.into_iter().collect();
    let keys = within!(
        snapshot,
        Key,
        r#"SELECT i.id AS "id!", i.created_at AS "created_at!", i.remediation_namespace AS "namespace!",
                  i.remediation_name AS "name!"
           FROM UNNEST($16::bigint[]) AS q (id)
           JOIN instances k ON k.id = q.id
           JOIN incidents i ON i.id = k.id AND i.created_at = k.created_at"#,
        filter,
        "",
        &ids,
    );
    Ok(keys.into_iter().map(|key| (key.id, key)).collect())
}

/// Texts by their ids.
pub(super) async fn texts(
    connection: &mut PgConnection,
    ids: &[i64],
) -> Result<HashMap<i64, String>, StoreError> {
    Ok(sqlx::query!(
        r#"SELECT v.id AS "id!", v.text AS "text!" FROM texts v WHERE v.id = ANY($1)"#,
        ids
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(|row| (row.id, row.text))
    .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(record_kind: &str, second: i64) -> Record {
        Record {
            record_kind: record_kind.to_owned(),
            incident_id: Some(1),
            text_id: None,
            created_at: DateTime::from_timestamp(second, 0).unwrap(),
        }
    }

    #[test]
    fn the_newest_months_are_the_words_of_the_index() {
        let january = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        assert_eq!(january.to_rfc3339(), "2026-01-01T00:00:00+00:00");
        assert_eq!(NewestMonths::until(january), ["@24313", "@24312"]);
    }

    #[test]
    fn what_was_left_out_is_no_newer_than_the_last_record_of_a_kind_that_reached_the_limit() {
        let records = [
            record("workflow", 9),
            record("workflow", 7),
            record("execution", 8),
            record("execution", 6),
            record("aianalysis", 1),
        ];
        let at = |second| DateTime::from_timestamp(second, 0);
        assert_eq!(cut(&records, 2), at(7));
        assert_eq!(cut(&records[2..], 2), at(6));
        assert_eq!(cut(&records[4..], 2), None);
        assert_eq!(cut(&records, 3), None);
    }
}
