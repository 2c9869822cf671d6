//! Clients that record, keep what was acknowledged, and send again what was not, until it is.
//!
//! Every record is made of (kind, client, number, phase) alone, so that it can be sent again, be it as the same request
//! or as a replay. An instance has at most one version in each phase, which is how a version is told from another.

mod client;
mod counts;
mod request;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, SubsecRound, Utc};
use tokio::sync::watch;
use tokio::task::JoinSet;

use client::Client;
pub use counts::Counts;
pub use request::{KINDS, PHASES, body};

/// What a service said it stored: one version of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// As the ledger and the paths name it.
    pub kind: &'static str,
    /// Name of the instance; all are in one namespace.
    pub name: String,
    /// When the instance was made.
    pub created_at: DateTime<Utc>,
    /// Which version it is.
    pub phase: &'static str,
    /// Its ledger id.
    pub id: i64,
    /// The incident that it is, of a remediation.
    pub incident: Option<i64>,
}

/// A version that was sent in an atomic batch and was never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// As the ledger and the paths name it.
    pub kind: &'static str,
    /// Name of the instance.
    pub name: String,
    /// Which version it is.
    pub phase: &'static str,
}

/// What clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// One new instance in each request.
    Single,
    /// New instances, new versions and replays, alone and in batches of at most so many, atomic or not, with a key or
    /// without.
    Everything {
        /// Records of the largest batch.
        batch: usize,
    },
}

/// How a load is made.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// How many record at once.
    pub clients: usize,
    /// When the first instance was made; the day after it must have passed already.
    pub begin: DateTime<Utc>,
    /// What they send.
    pub mix: Mix,
    /// What their choices are drawn from; also part of the names, so that two loads do not meet.
    pub seed: u64,
}

/// All clients.
pub struct Load {
    clients: Vec<Client>,
    /// What they count together.
    pub counts: Arc<Counts>,
}

impl Load {
    /// Clients that have sent nothing yet.
    #[must_use]
    pub fn new(options: &LoadOptions) -> Self {
        let counts = Arc::<Counts>::default();
        let begin = options.begin.trunc_subsecs(0);
        let clients = (0..options.clients)
            .map(|number| Client::new(number, begin, options.mix, options.seed, Arc::clone(&counts)))
            .collect();
        Self { clients, counts }
    }

    /// Lets every client record until it is told to stop, whatever happens to the service.
    #[must_use]
    pub fn start(self, api: SocketAddr) -> Recording {
        self.run(api, false)
    }

    /// Lets every client record until its connection breaks or it is told to stop.
    #[must_use]
    pub fn start_until_broken(self, api: SocketAddr) -> Recording {
        self.run(api, true)
    }

    fn run(self, api: SocketAddr, until_broken: bool) -> Recording {
        let stop = Arc::<AtomicBool>::default();
        let target = watch::Sender::new(api);
        let mut tasks = JoinSet::new();
        for mut client in self.clients {
            let (target, stop) = (target.subscribe(), Arc::clone(&stop));
            tasks.spawn(async move {
                client.record(target, &stop, until_broken).await;
                client
            });
        }
        Recording {
            tasks,
            stop,
            target,
            counts: self.counts,
        }
    }

    /// Everything acknowledged so far.
    pub fn acknowledged(&self) -> impl Iterator<Item = &Promise> {
        self.clients.iter().flat_map(Client::acknowledged)
    }

    /// The new versions of each atomic batch that is sent and not acknowledged.
    #[must_use]
    pub fn undecided(&self) -> Vec<Vec<Unknown>> {
        self.clients.iter().filter_map(Client::undecided).collect()
    }
}

/// Clients at work.
pub struct Recording {
    tasks: JoinSet<Client>,
    stop: Arc<AtomicBool>,
    target: watch::Sender<SocketAddr>,
    /// What they count together.
    pub counts: Arc<Counts>,
}

impl Recording {
    /// Sends the clients to another address.
    pub fn move_to(&self, api: SocketAddr) {
        self.target.send_replace(api);
    }

    /// Tells the clients to stop after the answer they wait for.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Waits until all have stopped.
    pub async fn ended(self) -> Load {
        Load {
            clients: self.tasks.join_all().await,
            counts: self.counts,
        }
    }

    /// Stops all and waits for them.
    pub async fn finish(self) -> Load {
        self.stop();
        self.ended().await
    }
}
