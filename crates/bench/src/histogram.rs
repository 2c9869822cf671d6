//! How long things took, in a histogram of three significant digits.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest duration that is told apart: an hour, in microseconds. A longer one counts as this.
const LONGEST: u64 = 3_600_000_000;
/// Digits that are kept of every duration.
const DIGITS: u8 = 3;

/// Durations, kept in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

/// The usual quantiles of durations, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quantiles {
    /// How many durations there are; without any, everything else is 0.
    pub count: u64,
    /// Half of them are no longer.
    pub p50: f64,
    /// Nine of ten are no longer.
    pub p90: f64,
    /// 95 of a hundred are no longer.
    pub p95: f64,
    /// 99 of a hundred are no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "these bounds are valid, as every test shows")]
        Self(Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("valid bounds"))
    }
}

impl Latencies {
    /// Counts a duration. What is shorter than a microsecond counts as one.
    pub(crate) fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(LONGEST);
        self.0.saturating_record(micros.max(1));
    }

    /// The usual quantiles.
    #[must_use]
    pub(crate) fn quantiles(&self) -> Quantiles {
        if self.0.is_empty() {
            return Quantiles::default();
        }
        Quantiles {
            count: self.0.len(),
            p50: self.at(0.5),
            p90: self.at(0.9),
            p95: self.at(0.95),
            p99: self.at(0.99),
            max: self.at(1.0),
        }
    }

    /// The duration, in milliseconds, that a share of all does not exceed.
    #[must_use]
    pub(crate) fn at(&self, share: f64) -> f64 {
        // The histogram answers with the end of a bucket, which may lie beyond the longest there was.
        self.0.value_at_quantile(share).min(self.0.max()) as f64 / 1_000.0
    }

    /// How many durations there are.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// How many durations are at least this long, to three digits.
    #[cfg(test)]
    pub(crate) fn count_from(&self, duration: Duration) -> u64 {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(LONGEST);
        self.0.count_between(micros, LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_thousand_durations_are_exact_to_three_digits() {
        let mut latencies = Latencies::default();
        for millis in 1..=1_000 {
            latencies.record(Duration::from_millis(millis));
        }
        let quantiles = latencies.quantiles();
        assert_eq!(quantiles.count, 1_000);
        for (told, exact) in [
            (quantiles.p50, 500.0),
            (quantiles.p90, 900.0),
            (quantiles.p95, 950.0),
            (quantiles.p99, 990.0),
            (quantiles.max, 1_000.0),
        ] {
            assert!((told / exact - 1.0).abs() <= 0.001, "{told} for {exact}");
        }
        assert_eq!(latencies.count_from(Duration::from_millis(901)), 100);
    }

    #[test]
    fn nothing_is_lost_at_either_end() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantiles(), Quantiles::default());
        latencies.record(Duration::ZERO);
        latencies.record(Duration::from_secs(7_200));
        let quantiles = latencies.quantiles();
        assert_eq!((quantiles.count, quantiles.p50), (2, 0.001));
        assert!((quantiles.max / 3_600_000.0 - 1.0).abs() < 0.001, "{quantiles:?}");
    }
}
