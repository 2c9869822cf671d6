//! `GET /api/v1/aggregations/namespaces`: incidents by the namespace of the affected resource, and how well each
//! namespace does.

use audit_store::reader::{Groups, NamespaceCounts, Outcomes, Weights};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};
use service_kit::Problem;
use service_kit::extract::QueryParameters;
use service_kit::openapi::Operation;
use service_kit::openapi::schema::{array, named, number, optional, required, sent, string};

use crate::cache::{Question, cached};
use crate::confidence::ratio;
use crate::problems;
use crate::rate::{self, RateBody, Trend, TrendBody};
use crate::scope::{self, Examples, Scope};
use crate::state::Asked;
use crate::window::WindowBody;

/// Points that a health score is made of; 100 together.
const RESOLUTION_POINTS: f64 = 70.0;
const BACKLOG_POINTS: f64 = 20.0;
const TREND_POINTS: f64 = 10.0;

/// This endpoint in the contract.
pub(crate) fn operation() -> Operation {
    let mut parameters = scope::parameters();
    parameters.push(scope::limit_parameter());
    Operation {
        method: "get",
        path: "/api/v1/aggregations/namespaces",
        id: "aggregateNamespaces",
        summary: "Count incidents by namespace, and tell how well each namespace does",
        description:
            "Counts the incidents that pass all filters and were created in the window, by the namespace of the affected \
             resource. A parameter that is unknown, given \
             twice or empty is refused."
                .to_owned(),
        parameters,
        bodies: Vec::new(),
        answers: scope::answers("NamespaceAggregation", recent_example(), filtered_example()),
        problems: scope::problems(),
    }
}

