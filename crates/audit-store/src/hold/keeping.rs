//! Which holds keep a month.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::StoreError;

/// The holds in force that hold something created in a time range, by number.
///
/// A hold reaches from what meets its conditions to everything with the same correlation id, in whatever month: an
/// analysis made after midnight of an incident that began before it is held with the incident. What is searched for
/// such relatives is the latest state of every instance.
pub(crate) async fn holds_on(
    connection: &mut PgConnection,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<i64>, StoreError> {
    let any = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM legal_holds h
                          WHERE NOT EXISTS (SELECT 1 FROM legal_hold_releases r WHERE r.hold_id = h.id)) AS "any!""#
    )
    .fetch_one(&mut *connection)
    .await?;
    if !any {
        return Ok(Vec::new());
    }
    // An event of the ledger itself has no namespace, resource or cluster, so only a hold on a time, or on everything,
    // meets it.
    Ok(sqlx::query_scalar!(
        r#"WITH in_force AS MATERIALIZED (
               SELECT * FROM legal_holds h
               WHERE NOT EXISTS (SELECT 1 FROM legal_hold_releases r WHERE r.hold_id = h.id)
           ),
           instances AS (
               SELECT t.remediation_namespace AS namespace, t.remediation_name AS name, t.action_timestamp AS created_at,
                      t.correlation_id, r.namespace AS target_namespace, t.alert_namespace AS signal_namespace, t.cluster_name
               FROM resource_action_traces t
               JOIN action_histories a ON a.id = t.action_history_id
               JOIN resource_references r ON r.id = a.resource_id
               UNION ALL
               SELECT x.namespace, x.name, x.record_created_at, x.correlation_id, r.namespace, NULL, r.cluster_name
               FROM action_executions x
               JOIN action_histories a ON a.id = x.action_history_id
               JOIN resource_references r ON r.id = a.resource_id
               UNION ALL
               SELECT y.namespace, y.name, y.record_created_at, y.correlation_id, NULL, NULL, NULL FROM ai_analyses y
               UNION ALL
               SELECT w.namespace, w.name, w.record_created_at, w.correlation_id, NULL, NULL, NULL FROM workflow_executions w
           ),
           families AS (
               SELECT DISTINCT h.id, i.correlation_id
               FROM in_force h
               JOIN instances i
                 ON (h.correlation_id IS NULL OR i.correlation_id = h.correlation_id)
                AND (h.namespace IS NULL OR h.namespace IN (i.namespace, i.target_namespace, i.signal_namespace))
                AND (h.name IS NULL OR (i.namespace = h.namespace AND i.name = h.name))
                AND (h.cluster_name IS NULL OR i.cluster_name = h.cluster_name)
                AND (h.since IS NULL OR i.created_at >= h.since)
                AND (h.until IS NULL OR i.created_at < h.until)
           )
           SELECT h.id AS "id!" FROM in_force h
           WHERE EXISTS (
               SELECT 1 FROM audit_events e
               WHERE e.event_time >= $1 AND e.event_time < $2
                 AND (h.correlation_id IS NULL OR e.correlation_id = h.correlation_id)
                 AND (h.namespace IS NULL
                      OR h.namespace IN (e.namespace, e.payload ->> 'targetNamespace', e.payload ->> 'signalNamespace'))
                 AND (h.name IS NULL OR (e.namespace = h.namespace AND e.name = h.name))
                 AND (h.cluster_name IS NULL OR e.payload ->> 'clusterName' = h.cluster_name)
                 AND (h.since IS NULL OR e.event_time >= h.since)
                 AND (h.until IS NULL OR e.event_time < h.until)
           ) OR EXISTS (
               SELECT 1 FROM audit_events e
               WHERE e.event_time >= $1 AND e.event_time < $2
                 AND (h.id, e.correlation_id) IN (SELECT f.id, f.correlation_id FROM families f)
           )
           ORDER BY h.id"#,
        from,
        to,
    )
    .fetch_all(connection)
    .await?)
}
