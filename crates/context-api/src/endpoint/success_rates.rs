//! `GET /api/v1/context/success-rates`: how often remediations ended well, and how long they took.

mod contract;

use audit_store::reader::{Durations, RateGroup, RateKey, SuccessRates};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use service_kit::Problem;
use service_kit::extract::QueryParameters;

use crate::cache::{Question, cached};
use crate::problems;
use crate::rate::{RateBody, TrendBody};
use crate::scope::{self, Scope};
use crate::state::Asked;
use crate::window::WindowBody;

pub(crate) use contract::{operation, schemas};

const KEYS: [(&str, RateKey); 4] = [
    ("workflow", RateKey::Workflow),
    ("action", RateKey::Action),
    ("alert", RateKey::Alert),
    ("environment", RateKey::Environment),
];
/// All keys, each with its comma.
const KEYS_CHARS: usize = 64;

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
    let reader = state.reader();
    cached(&state, question, move || async move {
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
