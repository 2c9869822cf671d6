//! `kubernaut hold`.

use std::path::PathBuf;

use anyhow::Context;
use audit_store::WriteStore;
use audit_store::hold::{self, Hold, Scope};
use chrono::{DateTime, Utc};
use clap::{ArgGroup, Args, Subcommand};
use data_storage::Config;
use service_kit::Clock;

use crate::database_url;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
    /// Configuration file of Data Storage, which owns the database.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Place a hold on what meets all the conditions given, recorded already or later.
    Place(Place),
    /// Release a hold; it stays on record.
    Release(Release),
    /// List the holds in force.
    List(List),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("scope").required(true).multiple(true))]
struct Place {
    /// Records with this correlation id.
    #[arg(long, group = "scope", value_parser = given)]
    correlation_id: Option<String>,
    /// Records in this namespace, or about a resource or a signal in it.
    #[arg(long, group = "scope", conflicts_with = "record", value_parser = given)]
    namespace: Option<String>,
    /// Records of this name in this namespace.
    #[arg(long, group = "scope", value_name = "NAMESPACE/NAME", value_parser = namespace_and_name)]
    record: Option<(String, String)>,
    /// Records about this cluster.
    #[arg(long, group = "scope", value_parser = given)]
    cluster: Option<String>,
    /// Instances created at or after this time, such as 2026-01-31T00:00:00Z.
    #[arg(long, group = "scope")]
    since: Option<DateTime<Utc>>,
    /// Instances created before this time.
    #[arg(long, group = "scope")]
    until: Option<DateTime<Utc>>,
    /// Everything.
    #[arg(long, group = "scope", conflicts_with_all = ["correlation_id", "namespace", "record", "cluster", "since", "until"])]
    everything: bool,
    /// Why, for example the number of the case.
    #[arg(long, value_parser = given)]
    reason: String,
    /// Who places it.
    #[arg(long, value_name = "NAME", value_parser = given)]
    by: String,
}

#[derive(Debug, Args)]
struct Release {
    /// Number of the hold.
    id: i64,
    /// Why.
    #[arg(long, value_parser = given)]
    reason: String,
    /// Who releases it.
    #[arg(long, value_name = "NAME", value_parser = given)]
    by: String,
}

#[derive(Debug, Args)]
struct List {
    /// Also those that were released.
    #[arg(long)]
    all: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Text that says something.
fn given(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        Err("it is empty")
    } else {
        Ok(text.to_owned())
    }
}

fn namespace_and_name(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("it is not NAMESPACE/NAME"),
    }
}

impl Place {
    fn scope(&self) -> Scope {
        let (namespace, name) = match &self.record {
            Some((namespace, name)) => (Some(namespace.clone()), Some(name.clone())),
            None => (self.namespace.clone(), None),
        };
        Scope {
            correlation_id: self.correlation_id.clone(),
            namespace,
            name,
            cluster: self.cluster.clone(),
            since: self.since,
            until: self.until,
        }
    }
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let mut config = Config::load(options.config.as_deref(), std::env::vars_os())?;
    let _log = super::start_log("hold", &config.log)?;
    let store = connect(&mut config).await?;
    let now = Clock::system().now();
    match options.action {
        Action::Place(place) => {
            let hold = hold::place(&store, place.scope(), &place.reason, &place.by, now).await?;
            println!("hold {} on {} is in force", hold.id, hold.scope);
        }
        Action::Release(release) => {
            let hold = hold::release(&store, release.id, &release.reason, &release.by, now).await?;
            println!("hold {} on {} is released", hold.id, hold.scope);
        }
        Action::List(list) => {
            let holds = hold::list(&store, list.all).await?;
            if list.json {
                println!("{}", serde_json::to_string_pretty(&holds)?);
            } else {
                holds.iter().for_each(print);
            }
        }
    }
    store.close().await;
    Ok(())
}

/// The database that Data Storage would use.
pub(super) async fn connect(config: &mut Config) -> anyhow::Result<WriteStore> {
    database_url::fill(&mut config.database.url);
    database_url::require(&config.database.url)?;
    WriteStore::connect(&config.database.connect_options()?)
        .await
        .context("the database cannot be reached")
}

fn print(hold: &Hold) {
    println!(
        "{}: {}; placed by {} at {}: {}",
        hold.id,
        hold.scope,
        hold.placed_by,
        hold.placed_at.to_rfc3339(),
        hold.reason
    );
    if let Some(release) = &hold.release {
        println!(
            "    released by {} at {}: {}",
            release.released_by,
            release.released_at.to_rfc3339(),
            release.reason
        );
    }
}
