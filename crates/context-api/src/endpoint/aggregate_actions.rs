//! `GET /api/v1/aggregations/actions`: which kinds of action fail most, and how.

use audit_store::reader::{ActionCounts, Frequent, Groups};
use axum::Json;
use axum::extract::State as Extract;
use serde::Serialize;
use service_kit::Problem;
use service_kit::extract::QueryParameters;

use crate::problems;
use crate::rate::RateBody;
use crate::scope::{self, Scope};
use crate::state::State;
use crate::window::WindowBody;

/// Answers 200 with the incidents that pass the filters of the incident list and were created in the window; 400
/// naming every parameter that cannot be used.
///
/// Takes `timeRange`, `since`, `until`, `minSamples` and `limit` like the success rates.
pub(crate) async fn get(
    Extract(state): Extract<State>,
    mut query: QueryParameters,
) -> Result<Json<Answer>, Problem> {
    let scope = Scope::from_query(&mut query, state.clock.now());
    let limit = scope::limit(&mut query);
    query.finish()?;
    let counts = state
        .reader
        .actions(&scope.filter, &scope.windows, limit)
        .await
        .map_err(problems::of_store)?;
    Ok(Json(Answer::new(counts, &scope, limit)))
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    window: WindowBody,
    min_samples: i64,
    /// All incidents of the window.
    total_incidents: i64,
    /// The kinds of action with the most failed incidents, in descending order; equal ones by their incidents.
    actions: Vec<Group>,
    /// How many kinds there are, also where `limit` cuts them off.
    total_groups: i64,
    limit: i64,
}

/// The incidents of one kind of action.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    /// Absent for the incidents for which no action was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    action_type: Option<String>,
    /// All incidents, terminal or not.
    count: i64,
    /// Incidents in phase Pending or Processing.
    open: i64,
    #[serde(flatten)]
    rate: RateBody,
    /// The reason that most failed incidents give; absent if none gives one. Of equally frequent ones the first in
    /// order of bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    most_frequent_reason: Option<ReasonBody>,
    /// The error that most failed incidents give, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    most_frequent_error: Option<ErrorBody>,
}

/// A reason and how many failed incidents give it.
#[derive(Debug, Serialize)]
struct ReasonBody {
    reason: String,
    count: i64,
}

/// The first 1,000 characters of an error, and how many failed incidents give an error that begins like this.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody {
    error_message: String,
    count: i64,
}

impl Answer {
    fn new(counts: Groups<ActionCounts>, scope: &Scope, limit: i64) -> Self {
        Self {
            window: WindowBody::alone(&scope.windows),
            min_samples: scope.min_samples,
            total_incidents: counts.incidents,
            actions: counts
                .groups
                .into_iter()
                .map(|group| Group::new(group, scope.min_samples))
                .collect(),
            total_groups: counts.total_groups,
            limit,
        }
    }
}

impl Group {
    fn new(group: ActionCounts, min_samples: i64) -> Self {
        Self {
            action_type: group.action_type,
            count: group.count,
            open: group.count - group.outcomes.total(),
            rate: RateBody::new(group.outcomes, min_samples),
            most_frequent_reason: group
                .reason
                .map(|Frequent { text, count }| ReasonBody { reason: text, count }),
            most_frequent_error: group.error.map(|Frequent { text, count }| ErrorBody {
                error_message: text,
                count,
            }),
        }
    }
}
