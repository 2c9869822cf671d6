//! The tier of this process.

use std::collections::hash_map::RandomState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use hashlink::LinkedHashMap;

use super::entry::Entry;
use super::key::Key;

/// What an entry costs beside its answer: key, times, reference counts, the cache's own bookkeeping. An estimate.
const OVERHEAD_BYTES: usize = 512;

/// Answers in memory, bounded in bytes: beyond, the least recently used go.
///
/// One lock, held for a look or a change of a few pointers: far less than the rest of a request takes.
#[derive(Debug, Clone)]
pub(super) struct Memory(Arc<Mutex<Kept>>);

/// An answer in memory.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub(super) entry: Arc<Entry>,
    /// How often it was looked at before.
    pub(super) looks: u32,
}

#[derive(Debug)]
struct Kept {
    /// The least recently used first.
    answers: LinkedHashMap<Key, Remembered, RandomState>,
    bytes: usize,
    max_bytes: usize,
}

impl Memory {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self(Arc::new(Mutex::new(Kept {
            answers: LinkedHashMap::with_hasher(RandomState::new()),
            bytes: 0,
            max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
        })))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: &Key) -> Option<Remembered> {
        let mut kept = self.kept();
        let found = kept.answers.to_back(key)?;
        let before = found.clone();
        found.looks = found.looks.saturating_add(1);
        Some(before)
    }

    /// Keeps an answer unless there is one that was stored later. One of another replica, whose clock is another, gives
    /// way to one that was loaded here after more looks. What nobody asked for since its time was over goes.
    pub(super) fn put(&self, key: Key, entry: Arc<Entry>, now: DateTime<Utc>) {
        let mut kept = self.kept();
        let newer = kept.answers.get(&key).is_none_or(|present| {
            let present = &present.entry;
            present.stored <= entry.stored || !present.seen.has_all_of(entry.seen)
        });
        if newer {
            kept.replace(key, entry);
        }
        kept.forget(now);
    }

    /// Answers kept.
    pub(super) fn entry_count(&self) -> u64 {
        self.kept().answers.len() as u64
    }

    /// Memory that they take, an estimate.
    pub(super) fn bytes(&self) -> u64 {
        self.kept().bytes as u64
    }
}

impl Kept {
    fn replace(&mut self, key: Key, entry: Arc<Entry>) {
        self.bytes += cost(&entry);
        // It becomes the most recently used.
        if let Some(before) = self.answers.insert(key, Remembered { entry, looks: 0 }) {
            self.bytes -= cost(&before.entry);
        }
    }

    /// Lets the least recently used go, for want of room or because their time is over.
    fn forget(&mut self, now: DateTime<Utc>) {
        while let Some((_, oldest)) = self.answers.front()
            && (self.bytes > self.max_bytes || !oldest.entry.is_usable(now))
        {
            if let Some((_, gone)) = self.answers.pop_front() {
                self.bytes -= cost(&gone.entry);
            }
        }
    }
}

fn cost(entry: &Entry) -> usize {
    entry.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::super::entry::Answer;
    use super::super::key::tests::key;
    use super::*;

    fn at(second: u32) -> DateTime<Utc> {
        format!("2026-03-10T12:00:{second:02}Z").parse().unwrap()
    }

    /// An answer that was stored at this second, and may be told for 30.
    fn entry(bytes: usize, second: u32) -> Arc<Entry> {
        let body = Answer::Found(Bytes::from(vec![b'1'; bytes]));
        let (stored, until) = (at(second), at(second + 30));
        Arc::new(Entry::new(body, stored, until, until))
    }

    #[test]
    fn memory_is_bounded_in_bytes_and_keeps_what_was_used_last() {
        let memory = Memory::new(10 * (1_000 + 512));
        for number in 0..100 {
            memory.put(key(&format!("/{number}")), entry(1_000, 0), at(0));
            memory.get(&key("/7"));
        }
        assert_eq!((memory.entry_count(), memory.bytes()), (10, 15_120));
        assert!(memory.get(&key("/7")).is_some());
        assert!(memory.get(&key("/99")).is_some());
        assert!(memory.get(&key("/90")).is_none());

        // What alone is more than the bound is not kept, and takes the place of all.
        memory.put(key("/large"), entry(20_000, 0), at(0));
        assert_eq!((memory.entry_count(), memory.bytes()), (0, 0));
    }

    #[test]
    fn an_older_answer_does_not_replace_a_newer_one() {
        let memory = Memory::new(100_000);
        for (bytes, stored, kept) in [(2, 5, 2), (1, 4, 2), (3, 6, 3)] {
            memory.put(key("/"), entry(bytes, stored), at(6));
            assert_eq!(memory.get(&key("/")).unwrap().entry.len(), kept);
            assert_eq!(memory.bytes(), 512 + kept as u64);
        }
    }

    #[test]
    fn looks_are_counted_from_when_an_answer_came() {
        let memory = Memory::new(100_000);
        let looks = || memory.get(&key("/")).map(|found| found.looks);
        assert_eq!(looks(), None);
        memory.put(key("/"), entry(1, 0), at(0));
        assert_eq!([looks(), looks(), looks()], [Some(0), Some(1), Some(2)]);
        memory.put(key("/"), entry(1, 1), at(1));
        assert_eq!(looks(), Some(0));
    }

    #[test]
    fn what_nobody_asks_for_goes_when_its_time_is_over() {
        let memory = Memory::new(100_000);
        memory.put(key("/a"), entry(1, 0), at(0));
        memory.put(key("/b"), entry(1, 5), at(5));
        memory.put(key("/c"), entry(1, 29), at(29));
        assert_eq!(memory.entry_count(), 3);
        memory.put(key("/d"), entry(1, 29), at(30));
        assert_eq!(memory.entry_count(), 3);
        memory.put(key("/e"), entry(1, 29), at(36));
        assert_eq!((memory.entry_count(), memory.bytes()), (3, 3 * 513));
    }
}
