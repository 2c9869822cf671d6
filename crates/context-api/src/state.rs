//! What every handler can reach.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use audit_store::Reader;
use axum::extract::FromRequestParts;
use axum::http::request;
use embedding::EmbeddingCache;
use prometheus_client::registry::Registry;
use service_kit::Clock;
use service_kit::boundary::Deadline;
use tokio::time::Instant;

use crate::cache::ReadCache;
use crate::metrics::Metrics;

/// What can be set about the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long a search waits for the vector of its description.
    pub embedding_timeout: Duration,
}

impl Default for Options {
    /// 2 s.
    fn default() -> Self {
        Self {
            embedding_timeout: Duration::from_secs(2),
        }
    }
}

/// Shared by all requests; clones are handles, and cheap: a router makes several for each request.
#[derive(Debug, Clone)]
pub struct State {
    reader: Arc<Reader>,
    /// When whoever asks gives up.
    deadline: Option<Instant>,
    pub(crate) embeddings: EmbeddingCache,
    pub(crate) clock: Clock,
    pub(crate) options: Options,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) cache: ReadCache,
}

impl State {
    /// The state of a service that caches no answers. The model behind `embeddings` must be the database's.
    #[must_use]
    pub fn new(reader: Reader, embeddings: EmbeddingCache, clock: Clock, options: Options) -> Self {
        let cache = ReadCache::off(&reader, clock.clone());
        Self {
            reader: Arc::new(reader),
            deadline: None,
            embeddings,
            clock,
            options,
            metrics: Arc::new(Metrics::new()),
            cache,
        }
    }

    /// With a cache, which must be one of the same database.
    #[must_use]
    pub fn with_cache(self, cache: ReadCache) -> Self {
        Self { cache, ..self }
    }

    /// Puts the metrics of everything in it into a registry.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.metrics.register(registry, &self.reader);
        self.cache.register(registry);
    }

    /// The database, for as long as whoever asks waits.
    pub(crate) fn reader(&self) -> Reader {
        match self.deadline {
            Some(deadline) => self.reader.until(deadline),
            None => Reader::clone(&self.reader),
        }
    }
}

/// The state as one request may use it: what it asks of the database ends with its deadline.
pub(crate) struct Asked(pub(crate) State);

impl FromRequestParts<State> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(request: &mut request::Parts, state: &State) -> Result<Self, Infallible> {
        let deadline = request.extensions.get().map(|Deadline(at)| *at);
        Ok(Self(State {
            deadline,
            ..state.clone()
        }))
    }
}
