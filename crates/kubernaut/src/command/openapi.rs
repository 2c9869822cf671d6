//! `kubernaut openapi`: the contract of a service, as the service itself serves it.

use std::io::Write as _;

use clap::ValueEnum;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Whose contract.
    service: Service,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Service {
    /// The write service.
    DataStorage,
    /// The read service.
    ContextApi,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let contract = match options.service {
        Service::DataStorage => data_storage::openapi::contract(),
        Service::ContextApi => context_api::openapi::contract(),
    };
    std::io::stdout().write_all(contract.text().as_bytes())?;
    Ok(())
}
