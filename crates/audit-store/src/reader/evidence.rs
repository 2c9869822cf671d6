//! What speaks for and against an incident that a search found.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::IncidentFilter;
use super::filter::within;
use super::search::Candidate;
use super::snapshot::Snapshot;
use crate::StoreError;

/// Of the incidents with one text, the newest that are counted; a text of a storm may belong to a hundred thousand.
pub const SEEN_UP_TO: i64 = 1_000;
/// Ledger ids of one match, beside its incident's own.
const RECORDS_UP_TO: i64 = 10;
const REMEDIATION: &str = "remediation";

/// How a kind of action ended in the incidents with one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionTried {
    /// Kind of action.
    pub action_type: String,
    /// Incidents in which it was chosen and that reached phase Completed or Failed.
    pub attempts: i64,
    /// Those of them that are Completed.
    pub successes: i64,
}

/// What is known about the incidents with a text: those that pass the search's filter and have a record of the kind
/// that was matched with exactly this text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// How many they are; [`SEEN_UP_TO`] if they are more.
    pub times_seen: i64,
    /// Whether all were counted. If not, the newest.
    pub all_counted: bool,
    /// createdAt of the newest of those counted.
    pub last_seen: DateTime<Utc>,
    /// What was tried in those counted, by kind of action; the most often tried first.
    pub actions: Vec<ActionTried>,
    /// The newest incident in which the action that ended well in the match failed later on the same resource.
    pub contradicted_by: Option<i64>,
    /// Ledger ids of the incident's last event and, if another record matched, of that record's: at most 11.
    pub record_ids: Vec<i64>,
}

/// One kind of action among the incidents with a text.
struct Seen {
    text_id: i64,
    record_kind: String,
    action_type: Option<String>,
    incidents: i64,
    attempts: i64,
    successes: i64,
    mentions: i64,
    last_seen: DateTime<Utc>,
}

struct Record {
    incident_id: i64,
    text_id: i64,
    record_kind: String,
    created_at: DateTime<Utc>,
    last_event_id: i64,
    contradicted_by: Option<i64>,
    of_match: Vec<i64>,
}

/// The evidence for each candidate, by incident.
pub(super) async fn of(
    snapshot: &mut Snapshot,
    filter: &IncidentFilter,
    candidates: &[Candidate],
) -> Result<HashMap<i64, Evidence>, StoreError> {
    let mut by_text: HashMap<(i64, String), Vec<Seen>> = HashMap::new();
    let (remediations, others): (Vec<_>, Vec<_>) = candidates
        .iter()
        .map(|candidate| (candidate.text_id, candidate.record_kind.clone()))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .partition(|(_, kind)| kind == REMEDIATION);
    let mut seen = seen_in_remediations(snapshot, filter, &remediations).await?;
    seen.extend(seen_in_others(snapshot, filter, &others).await?);
    for row in seen {
        let text = (row.text_id, row.record_kind.clone());
        by_text.entry(text).or_default().push(row);
    }
    let records = records(snapshot, candidates).await?.into_iter();
    Ok(records
        .map(|record| {
            let text = (record.text_id, record.record_kind.clone());
            let seen = by_text.get(&text).map_or(&[][..], Vec::as_slice);
            (record.incident_id, fold(seen, record))
        })
        .collect())
}

fn fold(seen: &[Seen], record: Record) -> Evidence {
    let incidents: i64 = seen.iter().map(|row| row.incidents).sum();
    // The mentions of other records are bounded before incidents are made of them.
    let mentions = seen.iter().map(|row| row.mentions).max().unwrap_or(0);
    let mut actions: Vec<_> = seen
        .iter()
        .filter(|row| row.attempts > 0)
        .filter_map(|row| {
            Some(ActionTried {
                action_type: row.action_type.clone()?,
                attempts: row.attempts,
                successes: row.successes,
            })
        })
        .collect();
    actions.sort_by(|one, other| (other.attempts, &one.action_type).cmp(&(one.attempts, &other.action_type)));
    let mut record_ids = vec![record.last_event_id];
    record_ids.extend(record.of_match);
    Evidence {
        // The match is one of them, also where the bound left it out.
        times_seen: incidents.clamp(1, SEEN_UP_TO),
        all_counted: mentions <= SEEN_UP_TO,
        last_seen: seen
            .iter()
            .map(|row| row.last_seen)
            .fold(record.created_at, DateTime::max),
        actions,
        contradicted_by: record.contradicted_by,
        record_ids,
    }
}

async fn seen_in_remediations(
    snapshot: &mut Snapshot,
    filter: &IncidentFilter,
    texts: &[(i64, String)],
) -> Result<Vec<Seen>, StoreError> {
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = texts.iter().map(|(id, _)| *id).collect();
    Ok(within!(
        snapshot,
        Seen,
        r#"SELECT s.text_id AS "text_id!", 'remediation' AS "record_kind!", s.action_type,
                  count(*) FILTER (WHERE s.place <= $17::bigint) AS "incidents!",
                  count(*) FILTER (WHERE s.place <= $17::bigint AND s.phase IN ('Completed', 'Failed')) AS "attempts!",
                  count(*) FILTER (WHERE s.place <= $17::bigint AND s.phase = 'Completed') AS "successes!",
                  max(s.place) AS "mentions!", max(s.created_at) AS "last_seen!"
           FROM (
               SELECT a.text_id, n.action_type, n.phase, n.created_at,
                      row_number() OVER (PARTITION BY a.text_id ORDER BY n.created_at DESC, n.id DESC) AS place
               FROM UNNEST($16::bigint[]) AS a (text_id)
               CROSS JOIN LATERAL (
                   SELECT i.id, i.action_type, i.phase, i.created_at FROM incidents i"#,
        filter,
        "AND i.embedding_id = a.text_id ORDER BY i.created_at DESC, i.id DESC LIMIT $17::bigint + 1
               ) n
           ) s
           GROUP BY s.text_id, s.action_type",
        &ids,
        SEEN_UP_TO,
    ))
}

