//! `GET /api/v1/context/success-rates`: how often remediations ended well, and how long they took.

use audit_store::reader::{Durations, Outcomes, RateGroup, RateKey, SuccessRates};
use audit_store::record::Environment;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use service_kit::Problem;
use service_kit::extract::QueryParameters;
use service_kit::openapi::schema::{
    Field, array, count, named, one_of, optional, required, sent, string, time,
};
use service_kit::openapi::{Operation, Parameter, Place};

use crate::cache::{Question, cached};
use crate::problems;
use crate::rate::{self, RateBody, TrendBody};
use crate::scope::{self, Examples, RECENT, Scope};
use crate::state::Asked;
use crate::window::WindowBody;

const KEYS: [(&str, RateKey); 4] = [
    ("workflow", RateKey::Workflow),
    ("action", RateKey::Action),
    ("alert", RateKey::Alert),
    ("environment", RateKey::Environment),
];
/// All keys, each with its comma.
const KEYS_CHARS: usize = 64;

/// This endpoint in the contract.
pub(crate) fn operation() -> Operation {
    let key = KEYS.map(|(name, _)| name).join("|");
    let mut parameters = scope::parameters();
    parameters.extend([
        Parameter {
            name: "groupBy",
            place: Place::Query,
            required: false,
            description:
                "What the incidents of a group have in common: one key or several, with commas between them, \
                          none twice."
                    .to_owned(),
            schema: json!({
                "type": "string",
                "maxLength": KEYS_CHARS,
                "pattern": format!("^({key})(,({key})){{0,3}}$"),
                "default": "workflow",
            }),
            examples: vec![(RECENT, json!("workflow,environment"))],
        },
        scope::limit_parameter(),
    ]);
    Operation {
        method: "get",
        path: "/api/v1/context/success-rates",
        id: "getSuccessRates",
        summary: "Get how often remediations ended well, and how long they took",
        description:
            "Counts the terminal incidents, those in phase Completed or Failed, that pass all filters and were created \
             in the window. A group with fewer than `minSamples` is listed, so that nothing looks as if it had never \
             happened, but not judged. A filter by `phase` or `status` selects by outcome, and with it the rate says \
             nothing. A parameter that is unknown, given twice or empty is refused."
                .to_owned(),
        parameters,
        bodies: Vec::new(),
        answers: scope::answers("SuccessRates", recent_example(), filtered_example()),
        problems: scope::problems(),
    }
}

