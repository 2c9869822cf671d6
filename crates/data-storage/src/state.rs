//! What every handler can reach.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use service_kit::Clock;

use crate::config::{BatchesConfig, Config};
use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::validation::Context;

/// Shared by all requests. It is cloned for each, several times: what has many parts is behind one handle.
#[derive(Clone)]
pub struct State {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) clock: Clock,
    pub(crate) default_cluster: Arc<str>,
    pub(crate) batches: BatchesConfig,
    pub(crate) keys_kept_for: Duration,
    pub(crate) metrics: Arc<Metrics>,
}

impl State {
    /// The state of a service that is configured so.
    #[must_use]
    pub fn new(ingest: Ingest, clock: Clock, config: &Config, metrics: Metrics) -> Self {
        Self {
            ingest: Arc::new(ingest),
            clock,
            default_cluster: config.records.default_cluster.as_str().into(),
            batches: config.batches,
            keys_kept_for: config.idempotency.keep,
            metrics: Arc::new(metrics),
        }
    }

    /// What a record that comes now is validated against.
    pub(crate) fn validation_context(&self, now: DateTime<Utc>) -> Context {
        Context {
            now,
            default_cluster: self.default_cluster.to_string(),
        }
    }
}
