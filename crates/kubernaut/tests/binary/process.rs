//! The binary that is tested, by the parts that the campaign of faults is made of too.

use std::path::Path;
use std::process::Command;

use audit_store::SchemaName;
use campaign::check::compare;
use campaign::load::{Load, LoadOptions, Mix, Promise};
use campaign::service::{Settings, Storage};
use chrono::TimeDelta;
use service_kit::Clock;
use testkit::Database;

/// The binary.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_kubernaut");

/// The binary with an environment that configures nothing.
pub(crate) fn kubernaut(arguments: &[&str]) -> Command {
    campaign::process::kubernaut(Path::new(PROGRAM), arguments)
}

/// `kubernaut data-storage` on a schema.
pub(crate) async fn storage(url: &str, schema: &SchemaName, settings: &Settings<'_>) -> Storage {
    Storage::start(Path::new(PROGRAM), url, schema, settings).await
}

/// Clients that record new instances one after the other.
pub(crate) fn load(clients: usize) -> Load {
    Load::new(&LoadOptions {
        clients,
        begin: Clock::system().now() - TimeDelta::hours(12),
        mix: Mix::Single,
        seed: 1,
    })
}

/// What is wrong with a database after a load. Nothing, it is to be hoped.
pub(crate) async fn faults<'a>(
    database: &Database,
    promises: impl IntoIterator<Item = &'a Promise>,
) -> Vec<String> {
    let store = database.store().await;
    compare(&store, promises, &[]).await.faults()
}
