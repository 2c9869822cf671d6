//! Clients that record, keep what was acknowledged, and send again what was not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};
use testkit::records;
use tokio::task::JoinSet;

use crate::storage::client;

/// How many record at once.
pub(crate) const CLIENTS: usize = 8;

/// How long a client waits after a 503.
const PAUSE: Duration = Duration::from_millis(20);

/// The kinds of record, as the ledger and the paths name them.
const KINDS: [&str; 4] = ["remediation", "aianalysis", "workflow", "execution"];

/// What the service said it stored.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) id: i64,
    pub(crate) incident: Option<i64>,
}

/// What all clients count together.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) acknowledged: AtomicUsize,
    pub(crate) replayed: AtomicUsize,
    pub(crate) refused: AtomicUsize,
    pub(crate) failed: AtomicUsize,
}

impl Counts {
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::SeqCst)
    }

    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    pub(crate) fn failed(&self) -> usize {
        self.failed.load(Ordering::SeqCst)
    }
}

/// A record on its way.
struct Post {
    kind: &'static str,
    name: String,
    created_at: DateTime<Utc>,
    body: Value,
}

enum Answer {
    Acknowledged(Acknowledged),
    Refused,
    /// The connection broke, or was not made.
    Failed,
}

/// All clients.
pub(crate) struct Load {
    clients: Vec<Client>,
    pub(crate) counts: Arc<Counts>,
}

impl Load {
    /// Clients whose records begin at a time; the hours after it must have passed already.
    pub(crate) fn new(begin: DateTime<Utc>) -> Self {
        let counts = Arc::<Counts>::default();
        let client = |number| Client {
            number,
            begin: begin.trunc_subsecs(0),
            made: 0,
            http: client(),
            unacknowledged: None,
            acknowledged: Vec::new(),
            counts: Arc::clone(&counts),
        };
        Self {
            clients: (0..CLIENTS).map(client).collect(),
            counts,
        }
    }

    /// Lets every client record until its connection fails or it is told to stop.
    pub(crate) fn start(self, api: &str) -> Recording {
        let stop = Arc::<AtomicBool>::default();
        let mut tasks = JoinSet::new();
        for mut client in self.clients {
            let (api, stop) = (api.to_owned(), Arc::clone(&stop));
            tasks.spawn(async move {
                client.record(&api, &stop).await;
                client
            });
        }
        Recording {
            tasks,
            stop,
            counts: self.counts,
        }
    }

    /// Everything acknowledged so far.
    pub(crate) fn acknowledged(&self) -> Vec<Acknowledged> {
        let all = self.clients.iter().flat_map(|client| &client.acknowledged);
        all.cloned().collect()
    }
}

/// Clients at work.
pub(crate) struct Recording {
    tasks: JoinSet<Client>,
    stop: Arc<AtomicBool>,
    pub(crate) counts: Arc<Counts>,
}

impl Recording {
    /// Tells the clients to stop after the answer they wait for.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Waits until all have stopped or failed.
    pub(crate) async fn ended(self) -> Load {
        Load {
            clients: self.tasks.join_all().await,
            counts: self.counts,
        }
    }
}

struct Client {
    number: usize,
    begin: DateTime<Utc>,
    made: usize,
    http: reqwest::Client,
    unacknowledged: Option<Post>,
    acknowledged: Vec<Acknowledged>,
    counts: Arc<Counts>,
}

impl Client {
    async fn record(&mut self, api: &str, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            let post = match self.unacknowledged.take() {
                Some(post) => post,
                None => self.next(),
            };
            match self.send(api, &post).await {
                Answer::Acknowledged(acknowledged) => {
                    self.acknowledged.push(acknowledged);
                    self.counts.acknowledged.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                Answer::Refused => {
                    self.counts.refused.fetch_add(1, Ordering::SeqCst);
                    self.unacknowledged = Some(post);
                    tokio::time::sleep(PAUSE).await;
                }
                Answer::Failed => {
                    self.counts.failed.fetch_add(1, Ordering::SeqCst);
                    self.unacknowledged = Some(post);
                    return;
                }
            }
        }
    }

    /// A record that nobody sent before: each kind in turn, some with a text that is new.
    fn next(&mut self) -> Post {
        let (number, made) = (self.number, self.made);
        self.made += 1;
        let kind = KINDS[made % KINDS.len()];
        let name = format!("{kind}-{number}-{made}");
        let (remediation, workflow) = (format!("remediation-{number}-0"), format!("workflow-{number}-0"));
        let body = match kind {
            "remediation" => records::remediation(&name),
            "aianalysis" => records::analysis(&name, &remediation),
            "workflow" => records::workflow(&name, &remediation),
            _ => records::execution(&name, &workflow),
        };
        let created_at = self.begin + TimeDelta::seconds(i64::try_from(made).unwrap());
        let messages = [
            "the container was killed for want of memory",
            "the image cannot be pulled",
        ];
        let body = records::with(
            body,
            json!({"createdAt": created_at, "phase": "Completed", "message": messages[made % 2]}),
        );
        Post {
            kind,
            name,
            created_at,
            body,
        }
    }

    /// Any answer but success and 503 is a fault of the service.
    async fn send(&self, api: &str, post: &Post) -> Answer {
        let url = format!("{api}/api/v1/audit/{}", post.kind);
        let Ok(response) = self.http.post(url).json(&post.body).send().await else {
            return Answer::Failed;
        };
        let status = response.status().as_u16();
        let Ok(body) = response.json::<Value>().await else {
            return Answer::Failed;
        };
        if status == 503 {
            return Answer::Refused;
        }
        let replayed = body["replayed"].as_bool();
        assert!(
            matches!((status, replayed), (201, Some(false)) | (200, Some(true))),
            "{} {}: {status} {body}",
            post.kind,
            post.name
        );
        if status == 200 {
            self.counts.replayed.fetch_add(1, Ordering::SeqCst);
        }
        Answer::Acknowledged(Acknowledged {
            kind: post.kind,
            name: post.name.clone(),
            created_at: post.created_at,
            id: body["id"].as_i64().unwrap(),
            incident: body["incidentId"].as_i64(),
        })
    }
}
