//! Parameters that the questions about a target share.

use audit_store::record::canonical_kind;
use chrono::{DateTime, TimeDelta, Utc};
use service_kit::extract::QueryParameters;

/// Longest namespace or kind.
const LABEL_CHARS: usize = 63;
/// Longest name of anything else.
pub(crate) const NAME_CHARS: usize = 253;

/// The window of an answer, which ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeRange {
    /// As it is written.
    pub(crate) name: &'static str,
    days: i64,
}

impl TimeRange {
    pub(crate) const WEEK: Self = Self { name: "7d", days: 7 };
    pub(crate) const MONTH: Self = Self {
        name: "30d",
        days: 30,
    };
    pub(crate) const QUARTER: Self = Self {
        name: "90d",
        days: 90,
    };

    /// Takes `timeRange`.
    pub(crate) fn take(query: &mut QueryParameters) -> Option<Self> {
        let options = [Self::WEEK, Self::MONTH, Self::QUARTER].map(|range| (range.name, range));
        query.choice("timeRange", &options)
    }

    /// When the window begins.
    pub(crate) fn since(self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - TimeDelta::days(self.days)
    }
}

/// Takes `namespace`, which is required, unless `clusterScoped=true` asks for resources without one; both together are
/// refused. `None` is a cluster-scoped resource, or a violation that was noted.
pub(crate) fn namespace(query: &mut QueryParameters) -> Option<String> {
    let namespace = query.text("namespace", LABEL_CHARS);
    let cluster_scoped = query.boolean("clusterScoped").unwrap_or(false);
    if !cluster_scoped {
        query.require("namespace");
    } else if namespace.is_some() {
        query.refuse(
            "namespace",
            "inconsistent",
            "must not be given with `clusterScoped=true`",
        );
    }
    namespace
}

/// Takes `targetType`, which is required, in its canonical case; empty after a violation that was noted.
pub(crate) fn kind(query: &mut QueryParameters) -> String {
    let kind = query.text("targetType", LABEL_CHARS);
    query.require("targetType");
    kind.map(|kind| canonical_kind(&kind)).unwrap_or_default()
}
