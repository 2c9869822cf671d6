//! What every handler can reach.

use service_kit::Clock;

use crate::ingest::Ingest;
use crate::metrics::Metrics;

/// Shared by all requests; clones are handles.
#[derive(Clone)]
pub struct State {
    pub(crate) ingest: Ingest,
    pub(crate) clock: Clock,
    pub(crate) default_cluster: String,
    pub(crate) metrics: Metrics,
}

impl State {
    /// The state of a service.
    #[must_use]
    pub fn new(ingest: Ingest, clock: Clock, default_cluster: impl Into<String>, metrics: Metrics) -> Self {
        Self {
            ingest,
            clock,
            default_cluster: default_cluster.into(),
            metrics,
        }
    }
}
