//! `GET /api/v1/aggregations/actions`: which kinds of action fail most, and how.

use audit_store::reader::{ActionCounts, Frequent, Groups, Outcomes};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};
use service_kit::Problem;
use service_kit::extract::QueryParameters;
use service_kit::openapi::Operation;
use service_kit::openapi::schema::{array, integer, named, optional, required, sent, string};

use crate::cache::{Question, cached};
use crate::problems;
use crate::rate::{self, RateBody};
use crate::scope::{self, Examples, Scope};
use crate::state::Asked;
use crate::window::WindowBody;

/// This endpoint in the contract.
pub(crate) fn operation() -> Operation {
    let mut parameters = scope::parameters();
    parameters.push(scope::limit_parameter());
    Operation {
        method: "get",
        path: "/api/v1/aggregations/actions",
        id: "aggregateActions",
        summary: "Tell which kinds of action fail most, and how",
        description:
            "Counts the incidents that pass all filters and were created in the window, by the kind of action chosen. A parameter that is unknown, given \
             twice or empty is refused."
                .to_owned(),
        parameters,
        bodies: Vec::new(),
        answers: scope::answers("ActionAggregation", recent_example(), filtered_example()),
        problems: scope::problems(),
    }
}

/// The schemas of the answer.
pub(crate) fn schemas() -> [(&'static str, Value); 4] {
    let answer = sent(
        "Incidents of a window by kind of action.",
        scope::fields()
            .into_iter()
            .chain([
                scope::total_field(),
                required(
                    "actions",
                    array(named("ActionGroup")),
                    "The kinds of action with the most failed incidents, in descending order; equal ones by their \
                     incidents.",
                ),
            ])
            .chain(scope::limit_fields()),
    );
    let action = optional(
        "actionType",
        string(),
        "Kind of action chosen; absent for the incidents for which none was chosen.",
    );
    let most_frequent = [
        optional(
            "mostFrequentReason",
            named("FrequentReason"),
            "The reason that most failed incidents give; absent if none gives one. Of equally frequent ones the first \
             in order of bytes.",
        ),
        optional(
            "mostFrequentError",
            named("FrequentError"),
            "The error that most failed incidents give; absent if none gives one. Of equally frequent ones the first \
             in order of bytes.",
        ),
    ];
    let group = sent(
        "The incidents of one kind of action.",
        [action]
            .into_iter()
            .chain(scope::count_fields())
            .chain(rate::fields())
            .chain(most_frequent),
    );
    let count = |description| required("count", integer(1, i64::MAX), description);
    let reason = sent(
        "A reason and how many failed incidents give it.",
        [
            required("reason", string(), "Machine-readable reason of the state."),
            count("Failed incidents that give it."),
        ],
    );
    let error = sent(
        "An error and how many failed incidents give it.",
        [
            required(
                "errorMessage",
                string(),
                "The first 1,000 characters of the error.",
            ),
            count("Failed incidents that give an error that begins like this."),
        ],
    );
    [
        ("ActionAggregation", answer),
        ("ActionGroup", group),
        ("FrequentReason", reason),
        ("FrequentError", error),
    ]
}

/// Answers 200 with the incidents that pass the filters of the incident list and were created in the window; 400
/// naming every parameter that cannot be used.
///
/// Takes `timeRange`, `since`, `until`, `minSamples` and `limit` like the success rates.
pub(crate) async fn get(
    Asked(state): Asked,
    mut query: QueryParameters,
    question: Question,
) -> Result<Response, Problem> {
    let scope = Scope::from_query(&mut query, state.clock.now());
    let limit = scope::limit(&mut query);
    query.finish()?;
    let reader = state.reader();
    cached(&state, question, move || async move {
        let counts = reader
            .actions(&scope.filter, &scope.windows, limit)
            .await
            .map_err(problems::of_store)?;
        Ok(Answer::new(counts, &scope, limit))
    })
    .await
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

fn recent_example() -> Value {
    let frequent = |text: &str, count| {
        Some(Frequent {
            text: text.to_owned(),
            count,
        })
    };
    let counts = ActionCounts {
        action_type: Some("increase_memory_limit".to_owned()),
        count: 11,
        outcomes: Outcomes {
            successful: 7,
            failed: 3,
        },
        reason: frequent("QuotaExceeded", 2),
        error: frequent("exceeded quota: shop-memory, requested: limits.memory=512Mi", 2),
    };
    example(counts, &Examples::new().recent, 10)
}

fn filtered_example() -> Value {
    let counts = ActionCounts {
        action_type: Some("increase_memory_limit".to_owned()),
        count: 1,
        outcomes: Outcomes {
            successful: 1,
            failed: 0,
        },
        reason: None,
        error: None,
    };
    example(counts, &Examples::new().filtered, scope::DEFAULT_GROUPS)
}

fn example(counts: ActionCounts, scope: &Scope, limit: i64) -> Value {
    let counts = Groups {
        incidents: counts.count,
        total_groups: 1,
        groups: vec![counts],
    };
    json!(Answer::new(counts, scope, limit))
}