async fn seen_in_others(
    snapshot: &mut Snapshot,
    filter: &IncidentFilter,
    texts: &[(i64, String)],
) -> Result<Vec<Seen>, StoreError> {
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let (ids, kinds): (Vec<i64>, Vec<String>) = texts.iter().cloned().unzip();
    Ok(within!(
        snapshot,
        Seen,
        r#"WITH mentioned AS MATERIALIZED (
               SELECT DISTINCT a.text_id, a.record_kind, m.incident_id, m.mentions
               FROM UNNEST($16::bigint[], $17::text[]) AS a (text_id, record_kind)
               CROSS JOIN LATERAL (
                   SELECT b.incident_id, count(*) OVER () AS mentions
                   FROM ((SELECT x.incident_id FROM analyses x
                          WHERE a.record_kind = 'aianalysis' AND x.embedding_id = a.text_id
                          ORDER BY x.created_at DESC, x.id DESC LIMIT $18::bigint + 1)
                         UNION ALL
                         (SELECT x.incident_id FROM workflows x
                          WHERE a.record_kind = 'workflow' AND x.embedding_id = a.text_id
                          ORDER BY x.created_at DESC, x.id DESC LIMIT $18::bigint + 1)
                         UNION ALL
                         (SELECT w.incident_id
                          FROM (SELECT e.workflow_id FROM executions e
                                WHERE a.record_kind = 'execution' AND e.embedding_id = a.text_id
                                ORDER BY e.created_at DESC, e.id DESC LIMIT $18::bigint + 1) x
                          JOIN workflows w ON w.id = x.workflow_id)) b
               ) m
           )
           SELECT m.text_id AS "text_id!", m.record_kind AS "record_kind!", i.action_type,
                  count(*) AS "incidents!",
                  count(*) FILTER (WHERE i.phase IN ('Completed', 'Failed')) AS "attempts!",
                  count(*) FILTER (WHERE i.phase = 'Completed') AS "successes!",
                  max(m.mentions) AS "mentions!", max(i.created_at) AS "last_seen!"
           FROM mentioned m
           JOIN instances k ON k.id = m.incident_id
           JOIN incidents i ON i.id = k.id AND i.created_at = k.created_at"#,
        filter,
        "GROUP BY m.text_id, m.record_kind, i.action_type",
        &ids,
        &kinds,
        SEEN_UP_TO,
    ))
}

/// What to cite for each candidate, and what contradicts it.
async fn records(snapshot: &mut Snapshot, candidates: &[Candidate]) -> Result<Vec<Record>, StoreError> {
    let ids: Vec<i64> = candidates.iter().map(|candidate| candidate.incident_id).collect();
    let texts: Vec<i64> = candidates.iter().map(|candidate| candidate.text_id).collect();
    let kinds: Vec<String> = candidates
        .iter()
        .map(|candidate| candidate.record_kind.clone())
        .collect();
    let times: Vec<DateTime<Utc>> = candidates.iter().map(|candidate| candidate.created_at).collect();
    snapshot.keep_plans().await?;
    // The same action on the same resource is one history, which one index finds. The failures are fenced (OFFSET 0), or the planner might walk all incidents in the order of time.
    Ok(sqlx::query_as!(
        Record,
        r#"SELECT i.id AS "incident_id!", q.text_id AS "text_id!", q.record_kind AS "record_kind!",
                  i.created_at AS "created_at!", i.last_event_id AS "last_event_id!",
                  (SELECT l.id FROM (
                       SELECT f.id, f.created_at FROM incidents f
                       WHERE i.phase = 'Completed' AND f.phase = 'Failed' AND i.action_type IS NOT NULL
                         AND f.action_history_id = i.action_history_id AND f.created_at > i.created_at
                       OFFSET 0
                   ) l ORDER BY l.created_at DESC, l.id DESC LIMIT 1) AS contradicted_by,
                  ARRAY(SELECT c.last_event_id FROM (
                            SELECT a.last_event_id FROM analyses a
                            WHERE q.record_kind = 'aianalysis' AND a.namespace = i.remediation_namespace
                              AND a.remediation_request_ref = i.remediation_name AND a.incident_id = i.id
                              AND a.embedding_id = q.text_id
                            UNION ALL
                            SELECT w.last_event_id FROM workflows w
                            WHERE q.record_kind = 'workflow' AND w.namespace = i.remediation_namespace
                              AND w.remediation_request_ref = i.remediation_name AND w.incident_id = i.id
                              AND w.embedding_id = q.text_id
                            UNION ALL
                            SELECT x.last_event_id FROM workflows w
                            JOIN executions x ON x.namespace = w.namespace AND x.workflow_execution_ref = w.name
                            WHERE q.record_kind = 'execution' AND w.namespace = i.remediation_namespace
                              AND w.remediation_request_ref = i.remediation_name AND w.incident_id = i.id
                              AND x.workflow_id = w.id AND x.embedding_id = q.text_id
                        ) c ORDER BY c.last_event_id DESC LIMIT $4) AS "of_match!"
           FROM UNNEST($1::bigint[], $2::bigint[], $3::text[], $5::timestamptz[]) AS q (id, text_id, record_kind, created_at)
           JOIN incidents i ON i.id = q.id AND i.created_at = q.created_at"#,
        &ids,
        &texts,
        &kinds,
        RECORDS_UP_TO,
        &times,
    )
    .fetch_all(&mut **snapshot)
    .await?)
}
