//! The commands.

mod bench;
mod bootstrap;
mod context_api;
mod data_storage;
mod fsck;
mod hold;
mod migrate;
mod openapi;
mod reembed;
mod retention;

use std::process::ExitCode;

use clap::Parser;
use service_kit::telemetry::{self, LogConfig, Process, Telemetry, TelemetryError, TracesConfig};

/// Data Storage and Context API: the memory of Kubernetes auto-remediation.
#[derive(Debug, Parser)]
#[command(name = "kubernaut", version, about)]
pub(crate) enum Command {
    /// Start everything on this machine: PostgreSQL with pgvector, Data Storage and Context API.
    Up(crate::up::Options),
    /// Run Data Storage, the write service.
    DataStorage(data_storage::Options),
    /// Run Context API, the read service.
    ContextApi(context_api::Options),
    /// Bring the database to the schema of this version, and grant the reader role.
    Migrate(migrate::Options),
    /// Check that the read model is the fold of the ledger and that every invariant holds; exit code 1 if not.
    Fsck(fsck::Options),
    /// Place, release and list legal holds, which keep whole months from retention.
    Hold(hold::Options),
    /// Show what retention would drop now, and what holds keep. Nothing is changed.
    Retention(retention::Options),
    /// Move the database to the configured embedding model, while the services go on with the old one.
    Reembed(reembed::Options),
    /// Print the OpenAPI document of a service.
    Openapi(openapi::Options),
    /// Measure both services under load, beside baselines of the same run, and tell ratios.
    Bench(Box<bench::Options>),
    /// Fetch what `up` and the tests need, and start nothing.
    Bootstrap,
}

impl Command {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Fsck(options) => return Ok(fsck::run(options).await),
            Self::Up(options) => crate::up::run(options).await,
            Self::DataStorage(options) => data_storage::run(options).await,
            Self::ContextApi(options) => context_api::run(options).await,
            Self::Migrate(options) => migrate::run(options).await,
            Self::Hold(options) => hold::run(options).await,
            Self::Retention(options) => retention::run(options).await,
            Self::Reembed(options) => reembed::run(options).await,
            Self::Openapi(options) => openapi::run(&options),
            Self::Bench(options) => bench::run(*options).await,
            Self::Bootstrap => bootstrap::run().await,
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Starts the log of a command that does its work and ends.
fn start_log(name: &'static str, config: &LogConfig) -> Result<Telemetry, TelemetryError> {
    let process = Process {
        name,
        version: env!("CARGO_PKG_VERSION"),
        own_crates: &["kubernaut", "data_storage", "audit_store", "embedding"],
    };
    telemetry::init(&process, config, &TracesConfig::off())
}
