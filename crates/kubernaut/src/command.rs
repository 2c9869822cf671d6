//! The commands.

mod bootstrap;
mod context_api;
mod data_storage;
mod migrate;
mod reembed;

use clap::Parser;

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
    /// Move the database to the configured embedding model, while the services go on with the old one.
    Reembed(reembed::Options),
    /// Fetch what `up` and the tests need, and start nothing.
    Bootstrap,
}

impl Command {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Up(options) => crate::up::run(options).await,
            Self::DataStorage(options) => data_storage::run(options).await,
            Self::ContextApi(options) => context_api::run(options).await,
            Self::Migrate(options) => migrate::run(options).await,
            Self::Reembed(options) => reembed::run(options).await,
            Self::Bootstrap => bootstrap::run().await,
        }
    }
}
