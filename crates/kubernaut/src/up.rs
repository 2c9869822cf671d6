//! `kubernaut up`: everything on this machine, started and stopped in order.

mod database;
mod demo_loader;
mod greeting;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use audit_store::migrate::migrate;
use context_api::ContextApi;
use data_storage::DataStorage;
use reqwest::{Client, StatusCode};
use service_kit::config::Secret;
use service_kit::shutdown::Shutdown;
use service_kit::telemetry::{self, LogFormat, LogLevel, Process};
use service_kit::{Clock, Host};

use crate::model;
use database::Database;

/// How often it is looked whether a service has started.
const START_GLANCE: Duration = Duration::from_millis(10);
/// How often a PostgreSQL of ours is looked after.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the data is kept.
    #[arg(long, env = "KUBERNAUT_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Use this PostgreSQL 16+ with pgvector instead of starting one. A password is better given by the variable: other
    /// users of this machine can see the command line.
    #[arg(long, env = crate::database_url::VARIABLE, hide_env_values = true)]
    database_url: Option<String>,
    /// Directory with data-storage.toml and context-api.toml; either may be absent.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Address of Data Storage [default: 127.0.0.1:8080].
    #[arg(long)]
    data_storage_addr: Option<SocketAddr>,
    /// Address of Context API [default: 127.0.0.1:8091].
    #[arg(long)]
    context_api_addr: Option<SocketAddr>,
    /// Address of Data Storage's metrics [default: 127.0.0.1:9090].
    #[arg(long)]
    data_storage_metrics_addr: Option<SocketAddr>,
    /// Address of Context API's metrics [default: 127.0.0.1:9091].
    #[arg(long)]
    context_api_metrics_addr: Option<SocketAddr>,
    /// Load a believable history of 90 days, unless there is one.
    #[arg(long)]
    demo: bool,
    /// Incidents of the demo history.
    #[arg(long, requires = "demo", default_value_t = demo_history::DEFAULT_INCIDENTS)]
    demo_incidents: usize,
    /// Show the services' log.
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let clock = Clock::system();
    let (mut write, mut read) = configs(&options)?;
    let telemetry = telemetry::init(
        &Process {
            name: "kubernaut",
            version: env!("CARGO_PKG_VERSION"),
            own_crates: &[
                "kubernaut",
                "data_storage",
                "context_api",
                "audit_store",
                "embedding",
                "service_kit",
            ],
        },
        &write.log,
        &write.traces,
    )?;
    let shutdown = Shutdown::on_signals()?;

    println!("Fetching what is missing …");
    // A variable that is set to nothing names no database.
    let given = options.database_url.clone().filter(|url| !url.is_empty());
    let users_database = given.or_else(|| {
        let configured = write.database.url.expose();
        (!configured.is_empty()).then(|| configured.to_owned())
    });
    let fetched = async {
        if users_database.is_none() {
            database::fetch().await?;
        }
        // Both services share it: they are configured for the same model.
        model::embedder(
            write.embedding.provider,
            write.embedding.precision,
            &write.embedding.http,
        )
        .await
    };
    let embedder = tokio::select! {
        embedder = fetched => embedder?,
        () = shutdown.begun() => return Ok(()),
    };
    let data_dir = options
        .data_dir
        .clone()
        .map_or_else(devstack::data_directory, Ok)?;
    if users_database.is_none() {
        println!("Starting PostgreSQL …");
    }
    // Not cut off by a signal: a server that is being started must be stopped again.
    let mut database = Database::open(users_database, &data_dir, &write.database.schema).await?;
    let result = async {
        write.database.url = Secret::new(database.owner_url());
        let connect = write.database.connect_options()?;
        println!("Migrating the schema …");
        let migration = database.migration(data_storage::model_identity(&embedder), write.partition_window());
        migrate(&connect, &migration, clock.now())
            .await
            .with_context(|| database.unusable())?;
        read.database.url = Secret::new(database.reader_url()?);
        let host = Host {
            clock: clock.clone(),
            build: crate::build::info(),
            traces: telemetry.metrics(),
            shutdown: shutdown.clone(),
        };
        let storage = DataStorage::bind(write, embedder.clone(), host.clone())
            .await
            .map_err(storage_refused)?;
        let context = ContextApi::bind(read, embedder, host)
            .await
            .map_err(context_refused)?;
        serve(
            &options,
            storage,
            context,
            &mut database,
            &data_dir,
            &clock,
            shutdown,
        )
        .await
    }
    .await;
    database.close().await?;
    if result.is_ok() {
        println!("Everything has stopped.");
    }
    result
}

