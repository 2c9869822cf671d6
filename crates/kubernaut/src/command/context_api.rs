//! `kubernaut context-api`.

use std::path::PathBuf;

use context_api::{Config, ContextApi};
use service_kit::{
    Clock, Host,
    shutdown::Shutdown,
    telemetry::{self, Process},
};

use crate::{database_url, model};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Configuration file; what it leaves out has the default of config/context-api.toml.
    #[arg(long)]
    config: Option<PathBuf>,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let mut config = Config::load(options.config.as_deref(), std::env::vars_os())?;
    let telemetry = telemetry::init(
        &Process {
            name: "context-api",
            version: env!("CARGO_PKG_VERSION"),
            own_crates: &[
                "kubernaut",
                "context_api",
                "audit_store",
                "embedding",
                "service_kit",
            ],
        },
        &config.log,
        &config.traces,
    )?;
    database_url::fill(&mut config.database.url);
    let shutdown = Shutdown::on_signals()?;
    let embedder = model::embedder(
        config.embedding.provider,
        config.embedding.precision,
        &config.embedding.http,
    )
    .await?;
    let host = Host {
        clock: Clock::system(),
        build: crate::build::info(),
        traces: telemetry.metrics(),
        shutdown: shutdown.clone(),
    };
    let service = tokio::select! {
        biased;
        () = shutdown.begun() => {
            tracing::info!("Context API was stopped before it had started");
            return Ok(());
        }
        service = ContextApi::bind(config, embedder, host) => service?,
    };
    let ended = service.serve().await;
    tracing::info!(?ended, "Context API has stopped");
    telemetry.shutdown().await;
    Ok(())
}
