//! What every computation over a window is asked with, in the same words.

use audit_store::reader::{IncidentFilter, Windows};
use chrono::{DateTime, Utc};
use service_kit::extract::QueryParameters;

use crate::{filter, rate, window};

const DEFAULT_GROUPS: i64 = 50;
const MAX_GROUPS: i64 = 100;

/// Which incidents to compute over, and how many make a rate.
#[derive(Debug, PartialEq)]
pub(crate) struct Scope {
    pub(crate) filter: IncidentFilter,
    pub(crate) windows: Windows,
    /// Terminal incidents that a rate needs.
    pub(crate) min_samples: i64,
}

impl Scope {
    /// Reads the filters of the incident list, `timeRange` and `minSamples`. The violations are noted there.
    pub(crate) fn from_query(query: &mut QueryParameters, now: DateTime<Utc>) -> Self {
        let filter = filter::from_query(query, now);
        let windows = window::from_query(query, &filter, now);
        Self {
            filter,
            windows,
            min_samples: rate::min_samples(query),
        }
    }
}

/// Reads `limit`: how many groups to list, 1 to 100, 50 if it is absent.
pub(crate) fn limit(query: &mut QueryParameters) -> i64 {
    query.integer("limit", 1..=MAX_GROUPS).unwrap_or(DEFAULT_GROUPS)
}
