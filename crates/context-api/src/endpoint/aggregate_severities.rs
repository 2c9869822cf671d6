//! `GET /api/v1/aggregations/severities`: incidents by the severity of their signal.

use audit_store::reader::{Outcomes, SeverityCounts};
use audit_store::record::Severity;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};
use service_kit::Problem;
use service_kit::extract::QueryParameters;
use service_kit::openapi::Operation;
use service_kit::openapi::schema::{array, named, one_of, optional, required, sent};

use crate::cache::{Question, cached};
use crate::problems;
use crate::rate::{self, RateBody};
use crate::scope::{self, Examples, Scope};
use crate::state::Asked;
use crate::window::WindowBody;

/// This endpoint in the contract.
pub(crate) fn operation() -> Operation {
    let parameters = scope::parameters();
    Operation {
        method: "get",
        path: "/api/v1/aggregations/severities",
        id: "aggregateSeverities",
        summary: "Count incidents by severity",
        description:
            "Counts the incidents that pass all filters and were created in the window, by the severity of their signal. A parameter that is unknown, given \
             twice or empty is refused."
                .to_owned(),
        parameters,
        bodies: Vec::new(),
        answers: scope::answers("SeverityAggregation", recent_example(), filtered_example()),
        problems: scope::problems(),
    }
}

/// The schemas of the answer.
pub(crate) fn schemas() -> [(&'static str, Value); 2] {
    let answer = sent(
        "Incidents of a window by severity.",
        scope::fields().into_iter().chain([
            scope::total_field(),
            required(
                "severities",
                array(named("SeverityGroup")),
                "Every severity, the gravest first, also those that do not occur; then the incidents without one, if \
                 there are any.",
            ),
        ]),
    );
    let severity = optional(
        "severity",
        one_of(Severity::ALL.iter().map(|severity| severity.as_str())),
        "Severity of the signal; absent for the incidents whose signal had none.",
    );
    let group = sent(
        "The incidents of one severity.",
        [severity]
            .into_iter()
            .chain(scope::count_fields())
            .chain(rate::fields()),
    );
    [("SeverityAggregation", answer), ("SeverityGroup", group)]
}

/// Answers 200 with the incidents that pass the filters of the incident list and were created in the window; 400
/// naming every parameter that cannot be used.
///
/// Takes `timeRange`, `since`, `until` and `minSamples` like the success rates.
pub(crate) async fn get(
    Asked(state): Asked,
    mut query: QueryParameters,
    question: Question,
) -> Result<Response, Problem> {
    let scope = Scope::from_query(&mut query, state.clock.now());
    query.finish()?;
    let reader = state.reader();
    cached(&state, question, move || async move {
        let counts = reader
            .severities(&scope.filter, &scope.windows)
            .await
            .map_err(problems::of_store)?;
        Ok(Answer::new(&counts, &scope))
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
    /// Every severity, the gravest first, also those that do not occur; then the incidents without one, if there are
    /// any.
    severities: Vec<Group>,
}

/// The incidents of one severity.
#[derive(Debug, Serialize)]
struct Group {
    /// Absent for the incidents whose signal had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<String>,
    /// All incidents, terminal or not.
    count: i64,
    /// Incidents in phase Pending or Processing.
    open: i64,
    #[serde(flatten)]
    rate: RateBody,
}

impl Answer {
    fn new(counts: &[SeverityCounts], scope: &Scope) -> Self {
        let named = Severity::ALL.iter().map(|severity| Some(severity.as_str()));
        let severities = named
            .chain([None])
            .filter_map(|severity| {
                let counted = counts.iter().find(|group| group.severity.as_deref() == severity);
                let (count, outcomes) = match (counted, severity) {
                    (Some(group), _) => (group.count, group.outcomes),
                    (None, Some(_)) => (0, Outcomes::default()),
                    (None, None) => return None,
                };
                Some(Group {
                    severity: severity.map(str::to_owned),
                    count,
                    open: count - outcomes.total(),
                    rate: RateBody::new(outcomes, scope.min_samples),
                })
            })
            .collect();
        Self {
            window: WindowBody::alone(&scope.windows),
            min_samples: scope.min_samples,
            total_incidents: counts.iter().map(|group| group.count).sum(),
            severities,
        }
    }
}

fn recent_example() -> Value {
    let counts = |severity: Severity, count, successful, failed| SeverityCounts {
        severity: Some(severity.as_str().to_owned()),
        count,
        outcomes: Outcomes { successful, failed },
    };
    let counts = [
        counts(Severity::Critical, 9, 6, 2),
        counts(Severity::Warning, 12, 11, 1),
        counts(Severity::Info, 1, 1, 0),
    ];
    json!(Answer::new(&counts, &Examples::new().recent))
}

fn filtered_example() -> Value {
    let counts = SeverityCounts {
        severity: Some(Severity::Critical.as_str().to_owned()),
        count: 1,
        outcomes: Outcomes {
            successful: 1,
            failed: 0,
        },
    };
    json!(Answer::new(&[counts], &Examples::new().filtered))
}
