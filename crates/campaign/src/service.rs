//! The services as child processes, each on ports of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use audit_store::SchemaName;
use serde_json::Value;

use crate::process::{Running, kubernaut};

/// Settings of a service: `SECTION__KEY` and value.
pub type Settings<'a> = [(&'a str, &'a str)];

/// `kubernaut data-storage` on a schema.
pub struct Storage {
    /// The process.
    pub process: Running,
    /// `http://127.0.0.1:port`
    pub api: String,
    metrics: String,
}

impl Storage {
    /// Starts it and waits until it is ready.
    pub async fn start(program: &Path, url: &str, schema: &SchemaName, settings: &Settings<'_>) -> Self {
        Self::start_with(program, url, schema, settings, &[]).await
    }

    /// The same with further variables of its environment.
    pub async fn start_with(
        program: &Path,
        url: &str,
        schema: &SchemaName,
        settings: &Settings<'_>,
        environment: &[(String, String)],
    ) -> Self {
        let mut command = kubernaut(program, &["data-storage"]);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        configure(&mut command, "DATA_STORAGE", url, schema, settings);
        let (process, [api, metrics]) = ready(command, "Data Storage is ready").await;
        Self {
            process,
            api: format!("http://{api}"),
            metrics: format!("http://{metrics}"),
        }
    }

    /// Where its API listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.api.trim_start_matches("http://").parse().unwrap()
    }

    /// How many requests it is working on.
    pub async fn in_flight(&self) -> usize {
        let url = format!("{}/metrics", self.metrics);
        let text = client().get(url).send().await.unwrap().text().await.unwrap();
        let gauge = text
            .lines()
            .find_map(|line| line.strip_prefix("datastorage_http_requests_in_flight "));
        gauge.unwrap().parse().unwrap()
    }

    /// The sum of a counter's or a gauge's series whose labels contain `label`.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let url = format!("{}/metrics", self.metrics);
        let text = client().get(url).send().await.unwrap().text().await.unwrap();
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let labels = series.strip_prefix("datastorage_")?.strip_prefix(name)?;
            let is_it = labels.is_empty() || labels.starts_with('{');
            (is_it && labels.contains(label)).then(|| value.parse::<f64>().unwrap())
        });
        values.sum()
    }
}

/// `kubernaut context-api` on a schema.
pub struct Recall {
    /// The process.
    pub process: Running,
    /// Where its API listens.
    pub address: SocketAddr,
}

impl Recall {
    /// Starts it and waits until it is ready.
    pub async fn start(program: &Path, url: &str, schema: &SchemaName, settings: &Settings<'_>) -> Self {
        let mut command = kubernaut(program, &["context-api"]);
        configure(&mut command, "CONTEXT_API", url, schema, settings);
        let (process, [address, _]) = ready(command, "Context API is ready").await;
        Self { process, address }
    }
}

fn configure(command: &mut Command, prefix: &str, url: &str, schema: &SchemaName, settings: &Settings<'_>) {
    command.env("DATABASE_URL", url);
    let ours = [
        ("DATABASE__SCHEMA", schema.data()),
        ("SERVER__API_ADDRESS", "127.0.0.1:0"),
        ("SERVER__METRICS_ADDRESS", "127.0.0.1:0"),
        ("SERVER__READINESS_DELAY", "0s"),
        // A line for each request would bury what a failure needs.
        ("LOG__DIRECTIVES", "access=error"),
    ];
    for (key, value) in ours.iter().chain(settings) {
        command.env(format!("{prefix}__{key}"), value);
    }
}

/// Starts a service and waits for the line that says where its API and its metrics are.
async fn ready(command: Command, line: &str) -> (Running, [SocketAddr; 2]) {
    let mut process = Running::start(command);
    let said: Value = process
        .find("address", |said| {
            said.contains(line).then(|| serde_json::from_str(said).unwrap())
        })
        .await;
    let address = |name: &str| said[name].as_str().unwrap().parse().unwrap();
    let addresses = [address("api"), address("metrics")];
    (process, addresses)
}

/// A client that asks nobody on the way.
#[must_use]
pub fn client() -> reqwest::Client {
    // Another part of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}
