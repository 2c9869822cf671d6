//! The incident list.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::query_as;

use super::filter::{Common, filtered, listed, with_condition};
use super::snapshot::Snapshot;
use super::{IncidentFilter, Reader};
use crate::StoreError;

/// The latest state of a remediation request, with its root cause and its workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// Incident id.
    pub id: i64,
    /// Name of the remediation request.
    pub remediation_name: String,
    /// Namespace of the remediation request.
    pub remediation_namespace: String,
    /// Where the signal came from.
    pub signal_type: String,
    /// Name of the alert.
    pub alert_name: String,
    /// Namespace the signal was raised in.
    pub signal_namespace: Option<String>,
    /// Fingerprint of the signal.
    pub alert_fingerprint: Option<String>,
    /// Severity of the signal.
    pub severity: Option<String>,
    /// Cluster of the affected resource.
    pub cluster: String,
    /// Environment of the affected resource.
    pub environment: Option<String>,
    /// Namespace of the affected resource; `None` for a cluster-scoped one.
    pub resource_namespace: Option<String>,
    /// Kind of the affected resource.
    pub resource_kind: String,
    /// Name of the affected resource.
    pub resource_name: String,
    /// Kind of action chosen.
    pub action_type: Option<String>,
    /// Parameters of the action.
    pub action_parameters: Option<Value>,
    /// Phase of the remediation.
    pub phase: String,
    /// pending, executing, completed, failed or rolled-back.
    pub status: String,
    /// Priority of the remediation.
    pub priority: Option<String>,
    /// Human-readable state.
    pub message: Option<String>,
    /// Machine-readable reason of the state.
    pub reason: Option<String>,
    /// Error of a failed remediation.
    pub error_message: Option<String>,
    /// Root cause of the newest analysis that found one.
    pub root_cause: Option<String>,
    /// Name of the newest workflow run for it.
    pub workflow: Option<String>,
    /// Kubernetes labels of the signal.
    pub labels: Option<Value>,
    /// Correlation id.
    pub correlation_id: String,
    /// When work started.
    pub start_time: Option<DateTime<Utc>>,
    /// When it ended.
    pub end_time: Option<DateTime<Utc>>,
    /// From start to end, in milliseconds.
    pub duration_ms: Option<i64>,
    /// Writer of the state.
    pub recorded_by: String,
    /// createdAt of the remediation request.
    pub created_at: DateTime<Utc>,
    /// When the state was accepted.
    pub updated_at: DateTime<Utc>,
}

/// Order of a list by creation time; equal times are ordered by id in the same direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    Descending,
    /// Oldest first.
    Ascending,
}

/// Where an incident stands in a list. Neither part of it ever changes, so a place stays where it is whatever is
/// recorded meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// createdAt of the remediation request, in whole microseconds.
    pub created_at: DateTime<Utc>,
    /// Incident id.
    pub id: i64,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After so many incidents, which are read and thrown away. What is recorded meanwhile moves the others.
    Offset(i64),
    /// Behind a place in the list, which the index finds: as cheap at any depth, and moved by nothing.
    After(Position),
}

/// Which page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Order of the list.
    pub order: Order,
    /// How many incidents to give at most.
    pub limit: i64,
    /// Where it begins.
    pub start: Start,
    /// Whether to count what passes the filter, which reads all of it.
    pub with_total: bool,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct IncidentPage {
    /// The incidents of the page.
    pub incidents: Vec<Incident>,
    /// How many incidents pass the filter, in the same snapshot as the page; `None` if it was not asked for.
    pub total: Option<i64>,
    /// Place of the page's last incident, if there are more behind it in the same snapshot.
    pub next: Option<Position>,
}

/// Another macro with the columns of an incident as the head of its query, to which the caller adds where they come from.
macro_rules! select_incidents {
    ($macro:ident [$($before:tt)*] $($after:tt)*) => {
        $macro!(
            $($before)*
            r#"SELECT i.id AS "id!", i.remediation_name AS "remediation_name!",
               i.remediation_namespace AS "remediation_namespace!", i.signal_type AS "signal_type!",
               i.alert_name AS "alert_name!", i.signal_namespace, i.alert_fingerprint, i.severity,
               i.cluster AS "cluster!", i.environment, i.resource_namespace,
               i.resource_kind AS "resource_kind!", i.resource_name AS "resource_name!", i.action_type,
               i.action_parameters, i.phase AS "phase!", i.status AS "status!", i.priority, i.message,
               i.reason, i.error_message, i.root_cause, i.workflow, i.labels,
               i.correlation_id AS "correlation_id!", i.start_time, i.end_time, i.duration_ms,
               i.recorded_by AS "recorded_by!", i.created_at AS "created_at!", i.updated_at AS "updated_at!"
               "#
            $($after)*
        )
    };
}

