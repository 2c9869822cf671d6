//! A success rate, how far it can be trusted, and whether it changes.

use audit_store::reader::Outcomes;
use serde::Serialize;
use serde_json::{Value, json};
use service_kit::extract::QueryParameters;
use service_kit::openapi::schema::{
    Field, boolean, count, integer, named, number, one_of, optional, required, sent,
};
use service_kit::openapi::{Parameter, Place};

const DEFAULT_MIN_SAMPLES: i64 = 5;
const MAX_MIN_SAMPLES: i64 = 10_000;

/// The two-sided confidence level of intervals, and the quantile of the standard normal distribution that belongs to
/// it: 97.5 %.
const LEVEL: f64 = 0.95;
const QUANTILE: f64 = 1.959_963_984_540_054;

/// `minSamples` in the contract.
pub(crate) fn parameter(example: &'static str) -> Parameter {
    let mut schema = samples();
    schema["default"] = json!(DEFAULT_MIN_SAMPLES);
    Parameter {
        name: "minSamples",
        place: Place::Query,
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
            named("RateInterval"),
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

/// The schema of an [`Interval`].
pub(crate) fn interval_schema() -> Value {
    sent(
        "The Wilson score interval of a success rate, without continuity correction.",
        [
            required("low", number(0.0, 1.0), "Lower bound."),
            required("high", number(0.0, 1.0), "Upper bound."),
            required("level", number(0.0, 1.0), "Confidence level: 0.95."),
        ],
    )
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

/// Between which bounds the true success rate lies: the Wilson score interval without continuity correction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Interval {
    low: f64,
    high: f64,
    /// Confidence level: 0.95.
    level: f64,
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
            confidence_interval: sufficient.then(|| wilson(outcomes)).flatten(),
        }
    }
}

/// Successful by terminal incidents; `None` where there are fewer than `min_samples`.
pub(crate) fn success_rate(outcomes: Outcomes, min_samples: i64) -> Option<f64> {
    (outcomes.total() >= min_samples.max(1)).then(|| ratio(outcomes.successful, outcomes.total()))
}

/// A part of a whole that is not zero. Numbers of incidents are far below 2⁵³, from where on a float skips integers.
pub(crate) fn ratio(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}

/// The interval for a share p of n: (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n).
///
/// E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
/// Statistical Association 22 (1927), 209–212. It is never empty and never leaves 0 to 1, unlike the one of the normal
/// approximation, and therefore fit for few samples and for rates near the ends.
fn wilson(outcomes: Outcomes) -> Option<Interval> {
    if outcomes.total() == 0 {
        return None;
    }
    let n = outcomes.total() as f64;
    let p = ratio(outcomes.successful, outcomes.total());
    let z2 = QUANTILE * QUANTILE;
    let scale = 1.0 + z2 / n;
    let middle = (p + z2 / (2.0 * n)) / scale;
    let half = QUANTILE * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt() / scale;
    // With one outcome only, one bound is 0 or 1 exactly; rounding must not say otherwise.
    Some(Interval {
        low: if outcomes.successful == 0 {
            0.0
        } else {
            middle - half
        },
        high: if outcomes.failed == 0 { 1.0 } else { middle + half },
        level: LEVEL,
    })
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
        let trend = match (wilson(outcomes), wilson(previous)) {
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

    /// Expected values were computed from the formula with decimal arithmetic of 40 digits.
    #[test]
    fn intervals_are_exact_to_nine_digits() {
        for (successful, failed, low, high) in WILSON {
            let interval = wilson(outcomes(successful, failed)).unwrap();
            assert!(
                (interval.low - low).abs() < 1e-9 && (interval.high - high).abs() < 1e-9,
                "{successful} of {}: {interval:?}",
                successful + failed
            );
        }
        assert_eq!(wilson(outcomes(0, 0)), None);
        let none = wilson(outcomes(0, 7)).unwrap();
        assert!(none.low.to_bits() == 0.0_f64.to_bits() && none.high < 1.0);
        let all = wilson(outcomes(7, 0)).unwrap();
        assert!(all.high.to_bits() == 1.0_f64.to_bits() && all.low > 0.0);
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
        // The bounds stand in the table: 9 of 10 from 0.596, 1 of 10 to 0.404, 5 of 10 from 0.237 to 0.763.
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

    const WILSON: [(i64, i64, f64, f64); 7] = [
        (9, 1, 0.595_849_973_204_762, 0.982_123_786_904_927),
        (1, 9, 0.017_876_213_095_073, 0.404_150_026_795_238),
        (5, 5, 0.236_593_090_512_564, 0.763_406_909_487_436),
        (0, 7, 0.000_000_000_000_000, 0.354_330_435_066_687),
        (7, 0, 0.645_669_564_933_313, 1.000_000_000_000_000),
        (1, 0, 0.206_549_314_377_237, 1.000_000_000_000_000),
        (81, 19, 0.722_211_546_209_356, 0.874_852_484_902_313),
    ];
}