/// The schemas of the answer.
pub(crate) fn schemas() -> [(&'static str, Value); 3] {
    let answer = sent(
        "Success rates of a window.",
        scope::fields()
            .into_iter()
            .chain([
                required(
                    "groupBy",
                    array(one_of(KEYS.map(|(name, _)| name))),
                    "What the groups have in common, in the order asked for.",
                ),
                required(
                    "overall",
                    named("SuccessFigures"),
                    "The figures of all terminal incidents of the window.",
                ),
                required(
                    "groups",
                    array(named("SuccessGroup")),
                    "The groups with the most terminal incidents, in descending order; equal ones by their keys.",
                ),
            ])
            .chain(scope::limit_fields()),
    );
    let keys = [
        optional(
            "workflow",
            string(),
            "Name of the newest workflow run for the incident: each incident counts in one group. Absent if not asked \
             for, or if none was run.",
        ),
        optional(
            "actionType",
            string(),
            "Kind of action chosen. Absent if not asked for, or if none was chosen.",
        ),
        optional(
            "alertName",
            string(),
            "Name of the alert. Absent if not asked for.",
        ),
        optional(
            "environment",
            one_of(Environment::ALL.iter().map(|value| value.as_str())),
            "Environment of the affected resource. Absent if not asked for, or if not known.",
        ),
    ];
    [
        ("SuccessRates", answer),
        (
            "SuccessFigures",
            sent("The figures of some terminal incidents of the window.", figures()),
        ),
        (
            "SuccessGroup",
            sent(
                "The figures of the terminal incidents that have their keys in common.",
                keys.into_iter().chain(figures()),
            ),
        ),
    ]
}

fn figures() -> impl Iterator<Item = Field> {
    let duration =
        |name, description| optional(name, json!({"type": "number", "format": "double"}), description);
    let own = [
        required(
            "durationSamples",
            count(),
            "How many of the terminal incidents have both a start and an end. The durations are those of these, \
             successful or not; without any they are absent.",
        ),
        duration(
            "avgDurationSeconds",
            "Arithmetic mean of the seconds from start to end.",
        ),
        duration(
            "p50DurationSeconds",
            "Median of the seconds from start to end. Percentiles are continuous: between two samples they are \
             interpolated.",
        ),
        duration(
            "p95DurationSeconds",
            "95th percentile of the seconds from start to end.",
        ),
        duration(
            "p99DurationSeconds",
            "99th percentile of the seconds from start to end.",
        ),
        optional(
            "lastExecution",
            time(),
            "When the newest of the incidents was created; absent without incidents.",
        ),
    ];
    rate::fields().into_iter().chain(own).chain(rate::trend_fields())
}

/// Answers 200 with the rates of the terminal incidents that pass the filters of the incident list and were created
/// in the window; 400 naming every parameter that cannot be used.
///
/// `groupBy` names one key or several with commas between them (`workflow` if it is absent); `timeRange`, `since` and
/// `until` set the window, `minSamples` the least number of terminal incidents that a rate is told for, and `limit`
/// the number of groups. A group with fewer samples is listed, so that nothing looks as if it had never happened, but
/// not judged. A filter by `phase` or `status` selects by outcome, and with it the rate says nothing.
pub(crate) async fn get(
    Asked(state): Asked,
    query: QueryParameters,
    question: Question,
) -> Result<Response, Problem> {
    let request = Request::parse(query, state.clock.now())?;
    let reader = state.reader.clone();
    cached(&state, question, async move {
        let scope = &request.scope;
        let rates = reader
            .success_rates(&scope.filter, &scope.windows, &request.keys, request.limit)
            .await
            .map_err(problems::of_store)?;
        Ok(Answer::new(rates, &request))
    })
    .await
}

/// What is asked for.
#[derive(Debug, PartialEq)]
struct Request {
    scope: Scope,
    keys: Vec<RateKey>,
    limit: i64,
}

impl Request {
    fn parse(mut query: QueryParameters, now: DateTime<Utc>) -> Result<Self, Problem> {
        let scope = Scope::from_query(&mut query, now);
        let keys = query.parsed("groupBy", KEYS_CHARS, keys);
        let limit = scope::limit(&mut query);
        query.finish()?;
        Ok(Self {
            scope,
            keys: keys.unwrap_or_else(|| vec![RateKey::Workflow]),
            limit,
        })
    }
}

fn keys(text: &str) -> Result<Vec<RateKey>, (&'static str, String)> {
    let mut keys = Vec::new();
    for name in text.split(',') {
        let Some((_, key)) = KEYS.iter().find(|(known, _)| *known == name) else {
            let names = KEYS.map(|(name, _)| format!("`{name}`")).join(", ");
            return Err((
                "not-an-option",
                format!("must be one or several of {names}, with commas between them"),
            ));
        };
        if keys.contains(key) {
            return Err(("repeated", format!("must name `{name}` once")));
        }
        keys.push(*key);
    }
    Ok(keys)
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    window: WindowBody,
    /// What the groups have in common, in the order asked for.
    group_by: Vec<&'static str>,
    min_samples: i64,
    /// All terminal incidents of the window.
    overall: Figures,
    /// The groups with the most terminal incidents, in descending order; equal ones by their keys.
    groups: Vec<Group>,
    /// How many groups there are, also where `limit` cuts them off.
    total_groups: i64,
    limit: i64,
}

/// The figures of some terminal incidents of the window.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    #[serde(flatten)]
    rate: RateBody,
    /// How many of the terminal incidents have both a start and an end. The durations are those of these; without any
    /// they are absent.
    duration_samples: i64,
    #[serde(flatten)]
    durations: Option<DurationsBody>,
    /// When the newest of the incidents was created; absent without incidents.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_execution: Option<DateTime<Utc>>,
    #[serde(flatten)]
    trend: TrendBody,
}

/// Durations from start to end in seconds, successful or not.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DurationsBody {
    /// Arithmetic mean.
    avg_duration_seconds: f64,
    /// Median. Percentiles are continuous: between two samples they are interpolated.
    p50_duration_seconds: f64,
    p95_duration_seconds: f64,
    p99_duration_seconds: f64,
}

/// One group. A key that was not asked for, or that the incidents do not have, is absent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    /// Name of the newest workflow run for the incident: each incident counts in one group.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<String>,
    /// Kind of action chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    action_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert_name: Option<String>,
    /// Environment of the affected resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    #[serde(flatten)]
    figures: Figures,
}

impl Answer {
    fn new(rates: SuccessRates, request: &Request) -> Self {
        let name = |key: &RateKey| KEYS.iter().find(|(_, known)| known == key).map(|(name, _)| *name);
        let min_samples = request.scope.min_samples;
        Self {
            window: WindowBody::compared(&request.scope.windows),
            group_by: request.keys.iter().filter_map(name).collect(),
            min_samples,
            overall: Figures::new(&rates.overall, min_samples),
            groups: rates
                .groups
                .into_iter()
                .map(|group| Group::new(group, min_samples))
                .collect(),
            total_groups: rates.total_groups,
            limit: request.limit,
        }
    }
}

impl Group {
    fn new(group: RateGroup, min_samples: i64) -> Self {
        Self {
            figures: Figures::new(&group, min_samples),
            workflow: group.workflow,
            action_type: group.action_type,
            alert_name: group.alert_name,
            environment: group.environment,
        }
    }
}

