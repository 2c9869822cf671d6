//! The hard filters of incidents: SQL conditions, never left to similarity.

use chrono::{DateTime, Utc};

/// Which incidents to consider; `None` filters nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentFilter {
    /// Namespace of the affected resource.
    pub namespace: Option<String>,
    /// Cluster of the affected resource.
    pub cluster: Option<String>,
    /// Environment of the affected resource.
    pub environment: Option<String>,
    /// Severity of the signal.
    pub severity: Option<String>,
    /// Name of the alert.
    pub alert_name: Option<String>,
    /// Fingerprint of the signal.
    pub fingerprint: Option<String>,
    /// Kind of action chosen.
    pub action_type: Option<String>,
    /// Kind of the affected resource, in its canonical case.
    pub kind: Option<String>,
    /// Name of the affected resource.
    pub name: Option<String>,
    /// Phase of the remediation.
    pub phase: Option<String>,
    /// Status: pending, executing, completed, failed or rolled-back.
    pub status: Option<String>,
    /// Name of a workflow run for the incident.
    pub workflow: Option<String>,
    /// Correlation id.
    pub correlation_id: Option<String>,
    /// Created at or after.
    pub since: Option<DateTime<Utc>>,
    /// Created before.
    pub until: Option<DateTime<Utc>>,
}

impl IncidentFilter {
    /// Whether every incident passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A query over `incidents i` with the filter's conditions, its own parameters from `$16` on.
///
/// A macro and not a function, because the query's text must be a literal for the check at compile time, and the
/// conditions must stand in one place only.
macro_rules! filtered {
    ($query:ident $(<$row:ident>)?, $head:literal, $filter:expr, $tail:literal $(+ $more:literal)* $(, $argument:expr)* $(,)?) => {
        sqlx::$query!(
            $($row,)?
            $head
                + "
            WHERE ($1::text IS NULL OR i.resource_namespace = $1)
              AND ($2::text IS NULL OR i.cluster = $2)
              AND ($3::text IS NULL OR i.environment = $3)
              AND ($4::text IS NULL OR i.severity = $4)
              AND ($5::text IS NULL OR i.alert_name = $5)
              AND ($6::text IS NULL OR i.alert_fingerprint = $6)
              AND ($7::text IS NULL OR i.action_type = $7)
              AND ($8::text IS NULL OR i.resource_kind = $8)
              AND ($9::text IS NULL OR i.resource_name = $9)
              AND ($10::text IS NULL OR i.phase = $10)
              AND ($11::text IS NULL OR i.status = $11)
              -- The phase that the status follows from: a column, where the status is an expression.
              AND ($11::text IS NULL OR i.phase = CASE $11 WHEN 'pending' THEN 'Pending' WHEN 'executing' THEN 'Processing'
                                                           WHEN 'completed' THEN 'Completed' ELSE 'Failed' END)
              AND ($12::text IS NULL OR i.id IN (SELECT w.incident_id FROM workflows w WHERE w.workflow_name = $12))
              AND ($13::text IS NULL OR i.correlation_id = $13)
              AND ($14::timestamptz IS NULL OR i.created_at >= $14)
              AND ($15::timestamptz IS NULL OR i.created_at < $15) "
                + $tail $(+ $more)*,
            $filter.namespace.as_deref() as _,
            $filter.cluster.as_deref() as _,
            $filter.environment.as_deref() as _,
            $filter.severity.as_deref() as _,
            $filter.alert_name.as_deref() as _,
            $filter.fingerprint.as_deref() as _,
            $filter.action_type.as_deref() as _,
            $filter.kind.as_deref() as _,
            $filter.name.as_deref() as _,
            $filter.phase.as_deref() as _,
            $filter.status.as_deref() as _,
            $filter.workflow.as_deref() as _,
            $filter.correlation_id.as_deref() as _,
            $filter.since as _,
            $filter.until as _,
            $($argument),*
        )
    };
}

pub(super) use filtered;
