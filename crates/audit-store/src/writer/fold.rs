//! The read model as a fold of the ledger.
//!
//! Every function takes ledger rows and computes the read model's rows from them and from nothing else, so the read
//! model can be verified and made again from the ledger by the same statements; `fsck` does. A state is its event with
//! the greatest (phase rank, ledger id): within a batch `DISTINCT ON` picks it, against the table the upsert's `WHERE`
//! does. Both are independent of the order in which events arrive and transactions commit.

mod states;

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;

use super::EventRef;
use crate::StoreError;
use crate::record::RecordKind;

/// Brings the read model up to ledger rows of these kinds; a kind that is not among them costs nothing, or little. Gives the
/// incident of each remediation among them, by its ledger id.
pub(crate) async fn events(
    connection: &mut PgConnection,
    kinds: &HashSet<RecordKind>,
    events: &[EventRef],
) -> Result<HashMap<i64, i64>, StoreError> {
    if kinds.contains(&RecordKind::Remediation) || kinds.contains(&RecordKind::Execution) {
        identities(connection, events).await?;
        action_histories(connection, events).await?;
    }
    states::upsert(connection, events).await
}

/// The columns of event references, one array each.
fn columns(events: &[EventRef]) -> (Vec<i64>, Vec<chrono::DateTime<chrono::Utc>>) {
    events.iter().map(|event| (event.id, event.event_time)).unzip()
}

/// The resources that remediations and executions name, and the ids of incidents. Statements after this one see those that
/// another transaction was faster with.
async fn identities(connection: &mut PgConnection, events: &[EventRef]) -> Result<(), StoreError> {
    let (ids, times) = columns(events);
    // A conflict would take a number from the sequence; most are there.
    sqlx::query!(
        "WITH e AS MATERIALIZED (
             SELECT e.record_kind, e.namespace, e.name, e.event_time, e.payload ->> 'clusterName' AS target_cluster,
                    e.payload ->> 'targetNamespace' AS target_namespace, e.payload ->> 'targetType' AS target_kind,
                    e.payload ->> 'targetName' AS target_name
             FROM UNNEST($1::bigint[], $2::timestamptz[]) AS n (id, event_time)
             JOIN audit_events e USING (id, event_time)
         ), requests AS (
             INSERT INTO remediation_requests (namespace, name, created_at)
             SELECT DISTINCT e.namespace, e.name, e.event_time
             FROM e
             WHERE e.record_kind = 'remediation'
               AND NOT EXISTS (SELECT 1 FROM remediation_requests k
                               WHERE k.namespace = e.namespace AND k.name = e.name AND k.created_at = e.event_time)
             ORDER BY 1, 2, 3
             ON CONFLICT (namespace, name, created_at) DO NOTHING
         )
         INSERT INTO resource_references (cluster_name, namespace, kind, name)
         SELECT DISTINCT e.target_cluster, e.target_namespace, e.target_kind, e.target_name
         FROM e
         WHERE e.record_kind IN ('remediation', 'execution')
           AND NOT EXISTS (SELECT 1 FROM resource_references r
                           WHERE r.name = e.target_name AND r.kind = e.target_kind AND r.cluster_name = e.target_cluster
                             AND r.namespace IS NOT DISTINCT FROM e.target_namespace)
         ORDER BY 4, 3, 1, 2
         ON CONFLICT (name, kind, cluster_name, namespace) DO NOTHING",
        &ids,
        &times,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Which workflow did which kind of action to which resource. A remediation names no workflow; an execution does.
async fn action_histories(connection: &mut PgConnection, events: &[EventRef]) -> Result<(), StoreError> {
    let (ids, times) = columns(events);
    sqlx::query!(
        "WITH e AS MATERIALIZED (
             SELECT e.*
             FROM UNNEST($1::bigint[], $2::timestamptz[]) AS n (id, event_time)
             JOIN audit_events e USING (id, event_time)
         )
         INSERT INTO action_histories AS h (resource_id, workflow_id, action_type, status, status_time, status_instance, status_event_id)
         SELECT DISTINCT ON (r.id, e.payload ->> 'workflowExecutionRef', e.payload ->> 'actionType')
                r.id, e.payload ->> 'workflowExecutionRef', e.payload ->> 'actionType', e.phase, e.event_time,
                e.namespace || '/' || e.name, e.id
         FROM e
         JOIN resource_references r
           ON r.name = e.payload ->> 'targetName' AND r.kind = e.payload ->> 'targetType'
          AND r.cluster_name = e.payload ->> 'clusterName'
          AND r.namespace IS NOT DISTINCT FROM e.payload ->> 'targetNamespace'
         WHERE e.record_kind IN ('remediation', 'execution')
         ORDER BY r.id, e.payload ->> 'workflowExecutionRef', e.payload ->> 'actionType',
                  e.event_time DESC, (e.namespace || '/' || e.name) COLLATE \"C\" DESC, e.phase_rank DESC, e.id DESC
         ON CONFLICT (resource_id, workflow_id, action_type) DO UPDATE
         SET status = EXCLUDED.status, status_time = EXCLUDED.status_time, status_instance = EXCLUDED.status_instance,
             status_event_id = EXCLUDED.status_event_id
         WHERE (h.status_time, h.status_instance, h.status_rank, h.status_event_id)
             < (EXCLUDED.status_time, EXCLUDED.status_instance, EXCLUDED.status_rank, EXCLUDED.status_event_id)",
        &ids,
        &times,
    )
    .execute(connection)
    .await?;
    Ok(())
}
