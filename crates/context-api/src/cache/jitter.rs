//! Lifetimes that differ, so that what was stored together does not expire together.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The largest part of a lifetime that is taken away.
const SHARE: f64 = 0.1;

/// Shortens lifetimes by up to a tenth, never lengthens them: what is configured is a bound. Clones share a generator.
#[derive(Clone)]
pub struct Jitter(Arc<Mutex<StdRng>>);

impl Jitter {
    /// Seeded by the operating system.
    ///
    /// # Panics
    /// If the operating system gives no randomness.
    #[must_use]
    pub fn from_os() -> Self {
        Self(Arc::new(Mutex::new(StdRng::from_os_rng())))
    }

    /// The same in every run; for tests.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    pub(super) fn shorten(&self, lifetime: Duration) -> Duration {
        let share: f64 = self.0.lock().unwrap_or_else(PoisonError::into_inner).random();
        lifetime.mul_f64(1.0 - SHARE * share)
    }
}

impl fmt::Debug for Jitter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Jitter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_nine_tenths_to_the_whole_and_differ() {
        let jitter = Jitter::seeded(1);
        let mut lifetimes: Vec<_> = (0..100)
            .map(|_| jitter.shorten(Duration::from_secs(10)))
            .collect();
        lifetimes.sort();
        lifetimes.dedup();
        assert_eq!(lifetimes.len(), 100);
        assert!(lifetimes[0] > Duration::from_secs(9) && lifetimes[0] < Duration::from_millis(9_200));
        assert!(lifetimes[99] > Duration::from_millis(9_800) && lifetimes[99] <= Duration::from_secs(10));
        assert_eq!(jitter.shorten(Duration::ZERO), Duration::ZERO);
    }
}
