//! What Data Storage holds in memory while it cannot write: as many requests as there may be connections, and no more.

#![cfg(target_os = "linux")]

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::wire::Wire;
use testkit::{ChaosProxy, Database, records};
use tokio::task::JoinHandle;

use crate::model::minilm;
use crate::process::storage;
use campaign::process::wait_until;

/// Connections that the service accepts; the same number of clients waits outside.
const CONNECTIONS: usize = 12;
/// Nearly the largest body that is accepted.
const BODY_BYTES: usize = 1_000_000;
/// Memory, in bytes, for each byte of a body that is one long text: it is there as text and as JSON, for the ledger
/// and for the handler. Measured: 5.
const TEXT_FACTOR: usize = 10;

fn body(name: &str, filling: &Value) -> Value {
    let fields = json!({"createdAt": "2026-01-01T00:00:00Z", "actionParameters": {"filling": filling}});
    records::with(records::remediation(name), fields)
}

/// The memory that a process has at this moment, in bytes.
fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

/// The memory that a byte of a body takes at most while the database is in a black hole.
async fn factor(filling: &Value) -> usize {
    let database = Database::with_model("memory", minilm()).await;
    let proxy = ChaosProxy::in_front_of(&database.url()).await;
    let connections = CONNECTIONS.to_string();
    let settings = [
        ("SERVER__MAX_CONNECTIONS", connections.as_str()),
        ("WRITER__RETRY_FOR", "2s"),
        ("DATABASE__ACQUIRE_TIMEOUT", "500ms"),
        ("DATABASE__STATEMENT_TIMEOUT", "500ms"),
    ];
    let mut storage = storage(&proxy.url(&database.url()), database.schema(), &settings).await;
    let api: SocketAddr = storage.api.strip_prefix("http://").unwrap().parse().unwrap();
    // What it needs for the first record is not what it holds for each.
    let first = Wire::new(api)
        .post("/api/v1/audit/remediation", &body("first", &json!(1)))
        .await
        .unwrap();
    assert_eq!(first.status, 201, "{:?}", first.body);
    let before = resident(storage.process.pid());

    proxy.black_hole();
    let mut clients = Vec::new();
    for client in 0..2 * CONNECTIONS {
        let body = body(&format!("rr-{client}"), filling);
        clients.push(tokio::spawn(async move {
            let answer = Wire::new(api)
                .post("/api/v1/audit/remediation", &body)
                .await
                .unwrap();
            answer.status.as_u16()
        }));
    }
    let (mut most, mut requests) = (before, 0);
    wait_until("all answers", async || {
        most = most.max(resident(storage.process.pid()));
        requests = requests.max(storage.in_flight().await);
        clients.iter().all(JoinHandle::is_finished)
    })
    .await;
    for client in clients {
        assert_eq!(client.await.unwrap(), 503);
    }
    // The others wait outside; how many are there at once depends on how fast bodies are read.
    assert!((CONNECTIONS / 2..=CONNECTIONS).contains(&requests), "{requests}");
    assert!(proxy.counts().swallowed > 0);
    let grown = most - before;
    proxy.pass();
    storage.process.stop(Signal::SIGTERM).await;
    let factor = grown.div_ceil(CONNECTIONS * BODY_BYTES);
    eprintln!("{CONNECTIONS} bodies of {BODY_BYTES} bytes: {grown} bytes, {factor} for each");
    factor
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_fills_no_more_memory_than_the_connections_bring() {
    let text = factor(&json!("x".repeat(BODY_BYTES))).await;
    assert!((1..=TEXT_FACTOR).contains(&text), "{text}");
    // Denser bodies, of many small values, are refused when they are read.
}
