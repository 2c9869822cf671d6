//! Incidents by the severity of their signal.

use super::filter::filtered;
use super::{IncidentFilter, Outcomes, Reader, Windows};
use crate::StoreError;

/// The incidents of one severity in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeverityCounts {
    /// The severity; `None` for all signals without one.
    pub severity: Option<String>,
    /// All incidents, terminal or not.
    pub count: i64,
    /// Outcomes of the terminal ones.
    pub outcomes: Outcomes,
}

impl Reader {
    /// The severities that occur in the window, in no order; the window before is not read. The filter's own times
    /// are replaced by the window.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached or takes too long.
    pub async fn severities(
        &self,
        filter: &IncidentFilter,
        windows: &Windows,
    ) -> Result<Vec<SeverityCounts>, StoreError> {
        let filter = &windows.only(filter);
        let mut snapshot = self.snapshot().await?;
        let rows = filtered!(
            query,
            r#"SELECT i.severity, count(*) AS "count!",
                      count(*) FILTER (WHERE i.phase = 'Completed') AS "successful!",
                      count(*) FILTER (WHERE i.phase = 'Failed') AS "failed!"
               FROM incidents i"#,
            filter,
            "GROUP BY i.severity",
        )
        .fetch_all(&mut *snapshot)
        .await?;
        snapshot.commit().await?;
        Ok(rows
            .into_iter()
            .map(|row| SeverityCounts {
                severity: row.severity,
                count: row.count,
                outcomes: Outcomes {
                    successful: row.successful,
                    failed: row.failed,
                },
            })
            .collect())
    }
}
