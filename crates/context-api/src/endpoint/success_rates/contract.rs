//! The success rates in the contract.

use audit_store::reader::{Durations, Outcomes, RateGroup, RateKey, SuccessRates};
use audit_store::record::Environment;
use chrono::TimeDelta;
use serde_json::{Value, json};
use service_kit::openapi::schema::{
    Field, array, count, named, one_of, optional, required, sent, string, time,
};
use service_kit::openapi::{Operation, Parameter, Place};

use super::{Answer, KEYS, KEYS_CHARS, Request};
use crate::rate;
use crate::scope::{self, Examples, RECENT};

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
