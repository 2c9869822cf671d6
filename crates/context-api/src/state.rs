//! What every handler can reach.

use std::time::Duration;

use audit_store::Reader;
use embedding::EmbeddingCache;
use service_kit::Clock;

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

/// Shared by all requests; clones are handles.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) reader: Reader,
    pub(crate) embeddings: EmbeddingCache,
    pub(crate) clock: Clock,
    pub(crate) options: Options,
    pub(crate) metrics: Metrics,
    pub(crate) cache: ReadCache,
}

impl State {
    /// The state of a service that caches no answers. The model behind `embeddings` must be the database's.
    #[must_use]
    pub fn new(reader: Reader, embeddings: EmbeddingCache, clock: Clock, options: Options) -> Self {
        let cache = ReadCache::off(&reader, clock.clone());
        Self {
            reader,
            embeddings,
            clock,
            options,
            metrics: Metrics::new(),
            cache,
        }
    }

    /// With a cache, which must be one of the same database.
    #[must_use]
    pub fn with_cache(self, cache: ReadCache) -> Self {
        Self { cache, ..self }
    }
}
