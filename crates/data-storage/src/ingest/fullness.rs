//! Whether the database has room, as far as the last writes could tell.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a write that found no room speaks for the next ones. A service that is not ready gets no requests, and
/// only a request can find out that there is room again; so it tries its luck after this time.
pub(super) const FULL_FOR: Duration = Duration::from_secs(10);

/// Clones tell of one database.
#[derive(Debug, Clone, Default)]
pub(super) struct Fullness(Arc<Mutex<Option<Instant>>>);

impl Fullness {
    /// A write found no room.
    pub(super) fn is_full(&self) {
        self.set(Some(Instant::now()));
    }

    /// A write was stored.
    pub(super) fn has_room(&self) {
        self.set(None);
    }

    /// Whether a write should not be expected to succeed.
    pub(super) fn holds(&self) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < FULL_FOR)
    }

    fn set(&self, last: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }
}
