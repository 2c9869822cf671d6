//! What time brings: months that need partitions, months that are old, and keys that expire.

use std::time::Duration;

use audit_store::writer::remove_expired_keys;
use audit_store::{StoreError, WriteStore, ensure_partitions, partition_status, retention};
use service_kit::Clock;
use tokio::time::{Interval, MissedTickBehavior};

use crate::config::{PartitionsConfig, RetentionConfig};
use crate::metrics::{MaintenanceTask, Metrics};

/// Who drops months, as the ledger tells it.
const ACTOR: &str = "data-storage";

/// How long partitions or keys may take: DDL gives up soon, and deletions are small.
const SHORT_ROUND: Duration = Duration::from_secs(5 * 60);
/// How long it may take to drop months, each of which takes many rows of other tables with it.
const LONG_ROUND: Duration = Duration::from_secs(60 * 60);

/// Makes and drops partitions in intervals. Every replica may run it: the database lets one at a time.
pub struct Maintenance {
    store: WriteStore,
    clock: Clock,
    partitions: PartitionsConfig,
    retention: RetentionConfig,
    metrics: Metrics,
}

impl Maintenance {
    /// Maintenance of a database; nothing happens before [`Maintenance::run`].
    #[must_use]
    pub fn new(
        store: WriteStore,
        clock: Clock,
        partitions: PartitionsConfig,
        retention: RetentionConfig,
        metrics: Metrics,
    ) -> Self {
        Self {
            store,
            clock,
            partitions,
            retention,
            metrics,
        }
    }

    /// Runs for ever; the first rounds are at once, partitions before retention.
    pub async fn run(self) {
        let mut partitions = every(self.partitions.interval);
        let mut retention = every(self.retention.interval);
        loop {
            tokio::select! {
                biased;
                _ = partitions.tick() => {
                    let round = self.partitions_round();
                    self.tell(MaintenanceTask::Partitions, within(SHORT_ROUND, round).await);
                    let round = self.keys_round();
                    self.tell(MaintenanceTask::IdempotencyKeys, within(SHORT_ROUND, round).await);
                }
                _ = retention.tick() => {
                    let round = self.retention_round();
                    self.tell(MaintenanceTask::Retention, within(LONG_ROUND, round).await);
                }
            }
        }
    }

    async fn keys_round(&self) -> Result<(), StoreError> {
        let removed = remove_expired_keys(&self.store, self.clock.now()).await?;
        if removed > 0 {
            tracing::debug!(removed, "expired idempotency keys were removed");
        }
        Ok(())
    }

    fn tell(&self, task: MaintenanceTask, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.metrics.count_maintenance_failure(task);
            tracing::error!(task = task.label(), %error, "maintenance failed; the next round tries again");
        }
    }

    async fn partitions_round(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let window = self.retention.limit(self.partitions.window());
        let made = ensure_partitions(&self.store, now, window).await;
        // What there is counts, also where a round failed.
        let status = partition_status(&self.store, now).await?;
        self.metrics.show_partitions(&status);
        let round = made?;
        if !round.made.is_empty() {
            tracing::info!(partitions = ?round.made, "partitions were made");
        }
        if !round.elsewhere {
            self.metrics.show_missing_partitions(round.missing.len());
        }
        Ok(())
    }

    async fn retention_round(&self) -> Result<(), StoreError> {
        let Some(policy) = self.retention.policy() else {
            return Ok(());
        };
        let now = self.clock.now();
        if self.retention.dry_run {
            let plan = retention::plan(&self.store, policy, now).await?;
            let held = plan
                .months
                .iter()
                .filter(|month| !month.held_by.is_empty())
                .count();
            self.metrics.show_held_months(held);
            for month in &plan.months {
                tracing::info!(month = %month.month, rows = month.ledger_rows, held_by = ?month.held_by, "dry run: a month is old");
            }
            return Ok(());
        }
        let round = retention::apply(&self.store, policy, now, ACTOR).await?;
        let partitions = round.dropped.iter().map(|month| month.partitions.len()).sum();
        self.metrics.count_dropped_partitions(partitions);
        if !round.elsewhere {
            self.metrics.show_held_months(round.held.len());
        }
        for month in &round.held {
            tracing::info!(month = %month.month, held_by = ?month.held_by, "a month is old, and held");
        }
        if round.expired_default_rows > 0 {
            tracing::warn!(
                rows = round.expired_default_rows,
                "rows older than the policy are in the DEFAULT partition of the ledger, which retention does not touch"
            );
        }
        Ok(())
    }
}

/// A round that takes longer than its interval waits for a database that will not answer any more.
async fn within(
    limit: Duration,
    round: impl Future<Output = Result<(), StoreError>>,
) -> Result<(), StoreError> {
    tokio::time::timeout(limit, round)
        .await
        .unwrap_or_else(|_| Err(StoreError::timed_out()))
}

fn every(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
