//! `kubernaut migrate`.

use std::path::PathBuf;

use anyhow::Context;
use audit_store::migrate::{MigrateOptions, ReaderRole, migrate};
use data_storage::{Config, model_identity};
use service_kit::Clock;

use crate::{database_url, model};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Configuration file of Data Storage, which owns the schema.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Role to grant the context schema to; made if it does not exist.
    #[arg(long, default_value = "kubernaut_reader")]
    reader_role: String,
    /// File with a password to give that role; without it the password stays as it is.
    #[arg(long)]
    reader_password_file: Option<PathBuf>,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let mut config = Config::load(options.config.as_deref(), std::env::vars_os())?;
    let _log = super::start_log("migrate", &config.log)?;
    database_url::fill(&mut config.database.url);
    database_url::require(&config.database.url)?;
    let password = match &options.reader_password_file {
        Some(file) => Some(
            std::fs::read_to_string(file)
                .with_context(|| format!("the password file {} cannot be read", file.display()))?
                .trim_end()
                .to_owned(),
        ),
        None => None,
    };
    let connect = config.database.connect_options()?;
    let embedder = model::embedder(
        config.embedding.provider,
        config.embedding.precision,
        &config.embedding.http,
    )
    .await?;
    let migration = MigrateOptions {
        model: model_identity(&embedder),
        reader: ReaderRole {
            name: options.reader_role,
            password,
        },
        partitions: config.partition_window(),
    };
    migrate(&connect, &migration, Clock::system().now()).await?;
    println!(
        "schema {} is up to date; {} may read {}",
        connect.schema,
        migration.reader.name,
        connect.schema.context()
    );
    Ok(())
}
