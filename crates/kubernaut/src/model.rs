//! The embedding model of the running process.

use anyhow::Context;
use devstack::Progress;
use embedding::{Embedder, EmbedderOptions, HttpOptions, MiniLm, Precision, Provider};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Texts per forward pass. On two cores throughput is flat from eight on, and each text more makes all of a batch
/// wait 3 ms longer; the write budget is 150 ms, and the cores have other work.
const MAX_BATCH: usize = 8;

/// The configured embedder. Of a provider on the network nothing is asked before the first text.
pub(crate) async fn embedder(
    provider: Provider,
    precision: Precision,
    http: &HttpOptions,
) -> anyhow::Result<Embedder> {
    match provider {
        Provider::MiniLm => minilm(precision).await,
        Provider::Http => Embedder::http(http, StdRng::from_os_rng())
            .context("the section [embedding.http] of the configuration cannot be used"),
    }
}

/// MiniLM on its thread; fetched first where it is not on this machine (`KUBERNAUT_MODEL_DIR` says where it is).
async fn minilm(precision: Precision) -> anyhow::Result<Embedder> {
    let model = tokio::task::spawn_blocking(move || -> anyhow::Result<MiniLm> {
        let directory = devstack::fetch_model(&devstack::cache_directory()?, Progress::detect())?;
        Ok(MiniLm::load(&directory, precision)?)
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

/// The configured model in words; two services on one database must have the same.
pub(crate) fn description(provider: Provider, precision: Precision, http: &HttpOptions) -> String {
    match provider {
        Provider::MiniLm => match precision {
            Precision::Float32 => "minilm".to_owned(),
            Precision::Int8 => "minilm, int8".to_owned(),
        },
        Provider::Http => format!(
            "http: {} {}, {} dimensions",
            http.model, http.version, http.dimension
        ),
    }
}
