//! Wall-clock time as an argument.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// Digits after the second that PostgreSQL keeps.
const MICROSECOND_DIGITS: u16 = 6;

/// Tells the time, in UTC and in whole microseconds: a time that went through PostgreSQL equals itself.
///
/// Clones tell the same time. Durations are not measured with it, but with a monotonic clock.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// The clock of this machine.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until it is moved; for tests.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(start))))
    }

    /// The time now.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            #[expect(
                clippy::disallowed_methods,
                reason = "the one place where the time comes from"
            )]
            Source::System => Utc::now(),
            Source::Manual(time) => *time.lock().unwrap_or_else(PoisonError::into_inner),
        }
        .trunc_subsecs(MICROSECOND_DIGITS)
    }

    /// Moves a manual clock, and all its clones, forward; it stops at the end of representable time.
    ///
    /// # Panics
    ///
    /// On the system clock.
    pub fn advance(&self, by: Duration) {
        let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
        let mut time = self.manual_time().lock().unwrap_or_else(PoisonError::into_inner);
        *time = time.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC);
    }

    /// Sets a manual clock, and all its clones, to `time`, which may lie in its past.
    ///
    /// # Panics
    ///
    /// On the system clock.
    pub fn set(&self, time: DateTime<Utc>) {
        *self.manual_time().lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    fn manual_time(&self) -> &Mutex<DateTime<Utc>> {
        match &self.0 {
            Source::System => panic!("the system clock cannot be moved"),
            Source::Manual(time) => time,
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::System => f.write_str("Clock(system)"),
            Source::Manual(_) => write!(f, "Clock(manual, {})", self.now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_manual_clock_stands_still_until_moved_and_its_clones_move_along() {
        let clock = Clock::manual(at("2026-03-01T12:00:00Z"));
        let clone = clock.clone();
        assert_eq!(clone.now(), at("2026-03-01T12:00:00Z"));
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(clone.now(), at("2026-03-01T12:00:01.500Z"));
        clock.set(at("2026-02-01T00:00:00Z"));
        assert_eq!(clone.now(), at("2026-02-01T00:00:00Z"));
    }

    #[test]
    fn times_are_cut_to_microseconds() {
        let clock = Clock::manual(at("2026-03-01T12:00:00.123456789Z"));
        assert_eq!(clock.now(), at("2026-03-01T12:00:00.123456Z"));
        assert_eq!(Clock::system().now().timestamp_subsec_nanos() % 1_000, 0);
    }

    #[test]
    fn advancing_beyond_the_end_of_time_stops_there() {
        let clock = Clock::manual(at("2026-03-01T12:00:00Z"));
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), DateTime::<Utc>::MAX_UTC.trunc_subsecs(6));
    }

    #[test]
    #[should_panic(expected = "the system clock cannot be moved")]
    fn the_system_clock_cannot_be_moved() {
        Clock::system().advance(Duration::from_secs(1));
    }
}
