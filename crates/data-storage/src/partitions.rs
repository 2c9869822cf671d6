//! Keeping partitions ahead of time.

use audit_store::{WriteStore, ensure_partitions};
use service_kit::Clock;
use tokio::time::MissedTickBehavior;

use crate::config::PartitionsConfig;

/// Makes missing partitions in an interval, for ever. Every replica may run it; an advisory lock lets one at a time.
pub(crate) async fn keep_ahead(store: WriteStore, clock: Clock, config: PartitionsConfig) {
    let mut ticks = tokio::time::interval(config.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is immediate, and start-up has just done this.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let round = ensure_partitions(&store, clock.now(), config.window());
        match store.bounded(round).await {
            Ok(made) if made.is_empty() => {}
            Ok(made) => tracing::info!(partitions = ?made, "partitions were made"),
            Err(error) => tracing::error!(%error, "partitions could not be made; the next round tries again"),
        }
    }
}
