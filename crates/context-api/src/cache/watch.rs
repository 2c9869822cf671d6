//! The task that looks for changes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit_store::Reader;
use audit_store::reader::ChangeFeed;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::changes::Changes;
use super::metrics::CacheMetrics;

/// How long a look may take. It costs milliseconds; a database that takes longer is away.
const LOOK_DEADLINE: Duration = Duration::from_secs(5);

/// The task, which ends with this.
#[derive(Debug)]
pub(super) struct Watch {
    task: AbortHandle,
    begun: LastLook,
}

/// When the last look that succeeded began.
#[derive(Debug, Clone)]
pub(super) struct LastLook(Arc<Mutex<Instant>>);

impl LastLook {
    /// How far what is known of the database lies back. It counts from the start until there is a look.
    pub(super) fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Looks now and then once in every interval. Must run in a Tokio runtime.
    pub(super) fn start(
        reader: &Reader,
        every: Duration,
        changes: Arc<Changes>,
        metrics: CacheMetrics,
    ) -> Self {
        let feed = ChangeFeed::of(reader, LOOK_DEADLINE);
        let begun = LastLook(Arc::new(Mutex::new(Instant::now())));
        let task = tokio::spawn(watch(feed, every, changes, metrics, begun.clone())).abort_handle();
        Self { task, begun }
    }

    pub(super) fn last_look(&self) -> LastLook {
        self.begun.clone()
    }
}

async fn watch(
    mut feed: ChangeFeed,
    every: Duration,
    changes: Arc<Changes>,
    metrics: CacheMetrics,
    last: LastLook,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = false;
    loop {
        ticks.tick().await;
        let began = Instant::now();
        match feed.look().await {
            Ok(look) => {
                changes.found(&look);
                *last.0.lock().unwrap_or_else(PoisonError::into_inner) = began;
                if std::mem::take(&mut told) {
                    tracing::info!("changes in the database are seen again");
                }
            }
            Err(error) => {
                metrics.look_failed();
                if !std::mem::replace(&mut told, true) {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "changes in the database are not seen: answers are kept for their whole lifetime");
                }
            }
        }
    }
}
