//! A success rate, how far it can be trusted, and whether it changes.

use audit_store::reader::Outcomes;
use serde::Serialize;
use serde_json::{Value, json};
use service_kit::extract::QueryParameters;
use service_kit::openapi::schema::{
    Field, boolean, count, integer, named, number, one_of, optional, required,
};
use service_kit::openapi::{Parameter, Place};

use crate::confidence::{Interval, rate, wilson};

const DEFAULT_MIN_SAMPLES: i64 = 5;
const MAX_MIN_SAMPLES: i64 = 10_000;

/// `minSamples` in the contract.
pub(crate) fn parameter(example: &'static str) -> Parameter {
    let mut schema = samples();
    schema["default"] = json!(DEFAULT_MIN_SAMPLES);
    Parameter {
        name: "minSamples",
        place: Place::Query,
        required: false,
        description: "Least number of terminal incidents, those in phase Completed or Failed, that a rate is told for. \
                      What has fewer is listed and counted, but not judged."
            .to_owned(),
        schema,
        examples: vec![(example, json!(3))],
    }
}

/// What `minSamples` may be.
pub(crate) fn samples() -> Value {
    integer(1, MAX_MIN_SAMPLES)
}

/// The fields of a [`RateBody`].
pub(crate) fn fields() -> [Field; 6] {
    [
        required(
            "totalExecutions",
            count(),
            "Terminal incidents: `successful` and `failed` together.",
        ),
        required("successful", count(), "Incidents in phase Completed."),
        required(
            "failed",
            count(),
            "Incidents in phase Failed, rolled back or not.",
        ),
        required(
            "sufficient",
            boolean(),
            "Whether there are `minSamples` terminal incidents. If not, the rate and the interval are absent.",
        ),
        optional(
            "successRate",
            number(0.0, 1.0),
            "`successful` / `totalExecutions`; absent unless `sufficient`.",
        ),
        optional(
            "confidenceInterval",
            named("ConfidenceInterval"),
            "Between which bounds the true success rate lies; absent unless `sufficient`.",
        ),
    ]
}

/// The fields of a [`TrendBody`].
pub(crate) fn trend_fields() -> [Field; 3] {
    [
        required(
            "trend",
            one_of(["improving", "worsening", "steady", "unknown"]),
            "How the success rate compares with that of the window before. `improving` or `worsening`: the whole \
             confidence interval lies above or below the one before. `steady`: the intervals overlap, which is no proof \
             that the rate is the same. `unknown`: one of the windows has fewer than `minSamples` terminal incidents.",
        ),
        required(
            "previousExecutions",
            count(),
            "Terminal incidents of the window before.",
        ),
        optional(
            "previousSuccessRate",
            number(0.0, 1.0),
            "Success rate of the window before; absent if that has fewer than `minSamples` terminal incidents.",
        ),
    ]
}

/// Reads `minSamples`: how many terminal incidents a rate needs. 5 if it is absent.
pub(crate) fn min_samples(query: &mut QueryParameters) -> i64 {
    query
        .integer("minSamples", 1..=MAX_MIN_SAMPLES)
        .unwrap_or(DEFAULT_MIN_SAMPLES)
}

/// Terminal incidents by outcome, and their success rate if there are enough of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RateBody {
    /// Terminal incidents: `successful` and `failed` together.
    total_executions: i64,
    /// Incidents in phase Completed.
    successful: i64,
    /// Incidents in phase Failed, rolled back or not.
    failed: i64,
    /// Whether there are `minSamples` terminal incidents. If not, the rate and the interval are absent.
    sufficient: bool,
    /// `successful` / `totalExecutions`, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    success_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence_interval: Option<Interval>,
}

impl RateBody {
    pub(crate) fn new(outcomes: Outcomes, min_samples: i64) -> Self {
        let sufficient = outcomes.total() >= min_samples;
        Self {
            total_executions: outcomes.total(),
            successful: outcomes.successful,
            failed: outcomes.failed,
            sufficient,
            success_rate: success_rate(outcomes, min_samples),
            confidence_interval: sufficient.then(|| interval(outcomes)).flatten(),
        }
    }
}