impl Figures {
    fn new(group: &RateGroup, min_samples: i64) -> Self {
        Self {
            rate: RateBody::new(group.outcomes, min_samples),
            duration_samples: group.duration_samples,
            durations: group.durations.map(DurationsBody::from),
            last_execution: group.last_execution,
            trend: TrendBody::new(group.outcomes, group.previous, min_samples),
        }
    }
}

impl From<Durations> for DurationsBody {
    fn from(durations: Durations) -> Self {
        Self {
            avg_duration_seconds: durations.mean,
            p50_duration_seconds: durations.p50,
            p95_duration_seconds: durations.p95,
            p99_duration_seconds: durations.p99,
        }
    }
}

fn recent_example() -> Value {
    let scope = Examples::new().recent;
    let overall = RateGroup {
        workflow: None,
        action_type: None,
        alert_name: None,
        environment: None,
        outcomes: Outcomes {
            successful: 18,
            failed: 2,
        },
        previous: Outcomes {
            successful: 12,
            failed: 3,
        },
        duration_samples: 20,
        durations: Some(Durations {
            mean: 241.5,
            p50: 220.0,
            p95: 402.5,
            p99: 451.0,
        }),
        last_execution: Some(scope.windows.until - TimeDelta::hours(2)),
    };
    let group = RateGroup {
        workflow: Some("raise-memory-limit".to_owned()),
        environment: Some("production".to_owned()),
        ..overall.clone()
    };
    let request = Request {
        scope,
        keys: vec![RateKey::Workflow, RateKey::Environment],
        limit: 10,
    };
    let rates = SuccessRates {
        overall,
        groups: vec![group],
        total_groups: 1,
    };
    json!(Answer::new(rates, &request))
}

fn filtered_example() -> Value {
    let scope = Examples::new().filtered;
    let seconds = 298.5;
    let overall = RateGroup {
        workflow: None,
        action_type: None,
        alert_name: None,
        environment: None,
        outcomes: Outcomes {
            successful: 1,
            failed: 0,
        },
        previous: Outcomes::default(),
        duration_samples: 1,
        durations: Some(Durations {
            mean: seconds,
            p50: seconds,
            p95: seconds,
            p99: seconds,
        }),
        last_execution: Some(scope.windows.until - TimeDelta::minutes(119)),
    };
    let group = RateGroup {
        workflow: Some("raise-memory-limit".to_owned()),
        ..overall.clone()
    };
    let request = Request {
        scope,
        keys: vec![RateKey::Workflow],
        limit: scope::DEFAULT_GROUPS,
    };
    let rates = SuccessRates {
        overall,
        groups: vec![group],
        total_groups: 1,
    };
    json!(Answer::new(rates, &request))
}

#[cfg(test)]
mod tests {
    use audit_store::reader::{IncidentFilter, Windows};
    use serde_json::json;

    use super::*;

    fn parse(query: &str) -> Result<Request, Problem> {
        Request::parse(
            QueryParameters::parse(query),
            "2026-03-10T12:00:00Z".parse().unwrap(),
        )
    }

    #[test]
    fn nothing_asked_is_thirty_days_by_workflow() {
        assert_eq!(
            parse("").unwrap(),
            Request {
                scope: Scope {
                    filter: IncidentFilter::default(),
                    windows: Windows {
                        previous_since: "2026-01-09T12:00:00Z".parse().unwrap(),
                        since: "2026-02-08T12:00:00Z".parse().unwrap(),
                        until: "2026-03-10T12:00:00Z".parse().unwrap(),
                    },
                    min_samples: 5,
                },
                keys: vec![RateKey::Workflow],
                limit: 50,
            }
        );
    }

    #[test]
    fn groups_have_several_keys_in_the_order_asked_for() {
        let request = parse("groupBy=environment,action&minSamples=1&limit=100").unwrap();
        assert_eq!(request.keys, [RateKey::Environment, RateKey::Action]);
        assert_eq!((request.scope.min_samples, request.limit), (1, 100));
    }

    #[test]
    fn every_parameter_that_cannot_be_used_is_named() {
        let violations = |query: &str| -> Vec<_> {
            json!(parse(query).unwrap_err().violations())
                .as_array()
                .unwrap()
                .iter()
                .map(|violation| json!([violation["parameter"], violation["code"]]))
                .collect()
        };
        assert_eq!(
            violations("groupBy=workflow,cause&minSamples=0&limit=101&offset=1&severity=bad&timeRange=x"),
            [
                json!(["severity", "not-an-option"]),
                json!(["timeRange", "not-a-duration"]),
                json!(["minSamples", "out-of-range"]),
                json!(["groupBy", "not-an-option"]),
                json!(["limit", "out-of-range"]),
                json!(["offset", "unknown"]),
            ]
        );
        for (query, code) in [
            ("groupBy=alert,alert", "repeated"),
            ("groupBy=alert,", "not-an-option"),
            ("groupBy=", "empty"),
        ] {
            assert_eq!(violations(query), [json!(["groupBy", code])], "{query}");
        }
    }
}
