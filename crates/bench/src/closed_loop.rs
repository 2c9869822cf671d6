//! A load that waits: so many callers, each of which sends again when it has its answer. It finds out how much can be
//! done; its latencies are those of a service that is as busy as can be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::tally::{Outcome, Period, Recorder, Run};

/// Lets callers ask until the period is over, or until `send` has nothing more to send; returns when everything has come
/// to its end. Each request has a number, counted from 0 over all callers.
pub(crate) async fn run<F>(
    callers: usize,
    period: Period,
    send: impl Fn(u64) -> Option<(&'static str, F)> + Clone + Send + 'static,
) -> Run
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let recorder = Arc::new(Recorder::new(period));
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (recorder, next, send) = (Arc::clone(&recorder), Arc::clone(&next), send.clone());
        tasks.spawn(async move {
            loop {
                let begin = Instant::now();
                if begin >= period.end {
                    return;
                }
                let Some((operation, request)) = send(next.fetch_add(1, Ordering::Relaxed)) else {
                    return;
                };
                recorder.sent(begin, begin);
                let outcome = request.await;
                recorder.ended(operation, begin, Instant::now(), outcome);
            }
        });
    }
    tasks.join_all().await;
    recorder.run()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_caller_waits_for_its_answer() {
        let period = Period::new(Instant::now(), Duration::ZERO, Duration::from_secs(1));
        let run = run(4, period, |_| {
            Some(("get", async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Outcome::Status(200)
            }))
        })
        .await;
        assert_eq!((run.measured.due, run.measured.successes()), (40, 40));
        assert!((run.measured.latencies.quantiles().max - 100.0).abs() < 1.5);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_there_is_nothing_more_to_send() {
        let period = Period::new(Instant::now(), Duration::ZERO, Duration::from_secs(1));
        let run = run(3, period, |number| {
            (number < 7).then_some(("post", async { Outcome::Broken }))
        })
        .await;
        assert_eq!((run.measured.due, run.measured.successes()), (7, 0));
        assert_eq!(run.measured.outcomes[&Outcome::Broken], 7);
    }
}
