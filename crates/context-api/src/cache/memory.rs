//! The tier of this process.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;

use super::entry::Entry;
use super::key::Key;

/// What an entry costs beside its answer: key, times, reference counts, the cache's own bookkeeping. An estimate.
const OVERHEAD_BYTES: usize = 512;

/// Answers in memory, bounded in bytes: beyond, the least recently used go.
#[derive(Debug, Clone)]
pub(super) struct Memory(Cache<Key, Arc<Entry>>);

impl Memory {
    /// `keep_for` only frees memory: whether an answer may be used is decided by its own times.
    pub(super) fn new(max_bytes: u64, keep_for: Duration) -> Self {
        Self(
            Cache::builder()
                // The default policy may refuse a newcomer; among answers that live for seconds the newest matter.
                .eviction_policy(EvictionPolicy::lru())
                .weigher(|_, entry: &Arc<Entry>| {
                    u32::try_from(entry.len() + OVERHEAD_BYTES).unwrap_or(u32::MAX)
                })
                .max_capacity(max_bytes)
                .time_to_live(keep_for)
                .build(),
        )
    }

    pub(super) async fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.0.get(key).await
    }

    /// Keeps an answer unless there is one that was stored later. One of another replica, whose clock is another, gives
    /// way to one that was loaded here after more looks.
    pub(super) async fn put(&self, key: Key, entry: Arc<Entry>) {
        self.0
            .entry(key)
            .and_compute_with(|present| {
                let newer = present.is_none_or(|present| {
                    let present = present.value();
                    present.stored <= entry.stored || !present.seen.has_all_of(entry.seen)
                });
                std::future::ready(if newer { Op::Put(entry) } else { Op::Nop })
            })
            .await;
    }

    /// Answers kept.
    pub(super) fn entry_count(&self) -> u64 {
        self.0.entry_count()
    }

    /// Memory that they take, an estimate.
    pub(super) fn bytes(&self) -> u64 {
        self.0.weighted_size()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use chrono::{DateTime, Utc};

    use super::super::entry::Answer;
    use super::super::key::tests::key;
    use super::*;

    fn entry(bytes: usize, second: u32) -> Arc<Entry> {
        let stored: DateTime<Utc> = format!("2026-03-10T12:00:{second:02}Z").parse().unwrap();
        let body = Answer::Found(Bytes::from(vec![b'1'; bytes]));
        Arc::new(Entry::new(body, stored, stored, stored))
    }

    #[tokio::test]
    async fn memory_is_bounded_in_bytes_and_keeps_the_newest() {
        let memory = Memory::new(10 * (1_000 + 512), Duration::from_secs(60));
        for number in 0..100 {
            memory.put(key(&format!("/{number}")), entry(1_000, 0)).await;
            memory.0.run_pending_tasks().await;
        }
        assert_eq!((memory.0.entry_count(), memory.0.weighted_size()), (10, 15_120));
        assert!(memory.get(&key("/99")).await.is_some());
        assert!(memory.get(&key("/89")).await.is_none());

        // What alone is more than the bound is not kept.
        memory.put(key("/large"), entry(20_000, 0)).await;
        memory.0.run_pending_tasks().await;
        assert!(memory.get(&key("/large")).await.is_none());
        assert!(memory.0.weighted_size() <= 15_120);
    }

    #[tokio::test]
    async fn an_older_answer_does_not_replace_a_newer_one() {
        let memory = Memory::new(100_000, Duration::from_secs(60));
        memory.put(key("/"), entry(2, 5)).await;
        memory.put(key("/"), entry(1, 4)).await;
        assert_eq!(memory.get(&key("/")).await.unwrap().len(), 2);
        memory.put(key("/"), entry(3, 6)).await;
        assert_eq!(memory.get(&key("/")).await.unwrap().len(), 3);
    }
}
