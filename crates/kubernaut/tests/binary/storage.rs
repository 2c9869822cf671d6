//! `kubernaut data-storage` on a schema.

use std::time::Duration;

use audit_store::SchemaName;
use serde_json::Value;

use crate::process::{Running, kubernaut};

/// The service, listening on ports of its own.
pub(crate) struct Storage {
    pub(crate) process: Running,
    /// `http://127.0.0.1:port`
    pub(crate) api: String,
    metrics: String,
}

impl Storage {
    pub(crate) async fn start(url: &str, schema: &SchemaName, settings: &[(&str, &str)]) -> Self {
        let mut command = kubernaut(&["data-storage"]);
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
            command.env(format!("DATA_STORAGE__{key}"), value);
        }
        let mut process = Running::start(command);
        let ready: Value = process
            .find("address", |line| {
                line.contains("Data Storage is ready")
                    .then(|| serde_json::from_str(line).unwrap())
            })
            .await;
        let address = |name: &str| format!("http://{}", ready[name].as_str().unwrap());
        Self {
            process,
            api: address("api"),
            metrics: address("metrics"),
        }
    }

    /// How many requests it is working on.
    pub(crate) async fn in_flight(&self) -> usize {
        let url = format!("{}/metrics", self.metrics);
        let text = client().get(url).send().await.unwrap().text().await.unwrap();
        let gauge = text
            .lines()
            .find_map(|line| line.strip_prefix("datastorage_http_requests_in_flight "));
        gauge.unwrap().parse().unwrap()
    }
}

/// A client that asks nobody on the way.
pub(crate) fn client() -> reqwest::Client {
    // Another test may have been faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}
