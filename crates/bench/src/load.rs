//! One workload under both kinds of load.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::client::Client;
use crate::request::Request;
use crate::tally::{Period, Run};
use crate::{closed_loop, open_loop};

/// Time between the making of a schedule and its first request.
const AHEAD: Duration = Duration::from_millis(20);

/// How long a load goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Before anything counts.
    pub(crate) warm_up: Duration,
    /// While it counts.
    pub(crate) duration: Duration,
}

impl Times {
    /// Requests of an open loop, warm-up included.
    #[must_use]
    pub(crate) fn count_at(&self, rate: f64) -> usize {
        (rate * (self.warm_up + self.duration).as_secs_f64()).ceil() as usize
    }

    fn period(&self) -> Period {
        Period::new(Instant::now() + AHEAD, self.warm_up, self.duration)
    }
}

/// A run, and how many seconds passed from when it began to count until its last answer.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What came of the requests.
    pub(crate) run: Run,
    /// Seconds.
    pub(crate) until: f64,
}

/// Sends prepared requests at a rate, in their order; there must be enough of them.
///
/// # Errors
/// Where the system has no thread to give.
pub(crate) async fn open(
    client: &Arc<Client>,
    requests: &Arc<Vec<Request>>,
    order: impl Fn(u64) -> usize,
    times: Times,
    rate: f64,
    in_flight: u32,
) -> anyhow::Result<Loaded> {
    let period = times.period();
    let arrivals = open_loop::pace(open_loop::Schedule::new(period, rate))?;
    let run = open_loop::dispatch(arrivals, period, in_flight, |number| {
        let index = order(number) % requests.len();
        let (client, requests) = (Arc::clone(client), Arc::clone(requests));
        (requests[index].operation, async move {
            client.send(&requests[index]).await
        })
    })
    .await;
    Ok(Loaded {
        run,
        until: period.counts_from.elapsed().as_secs_f64(),
    })
}

/// Lets callers send prepared requests, in the order that `order` gives, until it gives nothing more.
pub(crate) async fn closed(
    client: &Arc<Client>,
    requests: &Arc<Vec<Request>>,
    order: impl Fn(u64) -> Option<usize> + Clone + Send + 'static,
    times: Times,
    callers: usize,
) -> Loaded {
    let period = Period::new(Instant::now(), times.warm_up, times.duration);
    let (client, requests) = (Arc::clone(client), Arc::clone(requests));
    let run = closed_loop::run(callers, period, move |number| {
        let index = order(number)?;
        let operation = requests.get(index)?.operation;
        let (client, requests) = (Arc::clone(&client), Arc::clone(&requests));
        Some((operation, async move { client.send(&requests[index]).await }))
    })
    .await;
    Loaded {
        run,
        until: period.counts_from.elapsed().as_secs_f64(),
    }
}
