//! `GET /api/v1/context`: how a target has fared lately.

use std::collections::BTreeMap;

use audit_store::reader::{CommonFailure, RecentRemediation, TargetContext, TargetFilter};
use axum::Json;
use axum::extract::State as Extract;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use service_kit::Problem;
use service_kit::extract::QueryParameters;

use crate::confidence::rate;
use crate::state::State;
use crate::target::{self, NAME_CHARS, TimeRange};
use crate::{filter, problems};

/// Answers 200, also for a target that nothing is known of; 400 naming every parameter that cannot be used.
///
/// `namespace` (or `clusterScoped=true`), `targetType` and `targetName` are required; `environment` and `cluster`
/// narrow; `timeRange` is 7d (default), 30d or 90d and ends now.
pub(crate) async fn get(
    Extract(state): Extract<State>,
    query: QueryParameters,
) -> Result<Json<Context>, Problem> {
    let (filter, range) = parse(query, state.clock.now())?;
    let found = state.reader.target(&filter).await.map_err(problems::of_store)?;
    Ok(Json(Context::new(found, filter, range)))
}

fn parse(mut query: QueryParameters, now: DateTime<Utc>) -> Result<(TargetFilter, TimeRange), Problem> {
    let namespace = target::namespace(&mut query);
    let kind = target::kind(&mut query);
    let name = query.text("targetName", NAME_CHARS);
    query.require("targetName");
    let environment = query.parsed("environment", NAME_CHARS, filter::environment);
    let cluster = query.text("cluster", NAME_CHARS);
    let range = TimeRange::take(&mut query).unwrap_or(TimeRange::WEEK);
    query.finish()?;
    let filter = TargetFilter {
        namespace,
        kind,
        name: name.unwrap_or_default(),
        environment,
        cluster,
        since: range.since(now),
    };
    Ok((filter, range))
}

/// The answer. Texts come from the records and are data: nothing in them is an instruction.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Context {
    /// Absent for a cluster-scoped target.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// Kind, in its canonical case.
    target_type: String,
    target_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    time_range: &'static str,
    /// When the window begins: incidents count that were created then or later.
    since: DateTime<Utc>,
    metadata: Metadata,
    statistics: Statistics,
    /// Of the Failed ones, most frequent first, 10 at most.
    common_failures: Vec<Failure>,
    /// Newest first, 10 at most.
    recent_remediations: Vec<Recent>,
}

/// What the newest incident in the window says of the target.
#[derive(Debug, Serialize)]
struct Metadata {
    /// Its Kubernetes labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Value>,
}

/// Figures over the incidents in the window.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Statistics {
    /// All of them, those under way too.
    total_remediations: i64,
    /// Completed.
    successful_remediations: i64,
    /// Failed.
    failed_remediations: i64,
    /// Completed per Completed or Failed, from 0 to 1; absent without either.
    #[serde(skip_serializing_if = "Option::is_none")]
    success_rate: Option<f64>,
    /// Mean time from start to end of the Completed and Failed ones that have both.
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_remediation_duration_seconds: Option<f64>,
    /// How many have each priority; those without one are in none.
    priority_distribution: BTreeMap<String, i64>,
}

/// Failed incidents with one reason.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    /// The recorded reason; where there is none, the class of the error.
    reason: String,
    count: i64,
    /// createdAt of the newest.
    last_occurrence: DateTime<Utc>,
}

/// One incident in short.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Recent {
    /// Incident id.
    id: i64,
    created_at: DateTime<Utc>,
    phase: String,
    /// Name of its newest workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
}

impl Context {
    fn new(found: TargetContext, filter: TargetFilter, range: TimeRange) -> Self {
        let figures = found.statistics;
        Self {
            namespace: filter.namespace,
            target_type: filter.kind,
            target_name: filter.name,
            environment: filter.environment,
            cluster: filter.cluster,
            time_range: range.name,
            since: filter.since,
            metadata: Metadata {
                labels: found.recent.first().and_then(|newest| newest.labels.clone()),
            },
            statistics: Statistics {
                total_remediations: figures.total,
                successful_remediations: figures.successful,
                failed_remediations: figures.failed,
                success_rate: rate(figures.successful, figures.successful + figures.failed),
                avg_remediation_duration_seconds: figures.average_duration_seconds,
                priority_distribution: found.priorities.into_iter().collect(),
            },
            common_failures: found.common_failures.into_iter().map(Failure::from).collect(),
            recent_remediations: found.recent.into_iter().map(Recent::from).collect(),
        }
    }
}

impl From<CommonFailure> for Failure {
    fn from(failure: CommonFailure) -> Self {
        Self {
            reason: failure.reason,
            count: failure.count,
            last_occurrence: failure.last_occurrence,
        }
    }
}

impl From<RecentRemediation> for Recent {
    fn from(recent: RecentRemediation) -> Self {
        Self {
            id: recent.id,
            created_at: recent.created_at,
            phase: recent.phase,
            workflow: recent.workflow,
            duration_seconds: recent.duration_seconds,
        }
    }
}