/// The incidents of a page, whose tail has the parameters up to `$19`.
///
/// The filter by workflow is the one that is not of the incident itself: as a condition that may be absent it would be
/// tested on every incident there is.
macro_rules! page {
    ($connection:expr, $filter:expr, $tail:literal, $($argument:expr),* $(,)?) => {
        match OfWorkflow::find($connection, $filter).await? {
            OfWorkflow::Any => {
                select_incidents!(
                    listed [$connection, $filter, query_as<Incident>,]
                    + "FROM incidents i", $filter, $tail, $($argument),*
                )
            }
            OfWorkflow::Few(ids) => {
                let others = without_workflow($filter);
                select_incidents!(
                    filtered [query_as<Incident>,]
                    + "FROM incidents i", others, "AND i.id = ANY($20) " + $tail, $($argument),*, &ids
                )
                .fetch_all($connection)
                .await?
            }
            OfWorkflow::Many(workflow) => {
                let others = without_workflow($filter);
                select_incidents!(
                    filtered [query_as<Incident>,]
                    + "FROM incidents i",
                    others,
                    "AND EXISTS (
                         SELECT FROM workflows w
                         WHERE w.namespace = i.remediation_namespace AND w.remediation_request_ref = i.remediation_name
                           AND w.workflow_name = $20 AND w.incident_id = i.id
                         -- Fenced, lest the planner find the incident of every run first.
                         OFFSET 0) " + $tail,
                    $($argument),*,
                    workflow,
                )
                .fetch_all($connection)
                .await?
            }
        }
    };
}

/// The incidents of up to this many runs of a workflow are looked up by id; of more runs, the list in its order soon
/// meets enough.
const FEW_RUNS: i64 = 500;

/// The incidents that a workflow was run for.
enum OfWorkflow {
    /// Any: the filter names no workflow.
    Any,
    /// Those with these ids.
    Few(Vec<i64>),
    /// Too many to name; the workflow's name.
    Many(String),
}

impl OfWorkflow {
    async fn find(connection: &mut sqlx::PgConnection, filter: &IncidentFilter) -> Result<Self, StoreError> {
        let Some(workflow) = &filter.workflow else {
            return Ok(Self::Any);
        };
        let ids = sqlx::query_scalar!(
            "SELECT w.incident_id FROM workflows w WHERE w.workflow_name = $1 LIMIT $2",
            workflow,
            FEW_RUNS + 1,
        )
        .fetch_all(connection)
        .await?;
        Ok(if ids.len() > usize::try_from(FEW_RUNS).unwrap_or(usize::MAX) {
            Self::Many(workflow.clone())
        } else {
            Self::Few(ids.into_iter().flatten().collect())
        })
    }
}

impl Reader {
    /// One page of the incidents that pass a filter, and how many pass it.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached or takes too long.
    pub async fn incidents(
        &self,
        filter: &IncidentFilter,
        page: PageRequest,
    ) -> Result<IncidentPage, StoreError> {
        let mut snapshot = if Common::of(filter).is_some_and(Common::has_one_order) {
            self.snapshot_in_order().await?
        } else {
            self.snapshot().await?
        };
        let total = if page.with_total {
            Some(count(&mut snapshot, filter).await?)
        } else {
            None
        };
        let mut incidents = page_of(&mut snapshot, filter, page).await?;
        snapshot.commit().await?;
        let wanted = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let more = incidents.len() > wanted;
        incidents.truncate(wanted);
        let next = incidents.last().filter(|_| more).map(|last| Position {
            created_at: last.created_at,
            id: last.id,
        });
        Ok(IncidentPage {
            incidents,
            total,
            next,
        })
    }

    /// The incidents with these ids, in no order.
    pub(super) async fn incidents_by_id(
        connection: &mut sqlx::PgConnection,
        ids: &[i64],
    ) -> Result<Vec<Incident>, StoreError> {
        Ok(select_incidents!(
            query_as [Incident,]
            + "FROM UNNEST($1::bigint[]) AS q (id)
               JOIN instances k ON k.id = q.id
               JOIN incidents i ON i.id = k.id AND i.created_at = k.created_at",
            ids,
        )
        .fetch_all(connection)
        .await?)
    }
}

