//! How far the database lags behind its primary, if it is a standby.
//!
//! The *replay lag* is an upper bound of how old the newest thing is that an answer may lack:
//!
//! - 0 on a primary, and on a standby that is connected and has replayed all that it received;
//! - otherwise the time since it was last seen like that, or since the primary committed what was replayed last,
//!   whichever is less.
//!
//! So a standby whose primary is gone lags more with every second, though there may be nothing that it lacks: it cannot
//! know. A quiet primary lets nobody lag.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audit_store::reader::Replication;
use audit_store::{Reader, StoreError};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use service_kit::health::CheckFailure;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// How often the database is asked. Between two answers the lag is the last one's.
const EVERY: Duration = Duration::from_secs(1);

/// How long an answer may take; then there is none.
const DEADLINE: Duration = Duration::from_secs(1);

/// The lag of one database, kept by a task that ends with the last clone.
#[derive(Debug, Clone)]
pub struct ReplayLag(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Arc<Mutex<State>>,
    task: Option<AbortHandle>,
    /// More than this is degraded.
    max: Duration,
}

#[derive(Debug)]
struct State {
    standby: bool,
    /// Whether the last answer said so.
    caught_up: bool,
    /// When an answer last said so; before the first answer, when asking began.
    last_caught_up: Instant,
    /// When the primary committed what was replayed last.
    last_commit: Option<Instant>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// More than `database.max_replay_lag`.
#[derive(Debug, thiserror::Error)]
#[error("the replica lags {0:?} behind")]
struct Lags(Duration);

impl ReplayLag {
    /// Asks a database from now on. More lag than `max` is degraded. Must run in a Tokio runtime.
    #[must_use]
    pub fn watch(reader: &Reader, max: Duration) -> Self {
        let state = Arc::new(Mutex::new(State::new()));
        let task = tokio::spawn(watch(reader.clone(), Arc::clone(&state))).abort_handle();
        Self(Arc::new(Inner {
            state,
            task: Some(task),
            max,
        }))
    }

    /// That of a primary.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::new(Inner {
            state: Arc::new(Mutex::new(State::new())),
            task: None,
            max: Duration::MAX,
        }))
    }

    /// The replay lag now.
    #[must_use]
    pub fn lag(&self) -> Duration {
        lock(&self.0.state).lag()
    }

    /// Puts the lag into a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Gauge(self.clone())));
    }

    /// Whether answers are as new as they should be.
    ///
    /// # Errors
    /// If the lag is above the configured one.
    pub(crate) fn check(&self) -> Result<(), CheckFailure> {
        let lag = self.lag();
        if lag <= self.0.max {
            return Ok(());
        }
        Err(
            CheckFailure::new("the database is a replica that lags behind: answers are as old as its data")
                .with_cause(Lags(lag)),
        )
    }
}

/// The lag when somebody asks.
#[derive(Debug)]
struct Gauge(ReplayLag);

impl Collector for Gauge {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauge = ConstGauge::new(self.0.lag().as_secs_f64());
        let metric = encoder.encode_descriptor(
            "database_replay_lag",
            "How old the newest thing is that answers may lack, at most, because the database is a standby; 0 on a primary.",
            Some(&Unit::Seconds),
            gauge.metric_type(),
        )?;
        gauge.encode(metric)
    }
}

impl State {
    fn new() -> Self {
        Self {
            standby: false,
            caught_up: false,
            last_caught_up: Instant::now(),
            last_commit: None,
        }
    }

    fn lag(&self) -> Duration {
        if !self.standby || self.caught_up {
            return Duration::ZERO;
        }
        let since_commit = self.last_commit.map_or(Duration::MAX, |commit| commit.elapsed());
        self.last_caught_up.elapsed().min(since_commit)
    }

    /// Takes an answer in. `asked` is when it was asked for: what it says may have been over when it came.
    fn heard(&mut self, asked: Instant, answer: Result<Replication, StoreError>) {
        match answer {
            Ok(Replication::Primary) => {
                self.standby = false;
                self.last_caught_up = asked;
            }
            Ok(Replication::Standby {
                caught_up,
                since_last_commit,
            }) => {
                self.standby = true;
                self.caught_up = caught_up;
                if caught_up {
                    self.last_caught_up = asked;
                }
                self.last_commit = since_last_commit.and_then(|since| asked.checked_sub(since));
            }
            // A standby that does not answer may replay or not.
            Err(_away) => self.caught_up = false,
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn watch(reader: Reader, state: Arc<Mutex<State>>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = Instant::now();
        let answer = timeout(DEADLINE, reader.replication()).await;
        let answer = answer.unwrap_or_else(|_elapsed| Err(StoreError::timed_out()));
        lock(&state).heard(asked, answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standby(caught_up: bool, since: Option<u64>) -> Result<Replication, StoreError> {
        Ok(Replication::Standby {
            caught_up,
            since_last_commit: since.map(Duration::from_secs),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn the_lag_is_the_lesser_of_two_upper_bounds() {
        let mut state = State::new();
        let pass = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        let seconds = |state: &State| state.lag().as_secs();
        pass(100).await;
        state.heard(Instant::now(), Ok(Replication::Primary));
        pass(5).await;
        assert_eq!(seconds(&state), 0, "a primary");
        state.heard(Instant::now(), standby(true, Some(80)));
        pass(5).await;
        assert_eq!(seconds(&state), 0, "a quiet primary");
        state.heard(Instant::now(), standby(false, Some(90)));
        assert_eq!(seconds(&state), 5, "behind since it had caught up");
        pass(5).await;
        state.heard(Instant::now(), standby(false, Some(2)));
        assert_eq!(seconds(&state), 2, "it replays, two seconds late");
        state.heard(Instant::now(), Err(StoreError::timed_out()));
        pass(3).await;
        assert_eq!(seconds(&state), 5, "who does not answer may not replay");
        state.heard(Instant::now(), standby(false, None));
        assert_eq!(seconds(&state), 13, "nothing was replayed since a restart");
        state.heard(Instant::now(), Ok(Replication::Primary));
        assert_eq!(seconds(&state), 0, "promoted");
    }
}