/// The schemas of the answer.
pub(crate) fn schemas() -> [(&'static str, Value); 3] {
    let answer = sent(
        "Incidents of a window by namespace.",
        scope::fields()
            .into_iter()
            .chain([
                scope::total_field(),
                required(
                    "namespaces",
                    array(named("NamespaceGroup")),
                    "The namespaces with the most incidents, in descending order; equal ones by name.",
                ),
            ])
            .chain(scope::limit_fields()),
    );
    let namespace = optional(
        "namespace",
        string(),
        "Namespace of the affected resource; absent for the incidents of cluster-scoped resources, which are one group.",
    );
    let health = optional(
        "health",
        named("NamespaceHealth"),
        "How well the remediations of the namespace do; absent where there are fewer than `minSamples` terminal incidents.",
    );
    let group = sent(
        "The incidents of one namespace.",
        [namespace]
            .into_iter()
            .chain(scope::count_fields())
            .chain(rate::fields())
            .chain(rate::trend_fields())
            .chain([health]),
    );
    let health = sent(
        "How well the remediations of a namespace do, as a convention to rank namespaces by, not a measurement. \
         Incidents weigh by severity in both shares: critical 8, high 4, warning and medium 2, low and info 1; without \
         a severity 2. So one critical failure costs as much as eight failures of low severity.",
        [
            required(
                "score",
                number(0.0, 100.0),
                "From 0 (worst) to 100 (best), to one decimal: 70 · `resolution` + 20 · (1 − `backlog`) + 10 · (0 if \
                 the trend is worsening, else 1).",
            ),
            required(
                "resolution",
                number(0.0, 1.0),
                "Weight of the successful by weight of the terminal incidents.",
            ),
            required(
                "backlog",
                number(0.0, 1.0),
                "Weight of the open by weight of all incidents.",
            ),
        ],
    );
    [
        ("NamespaceAggregation", answer),
        ("NamespaceGroup", group),
        ("NamespaceHealth", health),
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
            .namespaces(&scope.filter, &scope.windows, limit)
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
    /// The namespaces with the most incidents, in descending order; equal ones by name.
    namespaces: Vec<Group>,
    /// How many namespaces there are, also where `limit` cuts them off.
    total_groups: i64,
    limit: i64,
}

/// The incidents of one namespace.
#[derive(Debug, Serialize)]
struct Group {
    /// Absent for the incidents of cluster-scoped resources, which are one group.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// All incidents, terminal or not.
    count: i64,
    /// Incidents in phase Pending or Processing.
    open: i64,
    #[serde(flatten)]
    rate: RateBody,
    #[serde(flatten)]
    trend: TrendBody,
    /// Absent where there are fewer than `minSamples` terminal incidents.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
}

/// How well the remediations of a namespace do, as a convention to rank namespaces by, not a measurement.
///
/// score = 70 · resolution + 20 · (1 − backlog) + 10 · (0 if the trend is worsening, else 1), to one decimal.
///
/// Incidents weigh by severity in both shares: critical 8, high 4, warning and medium 2, low and info 1; without a
/// severity 2. So one critical failure costs as much as eight failures of low severity.
#[derive(Debug, PartialEq, Serialize)]
struct Health {
    /// 0 (worst) to 100 (best).
    score: f64,
    /// Weight of the successful by weight of the terminal incidents, 0 to 1.
    resolution: f64,
    /// Weight of the open by weight of all incidents, 0 to 1.
    backlog: f64,
}

impl Health {
    /// `None` where the score would judge by too few.
    fn of(counts: &NamespaceCounts, trend: Trend, min_samples: i64) -> Option<Self> {
        if counts.outcomes.total() < min_samples {
            return None;
        }
        let weights = counts.weights;
        let terminal = weights.successful + weights.failed;
        let resolution = ratio(weights.successful, terminal);
        let backlog = ratio(weights.open, terminal + weights.open);
        let trend = if trend == Trend::Worsening { 0.0 } else { 1.0 };
        let score = RESOLUTION_POINTS * resolution + BACKLOG_POINTS * (1.0 - backlog) + TREND_POINTS * trend;
        Some(Self {
            score: (score * 10.0).round() / 10.0,
            resolution,
            backlog,
        })
    }
}

impl Answer {
    fn new(counts: Groups<NamespaceCounts>, scope: &Scope, limit: i64) -> Self {
        Self {
            window: WindowBody::compared(&scope.windows),
            min_samples: scope.min_samples,
            total_incidents: counts.incidents,
            namespaces: counts
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
    fn new(counts: NamespaceCounts, min_samples: i64) -> Self {
        let trend = TrendBody::new(counts.outcomes, counts.previous, min_samples);
        Self {
            count: counts.count,
            open: counts.count - counts.outcomes.total(),
            rate: RateBody::new(counts.outcomes, min_samples),
            health: Health::of(&counts, trend.trend, min_samples),
            trend,
            namespace: counts.namespace,
        }
    }
}

fn recent_example() -> Value {
    let counts = NamespaceCounts {
        namespace: Some("shop".to_owned()),
        count: 11,
        outcomes: Outcomes {
            successful: 8,
            failed: 2,
        },
        previous: Outcomes {
            successful: 5,
            failed: 4,
        },
        weights: Weights {
            successful: 40,
            failed: 6,
            open: 8,
        },
    };
    example(counts, &Examples::new().recent, 10)
}

fn filtered_example() -> Value {
    let counts = NamespaceCounts {
        namespace: Some("shop".to_owned()),
        count: 1,
        outcomes: Outcomes {
            successful: 1,
            failed: 0,
        },
        previous: Outcomes::default(),
        weights: Weights {
            successful: 8,
            failed: 0,
            open: 0,
        },
    };
    example(counts, &Examples::new().filtered, scope::DEFAULT_GROUPS)
}

fn example(counts: NamespaceCounts, scope: &Scope, limit: i64) -> Value {
    let counts = Groups {
        incidents: counts.count,
        total_groups: 1,
        groups: vec![counts],
    };
    json!(Answer::new(counts, scope, limit))
}

#[cfg(test)]
mod tests {
    use audit_store::reader::{Outcomes, Weights};

    use super::*;

    fn counts(successful: i64, failed: i64, weights: [i64; 3]) -> NamespaceCounts {
        NamespaceCounts {
            namespace: None,
            count: successful + failed,
            outcomes: Outcomes { successful, failed },
            previous: Outcomes::default(),
            weights: Weights {
                successful: weights[0],
                failed: weights[1],
                open: weights[2],
            },
        }
    }

    fn score(weights: [i64; 3], trend: Trend) -> f64 {
        Health::of(&counts(3, 2, weights), trend, 5).unwrap().score
    }

    #[test]
    fn a_score_is_made_of_what_its_definition_says() {
        let cases = [
            ([10, 0, 0], Trend::Unknown, 100.0),
            ([10, 0, 0], Trend::Steady, 100.0),
            ([10, 0, 0], Trend::Improving, 100.0),
            ([10, 0, 0], Trend::Worsening, 90.0),
            ([0, 10, 0], Trend::Worsening, 20.0),
            // 70 · 9/12 + 20 · (1 − 4/16) + 10
            ([9, 3, 4], Trend::Steady, 77.5),
            // 70 · 1/3 + 20 · (1 − 1/4) = 38.333…
            ([1, 2, 1], Trend::Worsening, 38.3),
        ];
        for (weights, trend, expected) in cases {
            assert!(
                (score(weights, trend) - expected).abs() < 1e-9,
                "{weights:?} {trend:?}"
            );
        }
        assert_eq!(Health::of(&counts(3, 1, [3, 1, 0]), Trend::Steady, 5), None);
    }
}
