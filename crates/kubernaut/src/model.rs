//! The embedding model of the running process.

use anyhow::Context;
use devstack::Progress;
use embedding::{Embedder, EmbedderOptions, MiniLm};

/// Texts per forward pass. On two cores throughput is flat from four on, and each text more makes all of a batch
/// wait 10 ms longer; the write budget is 150 ms.
const MAX_BATCH: usize = 8;

/// MiniLM on its thread; fetched first where it is not on this machine (`KUBERNAUT_MODEL_DIR` says where it is).
pub(crate) async fn embedder() -> anyhow::Result<Embedder> {
    let model = tokio::task::spawn_blocking(|| -> anyhow::Result<MiniLm> {
        let directory = devstack::fetch_model(&devstack::cache_directory()?, Progress::detect())?;
        Ok(MiniLm::load(&directory)?)
    })
    .await
    .context("loading the model was cut off")??;
    Ok(Embedder::start(
        model,
        EmbedderOptions {
            max_batch: MAX_BATCH,
            ..EmbedderOptions::default()
        },
    )?)
}
