//! Incidents by the namespace of the affected resource.

use super::filter::filtered;
use super::{IncidentFilter, Outcomes, Reader, Windows};
use crate::StoreError;

/// The incidents of one namespace in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceCounts {
    /// The namespace; `None` for all cluster-scoped resources together.
    pub namespace: Option<String>,
    /// All incidents, terminal or not.
    pub count: i64,
    /// Outcomes of the terminal ones.
    pub outcomes: Outcomes,
    /// Outcomes in the window before.
    pub previous: Outcomes,
    /// The incidents of the window, weighed by severity.
    pub weights: Weights,
}

/// Incidents weighed by severity: critical 8, high 4, low and info 1, everything else and what has none 2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weights {
    /// Of those in phase Completed.
    pub successful: i64,
    /// Of those in phase Failed.
    pub failed: i64,
    /// Of those that are not terminal.
    pub open: i64,
}

/// A list of groups that may be cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups<T> {
    /// The first groups.
    pub groups: Vec<T>,
    /// How many there are in all.
    pub total_groups: i64,
    /// How many incidents there are in all groups.
    pub incidents: i64,
}

impl Reader {
    /// The namespaces with the most incidents in the window, in descending order; equal ones by name. The filter's
    /// own times are replaced by the windows.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached or takes too long.
    pub async fn namespaces(
        &self,
        filter: &IncidentFilter,
        windows: &Windows,
        limit: i64,
    ) -> Result<Groups<NamespaceCounts>, StoreError> {
        let filter = &windows.both(filter);
        let mut snapshot = self.snapshot().await?;
        let rows = filtered!(
            query,
            r#"WITH passing AS (
                   SELECT i.resource_namespace AS namespace, i.created_at >= $16 AS in_window, i.phase,
                          CASE i.severity WHEN 'critical' THEN 8 WHEN 'high' THEN 4 WHEN 'low' THEN 1 WHEN 'info' THEN 1
                                          ELSE 2 END AS weight
                   FROM incidents i"#,
            filter,
            "  )
               SELECT namespace,
                      count(*) FILTER (WHERE in_window) AS \"count!\",
                      count(*) FILTER (WHERE in_window AND phase = 'Completed') AS \"successful!\",
                      count(*) FILTER (WHERE in_window AND phase = 'Failed') AS \"failed!\",
                      count(*) FILTER (WHERE NOT in_window AND phase = 'Completed') AS \"previous_successful!\",
                      count(*) FILTER (WHERE NOT in_window AND phase = 'Failed') AS \"previous_failed!\",
                      coalesce(sum(weight) FILTER (WHERE in_window AND phase = 'Completed'), 0) AS \"successful_weight!\",
                      coalesce(sum(weight) FILTER (WHERE in_window AND phase = 'Failed'), 0) AS \"failed_weight!\",
                      coalesce(sum(weight) FILTER (WHERE in_window AND phase NOT IN ('Completed', 'Failed')), 0)
                          AS \"open_weight!\",
                      count(*) OVER () AS \"total_groups!\",
                      (sum(count(*) FILTER (WHERE in_window)) OVER ())::bigint AS \"incidents!\"
               FROM passing
               GROUP BY namespace
               HAVING count(*) FILTER (WHERE in_window) > 0
               ORDER BY count(*) FILTER (WHERE in_window) DESC, namespace COLLATE \"C\"
               LIMIT $17",
            windows.since,
            limit,
        )
        .fetch_all(&mut *snapshot)
        .await?;
        snapshot.commit().await?;
        Ok(Groups {
            total_groups: rows.first().map_or(0, |row| row.total_groups),
            incidents: rows.first().map_or(0, |row| row.incidents),
            groups: rows
                .into_iter()
                .map(|row| NamespaceCounts {
                    namespace: row.namespace,
                    count: row.count,
                    outcomes: Outcomes {
                        successful: row.successful,
                        failed: row.failed,
                    },
                    previous: Outcomes {
                        successful: row.previous_successful,
                        failed: row.previous_failed,
                    },
                    weights: Weights {
                        successful: row.successful_weight,
                        failed: row.failed_weight,
                        open: row.open_weight,
                    },
                })
                .collect(),
        })
    }
}
