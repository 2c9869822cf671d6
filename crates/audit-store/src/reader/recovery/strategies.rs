//! What helped against the same alert on the same kind of resource.

use chrono::{DateTime, Utc};

use crate::StoreError;
use crate::reader::patterns::Instances;
use crate::reader::snapshot::Snapshot;

/// How many strategies are looked at, those with most successes first.
const MOST: i64 = 100;

/// What a strategy's name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrategyKind {
    /// A workflow definition.
    Workflow,
    /// A kind of action, of incidents for which no workflow is recorded.
    Action,
}

/// A workflow or a kind of action that helped at least once.
///
/// An attempt is a workflow that Completed or Failed, of an incident that Completed or Failed; it is a success if both
/// Completed. Where an incident has no workflow, the incident itself is the attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Strategy {
    /// What `name` names.
    pub kind: StrategyKind,
    /// Name of the workflow definition, or kind of action.
    pub name: String,
    /// Successes.
    pub successes: i64,
    /// Attempts.
    pub attempts: i64,
    /// createdAt of the newest attempt.
    pub last_used: DateTime<Utc>,
}

/// The strategies with a success among terminal incidents.
pub(super) async fn successful(
    snapshot: &mut Snapshot,
    considered: &Instances,
) -> Result<Vec<Strategy>, StoreError> {
    snapshot.keep_plans().await?;
    let rows = sqlx::query!(
        r#"WITH alike AS MATERIALIZED (
               SELECT i.id, i.remediation_namespace, i.remediation_name, i.phase, i.action_type, i.created_at
               FROM UNNEST($1::bigint[], $2::timestamptz[]) AS k (id, created_at)
               JOIN incidents i ON i.id = k.id AND i.created_at = k.created_at
           ),
           -- Fenced (OFFSET 0), because the planner would rather find the incident of every workflow there is.
           recorded AS MATERIALIZED (
               SELECT a.id AS incident_id, a.phase AS incident_phase, w.workflow_name, w.phase, w.created_at
               FROM alike a
               CROSS JOIN LATERAL (
                   SELECT x.workflow_name, x.phase, x.created_at FROM workflows x
                   WHERE x.namespace = a.remediation_namespace AND x.remediation_request_ref = a.remediation_name
                     AND x.incident_id = a.id
                   OFFSET 0
               ) w
           ),
           attempts AS (
               SELECT true AS is_workflow, r.workflow_name AS name,
                      r.phase = 'Completed' AND r.incident_phase = 'Completed' AS helped, r.created_at
               FROM recorded r WHERE r.phase IN ('Completed', 'Failed')
               UNION ALL
               SELECT false, a.action_type, a.phase = 'Completed', a.created_at
               FROM alike a
               WHERE a.action_type IS NOT NULL AND NOT EXISTS (SELECT 1 FROM recorded r WHERE r.incident_id = a.id)
           )
           SELECT is_workflow AS "is_workflow!", name AS "name!", count(*) FILTER (WHERE helped) AS "successes!",
                  count(*) AS "attempts!", max(created_at) AS "last_used!"
           FROM attempts
           GROUP BY is_workflow, name
           HAVING count(*) FILTER (WHERE helped) > 0
           ORDER BY 3 DESC, 1, 2
           LIMIT $3"#,
        &considered.ids,
        &considered.times,
        MOST,
    )
    .fetch_all(&mut **snapshot)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Strategy {
            kind: if row.is_workflow {
                StrategyKind::Workflow
            } else {
                StrategyKind::Action
            },
            name: row.name,
            successes: row.successes,
            attempts: row.attempts,
            last_used: row.last_used,
        })
        .collect())
}
