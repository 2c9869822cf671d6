//! What a service gets from the process that runs it.

use crate::{clock::Clock, metrics::BuildInfo, shutdown::Shutdown, telemetry::TraceMetrics};

/// What a service gets from the process that runs it; two services of one process share it by clones.
#[derive(Clone, Debug)]
pub struct Host {
    /// The time.
    pub clock: Clock,
    /// What the metric `build_info` tells.
    pub build: BuildInfo,
    /// What became of the spans.
    pub traces: TraceMetrics,
    /// When to end.
    pub shutdown: Shutdown,
}