/// The configuration of both services, with the options of the command line over it.
fn configs(options: &Options) -> anyhow::Result<(data_storage::Config, context_api::Config)> {
    let file = |name: &str| {
        options
            .config
            .as_ref()
            .map(|directory| directory.join(name))
            .filter(|file| file.exists())
    };
    if let Some(directory) = &options.config {
        anyhow::ensure!(
            file("data-storage.toml").is_some() || file("context-api.toml").is_some(),
            "--config {}: there is no data-storage.toml and no context-api.toml in it; put one there, or leave the option out",
            directory.display()
        );
    }
    let mut write = data_storage::Config::load(file("data-storage.toml").as_deref(), std::env::vars_os())?;
    let mut read = context_api::Config::load(file("context-api.toml").as_deref(), std::env::vars_os())?;
    write.server.api_address = options.data_storage_addr.unwrap_or(write.server.api_address);
    write.server.metrics_address = options
        .data_storage_metrics_addr
        .unwrap_or(write.server.metrics_address);
    read.server.api_address = options.context_api_addr.unwrap_or(read.server.api_address);
    read.server.metrics_address = options
        .context_api_metrics_addr
        .unwrap_or(read.server.metrics_address);
    // No load balancer has to notice on a laptop.
    write.server.readiness_delay = Duration::ZERO;
    read.server.readiness_delay = Duration::ZERO;
    write.log.format = LogFormat::Text;
    if !options.verbose {
        write.log.level = LogLevel::Warn;
        // A line for each request would bury the progress of the demo.
        if write.log.directives.is_empty() {
            write.log.directives = "access=error".to_owned();
        }
    }
    anyhow::ensure!(
        write.database.schema == read.database.schema,
        "the services are configured for different schemas: {} and {}",
        write.database.schema,
        read.database.schema
    );
    let models = (
        model::description(
            write.embedding.provider,
            write.embedding.precision,
            &write.embedding.http,
        ),
        model::description(
            read.embedding.provider,
            read.embedding.precision,
            &read.embedding.http,
        ),
    );
    anyhow::ensure!(
        models.0 == models.1,
        "the services are configured for different embedding models: {} and {}; give [embedding] in both files",
        models.0,
        models.1
    );
    Ok((write, read))
}

/// Tells which options change an address that cannot be served.
fn storage_refused(error: data_storage::StartError) -> anyhow::Error {
    let is_address = matches!(error, data_storage::StartError::Listen(_));
    anyhow::Error::from(error).context(if is_address {
        "Data Storage cannot start; --data-storage-addr and --data-storage-metrics-addr choose other addresses"
    } else {
        "Data Storage cannot start"
    })
}

/// As [`storage_refused`].
fn context_refused(error: context_api::StartError) -> anyhow::Error {
    let is_address = matches!(error, context_api::StartError::Listen(_));
    anyhow::Error::from(error).context(if is_address {
        "Context API cannot start; --context-api-addr and --context-api-metrics-addr choose other addresses"
    } else {
        "Context API cannot start"
    })
}

/// Waits until a service that holds its port answers more than probes.
async fn started(api: SocketAddr) -> anyhow::Result<()> {
    let client = Client::builder().no_proxy().build()?;
    let url = format!("http://{api}/startupz");
    while client.get(&url).send().await?.status() != StatusCode::OK {
        tokio::time::sleep(START_GLANCE).await;
    }
    Ok(())
}

/// Runs both services until shutdown, or until one of the parts ends.
async fn serve(
    options: &Options,
    storage: DataStorage,
    context: ContextApi,
    database: &mut Database,
    data_dir: &Path,
    clock: &Clock,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let addresses = greeting::Addresses {
        data_storage: storage.api_address(),
        context_api: context.api_address(),
        data_storage_metrics: storage.metrics_address(),
        context_api_metrics: context.metrics_address(),
    };
    let storage = tokio::spawn(storage.serve());
    let context = tokio::spawn(context.serve());
    greeting::services(&addresses, &database.describe());
    let work = async {
        started(addresses.data_storage).await?;
        started(addresses.context_api).await?;
        if options.demo {
            let end = clock.now();
            let wanted = demo_loader::Wanted {
                incidents: options.demo_incidents,
                end,
                database: database.identity(),
            };
            demo_loader::load(&addresses, data_dir, wanted).await?;
        }
        greeting::things_to_try(&addresses, options.demo);
        watch(database).await
    };
    let result = tokio::select! {
        result = work => result,
        () = shutdown.begun() => Ok(()),
    };
    println!("\nStopping …");
    shutdown.begin();
    storage.await.context("Data Storage broke down")?;
    context.await.context("Context API broke down")?;
    result
}

/// Ends when a PostgreSQL of ours ends.
async fn watch(database: &mut Database) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(WATCH_INTERVAL);
    loop {
        ticks.tick().await;
        database.check()?;
    }
}
