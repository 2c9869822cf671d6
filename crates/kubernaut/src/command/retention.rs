//! `kubernaut retention`.

use std::path::PathBuf;

use anyhow::Context;
use audit_store::retention::{RetentionPolicy, plan};
use data_storage::Config;
use service_kit::Clock;

use super::hold::connect;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Configuration file of Data Storage, whose policy is shown.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Show what this policy would drop, instead of the configured one.
    #[arg(long, value_name = "MONTHS")]
    keep_months: Option<u32>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let mut config = Config::load(options.config.as_deref(), std::env::vars_os())?;
    let _log = super::start_log("retention", &config.log)?;
    let months = options.keep_months.unwrap_or(config.retention.keep_months);
    let policy = RetentionPolicy::keep_months(months)
        .context("retention is off: set retention.keep_months, or ask with --keep-months")?;
    let store = connect(&mut config).await?;
    let plan = plan(&store, policy, Clock::system().now()).await?;
    store.close().await;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&plan)?);
        return Ok(());
    }
    for month in &plan.months {
        let (rows, name) = (month.ledger_rows, month.month.format("%Y-%m"));
        if month.held_by.is_empty() {
            println!("{name}: would be dropped, {rows} ledger rows");
        } else {
            println!("{name}: kept by holds {:?}, {rows} ledger rows", month.held_by);
        }
    }
    if plan.months.is_empty() {
        println!("no month is older than {months} months");
    }
    if plan.expired_default_rows > 0 {
        println!(
            "{} older ledger rows are in the DEFAULT partition and stay",
            plan.expired_default_rows
        );
    }
    Ok(())
}
