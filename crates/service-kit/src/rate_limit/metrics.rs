//! What is counted about refusals.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The metrics of the limits.
///
/// - `rate_limit_refused_requests_total{policy}`: requests refused;
/// - `rate_limit_refused_units_total{policy}`: what they would have cost.
///
/// `policy` is `caller`, `replica`, or `cost` for what could never be granted.
#[derive(Clone, Debug, Default)]
pub(super) struct RateLimitMetrics {
    requests: Family<Labels, Counter>,
    units: Family<Labels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    policy: &'static str,
}

impl RateLimitMetrics {
    pub(super) fn register(registry: &mut Registry, policies: [&'static str; 3]) -> Self {
        let metrics = Self::default();
        for policy in policies {
            // A series that begins with its first refusal would hide that one from `increase()`.
            metrics.requests.get_or_create_owned(&Labels { policy });
            metrics.units.get_or_create_owned(&Labels { policy });
        }
        registry.register(
            "rate_limit_refused_requests",
            "Requests refused because of a limit",
            metrics.requests.clone(),
        );
        registry.register(
            "rate_limit_refused_units",
            "Cost of the requests refused because of a limit, in records or requests",
            metrics.units.clone(),
        );
        metrics
    }

    pub(super) fn refused(&self, policy: &'static str, units: u32) {
        self.requests.get_or_create(&Labels { policy }).inc();
        self.units.get_or_create(&Labels { policy }).inc_by(units.into());
    }
}
