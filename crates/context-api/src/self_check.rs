//! Recall in production: searches with stored texts, held against a comparison with all of them.
//!
//! An index can lose recall as it grows, by a setting or by a defect, and nobody who searches sees what is missing.

use std::fmt;
use std::time::Duration;

use audit_store::Reader;
use audit_store::compatibility::ModelIdentity;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use service_kit::shutdown::Shutdown;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, timeout};

use crate::config::SearchConfig;
use crate::database::identity;
use crate::metrics::Metrics;
use crate::state::State;

/// Statements of one sample, at least as many as there are.
const STATEMENTS: u32 = 8;

/// Measures recall at ten in rounds.
pub struct SelfCheck {
    reader: Reader,
    model: ModelIdentity,
    metrics: Metrics,
    config: SearchConfig,
    random: StdRng,
}

impl SelfCheck {
    /// With texts chosen by the operating system's randomness.
    #[must_use]
    pub fn new(state: &State, config: SearchConfig) -> Self {
        Self::with_random(state, config, StdRng::from_os_rng())
    }

    /// The same texts in every run; for tests.
    #[must_use]
    pub fn seeded(state: &State, config: SearchConfig, seed: u64) -> Self {
        Self::with_random(state, config, StdRng::seed_from_u64(seed))
    }

    fn with_random(state: &State, config: SearchConfig, random: StdRng) -> Self {
        Self {
            reader: state.reader(),
            model: identity(state.embeddings.embedder().model()),
            metrics: Metrics::clone(&state.metrics),
            config,
            random,
        }
    }

    /// Starts the rounds, the first after one interval; they end with the service. Without an interval or a sample there
    /// are none.
    #[must_use]
    pub fn start(mut self, shutdown: Shutdown) -> JoinHandle<()> {
        tokio::spawn(async move {
            if self.config.self_check_interval.is_zero() || self.config.self_check_sample == 0 {
                return;
            }
            let mut ticks = tokio::time::interval(self.config.self_check_interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            let rounds = async {
                loop {
                    ticks.tick().await;
                    self.round().await;
                }
            };
            tokio::select! {
                () = rounds => {}
                () = shutdown.begun() => {}
            }
        })
    }

    /// One round: the share that is told afterwards is that of all nearest incidents of the sample. A failure ends it, so
    /// that a database in trouble has less to do.
    pub async fn round(&mut self) {
        let (mut found, mut nearest) = (0, 0);
        for _ in 0..self.config.self_check_sample {
            let place: f64 = self.random.random();
            let statement_timeout = self.config.self_check_timeout;
            let measured = self.reader.recall(&self.model, place, statement_timeout);
            // A server that is silently gone cuts nothing off.
            let limit = self.reader.time_limit().max(STATEMENTS * statement_timeout);
            let Ok(measured) = timeout(limit, measured).await else {
                self.metrics.count_recall_failure();
                tracing::warn!(
                    ?limit,
                    "the database did not answer while the recall of searches was measured"
                );
                break;
            };
            match measured {
                Ok(Some(sample)) => {
                    found += sample.found;
                    nearest += sample.nearest;
                    self.metrics.count_recall_sample();
                }
                Ok(None) => break,
                Err(error) => {
                    self.metrics.count_recall_failure();
                    tracing::warn!(%error, "the recall of searches could not be measured");
                    break;
                }
            }
        }
        self.metrics.set_recall(f64::from(found) / f64::from(nearest));
    }
}

impl fmt::Debug for SelfCheck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SelfCheck")
    }
}

impl SearchConfig {
    /// Measures nothing by itself.
    #[must_use]
    pub fn unchecked() -> Self {
        Self {
            self_check_interval: Duration::ZERO,
            self_check_sample: 0,
            self_check_timeout: Duration::from_secs(5),
        }
    }
}
