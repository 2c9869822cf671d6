//! When the next transaction begins: so that records share transactions while there are many of them.
//!
//! A transaction costs several times as much as a record in it. While three or more records are to be expected within
//! `writer.linger`, transactions begin no closer to each other than that. A caller alone, who sends one record after the
//! other, is therefore never slowed down to less than three records in that time, and what comes after a pause does not
//! wait at all. Nor does a transaction wait that has [`ENOUGH`] records.

use std::time::{Duration, Instant};

/// The rate is that of about the last so much time.
const MEMORY: Duration = Duration::from_millis(100);
/// How many records must be expected, the waiting one included, for it to wait for the others.
const COMPANY: f64 = 3.0;
/// Records with which a transaction waits for no more. One of a single record costs PostgreSQL about 1.8 ms, one of 16 about
/// 5.2 ms: further company saves little for each, and many callers who wait for their answers have nothing else to send.
pub(super) const ENOUGH: usize = 16;

/// The pace of the transactions of all writer tasks.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    linger: Duration,
    last: Option<Instant>,
    /// Requests a second at `last`; less since.
    rate: f64,
}

impl Pace {
    pub(super) fn new(linger: Duration) -> Self {
        Self {
            linger,
            last: None,
            rate: 0.0,
        }
    }

    /// Until when a request waits for others that may share its transaction; `None` if it is not to wait.
    pub(super) fn wait_until(&self, now: Instant) -> Option<Instant> {
        let expected = self.rate_at(now) * self.linger.as_secs_f64();
        let until = self.last? + self.linger;
        (expected >= COMPANY && until > now).then_some(until)
    }

    /// A transaction of so many requests begins.
    pub(super) fn begin(&mut self, now: Instant, requests: usize) {
        self.rate = self.rate_at(now) + requests as f64 / MEMORY.as_secs_f64();
        self.last = Some(now);
    }

    fn rate_at(&self, now: Instant) -> f64 {
        let since = self
            .last
            .map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        self.rate * (-since.as_secs_f64() / MEMORY.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_millis(10);

    /// A pace after so many requests, one in each transaction, so far apart.
    fn after(requests: u32, apart: Duration) -> (Pace, Instant) {
        let (mut pace, mut now) = (Pace::new(LINGER), Instant::now());
        for _ in 0..requests {
            now += apart;
            pace.begin(now, 1);
        }
        (pace, now)
    }

    #[test]
    fn the_first_request_does_not_wait() {
        assert_eq!(Pace::new(LINGER).wait_until(Instant::now()), None);
    }

    #[test]
    fn a_request_among_many_waits_for_the_rest_of_the_time_since_the_last_transaction() {
        let (pace, last) = after(200, Duration::from_millis(2));
        let now = last + Duration::from_millis(1);
        assert_eq!(pace.wait_until(now), Some(last + LINGER));
        assert_eq!(pace.wait_until(last + LINGER), None, "it has waited long enough");
    }

    #[test]
    fn a_caller_who_waits_for_each_answer_is_not_slowed_down() {
        let (pace, last) = after(1_000, Duration::from_millis(4));
        assert_eq!(pace.wait_until(last + Duration::from_millis(4)), None);
    }

    #[test]
    fn what_comes_after_a_pause_does_not_wait() {
        let (mut pace, last) = after(1_000, Duration::from_millis(1));
        let later = last + Duration::from_millis(500);
        assert_eq!(pace.wait_until(later), None);
        pace.begin(later, 1);
        assert_eq!(pace.wait_until(later + Duration::from_millis(1)), None);
    }

    #[test]
    fn without_linger_nothing_waits() {
        let mut pace = Pace::new(Duration::ZERO);
        let now = Instant::now();
        pace.begin(now, 1_000);
        assert_eq!(pace.wait_until(now), None);
    }
}
