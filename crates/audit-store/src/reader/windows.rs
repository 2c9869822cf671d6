//! The span of time that figures are computed over, and the span before it that they are compared with.

use chrono::{DateTime, Utc};

use super::IncidentFilter;

/// Two adjoining windows, by the time that the remediation request was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Where the window before begins; it ends where the window begins.
    pub previous_since: DateTime<Utc>,
    /// Where the window begins; this moment belongs to it.
    pub since: DateTime<Utc>,
    /// Where the window ends; this moment does not belong to it.
    pub until: DateTime<Utc>,
}

impl Windows {
    /// The filter, narrowed to the window.
    pub(super) fn only(&self, filter: &IncidentFilter) -> IncidentFilter {
        self.from(self.since, filter)
    }

    /// The filter, narrowed to both windows.
    pub(super) fn both(&self, filter: &IncidentFilter) -> IncidentFilter {
        self.from(self.previous_since, filter)
    }

    fn from(&self, since: DateTime<Utc>, filter: &IncidentFilter) -> IncidentFilter {
        IncidentFilter {
            since: Some(since),
            until: Some(self.until),
            ..filter.clone()
        }
    }
}
