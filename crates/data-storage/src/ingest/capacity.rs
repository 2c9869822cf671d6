//! How much may be on its way at once.
//!
//! Whatever a record takes up from its validation to its answer is taken from here first, so that memory is bounded
//! whatever callers, the embedder or the database do.

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for records on their way, counted and weighed.
#[derive(Clone)]
pub(super) struct Capacity {
    records: Limit,
    bytes: Limit,
    in_use: Gauge,
}

#[derive(Clone)]
struct Limit {
    permits: Arc<Semaphore>,
    all: u32,
}

/// What a submission holds of the capacity; dropping it gives it back.
pub(super) struct Reserved {
    count: i64,
    in_use: Gauge,
    _records: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Limit {
    fn new(all: usize) -> Self {
        let all = u32::try_from(all.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self {
            permits: Arc::new(Semaphore::new(
                usize::try_from(all).unwrap_or(Semaphore::MAX_PERMITS),
            )),
            all,
        }
    }

    /// What is more than everything is let in alone, or it would never be.
    fn take(&self, amount: usize) -> Option<OwnedSemaphorePermit> {
        let amount = u32::try_from(amount).unwrap_or(u32::MAX).min(self.all);
        Arc::clone(&self.permits).try_acquire_many_owned(amount).ok()
    }
}

impl Capacity {
    /// Room for so many records of so many bytes together. `in_use` shows the number of records.
    pub(super) fn new(records: usize, bytes: usize, in_use: Gauge) -> Self {
        Self {
            records: Limit::new(records),
            bytes: Limit::new(bytes),
            in_use,
        }
    }

    /// Takes room, or nothing if there is not enough now.
    pub(super) fn reserve(&self, records: usize, bytes: usize) -> Option<Reserved> {
        let (_records, _bytes) = (self.records.take(records)?, self.bytes.take(bytes)?);
        let count = i64::try_from(records).unwrap_or(i64::MAX);
        self.in_use.inc_by(count);
        Some(Reserved {
            count,
            in_use: self.in_use.clone(),
            _records,
            _bytes,
        })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.in_use.dec_by(self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_counted_and_weighed_and_given_back() {
        let in_use = Gauge::default();
        let capacity = Capacity::new(3, 100, in_use.clone());
        let first = capacity.reserve(2, 60).unwrap();
        assert_eq!(in_use.get(), 2);
        assert!(capacity.reserve(2, 1).is_none(), "too many records");
        assert!(capacity.reserve(1, 41).is_none(), "too many bytes");
        let second = capacity.reserve(1, 40).unwrap();
        assert_eq!(in_use.get(), 3);
        drop(first);
        assert_eq!(in_use.get(), 1);
        assert!(capacity.reserve(2, 60).is_some());
        drop(second);
        assert_eq!(in_use.get(), 0);
    }

    #[test]
    fn what_is_larger_than_everything_is_let_in_alone() {
        let capacity = Capacity::new(3, 100, Gauge::default());
        let huge = capacity.reserve(500, 1_000_000).unwrap();
        assert!(capacity.reserve(1, 1).is_none());
        drop(huge);
        let _small = capacity.reserve(1, 1).unwrap();
        assert!(capacity.reserve(500, 1).is_none());
    }
}
