//! The metrics of authentication, all declared here.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Upper bounds, in seconds, of two round trips to an API server; the last lies beyond the usual timeout.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

/// What became of a review, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReviewResult {
    Authenticated,
    Refused,
    Forbidden,
    Error,
    TurnedAway,
}

/// What was known of a caller, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    Hit,
    Joined,
    Miss,
}

/// Handles of the metrics; clones count together.
#[derive(Clone, Debug)]
pub(super) struct AuthMetrics {
    reviews: Family<ResultLabels, Counter>,
    lookups: Family<ResultLabels, Counter>,
    pub(super) in_flight: Gauge,
    pub(super) waiting: Gauge,
    duration: Histogram,
}

impl Default for AuthMetrics {
    fn default() -> Self {
        Self {
            reviews: Family::default(),
            lookups: Family::default(),
            in_flight: Gauge::default(),
            waiting: Gauge::default(),
            duration: Histogram::new(SECONDS),
        }
    }
}

impl AuthMetrics {
    /// Puts the metrics into a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "auth_reviews",
            "Reviews of callers by result; turned-away are those that found the queue full",
            self.reviews.clone(),
        );
        registry.register(
            "auth_cache_lookups",
            "Requests with a token by what was known of it; joined are those that wait for a review under way",
            self.lookups.clone(),
        );
        registry.register(
            "auth_reviews_in_flight",
            "Reviews the API server is asked for now",
            self.in_flight.clone(),
        );
        registry.register(
            "auth_reviews_waiting",
            "Reviews that wait for their turn",
            self.waiting.clone(),
        );
        registry.register_with_unit(
            "auth_review_duration",
            "Time the API server takes for a review, without the wait for its turn",
            Unit::Seconds,
            self.duration.clone(),
        );
    }

    pub(super) fn count_review(&self, result: ReviewResult) {
        let result = match result {
            ReviewResult::Authenticated => "authenticated",
            ReviewResult::Refused => "refused",
            ReviewResult::Forbidden => "forbidden",
            ReviewResult::Error => "error",
            ReviewResult::TurnedAway => "turned-away",
        };
        self.reviews.get_or_create(&ResultLabels { result }).inc();
    }

    pub(super) fn count_lookup(&self, lookup: Lookup) {
        let result = match lookup {
            Lookup::Hit => "hit",
            Lookup::Joined => "joined",
            Lookup::Miss => "miss",
        };
        self.lookups.get_or_create(&ResultLabels { result }).inc();
    }

    pub(super) fn observe(&self, duration: Duration) {
        self.duration.observe(duration.as_secs_f64());
    }
}

/// One more in a gauge for as long as this lives.
pub(super) struct Counted(Gauge);

impl Counted {
    pub(super) fn in_gauge(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
