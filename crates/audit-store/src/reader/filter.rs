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

/// A query over `incidents i` with the filter's conditions, its own parameters from `$16` on, and what stands before and
/// behind the conditions, which differs between [`filtered`] and [`within`].
///
/// A macro and not a function, because the query's text must be a literal for the check at compile time, and the
/// conditions must stand in one place only.
macro_rules! conditions {
    ($open:literal, $of_workflow:literal, $close:literal,
     $query:ident $(<$row:ident>)?, $head:literal $(+ $from:literal)*, $filter:expr,
     $tail:literal $(+ $more:literal)* $(, $argument:expr)* $(,)?) => {
        sqlx::$query!(
            $($row,)?
            $head $(+ $from)*
                + $open
                + "($1::text IS NULL OR i.resource_namespace = $1)
              AND ($2::text IS NULL OR i.cluster = $2)
              -- A name may be in every cluster of a fleet: with a cluster the one resource is found, not all of the name.
              AND ($2::text IS NULL OR $9::text IS NULL OR i.resource_cluster = $2)
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
              AND ($12::text IS NULL OR "
                + $of_workflow
                + ")
              AND ($13::text IS NULL OR i.correlation_id = $13)
              AND ($14::timestamptz IS NULL OR i.created_at >= $14)
              AND ($15::timestamptz IS NULL OR i.created_at < $15)"
                + $close
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

/// A query over `incidents i` that the filter's conditions may drive: it finds its way by their indexes and partitions. So
/// it is planned for its values, each time ([`Snapshot::plan_anew`](super::snapshot::Snapshot::plan_anew)).
macro_rules! filtered {
    ($($query:tt)*) => {
        $crate::reader::filter::conditions!(
            "
            WHERE ",
            "i.id IN (SELECT w.incident_id FROM workflows w WHERE w.workflow_name = $12)",
            " ",
            $($query)*
        )
    };
}

/// The filters that most lists have: none, or one column that an index begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Common {
    /// No filter.
    Nothing,
    /// By cluster.
    Cluster,
    /// By environment.
    Environment,
    /// By severity.
    Severity,
    /// Those that failed, which have an index of their own.
    Failed,
}

impl Common {
    /// Whether one plan of a page serves all values. Where a month has seen but one value of a column, the index on it looks
    /// no better than the order of time to a plan made without values, which would read all of that month for another.
    pub(super) fn has_one_order(self) -> bool {
        matches!(self, Self::Nothing | Self::Failed)
    }

    /// What the filter has beside bounds of time, if that is common.
    pub(super) fn of(filter: &IncidentFilter) -> Option<Self> {
        let without_times = IncidentFilter {
            since: None,
            until: None,
            ..filter.clone()
        };
        [
            (IncidentFilter::default(), Self::Nothing),
            (
                IncidentFilter {
                    cluster: filter.cluster.clone(),
                    ..IncidentFilter::default()
                },
                Self::Cluster,
            ),
            (
                IncidentFilter {
                    environment: filter.environment.clone(),
                    ..IncidentFilter::default()
                },
                Self::Environment,
            ),
            (
                IncidentFilter {
                    severity: filter.severity.clone(),
                    ..IncidentFilter::default()
                },
                Self::Severity,
            ),
            (
                IncidentFilter {
                    phase: Some("Failed".to_owned()),
                    ..IncidentFilter::default()
                },
                Self::Failed,
            ),
        ]
        .into_iter()
        .find_map(|(common, is)| (common == without_times).then_some(is))
    }
}

/// A query over `incidents i`, or over `remediations i`, with one condition, which may be empty, and bounds of time that every
/// plan can leave months out by.
macro_rules! with_condition {
    ($condition:literal,
     $query:ident $(<$row:ident>)?, $head:literal $(+ $from:literal)*, $filter:expr,
     $tail:literal $(+ $more:literal)* $(, $argument:expr)* $(,)?) => {
        sqlx::$query!(
            $($row,)?
            $head $(+ $from)*
                // The parameters have types and numbers although nothing asks for most of them.
                + "
            WHERE (true OR $1::text IS NULL OR $2::text IS NULL OR $3::text IS NULL OR $4::text IS NULL
                   OR $5::text IS NULL OR $6::text IS NULL OR $7::text IS NULL OR $8::text IS NULL OR $9::text IS NULL
                   OR $10::text IS NULL OR $11::text IS NULL OR $12::text IS NULL OR $13::text IS NULL)
              AND i.created_at >= coalesce($14::timestamptz, '-infinity')
              AND i.created_at < coalesce($15::timestamptz, 'infinity') "
                + $condition
                + $tail $(+ $more)*,
            None::<&str> as _,
            $filter.cluster.as_deref() as _,
            $filter.environment.as_deref() as _,
            $filter.severity.as_deref() as _,
            None::<&str> as _,
            None::<&str> as _,
            None::<&str> as _,
            None::<&str> as _,
            None::<&str> as _,
            None::<&str> as _,
            None::<&str> as _,
            None::<&str> as _,
            None::<&str> as _,
            $filter.since as _,
            $filter.until as _,
            $($argument),*
        )
    };
}

/// The rows of a query over `incidents i`: a statement of its own for the [`Common`] filters that have one order, or
/// [`filtered`] for any other.
macro_rules! listed {
    ($connection:expr, $filter:expr, $($query:tt)*) => {
        match $crate::reader::filter::Common::of($filter) {
            Some($crate::reader::filter::Common::Nothing) => {
                $crate::reader::filter::with_condition!("", $($query)*)
                    .fetch_all($connection)
                    .await?
            }
            Some($crate::reader::filter::Common::Failed) => {
                $crate::reader::filter::with_condition!("AND i.phase = 'Failed' ", $($query)*)
                    .fetch_all($connection)
                    .await?
            }
            _ => {
                $crate::reader::filter::filtered!($($query)*)
                    .fetch_all($connection)
                    .await?
            }
        }
    };
}

/// The rows of a query over `incidents i` that finds its way by conditions of its own, such as an id or a text, whatever
/// the filter is: the filter only tests what was found. So one plan serves all values, and another one, without what the
/// conditions need joined, serves the empty filter.
///
/// As an argument of `coalesce` the conditions say nothing to the planner, which would otherwise multiply fifteen guesses
/// and expect no row at all. The beginning of time stands outside, so that months before it are left out.
macro_rules! within {
    ($snapshot:expr, $row:ident, $head:literal, $filter:expr, $tail:literal $(+ $more:literal)* $(, $argument:expr)* $(,)?) => {{
        $snapshot.keep_plans().await?;
        if $filter.is_empty() {
            $crate::reader::filter::with_condition!(
                "", query_as<$row>, $head, $filter, $tail $(+ $more)* $(, $argument)*
            )
            .fetch_all(&mut **$snapshot)
            .await?
        } else {
            $crate::reader::filter::conditions!(
                "
            WHERE i.created_at >= coalesce($14::timestamptz, '-infinity') AND coalesce(",
                "EXISTS (SELECT FROM workflows w
                         WHERE w.namespace = i.remediation_namespace AND w.remediation_request_ref = i.remediation_name
                           AND w.workflow_name = $12 AND w.incident_id = i.id)",
                ", false) ",
                query_as<$row>, $head, $filter, $tail $(+ $more)* $(, $argument)*
            )
            .fetch_all(&mut **$snapshot)
            .await?
        }
    }};
}

pub(super) use {conditions, filtered, listed, with_condition, within};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_common_with_one_of_four_columns_or_none_and_whatever_times() {
        let times = IncidentFilter {
            since: Some(DateTime::UNIX_EPOCH),
            until: Some(DateTime::UNIX_EPOCH),
            ..IncidentFilter::default()
        };
        let some = |value: &str| Some(value.to_owned());
        let of = |set: fn(&mut IncidentFilter)| {
            let mut filter = times.clone();
            set(&mut filter);
            Common::of(&filter)
        };
        assert_eq!(Common::of(&IncidentFilter::default()), Some(Common::Nothing));
        assert_eq!(Common::of(&times), Some(Common::Nothing));
        assert_eq!(of(|it| it.cluster = Some("a".into())), Some(Common::Cluster));
        assert_eq!(
            of(|it| it.environment = Some("a".into())),
            Some(Common::Environment)
        );
        assert_eq!(of(|it| it.severity = Some("a".into())), Some(Common::Severity));
        assert_eq!(of(|it| it.phase = Some("Failed".into())), Some(Common::Failed));
        assert_eq!(of(|it| it.phase = Some("Completed".into())), None);
        assert_eq!(of(|it| it.workflow = Some("a".into())), None);
        let two = IncidentFilter {
            severity: some("a"),
            environment: some("b"),
            ..IncidentFilter::default()
        };
        assert_eq!(Common::of(&two), None);
    }
}