/// Successful by terminal incidents; `None` where there are fewer than `min_samples`.
pub(crate) fn success_rate(outcomes: Outcomes, min_samples: i64) -> Option<f64> {
    (outcomes.total() >= min_samples)
        .then(|| rate(outcomes.successful, outcomes.total()))
        .flatten()
}

fn interval(outcomes: Outcomes) -> Option<Interval> {
    wilson(outcomes.successful, outcomes.total())
}

/// How a success rate compares with that of the window before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Trend {
    /// The whole interval lies above the one before.
    Improving,
    /// The whole interval lies below the one before.
    Worsening,
    /// The intervals overlap. This is no proof that the rate is the same: two intervals of 95 % that do not overlap
    /// are a stricter test than one of 5 %, so that small changes of small numbers are not told as trends.
    Steady,
    /// One of the windows has fewer than `minSamples` terminal incidents.
    Unknown,
}

/// The trend, and what it is taken from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrendBody {
    pub(crate) trend: Trend,
    /// Terminal incidents of the window before.
    previous_executions: i64,
    /// Success rate of the window before; absent if it has fewer than `minSamples`.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_success_rate: Option<f64>,
}

impl TrendBody {
    pub(crate) fn new(outcomes: Outcomes, previous: Outcomes, min_samples: i64) -> Self {
        let sufficient = outcomes.total().min(previous.total()) >= min_samples;
        let trend = match (interval(outcomes), interval(previous)) {
            (Some(now), Some(before)) if sufficient && now.low > before.high => Trend::Improving,
            (Some(now), Some(before)) if sufficient && now.high < before.low => Trend::Worsening,
            (Some(_), Some(_)) if sufficient => Trend::Steady,
            _ => Trend::Unknown,
        };
        Self {
            trend,
            previous_executions: previous.total(),
            previous_success_rate: success_rate(previous, min_samples),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcomes(successful: i64, failed: i64) -> Outcomes {
        Outcomes { successful, failed }
    }

    #[test]
    fn a_rate_of_too_few_is_not_told() {
        assert_eq!(
            json!(RateBody::new(outcomes(3, 1), 5)),
            json!({"totalExecutions": 4, "successful": 3, "failed": 1, "sufficient": false})
        );
        let told = json!(RateBody::new(outcomes(3, 1), 4));
        assert_eq!(
            (
                &told["sufficient"],
                &told["successRate"],
                &told["confidenceInterval"]["level"]
            ),
            (&json!(true), &json!(0.75), &json!(0.95))
        );
        assert_eq!(
            json!(RateBody::new(outcomes(0, 0), 1)),
            json!({"totalExecutions": 0, "successful": 0, "failed": 0, "sufficient": false})
        );
    }

    #[test]
    fn a_trend_is_told_only_if_the_intervals_are_apart() {
        let trend = |now: (i64, i64), before: (i64, i64), min_samples| {
            TrendBody::new(outcomes(now.0, now.1), outcomes(before.0, before.1), min_samples).trend
        };
        // The intervals: 9 of 10 from 0.596, 1 of 10 to 0.404, 5 of 10 from 0.237 to 0.763.
        assert_eq!(trend((9, 1), (1, 9), 5), Trend::Improving);
        assert_eq!(trend((1, 9), (9, 1), 5), Trend::Worsening);
        assert_eq!(trend((9, 1), (5, 5), 5), Trend::Steady);
        assert_eq!(trend((9, 1), (1, 9), 11), Trend::Unknown);
        assert_eq!(trend((9, 1), (0, 4), 5), Trend::Unknown);
        assert_eq!(trend((0, 4), (9, 1), 5), Trend::Unknown);
        assert_eq!(trend((0, 0), (0, 0), 1), Trend::Unknown);
        assert_eq!(
            json!(TrendBody::new(outcomes(0, 0), outcomes(1, 4), 5)),
            json!({"trend": "unknown", "previousExecutions": 5, "previousSuccessRate": 0.2})
        );
    }
}