/// The incidents of a page, and the one behind them if there is one.
async fn page_of(
    connection: &mut sqlx::PgConnection,
    filter: &IncidentFilter,
    page: PageRequest,
) -> Result<Vec<Incident>, StoreError> {
    let limit = page.limit.saturating_add(1);
    let (offset, after) = match page.start {
        Start::Offset(offset) => (offset, None),
        Start::After(position) => (0, Some(position)),
    };
    let (time, id) = after.map(|after| (after.created_at, after.id)).unzip();
    // The comparison of rows is what the index on both columns is walked from; partitions are chosen by the first
    // column alone, and only where it stands alone.
    Ok(match page.order {
        Order::Descending => page!(
            &mut *connection,
            filter,
            "AND i.created_at <= coalesce($18::timestamptz, 'infinity')
             AND (i.created_at, i.id) < (coalesce($18, 'infinity'), coalesce($19::bigint, 0))
             ORDER BY i.created_at DESC, i.id DESC LIMIT $16 OFFSET $17",
            limit,
            offset,
            time as _,
            id as _,
        ),
        Order::Ascending => page!(
            &mut *connection,
            filter,
            "AND i.created_at >= coalesce($18::timestamptz, '-infinity')
             AND (i.created_at, i.id) > (coalesce($18, '-infinity'), coalesce($19::bigint, 0))
             ORDER BY i.created_at, i.id LIMIT $16 OFFSET $17",
            limit,
            offset,
            time as _,
            id as _,
        ),
    })
}

/// A count of `remediations i` with a common filter, which an index alone answers: what stands before and behind its condition.
macro_rules! counted {
    ($connection:expr, $common:expr, $filter:expr, $head:literal, $tail:literal $(, $argument:expr)*) => {
        match $common {
            Common::Nothing => counted!(@ $connection, "", $filter, $head, $tail $(, $argument)*),
            Common::Cluster => counted!(@ $connection, "AND i.cluster = $2", $filter, $head, $tail $(, $argument)*),
            Common::Environment => counted!(@ $connection, "AND i.environment = $3", $filter, $head, $tail $(, $argument)*),
            Common::Severity => counted!(@ $connection, "AND i.severity = $4", $filter, $head, $tail $(, $argument)*),
            Common::Failed => counted!(@ $connection, "AND i.phase = 'Failed'", $filter, $head, $tail $(, $argument)*),
        }
    };
    (@ $connection:expr, $condition:literal, $filter:expr, $head:literal, $tail:literal $(, $argument:expr)*) => {
        with_condition!($condition, query_scalar, $head, $filter, $tail $(, $argument)*)
            .fetch_one($connection)
            .await?
    };
}

/// Whether certainly more than so many incidents pass the filter: an index alone tells, or it is not certain.
pub(super) async fn are_certainly_more_than(
    snapshot: &mut Snapshot,
    filter: &IncidentFilter,
    few: i64,
) -> Result<bool, StoreError> {
    let Some(common) = Common::of(filter) else {
        return Ok(false);
    };
    if common.has_one_order() {
        snapshot.keep_plans().await?;
    } else {
        snapshot.plan_anew().await?;
    }
    let count: i64 = counted!(
        &mut **snapshot,
        common,
        filter,
        r#"SELECT count(*) AS "total!" FROM (SELECT FROM remediations i"#,
        " LIMIT $16) few",
        few + 1
    );
    Ok(count > few)
}

/// How many incidents pass the filter.
async fn count(connection: &mut sqlx::PgConnection, filter: &IncidentFilter) -> Result<i64, StoreError> {
    if let Some(common) = Common::of(filter) {
        return Ok(counted!(
            connection,
            common,
            filter,
            r#"SELECT count(*) AS "total!" FROM remediations i"#,
            ""
        ));
    }
    let Some(workflow) = filter.workflow.as_deref() else {
        let count = filtered!(
            query_scalar,
            r#"SELECT count(*) AS "total!" FROM incidents i"#,
            filter,
            ""
        );
        return Ok(count.fetch_one(connection).await?);
    };
    let others = without_workflow(filter);
    // Counting reads what it counts: a join, which may begin with the workflows.
    let count = filtered!(
        query_scalar,
        r#"SELECT count(*) AS "total!" FROM incidents i"#,
        others,
        "AND (i.remediation_namespace, i.remediation_name, i.id) IN (
             SELECT w.namespace, w.remediation_request_ref, w.incident_id FROM workflows w
             WHERE w.workflow_name = $16)",
        workflow,
    );
    Ok(count.fetch_one(connection).await?)
}

/// The filter without the condition that is a join.
fn without_workflow(filter: &IncidentFilter) -> IncidentFilter {
    IncidentFilter {
        workflow: None,
        ..filter.clone()
    }
}
