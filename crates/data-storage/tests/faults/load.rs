//! Clients that record without a pause, send again what was not acknowledged, and remember what was.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use audit_store::WriteStore;
use axum::http::header;
use serde_json::{Value, json};
use testkit::records;
use testkit::request::Answer;
use testkit::wire::Wire;
use tokio::task::JoinSet;

/// How long a client waits after a refusal; far less than `Retry-After` says, to press.
const PAUSE: Duration = Duration::from_millis(50);

/// A remediation whose text nobody else has, so that its vector is looked up and stored.
pub(crate) fn record(name: &str) -> Value {
    // Letters only: what looks like a number or an id is no part of the text.
    let word: String = name.bytes().map(|byte| char::from(b'a' + byte % 26)).collect();
    let message = format!("the {word} of the container is exhausted");
    records::with(records::remediation(name), json!({"message": message}))
}

/// What all clients saw together.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Ledger id of each record that was acknowledged.
    pub(crate) acknowledged: HashMap<String, i64>,
    /// Answers by status.
    pub(crate) answers: HashMap<u16, usize>,
    /// Refusals by the last segment of their problem's type.
    pub(crate) refusals: HashMap<String, usize>,
    /// Connections that broke before the answer.
    pub(crate) broken: usize,
    /// The longest that an answer took.
    pub(crate) slowest: Duration,
    /// Answers that are none of 201, 200, 503 with `Retry-After`.
    pub(crate) wrong: Vec<String>,
}

impl Seen {
    pub(crate) fn with_status(&self, status: u16) -> usize {
        self.answers.get(&status).copied().unwrap_or(0)
    }

    fn note(&mut self, name: &str, took: Duration, answer: &Answer) -> bool {
        let status = answer.status.as_u16();
        *self.answers.entry(status).or_default() += 1;
        self.slowest = self.slowest.max(took);
        let id = answer.body["id"].as_i64();
        match (status, answer.body["replayed"].as_bool(), id) {
            (201, Some(false), Some(id)) | (200, Some(true), Some(id)) => {
                if let Some(other) = self.acknowledged.insert(name.to_owned(), id) {
                    self.wrong.push(format!("{name}: {other} and then {id}"));
                }
                true
            }
            (503, ..) if answer.headers.contains_key(header::RETRY_AFTER) => {
                let kind = answer.body["type"].as_str().unwrap();
                let kind = kind.rsplit('/').next().unwrap_or(kind);
                *self.refusals.entry(kind.to_owned()).or_default() += 1;
                false
            }
            _ => {
                self.wrong.push(format!("{name}: {answer:?}"));
                false
            }
        }
    }
}

/// Clients at work.
pub(crate) struct Load {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
}

impl Load {
    pub(crate) fn start(api: SocketAddr, clients: usize) -> Self {
        let (stop, seen) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Seen>>::default());
        let mut tasks = JoinSet::new();
        for client in 0..clients {
            tasks.spawn(record_on(api, client, Arc::clone(&stop), Arc::clone(&seen)));
        }
        Self { tasks, stop, seen }
    }

    /// Looks at what the clients saw so far.
    pub(crate) fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.seen(|seen| seen.acknowledged.len())
    }

    /// Lets every client finish what it is about to have acknowledged.
    pub(crate) async fn finish(self) -> Seen {
        self.stop.store(true, Ordering::SeqCst);
        self.tasks.join_all().await;
        Arc::into_inner(self.seen).unwrap().into_inner().unwrap()
    }
}

async fn record_on(api: SocketAddr, client: usize, stop: Arc<AtomicBool>, seen: Arc<Mutex<Seen>>) {
    let mut wire = Wire::new(api);
    let mut made = 0;
    while !stop.load(Ordering::SeqCst) {
        let name = format!("load-{client}-{made}");
        let body = record(&name);
        made += 1;
        loop {
            let began = Instant::now();
            let acknowledged = match wire.post("/api/v1/audit/remediation", &body).await {
                Ok(answer) => seen.lock().unwrap().note(&name, began.elapsed(), &answer),
                Err(_) => {
                    seen.lock().unwrap().broken += 1;
                    false
                }
            };
            if acknowledged {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What is wrong with a database that holds remediations of one version each. Nothing, it is to be hoped.
pub(crate) async fn faults(store: &WriteStore, acknowledged: &HashMap<String, i64>) -> Vec<String> {
    let stored: Vec<(String, i64, Option<i64>, bool)> = sqlx::query_as(
        "SELECT e.name, e.id, t.last_event_id, v.id IS NOT NULL FROM audit_events e
         LEFT JOIN resource_action_traces t ON (t.remediation_namespace, t.remediation_name) = (e.namespace, e.name)
         LEFT JOIN incident_embeddings v ON v.id = e.embedding_id",
    )
    .fetch_all(store.pool())
    .await
    .unwrap();
    let mut faults = Vec::new();
    let mut by_name: HashMap<&str, i64> = HashMap::new();
    for (name, id, state, has_text) in &stored {
        if by_name.insert(name, *id).is_some() {
            faults.push(format!("{name} is there more than once"));
        }
        if *state != Some(*id) || !has_text {
            faults.push(format!("{name}, {id}: state of {state:?}, text {has_text}"));
        }
    }
    for (name, id) in acknowledged {
        let found = by_name.get(name.as_str());
        if found != Some(id) {
            faults.push(format!("{name} was acknowledged as {id} and is {found:?}"));
        }
    }
    let states: i64 = crate::service::count(store, "resource_action_traces").await;
    if usize::try_from(states).unwrap() != stored.len() {
        faults.push(format!("{states} states of {} records", stored.len()));
    }
    faults
}
