//! A rate of success and how much to trust it.

use serde::Serialize;
use serde_json::Value;
use service_kit::openapi::schema::{number as number_schema, required, sent};

/// The quantile of the normal distribution for a two-sided interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Rates are told with six digits after the point.
const STEPS: f64 = 1_000_000.0;

/// Where the true rate lies with a confidence of 95 %, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Interval {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

/// The schema of an [`Interval`].
pub(crate) fn schema() -> Value {
    sent(
        "Where the true rate lies with a confidence of 95 %: the Wilson score interval without continuity correction.",
        [
            required(
                "lower",
                number_schema(0.0, 1.0),
                "Lower bound, with six digits after the point.",
            ),
            required(
                "upper",
                number_schema(0.0, 1.0),
                "Upper bound, with six digits after the point.",
            ),
        ],
    )
}

/// Successes per attempt, from 0 to 1; `None` without an attempt.
pub(crate) fn rate(successes: i64, attempts: i64) -> Option<f64> {
    (attempts > 0).then(|| rounded(number(successes) / number(attempts)))
}

/// The score interval of a binomial proportion (E. B. Wilson, Journal of the American Statistical Association 22, 1927);
/// `None` without an attempt.
pub(crate) fn wilson(successes: i64, attempts: i64) -> Option<Interval> {
    if attempts <= 0 {
        return None;
    }
    let n = number(attempts);
    let p = number(successes) / n;
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    Some(Interval {
        lower: rounded(((centre - half) / scale).clamp(0.0, 1.0)),
        upper: rounded(((centre + half) / scale).clamp(0.0, 1.0)),
    })
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

    #[test]
    fn the_interval_is_wilsons() {
        // 1 of 1: lower bound 1 / (1 + z²), z² = 3.841459; 0 of n is the mirror of n of n.
        let bounds = |successes, attempts| {
            let interval = wilson(successes, attempts).unwrap();
            (interval.lower, interval.upper)
        };
        assert_eq!(bounds(1, 1), (0.206_549, 1.0));
        assert_eq!(bounds(0, 1), (0.0, 0.793_451));
        assert_eq!(bounds(2, 2), (0.342_380, 1.0));
        // 5 of 10: 0.5 ± z·sqrt(0.25/10 + z²/400) / (1 + z²/10).
        assert_eq!(bounds(5, 10), (0.236_593, 0.763_407));
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
