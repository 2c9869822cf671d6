//! Loading the demo history through the front door: real requests to Data Storage.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, SubsecRound, Utc};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::greeting::Addresses;
use demo_history::{DemoRecord, HistoryOptions, history};

/// Records under way at once.
const SENDERS: u64 = 16;
/// How often a record is sent again that the service had no room for.
const TRIES: u32 = 50;
/// How long the last vectors may take.
const VECTORS_TIMEOUT: Duration = Duration::from_secs(120);
/// Where a load that was cut off is remembered.
const MARKER: &str = "demo.json";

/// What to load, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    /// How many incidents.
    pub(super) incidents: usize,
    /// The end of the history.
    pub(super) end: DateTime<Utc>,
    /// The database it goes to.
    pub(super) database: String,
}

/// Loads the history, unless the database has one already.
///
/// A load that was cut off goes on with what it wanted: the same records are made up again, and those that arrived are
/// replays.
pub(super) async fn load(addresses: &Addresses, data_dir: &Path, wanted: Wanted) -> anyhow::Result<()> {
    // Never through a proxy: the services are on this machine.
    let client = Client::builder().no_proxy().build()?;
    let marker = data_dir.join(MARKER);
    let begun = std::fs::read(&marker)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Wanted>(&bytes).ok())
        .filter(|begun| begun.database == wanted.database);
    let incidents = total(&client, addresses.context_api).await?;
    let wanted = match begun {
        Some(begun) => begun,
        None if incidents > 0 => {
            println!("\nThere are {incidents} incidents already; the demo history is not loaded again.");
            return Ok(());
        }
        None => Wanted {
            end: wanted.end.trunc_subsecs(0),
            ..wanted
        },
    };
    remember(&marker, &wanted)?;
    let options = HistoryOptions {
        incidents: wanted.incidents,
        ..HistoryOptions::new(wanted.end)
    };
    let records = tokio::task::spawn_blocking(move || history(&options))
        .await
        .context("the history was not made up")?;
    let started = Instant::now();
    let count = records.len();
    send_all(&client, addresses.data_storage, records).await?;
    let seconds = started.elapsed().as_secs_f64();
    let rate = count as f64 / seconds;
    println!("{count} records in {seconds:.1} s ({rate:.0}/s)");
    wait_for_vectors(&client, addresses.data_storage_metrics).await?;
    println!(
        "{} incidents are in the memory.",
        total(&client, addresses.context_api).await?
    );
    std::fs::remove_file(&marker).with_context(|| format!("{} cannot be removed", marker.display()))?;
    Ok(())
}

fn remember(marker: &Path, wanted: &Wanted) -> anyhow::Result<()> {
    let write = || -> anyhow::Result<()> {
        if let Some(directory) = marker.parent() {
            std::fs::create_dir_all(directory)?;
        }
        Ok(std::fs::write(marker, serde_json::to_vec(wanted)?)?)
    };
    write().with_context(|| format!("{} cannot be written", marker.display()))
}

/// How many incidents Context API knows.
async fn total(client: &Client, context_api: SocketAddr) -> anyhow::Result<i64> {
    let url = format!("http://{context_api}/api/v1/incidents?limit=1");
    // It has just changed: a kept answer would be the number from before.
    let asked = client.get(url).header(reqwest::header::CACHE_CONTROL, "no-cache");
    let answer: Value = asked.send().await?.error_for_status()?.json().await?;
    answer["total"].as_i64().context("Context API gave no total")
}

/// Sends the records with several senders. The versions of one resource go through one sender, in order.
async fn send_all(client: &Client, data_storage: SocketAddr, records: Vec<DemoRecord>) -> anyhow::Result<()> {
    let progress = progress_bar(records.len() as u64);
    let mut queues: Vec<Vec<DemoRecord>> = (0..SENDERS).map(|_| Vec::new()).collect();
    for record in records {
        let mut hasher = DefaultHasher::new();
        record.body["name"].as_str().hash(&mut hasher);
        let sender = usize::try_from(hasher.finish() % SENDERS).unwrap_or_default();
        queues[sender].push(record);
    }
    let senders = queues.into_iter().map(|queue| {
        let progress = progress.clone();
        async move {
            for record in queue {
                send(client, data_storage, &record).await?;
                progress.inc(1);
            }
            anyhow::Ok(())
        }
    });
    futures::future::try_join_all(senders).await?;
    progress.finish_and_clear();
    Ok(())
}

async fn send(client: &Client, data_storage: SocketAddr, record: &DemoRecord) -> anyhow::Result<()> {
    let path = record.kind.path();
    let url = format!("http://{data_storage}{path}");
    for _ in 0..TRIES {
        let response = client.post(&url).json(&record.body).send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        if status != StatusCode::SERVICE_UNAVAILABLE && status != StatusCode::TOO_MANY_REQUESTS {
            anyhow::bail!(
                "{path} answered {status}: {}",
                response.text().await.unwrap_or_default()
            );
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("{path} had no room for a record for too long")
}

/// Waits until every text has its vector, so that what is tried next finds everything.
async fn wait_for_vectors(client: &Client, metrics: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + VECTORS_TIMEOUT;
    let url = format!("http://{metrics}/metrics");
    let mut zeros = 0;
    while Instant::now() < deadline {
        let text = client.get(&url).send().await?.error_for_status()?.text().await?;
        let pending = text
            .lines()
            .find_map(|line| line.strip_prefix("datastorage_embeddings_pending "))
            .and_then(|number| number.parse::<i64>().ok())
            .context("Data Storage does not tell how many vectors are pending")?;
        // The number is a second old at most: two looks, further apart than that, must agree.
        zeros = if pending == 0 { zeros + 1 } else { 0 };
        if zeros == 2 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1_200)).await;
    }
    println!("Some texts are still being embedded; they can be found by meaning a little later.");
    Ok(())
}

fn progress_bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "Loading the demo history {bar:40} {pos}/{len} records, {per_sec}, {eta} left",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr()).with_style(style);
    if bar.is_hidden() {
        println!("Loading the demo history: {length} records …");
    }
    bar
}
