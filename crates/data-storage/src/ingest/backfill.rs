//! The worker that fills in vectors which were not there in time. Several replicas share the work.

use std::time::Duration;

use audit_store::compatibility::ModelIdentity;
use audit_store::{StoreError, WriteStore, pending};
use embedding::EmbeddingCache;
use service_kit::Clock;
use tokio::time::MissedTickBehavior;

use crate::late_vectors::embed_due;
use crate::metrics::Metrics;
use crate::model_identity;

pub(super) struct Backfill {
    store: WriteStore,
    vectors: EmbeddingCache,
    model: ModelIdentity,
    clock: Clock,
    metrics: Metrics,
}

impl Backfill {
    pub(super) fn new(store: WriteStore, vectors: EmbeddingCache, clock: Clock, metrics: Metrics) -> Self {
        let model = model_identity(vectors.embedder());
        Self {
            store,
            vectors,
            model,
            clock,
            metrics,
        }
    }

    /// Looks for pending texts in an interval, for ever.
    pub(super) async fn run(self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "pending texts could not be embedded; the next round tries again");
            }
        }
    }

    /// Embeds what is due, claim by claim, and ends early while the embedder is away. A text that fails waits for its
    /// next attempt and holds up no other.
    async fn round(&self) -> Result<(), StoreError> {
        self.measure().await?;
        let mut worked = false;
        while let Some(claim) = embed_due(&self.store, &self.model, &self.vectors, &self.clock).await? {
            worked = true;
            if claim.embedder_is_away {
                break;
            }
        }
        if worked {
            self.measure().await?;
        }
        Ok(())
    }

    async fn measure(&self) -> Result<(), StoreError> {
        let overview = self.store.bounded(pending::overview(&self.store)).await?;
        self.metrics.set_pending(&overview, self.clock.now());
        Ok(())
    }
}
