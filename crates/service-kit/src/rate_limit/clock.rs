//! Time that only moves forward, as an argument.

use std::time::{Duration, Instant};

use governor::{
    clock::{Clock, FakeRelativeClock},
    nanos::Nanos,
};

/// Measures time for the limits; clones tell the same time. Unlike [`crate::Clock`] it knows no date and never goes
/// back: a corrected wall clock must neither grant nor withhold anything.
#[derive(Clone, Debug)]
pub struct SteadyClock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { origin: Instant },
    Manual(FakeRelativeClock),
}

impl SteadyClock {
    /// The monotonic clock of this machine.
    pub fn system() -> Self {
        Self(Source::System {
            origin: Instant::now(),
        })
    }

    /// A clock that stands still until it is moved; for tests.
    pub fn manual() -> Self {
        Self(Source::Manual(FakeRelativeClock::default()))
    }

    /// Moves a manual clock, and all its clones, forward.
    ///
    /// # Panics
    ///
    /// On the system clock, and beyond 584 years.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::System { .. } => panic!("the system clock cannot be moved"),
            Source::Manual(clock) => clock.advance(by),
        }
    }
}

impl Clock for SteadyClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        match &self.0 {
            // 64 bits of nanoseconds are 584 years.
            Source::System { origin } => u64::try_from(origin.elapsed().as_nanos())
                .unwrap_or(u64::MAX)
                .into(),
            Source::Manual(clock) => clock.now(),
        }
    }
}
