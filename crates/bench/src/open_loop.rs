//! A load that does not wait: requests are due at a fixed rate, whatever becomes of those before them.
//!
//! A request takes from when it was *due*. If the service stands still for a second, everybody who would have come in
//! that second has waited, and is counted; a generator that waits for an answer before it sends again counts one.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::tally::{Outcome, Period, Recorder, Run};

/// Due requests that wait to be looked at: enough that the pacing thread hardly ever waits.
const WAITING: usize = 4_096;

/// When each request is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    period: Period,
    rate: f64,
}

/// A request is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Which one, from 0.
    pub(crate) number: u64,
    /// When it is due.
    pub(crate) due: Instant,
}

impl Schedule {
    /// `rate` requests in each second of a period, at equal distances.
    #[must_use]
    pub(crate) fn new(period: Period, rate: f64) -> Self {
        Self { period, rate }
    }

    /// When a request is due. It depends on its number alone: who is late does not make others late.
    #[must_use]
    pub(crate) fn due(&self, number: u64) -> Instant {
        self.period.begin + Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// All of them, in order.
    pub(crate) fn arrivals(self) -> impl Iterator<Item = Arrival> {
        (0..)
            .map(move |number| Arrival {
                number,
                due: self.due(number),
            })
            .take_while(move |arrival| arrival.due < self.period.end)
    }
}

/// Starts a thread that lets every arrival go when it is due. A thread, because the runtime's timers count in
/// milliseconds, and that would be a part of every latency.
///
/// # Errors
/// Where the system has no thread to give.
pub(crate) fn pace(schedule: Schedule) -> std::io::Result<mpsc::Receiver<Arrival>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    thread::Builder::new().name("pace".to_owned()).spawn(move || {
        for arrival in schedule.arrivals() {
            thread::sleep(arrival.due.saturating_duration_since(Instant::now()));
            if sender.blocking_send(arrival).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// Sends what is due, and returns when everything has come to its end.
///
/// At most `in_flight` requests are under way; what is due beyond that is dropped, and counted as dropped.
pub(crate) async fn dispatch<F>(
    mut arrivals: mpsc::Receiver<Arrival>,
    period: Period,
    in_flight: u32,
    mut send: impl FnMut(u64) -> (&'static str, F),
) -> Run
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let recorder = Arc::new(Recorder::new(period));
    let room = Arc::new(Semaphore::new(in_flight as usize));
    while let Some(Arrival { number, due }) = arrivals.recv().await {
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            recorder.dropped(due);
            continue;
        };
        let (operation, request) = send(number);
        recorder.sent(due, Instant::now());
        let recorder = Arc::clone(&recorder);
        tokio::spawn(async move {
            let outcome = request.await;
            recorder.ended(operation, due, Instant::now(), outcome);
            drop(place);
        });
    }
    // All places are free when nothing is under way.
    let _all = room.acquire_many(in_flight).await;
    recorder.run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closed_loop;

    const SECOND: Duration = Duration::from_secs(1);

    /// A service that answers in a millisecond, and stands still from the first second to the third.
    async fn stalling(begin: Instant) -> Outcome {
        let now = Instant::now();
        if now >= begin + SECOND {
            tokio::time::sleep_until(begin + 3 * SECOND).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        Outcome::Status(200)
    }

    /// Arrivals by the clock of the test, which moves only when everybody waits for it.
    fn by_the_tests_clock(schedule: Schedule) -> mpsc::Receiver<Arrival> {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            for arrival in schedule.arrivals() {
                tokio::time::sleep_until(arrival.due).await;
                sender.send(arrival).await.unwrap();
            }
        });
        receiver
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_while_the_service_stands_still_has_waited_from_when_they_came() {
        let begin = Instant::now();
        let period = Period::new(begin, Duration::ZERO, 5 * SECOND);
        let arrivals = by_the_tests_clock(Schedule::new(period, 100.0));
        let run = dispatch(arrivals, period, 1_000, |_| ("get", stalling(begin))).await;
        assert_eq!((run.measured.due, run.measured.dropped), (500, 0));
        assert_eq!(run.measured.successes(), 500);
        // One every 10 ms from 1.00 s to 2.99 s waited until 3 s; 1.90 s of them for a tenth of a second and longer.
        let slow = Duration::from_millis(100);
        assert_eq!(run.measured.latencies.count_from(slow), 191);
        assert_eq!(run.measured.latencies.count_from(SECOND), 101);
        // The same service, asked by one who waits for each answer: one slow answer, and a fine p99.
        let begin = Instant::now();
        let period = Period::new(begin, Duration::ZERO, 5 * SECOND);
        let waiting = closed_loop::run(1, period, move |_| Some(("get", stalling(begin)))).await;
        assert_eq!(waiting.measured.latencies.count_from(slow), 1);
        assert!(waiting.measured.latencies.quantiles().p99 < 2.1);
        assert!(run.measured.latencies.quantiles().p99 > 1_900.0);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_could_not_even_be_sent_meanwhile_has_waited_from_when_they_came() {
        let begin = Instant::now();
        let period = Period::new(begin, Duration::ZERO, 5 * SECOND);
        let mut due = by_the_tests_clock(Schedule::new(period, 100.0));
        // A generator that stands still with the service: nothing of the two seconds is sent before they are over, and
        // from then on each answer takes a millisecond from when it was sent.
        let (sender, arrivals) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            while let Some(arrival) = due.recv().await {
                if arrival.due >= begin + SECOND {
                    tokio::time::sleep_until(begin + 3 * SECOND).await;
                }
                sender.send(arrival).await.unwrap();
            }
        });
        let run = dispatch(arrivals, period, 1_000, |_| ("get", stalling(begin))).await;
        assert_eq!((run.measured.due, run.measured.successes()), (500, 500));
        // As many as where they were sent in time, and as late: counted from when they were sent, none would have waited.
        let slow = Duration::from_millis(100);
        assert_eq!(run.measured.latencies.count_from(slow), 191);
        assert_eq!(run.measured.latencies.count_from(SECOND), 101);
        assert!(run.measured.latencies.quantiles().p99 > 1_900.0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_there_is_no_room_for_is_dropped_and_counted() {
        let begin = Instant::now();
        let period = Period::new(begin, Duration::ZERO, 5 * SECOND);
        let arrivals = by_the_tests_clock(Schedule::new(period, 100.0));
        let run = dispatch(arrivals, period, 50, |_| ("get", stalling(begin))).await;
        assert_eq!((run.measured.due, run.measured.dropped), (500, 151));
        assert_eq!(run.measured.ended(), 349);
    }

    #[tokio::test(start_paused = true)]
    async fn a_generator_that_is_late_adds_its_lateness_and_tells_it() {
        let begin = Instant::now();
        let period = Period::new(begin, Duration::ZERO, SECOND);
        let (sender, receiver) = mpsc::channel(WAITING);
        for arrival in Schedule::new(period, 10.0).arrivals() {
            sender.send(arrival).await.unwrap();
        }
        drop(sender);
        tokio::time::sleep(SECOND).await;
        let run = dispatch(receiver, period, 100, |_| ("get", async { Outcome::Status(204) })).await;
        // Due at 0, 100, … 900 ms, and all of them sent after a second.
        let late = run.measured.lateness.quantiles();
        assert_eq!(late.count, 10);
        assert!(
            (late.max - 1_000.0).abs() < 1.0 && (late.p50 - 500.0).abs() < 1.0,
            "{late:?}"
        );
        assert_eq!(run.measured.latencies.quantiles(), late);
    }

    #[tokio::test(start_paused = true)]
    async fn the_warm_up_is_counted_apart_and_failures_have_no_latency() {
        let begin = Instant::now();
        let period = Period::new(begin, SECOND, 2 * SECOND);
        let arrivals = by_the_tests_clock(Schedule::new(period, 10.0));
        let run = dispatch(arrivals, period, 100, |number| {
            let outcome = match number % 5 {
                0 => Outcome::Status(503),
                1 => Outcome::TimedOut,
                _ => Outcome::Status(201),
            };
            ("post", async move { outcome })
        })
        .await;
        assert_eq!((run.warm_up.due, run.warm_up.successes()), (10, 6));
        let measured = &run.measured;
        assert_eq!(
            (measured.due, measured.ended(), measured.successes()),
            (20, 20, 12)
        );
        assert_eq!((measured.status(503), measured.status(201)), (4, 12));
        assert_eq!(measured.outcomes[&Outcome::TimedOut], 4);
        assert_eq!(run.per_second, [6, 6]);
    }

    #[test]
    fn a_schedule_is_exact_however_long_it_is() {
        let period = Period::new(Instant::now(), Duration::ZERO, 3 * SECOND);
        let schedule = Schedule::new(period, 333.0);
        assert_eq!(schedule.arrivals().count(), 999);
        assert_eq!(schedule.due(333), period.begin + SECOND);
        assert_eq!(schedule.due(333 * 3_600), period.begin + 3_600 * SECOND);
    }

    #[test]
    fn no_arrival_goes_before_it_is_due() {
        let period = Period::new(Instant::now(), Duration::ZERO, Duration::from_millis(50));
        let mut arrivals = pace(Schedule::new(period, 1_000.0)).unwrap();
        let mut count = 0;
        while let Some(arrival) = arrivals.blocking_recv() {
            assert!(Instant::now() >= arrival.due);
            count += 1;
        }
        assert_eq!(count, 50);
    }
}
