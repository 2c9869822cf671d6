//! Vectors of recent texts, so that what happens often is computed once.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use sha2::{Digest, Sha256};

use crate::embedder::Embedder;
use crate::error::EmbedError;
use crate::vector::check_vector;

/// What an entry costs beside its components: key, reference counts, the cache's own bookkeeping. An estimate.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// The identity of a canonical text: SHA-256 of its UTF-8 bytes.
pub fn text_sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// How long and how much an [`EmbeddingCache`] remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheOptions {
    /// How long a vector stays after it was put in, used or not.
    pub ttl: Duration,
    /// Roughly how much memory all entries may take; beyond it the least recently used go.
    pub max_bytes: u64,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(5 * 60),
            max_bytes: 32 * 1024 * 1024,
        }
    }
}

/// What a cache has done since it was made, in counts that only grow. Every request is a hit or a miss; a miss that is
/// in no other count was answered by the work of another miss, or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// Requests answered from memory.
    pub hits: u64,
    /// Requests whose vector was not in memory.
    pub misses: u64,
    /// Vectors the lookup behind the cache knew.
    pub found: u64,
    /// Vectors the embedder computed.
    pub embedded: u64,
}

/// Vectors by text: memory first, then an optional lookup (the database), then the embedder. Clones share everything.
///
/// Concurrent requests for one text share one piece of work. That work belongs to none of them: it runs as a task of
/// its own, so a caller that gives up, even the first, neither fails nor restarts it for the others, and its result
/// ends in the cache for whoever asks next.
#[derive(Debug, Clone)]
pub struct EmbeddingCache {
    shared: Arc<Shared>,
}

type Lookup = Box<dyn Fn([u8; 32]) -> Pin<Box<dyn Future<Output = Option<Vec<f32>>> + Send>> + Send + Sync>;

struct Shared {
    vectors: Cache<[u8; 32], Arc<[f32]>>,
    lookup: Option<Lookup>,
    embedder: Embedder,
    /// One for each text that is worked on, however many wait for it.
    flights: Mutex<HashMap<[u8; 32], Flight>>,
    counters: Counters,
}

type Flight = futures::future::Shared<BoxFuture<'static, Result<Arc<[f32]>, EmbedError>>>;

#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    found: AtomicU64,
    embedded: AtomicU64,
}

impl EmbeddingCache {
    /// A cache in front of an embedder.
    pub fn new(embedder: Embedder, options: CacheOptions) -> Self {
        Self::build(embedder, options, None)
    }

    /// A cache that asks `lookup` for the vector of a text, by its SHA-256, before it has one computed.
    ///
    /// The lookup answers `None` for an unknown text and also when it cannot tell: embedding works without it. It
    /// should have a time limit of its own, because the embedder waits for it. A vector that does not fit the
    /// embedder's model is not used.
    pub fn with_lookup<L, F>(embedder: Embedder, options: CacheOptions, lookup: L) -> Self
    where
        L: Fn([u8; 32]) -> F + Send + Sync + 'static,
        F: Future<Output = Option<Vec<f32>>> + Send + 'static,
    {
        Self::build(
            embedder,
            options,
            Some(Box::new(move |hash| Box::pin(lookup(hash)))),
        )
    }

    fn build(embedder: Embedder, options: CacheOptions, lookup: Option<Lookup>) -> Self {
        let vectors = Cache::builder()
            // The default policy may refuse a newcomer; a text that was just embedded is likely to come again soon.
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, vector: &Arc<[f32]>| {
                u32::try_from(size_of_val::<[f32]>(vector) + ENTRY_OVERHEAD_BYTES).unwrap_or(u32::MAX)
            })
            .max_capacity(options.max_bytes)
            .time_to_live(options.ttl)
            .build();
        Self {
            shared: Arc::new(Shared {
                vectors,
                lookup,
                embedder,
                flights: Mutex::default(),
                counters: Counters::default(),
            }),
        }
    }

    /// The embedder behind the cache.
    pub fn embedder(&self) -> &Embedder {
        &self.shared.embedder
    }

    /// The vector of a canonical text.
    ///
    /// Safe to drop at any time; a caller in a hurry wraps it in a timeout. Errors are not remembered. Must run in a
    /// Tokio runtime.
    pub async fn get_or_embed(&self, text: &str) -> Result<Arc<[f32]>, EmbedError> {
        let key = text_sha256(text);
        if let Some(vector) = self.shared.vectors.get(&key).await {
            count(&self.shared.counters.hits);
            return Ok(vector);
        }
        count(&self.shared.counters.misses);
        self.flight(key, text).await
    }

    /// The work on a text: what is under way, or else a task of its own.
    fn flight(&self, key: [u8; 32], text: &str) -> Flight {
        let mut flights = self.shared.flights();
        if let Some(flight) = flights.get(&key) {
            return flight.clone();
        }
        let landing = Landing {
            shared: Arc::clone(&self.shared),
            key,
        };
        let text = text.to_owned();
        let task = tokio::spawn(async move { landing.shared.fill(key, text).await });
        let flight = async move {
            task.await.unwrap_or_else(|error| {
                Err(if error.is_panic() {
                    EmbedError::Panicked
                } else {
                    EmbedError::Stopped
                })
            })
        };
        let flight = flight.boxed().shared();
        flights.insert(key, flight.clone());
        flight
    }

    /// What happened so far. Cheap: for a collector of metrics to ask at every scrape.
    pub fn stats(&self) -> CacheStats {
        let counters = &self.shared.counters;
        CacheStats {
            hits: counters.hits.load(Ordering::Relaxed),
            misses: counters.misses.load(Ordering::Relaxed),
            found: counters.found.load(Ordering::Relaxed),
            embedded: counters.embedded.load(Ordering::Relaxed),
        }
    }
}

/// The end of the work on a text, however it ends.
struct Landing {
    shared: Arc<Shared>,
    key: [u8; 32],
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.shared.flights().remove(&self.key);
    }
}

impl Shared {
    fn flights(&self) -> MutexGuard<'_, HashMap<[u8; 32], Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fill(&self, key: [u8; 32], text: String) -> Result<Arc<[f32]>, EmbedError> {
        let vector = self.vectors.try_get_with(key, self.make(key, text)).await;
        vector.map_err(|error| EmbedError::clone(&error))
    }

    async fn make(&self, key: [u8; 32], text: String) -> Result<Arc<[f32]>, EmbedError> {
        if let Some(lookup) = &self.lookup
            && let Some(vector) = lookup(key).await
            && check_vector(&vector, self.embedder.model().dimension).is_ok()
        {
            count(&self.counters.found);
            return Ok(vector.into());
        }
        let vector = self.embedder.embed(text).await?;
        count(&self.counters.embedded);
        Ok(vector.into())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EmbeddingCache")
            .field("entries", &self.vectors.entry_count())
            .field("lookup", &self.lookup.is_some())
            .field("embedder", &self.embedder)
            .finish_non_exhaustive()
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
