//! The incidents in whose records a description's words stand literally.

mod terms;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use self::terms::{Term, terms};
use super::Question;
use crate::StoreError;
use crate::reader::filter::filtered;

/// The newest incidents with a term that are considered.
const FOUND_UP_TO: i64 = 200;
/// Of the analyses, workflows and executions with a term, how many are followed to their incidents.
const RELATED_UP_TO: i64 = 2_000;

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
pub(super) async fn find(
    connection: &mut PgConnection,
    question: &Question,
) -> Result<Vec<Written>, StoreError> {
    let mut weighed: HashMap<i64, (f64, Written)> = HashMap::new();
    for term in terms(&question.description) {
        let mut found: HashMap<i64, Written> = HashMap::new();
        let own = in_incidents(connection, question, &term).await?;
        for written in own
            .into_iter()
            .chain(in_related(connection, question, &term).await?)
        {
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

async fn in_incidents(
    connection: &mut PgConnection,
    question: &Question,
    term: &Term,
) -> Result<Vec<Written>, StoreError> {
    let filter = &question.filter;
    Ok(filtered!(
        query_as<Written>,
        r#"SELECT i.id AS "id!", i.created_at AS "created_at!", i.remediation_namespace AS "namespace!",
                  i.remediation_name AS "name!", 'remediation' AS "record_kind!", i.embedding_id AS text_id
           FROM incidents i"#,
        filter,
        "AND i.words @> $16 ORDER BY i.created_at DESC, i.id DESC LIMIT $17",
        term,
        FOUND_UP_TO,
    )
    .fetch_all(connection)
    .await?)
}

async fn in_related(
    connection: &mut PgConnection,
    question: &Question,
    term: &Term,
) -> Result<Vec<Written>, StoreError> {
    let filter = &question.filter;
    Ok(filtered!(
        query_as<Written>,
        r#"WITH mentioned AS MATERIALIZED (
               SELECT x.record_kind, x.incident_id, x.embedding_id FROM related_words x
               WHERE x.words @> $16 LIMIT $18
           ),
           found AS (
               SELECT DISTINCT ON (i.id) i.id, i.created_at, i.remediation_namespace, i.remediation_name, m.record_kind,
                      m.embedding_id
               FROM mentioned m JOIN incidents i ON i.id = m.incident_id"#,
        filter,
        "ORDER BY i.id, m.record_kind, m.embedding_id
           )
           SELECT f.id AS \"id!\", f.created_at AS \"created_at!\", f.remediation_namespace AS \"namespace!\",
                  f.remediation_name AS \"name!\", f.record_kind AS \"record_kind!\", f.embedding_id AS text_id
           FROM found f ORDER BY f.created_at DESC, f.id DESC LIMIT $17",
        term,
        FOUND_UP_TO,
        RELATED_UP_TO,
    )
    .fetch_all(connection)
    .await?)
}
