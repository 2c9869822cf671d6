//! History that is there before anything is measured: over HTTP, in batches, through the front door; and copied.

pub(crate) mod copies;

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use demo_history::RecordKind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::request::Request;
use crate::traffic::{Traffic, operation};

/// Records of a batch; the service takes as many by default.
const BATCH: usize = 500;
/// Bytes of a batch; the service takes 8 MiB by default.
const BATCH_BYTES: usize = 6 << 20;
/// How often a batch is sent again that the service had no room for, and the pause before.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// Sends records until so many remediations are recorded; tells how many records that were.
///
/// # Errors
/// Where Data Storage refuses a batch.
pub(crate) async fn incidents(
    data_storage: &Client,
    traffic: &mut Traffic,
    incidents: usize,
) -> anyhow::Result<usize> {
    let mut names = HashSet::new();
    let (mut batch, mut bytes, mut sent) = (Vec::new(), 0, 0);
    while names.len() < incidents {
        let Some(next) = traffic.next() else { break };
        if next.kind == RecordKind::Remediation
            && let Some(name) = next.body["name"].as_str()
        {
            names.insert(name.to_owned());
        }
        let text = json!({"kind": operation(next.kind), "record": next.body}).to_string();
        bytes += text.len();
        batch.push(text);
        if batch.len() == BATCH || bytes > BATCH_BYTES {
            sent += batch.len();
            send(data_storage, &std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
    }
    if !batch.is_empty() {
        sent += batch.len();
        send(data_storage, &batch).await?;
    }
    Ok(sent)
}

async fn send(data_storage: &Client, batch: &[String]) -> anyhow::Result<()> {
    let body = Bytes::from(format!("[{}]", batch.join(",")));
    let request = Request::post("batch", "/api/v1/audit/batch?atomic=true", body);
    for _ in 0..TRIES {
        let answer = data_storage.fetch(&request).await?;
        match answer.status {
            200 | 201 => return Ok(()),
            429 | 503 => tokio::time::sleep(PAUSE).await,
            status => {
                let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                anyhow::bail!("a batch of the history answers {status}: {problem}");
            }
        }
    }
    anyhow::bail!("there was no room for a batch of the history for too long")
}
