//! `kubernaut up` as somebody starts it who has no port to spare.

use std::path::Path;
use std::process::Command;

use reqwest::StatusCode;
use serde_json::Value;
use testkit::records;

use crate::process::kubernaut;
use campaign::process::Running;
use campaign::service::client;

/// The options that set an address.
pub(crate) const ADDRESSES: [&str; 4] = [
    "--data-storage-addr",
    "--context-api-addr",
    "--data-storage-metrics-addr",
    "--context-api-metrics-addr",
];

/// `kubernaut up` in a directory, on any free ports, except for the addresses given.
pub(crate) fn up(data_dir: &Path, addresses: &[(&str, &str)]) -> Command {
    let mut command = kubernaut(&["up"]);
    command.arg("--data-dir").arg(data_dir);
    for option in ADDRESSES {
        let given = addresses.iter().find(|(name, _)| *name == option);
        command.args([option, given.map_or("127.0.0.1:0", |(_, address)| address)]);
    }
    command
}

/// A running `up`, and the addresses it told.
pub(crate) struct Stack {
    pub(crate) process: Running,
    storage: String,
    context: String,
    metrics: Vec<String>,
}

impl Stack {
    pub(crate) async fn start(command: Command) -> Self {
        let mut process = Running::start(command);
        process
            .find("greeting", |line| line.contains("Ctrl-C stops").then_some(()))
            .await;
        let said = process.said();
        let told = |prefix: &str| -> Vec<String> {
            said.lines()
                .filter_map(|line| line.strip_prefix(prefix)?.trim().strip_prefix("http://"))
                .map(|rest| format!("http://{}", rest.split('/').next().unwrap()))
                .collect()
        };
        Self {
            storage: told("Data Storage ").remove(0),
            context: told("Context API ").remove(0),
            metrics: told("              metrics "),
            process,
        }
    }

    /// Everything answers: both services' probes, and both services' metrics.
    pub(crate) async fn answers(&self) {
        assert_eq!(self.metrics.len(), 2, "{}", self.process.said());
        let probes = [&self.storage, &self.context].map(|address| format!("{address}/readyz"));
        let metrics = self.metrics.iter().map(|address| format!("{address}/metrics"));
        for url in probes.into_iter().chain(metrics) {
            let status = client().get(&url).send().await.unwrap().status();
            assert_eq!(status, StatusCode::OK, "{url}");
        }
    }

    /// Records a remediation, and returns the status.
    pub(crate) async fn record(&self, name: &str) -> StatusCode {
        let body = records::with(
            records::remediation(name),
            serde_json::json!({"createdAt": "2026-01-01T00:00:00Z", "message": "the container was killed"}),
        );
        let url = format!("{}/api/v1/audit/remediation", self.storage);
        client().post(url).json(&body).send().await.unwrap().status()
    }

    /// What a search for this description answers.
    pub(crate) async fn search(&self, description: &str) -> Value {
        let url = format!("{}/api/v1/context/match", self.context);
        let body = serde_json::json!({"description": description});
        let response = client().post(url).json(&body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    /// The names of the remediations that Context API lists at this moment, newest first.
    pub(crate) async fn listed(&self) -> Vec<String> {
        let url = format!("{}/api/v1/incidents", self.context);
        let request = client().get(url).header("cache-control", "no-cache");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let page: Value = response.json().await.unwrap();
        let incidents = page["incidents"].as_array().unwrap();
        incidents
            .iter()
            .map(|incident| incident["remediationName"].as_str().unwrap().to_owned())
            .collect()
    }
}
