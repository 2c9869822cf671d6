//! `GET /api/v1/aggregations/actions`: which kinds of action fail most, and how.

use audit_store::reader::{ActionCounts, Frequent, Groups, IncidentFilter, Windows};
use axum::Json;
use axum::extract::State as Extract;
use chrono::{DateTime, Utc};
use serde::Serialize;
use service_kit::Problem;
use service_kit::extract::QueryParameters;

use crate::filter;
use crate::problems;
use crate::rate::{self, RateBody};
use crate::state::State;
use crate::window::{self, WindowBody};

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 100;

/// Answers 200 with the incidents that pass the filters of the incident list and were created in the window; 400
/// naming every parameter that cannot be used.
///
/// Takes `timeRange`, `since`, `until`, `minSamples` and `limit` like the success rates.
pub(crate) async fn get(
    Extract(state): Extract<State>,
    query: QueryParameters,
) -> Result<Json<Answer>, Problem> {
    let request = Request::parse(query, state.clock.now())?;
    let counts = state
        .reader
        .actions(&request.filter, &request.windows, request.limit)
        .await
        .map_err(problems::of_store)?;
    Ok(Json(Answer::new(counts, &request)))
}

/// What is asked for.
#[derive(Debug, PartialEq)]
struct Request {
    filter: IncidentFilter,
    windows: Windows,
    min_samples: i64,
    limit: i64,
}

impl Request {
    fn parse(mut query: QueryParameters, now: DateTime<Utc>) -> Result<Self, Problem> {
        let filter = filter::from_query(&mut query, now);
        let windows = window::from_query(&mut query, &filter, now);
        let min_samples = rate::min_samples(&mut query);
        let limit = query.integer("limit", 1..=MAX_LIMIT);
        query.finish()?;
        Ok(Self {
            filter,
            windows,
            min_samples,
            limit: limit.unwrap_or(DEFAULT_LIMIT),
        })
    }
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
    fn new(counts: Groups<ActionCounts>, request: &Request) -> Self {
        Self {
            window: WindowBody::alone(&request.windows),
            min_samples: request.min_samples,
            total_incidents: counts.incidents,
            actions: counts
                .groups
                .into_iter()
                .map(|group| Group::new(group, request.min_samples))
                .collect(),
            total_groups: counts.total_groups,
            limit: request.limit,
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
