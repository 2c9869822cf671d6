//! Incidents by the kind of action chosen: what fails most, and how.

use super::filter::filtered;
use super::{Groups, IncidentFilter, Outcomes, Reader, Windows};
use crate::StoreError;

/// The incidents of one kind of action in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionCounts {
    /// The kind of action; `None` for all incidents for which none was chosen.
    pub action_type: Option<String>,
    /// All incidents, terminal or not.
    pub count: i64,
    /// Outcomes of the terminal ones.
    pub outcomes: Outcomes,
    /// The reason that most of the failed ones give; of equally frequent ones the first in order of bytes.
    pub reason: Option<Frequent>,
    /// The error that most of the failed ones give, likewise; errors alike in their first 1,000 characters are one.
    pub error: Option<Frequent>,
}

/// A text and how often it occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frequent {
    /// The text.
    pub text: String,
    /// Incidents that give it.
    pub count: i64,
}

impl Frequent {
    fn of(text: Option<String>, count: Option<i64>) -> Option<Self> {
        text.zip(count).map(|(text, count)| Self { text, count })
    }
}

impl Reader {
    /// The kinds of action with the most failed incidents in the window, in descending order; equal ones by their
    /// number of incidents, most first, then by name. The filter's own times are replaced by the window; the window
    /// before is not read.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached or takes too long.
    pub async fn actions(
        &self,
        filter: &IncidentFilter,
        windows: &Windows,
        limit: i64,
    ) -> Result<Groups<ActionCounts>, StoreError> {
        let filter = &windows.only(filter);
        let mut snapshot = self.snapshot().await?;
        let rows = filtered!(
            query,
            r#"WITH passing AS MATERIALIZED (
                   SELECT i.action_type, i.phase, i.reason, left(i.error_message, 1000) AS error
                   FROM incidents i"#,
            filter,
            "  ),
               counted AS (
                   SELECT action_type, count(*) AS incidents, count(*) FILTER (WHERE phase = 'Completed') AS successful,
                          count(*) FILTER (WHERE phase = 'Failed') AS failed,
                          count(*) OVER () AS groups, sum(count(*)) OVER () AS in_all
                   FROM passing
                   GROUP BY action_type
                   ORDER BY failed DESC, incidents DESC, action_type COLLATE \"C\"
                   LIMIT $16
               ),
               reasons AS (
                   SELECT DISTINCT ON (action_type) action_type, reason, count(*) AS failures FROM passing
                   WHERE phase = 'Failed' AND reason IS NOT NULL
                   GROUP BY action_type, reason
                   ORDER BY action_type, count(*) DESC, reason COLLATE \"C\"
               ),
               errors AS (
                   SELECT DISTINCT ON (action_type) action_type, error, count(*) AS failures FROM passing
                   WHERE phase = 'Failed' AND error IS NOT NULL
                   GROUP BY action_type, error
                   ORDER BY action_type, count(*) DESC, error COLLATE \"C\"
               )
               SELECT c.action_type, c.incidents AS \"count!\", c.successful AS \"successful!\", c.failed AS \"failed!\",
                      r.reason AS \"reason?\", r.failures AS \"reason_failures?\", e.error AS \"error?\",
                      e.failures AS \"error_failures?\", c.groups AS \"groups!\", c.in_all::bigint AS \"in_all!\"
               FROM counted c
               LEFT JOIN reasons r ON r.action_type IS NOT DISTINCT FROM c.action_type
               LEFT JOIN errors e ON e.action_type IS NOT DISTINCT FROM c.action_type
               ORDER BY c.failed DESC, c.incidents DESC, c.action_type COLLATE \"C\"",
            limit,
        )
        .fetch_all(&mut *snapshot)
        .await?;
        snapshot.commit().await?;
        Ok(Groups {
            total_groups: rows.first().map_or(0, |row| row.groups),
            incidents: rows.first().map_or(0, |row| row.in_all),
            groups: rows
                .into_iter()
                .map(|row| ActionCounts {
                    action_type: row.action_type,
                    count: row.count,
                    outcomes: Outcomes {
                        successful: row.successful,
                        failed: row.failed,
                    },
                    reason: Frequent::of(row.reason, row.reason_failures),
                    error: Frequent::of(row.error, row.error_failures),
                })
                .collect(),
        })
    }
}
