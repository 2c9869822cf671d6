//! The worker that fills in vectors which were not there in time. Several replicas share the work.

use std::time::Duration;

use audit_store::{StoreError, WriteStore, pending};
use embedding::EmbeddingCache;
use tokio::time::MissedTickBehavior;

use crate::metrics::Metrics;

/// Texts claimed at once: one batch of the model.
const BATCH: i64 = 32;

/// Looks for pending texts in an interval, for ever.
pub(super) async fn run(store: WriteStore, vectors: EmbeddingCache, interval: Duration, metrics: Metrics) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = drain(&store, &vectors, &metrics).await {
            tracing::warn!(%error, "pending texts could not be embedded; the next round tries again");
        }
    }
}

/// One round through all pending texts. A text that cannot be embedded waits for the next round and holds up no other.
async fn drain(store: &WriteStore, cache: &EmbeddingCache, metrics: &Metrics) -> Result<(), StoreError> {
    let count = || store.bounded(pending::count(store));
    metrics.embeddings_pending.set(count().await?);
    let mut after = 0;
    loop {
        let claim = pending::claim(store, &cache.embedder().model().name, after, BATCH);
        let batch = store.bounded(claim).await?;
        let Some(last) = batch.texts.last() else {
            break;
        };
        after = last.id;
        // Through the cache: a vector that was too late for its write is often there by now.
        let mut vectors = Vec::with_capacity(batch.texts.len());
        for text in &batch.texts {
            match cache.get_or_embed(&text.text).await {
                Ok(vector) => vectors.push((text.id, vector.to_vec())),
                Err(error) => tracing::warn!(text_id = text.id, %error, "a text cannot be embedded"),
            }
        }
        store.bounded(batch.fill(vectors)).await?;
    }
    if after > 0 {
        metrics.embeddings_pending.set(count().await?);
    }
    Ok(())
}
