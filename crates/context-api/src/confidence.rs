//! A rate of success and how far to trust it.

use serde::Serialize;
use serde_json::Value;
use service_kit::openapi::schema::{number as number_schema, required, sent};

/// The two-sided confidence level of intervals, and the quantile of the standard normal distribution that belongs to
/// it: 97.5 %.
const LEVEL: f64 = 0.95;
const QUANTILE: f64 = 1.959_963_984_540_054;

/// Rates and bounds are told with six digits after the point.
const STEPS: f64 = 1_000_000.0;

/// Between which bounds the true rate lies, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Confidence level: 0.95.
    level: f64,
}

/// The schema of an [`Interval`], and its name.
pub(crate) fn schema() -> (&'static str, Value) {
    let interval = sent(
        "Between which bounds the true rate lies: the Wilson score interval without continuity correction.",
        [
            required(
                "low",
                number_schema(0.0, 1.0),
                "Lower bound, with six digits after the point.",
            ),
            required(
                "high",
                number_schema(0.0, 1.0),
                "Upper bound, with six digits after the point.",
            ),
            required("level", number_schema(0.0, 1.0), "Confidence level: 0.95."),
        ],
    );
    ("ConfidenceInterval", interval)
}

/// Successes per attempt, from 0 to 1; `None` without an attempt.
pub(crate) fn rate(successes: i64, attempts: i64) -> Option<f64> {
    (attempts > 0).then(|| rounded(ratio(successes, attempts)))
}

/// A part of a whole that is not zero.
pub(crate) fn ratio(part: i64, whole: i64) -> f64 {
    number(part) / number(whole)
}

/// The interval of a rate; `None` without an attempt.
pub(crate) fn wilson(successes: i64, attempts: i64) -> Option<Interval> {
    if attempts <= 0 {
        return None;
    }
    let (low, high) = bounds(successes, attempts);
    Some(Interval {
        low: rounded(low),
        high: rounded(high),
        level: LEVEL,
    })
}

/// The bounds for a share p of n > 0: (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n).
///
/// E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
/// Statistical Association 22 (1927), 209–212. They are never equal and never leave 0 to 1, unlike those of the normal
/// approximation, and are therefore fit for few samples and for rates near the ends.
fn bounds(successes: i64, attempts: i64) -> (f64, f64) {
    let n = number(attempts);
    let p = ratio(successes, attempts);
    let z2 = QUANTILE * QUANTILE;
    let scale = 1.0 + z2 / n;
    let middle = (p + z2 / (2.0 * n)) / scale;
    let half = QUANTILE * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt() / scale;
    // With one outcome only, one bound is 0 or 1 exactly; rounding must not say otherwise.
    (
        if successes == 0 { 0.0 } else { middle - half },
        if successes == attempts { 1.0 } else { middle + half },
    )
}

fn rounded(value: f64) -> f64 {
    (value * STEPS).round() / STEPS
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of incidents are far below 2^53"
)]
fn number(count: i64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Successes, attempts and the bounds, computed from the formula with decimal arithmetic of 40 digits.
    const WILSON: [(i64, i64, f64, f64); 8] = [
        (9, 10, 0.595_849_973_204_762, 0.982_123_786_904_927),
        (1, 10, 0.017_876_213_095_073, 0.404_150_026_795_238),
        (5, 10, 0.236_593_090_512_564, 0.763_406_909_487_436),
        (0, 7, 0.000_000_000_000_000, 0.354_330_435_066_687),
        (7, 7, 0.645_669_564_933_313, 1.000_000_000_000_000),
        (1, 1, 0.206_549_314_377_237, 1.000_000_000_000_000),
        (81, 100, 0.722_211_546_209_356, 0.874_852_484_902_313),
        (2, 2, 0.342_380_227_506_653, 1.000_000_000_000_000),
    ];

    #[test]
    fn bounds_are_exact_to_nine_digits() {
        for (successes, attempts, low, high) in WILSON {
            let bounds = bounds(successes, attempts);
            assert!(
                (bounds.0 - low).abs() < 1e-9 && (bounds.1 - high).abs() < 1e-9,
                "{successes} of {attempts}: {bounds:?}"
            );
        }
        assert_eq!(bounds(0, 7).0.to_bits(), 0.0_f64.to_bits());
        assert_eq!(bounds(7, 7).1.to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn an_interval_is_told_with_six_digits() {
        let told = Interval {
            low: 0.236_593,
            high: 0.763_407,
            level: 0.95,
        };
        assert_eq!(wilson(5, 10), Some(told));
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn a_rate_needs_an_attempt() {
        assert_eq!(
            (rate(0, 0), rate(0, 2), rate(2, 3)),
            (None, Some(0.0), Some(0.666_667))
        );
    }
}
