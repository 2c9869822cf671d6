//! How often remediations ended well, and how long they took.

use chrono::{DateTime, Utc};

use super::filter::filtered;
use super::{IncidentFilter, Reader, Windows};
use crate::StoreError;

/// What incidents can be grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateKey {
    /// The name of the newest workflow run for the incident, so that an incident counts once.
    Workflow,
    /// The kind of action chosen.
    Action,
    /// The name of the alert.
    Alert,
    /// The environment of the affected resource.
    Environment,
}

/// Terminal incidents by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// In phase Completed.
    pub successful: i64,
    /// In phase Failed, rolled back or not.
    pub failed: i64,
}

impl Outcomes {
    /// All terminal incidents.
    #[must_use]
    pub fn total(self) -> i64 {
        self.successful + self.failed
    }
}

/// Durations of the terminal incidents that have a start and an end, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Durations {
    /// Arithmetic mean.
    pub mean: f64,
    /// Median; like the others a continuous percentile, which interpolates between neighbours.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// The terminal incidents of a window that have their keys in common.
#[derive(Debug, Clone, PartialEq)]
pub struct RateGroup {
    /// Name of the workflow, if grouped by it and one was run.
    pub workflow: Option<String>,
    /// Kind of action, if grouped by it and one was chosen.
    pub action_type: Option<String>,
    /// Name of the alert, if grouped by it.
    pub alert_name: Option<String>,
    /// Environment, if grouped by it and known.
    pub environment: Option<String>,
    /// Outcomes in the window.
    pub outcomes: Outcomes,
    /// Outcomes in the window before.
    pub previous: Outcomes,
    /// How many incidents of the window have a duration.
    pub duration_samples: i64,
    /// The durations; `None` without samples.
    pub durations: Option<Durations>,
    /// When the newest incident of the window was created; `None` without incidents.
    pub last_execution: Option<DateTime<Utc>>,
}

/// Success rates of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct SuccessRates {
    /// All incidents, as one group without keys.
    pub overall: RateGroup,
    /// The groups with the most incidents, in descending order; equal ones by their keys, absent keys last.
    pub groups: Vec<RateGroup>,
    /// How many groups there are, left out ones included.
    pub total_groups: i64,
}

struct Row {
    overall: bool,
    workflow: Option<String>,
    action_type: Option<String>,
    alert_name: Option<String>,
    environment: Option<String>,
    successful: i64,
    failed: i64,
    previous_successful: i64,
    previous_failed: i64,
    duration_samples: i64,
    mean_ms: Option<f64>,
    percentiles_ms: Option<Vec<f64>>,
    last_execution: Option<DateTime<Utc>>,
    sets: i64,
}

impl From<Row> for RateGroup {
    fn from(row: Row) -> Self {
        let durations = row
            .mean_ms
            .zip(row.percentiles_ms)
            .and_then(|(mean, percentiles)| {
                let [p50, p95, p99] = percentiles[..] else {
                    return None;
                };
                Some(Durations {
                    mean: mean / 1_000.0,
                    p50: p50 / 1_000.0,
                    p95: p95 / 1_000.0,
                    p99: p99 / 1_000.0,
                })
            });
        Self {
            workflow: row.workflow,
            action_type: row.action_type,
            alert_name: row.alert_name,
            environment: row.environment,
            outcomes: Outcomes {
                successful: row.successful,
                failed: row.failed,
            },
            previous: Outcomes {
                successful: row.previous_successful,
                failed: row.previous_failed,
            },
            duration_samples: row.duration_samples,
            durations,
            last_execution: row.last_execution,
        }
    }
}

impl Reader {
    /// Outcomes and durations of the terminal incidents that pass the filter, as a whole and in groups, at most
    /// `limit` of them. The filter's own times are replaced by the windows.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached or takes too long.
    pub async fn success_rates(
        &self,
        filter: &IncidentFilter,
        windows: &Windows,
        keys: &[RateKey],
        limit: i64,
    ) -> Result<SuccessRates, StoreError> {
        let filter = &windows.both(filter);
        let mut snapshot = self.snapshot().await?;
        // A key that is not asked for is not computed: the workflow costs a look-up for each incident.
        let rows = filtered!(
            query_as<Row>,
            r#"WITH ended AS (
                   SELECT i.created_at >= $16 AS in_window, i.phase, i.duration_ms, i.created_at,
                          CASE WHEN $17 THEN i.workflow END AS workflow,
                          CASE WHEN $18 THEN i.action_type END AS action_type,
                          CASE WHEN $19 THEN i.alert_name END AS alert_name,
                          CASE WHEN $20 THEN i.environment END AS environment
                   FROM incidents i"#,
            filter,
            "AND i.phase IN ('Completed', 'Failed')
               )
               SELECT grouping(workflow, action_type, alert_name, environment) <> 0 AS \"overall!\",
                      workflow, action_type, alert_name, environment,
                      count(*) FILTER (WHERE in_window AND phase = 'Completed') AS \"successful!\",
                      count(*) FILTER (WHERE in_window AND phase = 'Failed') AS \"failed!\",
                      count(*) FILTER (WHERE NOT in_window AND phase = 'Completed') AS \"previous_successful!\",
                      count(*) FILTER (WHERE NOT in_window AND phase = 'Failed') AS \"previous_failed!\",
                      count(duration_ms) FILTER (WHERE in_window) AS \"duration_samples!\",
                      avg(duration_ms) FILTER (WHERE in_window)::double precision AS mean_ms,
                      percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY duration_ms)
                          FILTER (WHERE in_window) AS percentiles_ms,
                      max(created_at) FILTER (WHERE in_window) AS last_execution,
                      count(*) OVER () AS \"sets!\"
               FROM ended
               GROUP BY GROUPING SETS ((workflow, action_type, alert_name, environment), ())
               HAVING grouping(workflow, action_type, alert_name, environment) <> 0
                      OR count(*) FILTER (WHERE in_window) > 0
               ORDER BY grouping(workflow, action_type, alert_name, environment) DESC,
                        count(*) FILTER (WHERE in_window) DESC, workflow COLLATE \"C\", action_type COLLATE \"C\",
                        alert_name COLLATE \"C\", environment COLLATE \"C\"
               LIMIT $21 + 1::bigint",
            windows.since,
            keys.contains(&RateKey::Workflow),
            keys.contains(&RateKey::Action),
            keys.contains(&RateKey::Alert),
            keys.contains(&RateKey::Environment),
            limit,
        )
        .fetch_all(&mut *snapshot)
        .await?;
        snapshot.commit().await?;
        // The set of everything is there even without rows, and comes first.
        let total_groups = rows.first().map_or(0, |row| row.sets - 1);
        let (overall, groups): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.overall);
        let overall = overall.into_iter().next().ok_or(sqlx::Error::RowNotFound)?;
        Ok(SuccessRates {
            overall: overall.into(),
            groups: groups.into_iter().map(RateGroup::from).collect(),
            total_groups,
        })
    }
}
