//! Dev only: faults under load, and whether anything that was acknowledged was lost, doubled or half-written.
//!
//! The services run as child processes of the real binary, on a PostgreSQL of the fault's own that keeps its promises
//! (fsync is on). Clients record all the while ([`load`]), send again whatever was not acknowledged, and remember what
//! was; afterwards [`check`] compares the database with what they remember, and asks `fsck`.
//!
//! * [`Fault`]: the faults, one file each in `fault/`;
//! * [`Outcome`]: what a fault did and left behind. A fault that met no traffic has proved nothing and counts as failed;
//! * [`Sabotage`]: losses planted on purpose, which the check must find;
//! * [`process`], [`service`], [`stack`]: the binary, the services and a PostgreSQL under them, also for other tests.
//!
//! Everything is drawn from one seed. What the seed does not repeat is the timing of the machine.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test support: a failure is the fault's failure, told where it happens"
)]

pub mod check;
mod fault;
pub mod load;
mod outcome;
pub mod process;
mod sabotage;
pub mod service;
pub mod stack;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use audit_store::WriteStore;
use chrono::{DateTime, TimeDelta, Utc};
use clap::ValueEnum;
use futures::FutureExt as _;
use service_kit::Clock;

use check::Findings;
use load::{Load, LoadOptions, Mix, Promise};
use stack::Stack;

pub use outcome::{Outcome, table};
pub use sabotage::{Sabotage, plant};

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Data Storage and PostgreSQL killed with SIGKILL at random moments.
    Kills,
    /// More records in a second than can be stored.
    Burst,
    /// Clients that hang up amid their request or before its answer.
    Vanish,
    /// A network to PostgreSQL that delays, cuts, refuses, forgets and swallows.
    Network,
    /// Context API with a network to PostgreSQL and to Redis that does the same.
    Recall,
    /// Disks of PostgreSQL that are full. Linux only.
    Disk,
    /// A provider of vectors that is slow, silent, down or wrong.
    Embedder,
    /// VACUUM, REINDEX CONCURRENTLY and ANALYZE amid the load.
    Upkeep,
    /// The clock of the service set forward and back. Linux only.
    Clock,
}

impl Fault {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kills => "kills",
            Self::Burst => "burst",
            Self::Vanish => "vanish",
            Self::Network => "network",
            Self::Recall => "recall",
            Self::Disk => "disk",
            Self::Embedder => "embedder",
            Self::Upkeep => "upkeep",
            Self::Clock => "clock",
        }
    }

    /// Lets it happen. A panic on the way is part of the outcome.
    pub async fn run(self, context: &Context) -> Outcome {
        let began = Instant::now();
        let happening = async {
            match self {
                Self::Kills => fault::kills::run(context).await,
                Self::Burst => fault::burst::run(context).await,
                Self::Vanish => fault::vanish::run(context).await,
                Self::Network => fault::network::run(context).await,
                Self::Recall => fault::recall::run(context).await,
                #[cfg(target_os = "linux")]
                Self::Disk => fault::disk::run(context).await,
                #[cfg(target_os = "linux")]
                Self::Clock => fault::clock::run(context).await,
                #[cfg(not(target_os = "linux"))]
                Self::Disk | Self::Clock => panic!("needs Linux"),
                Self::Embedder => fault::embedder::run(context).await,
                Self::Upkeep => fault::upkeep::run(context).await,
            }
        };
        // Whatever it left half-changed is gone with it.
        let happened = AssertUnwindSafe(happening).catch_unwind().await;
        let mut outcome = happened.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Outcome {
                failure: Some(text.unwrap_or_else(|| "it panicked".to_owned())),
                ..Outcome::default()
            }
        });
        outcome.fault = self.name();
        outcome.took = began.elapsed();
        outcome
    }
}

/// How much of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Processes killed.
    pub kills: u64,
    /// Versions to be acknowledged among the kills.
    pub records: usize,
    /// Records of the burst.
    pub burst: usize,
    /// How often each of the other faults happens.
    pub rounds: u64,
    /// How long each round lasts.
    pub round: Duration,
    /// Clients at work.
    pub clients: usize,
    /// Records of the largest batch.
    pub batch: usize,
    /// Kills between two checks.
    pub check_every: u64,
}

impl Scale {
    /// Seconds for each fault.
    pub const SHORT: Self = Self {
        kills: 6,
        records: 1_500,
        burst: 6_000,
        rounds: 1,
        round: Duration::from_millis(1_500),
        clients: 16,
        batch: 24,
        check_every: 3,
    };
    /// An hour.
    pub const FULL: Self = Self {
        kills: 1_000,
        records: 500_000,
        burst: 25_000,
        rounds: 5,
        round: Duration::from_secs(5),
        clients: 16,
        batch: 96,
        check_every: 100,
    };
}

/// What every fault is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// The binary `kubernaut`.
    pub program: PathBuf,
    /// What every choice is drawn from.
    pub seed: u64,
    /// How much of everything.
    pub scale: Scale,
    /// What is done behind the service's back before the last check.
    pub sabotage: Option<Sabotage>,
    /// Lets nothing happen: no process is killed, no network is bad. A fault must then miss what it has to meet, or that
    /// it met something would prove nothing.
    pub harmless: bool,
    /// When no further round may begin.
    pub deadline: Option<Instant>,
    /// Whether to tell on standard error how far it is.
    pub talkative: bool,
}

impl Context {
    /// Whether there is no time for another round.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn tell(&self, line: impl FnOnce() -> String) {
        if self.talkative {
            eprintln!("{}", line());
        }
    }

    /// Clients that send everything there is, to a database with months around today.
    fn load(&self) -> Load {
        self.load_of(Mix::Everything {
            batch: self.scale.batch,
        })
    }

    fn load_of(&self, mix: Mix) -> Load {
        Load::new(&LoadOptions {
            clients: self.scale.clients,
            begin: now() - TimeDelta::days(3),
            mix,
            seed: self.seed,
        })
    }

    /// The last check, after what was planted: everything that was acknowledged, and `fsck`.
    async fn check(&self, stack: &Stack, load: &Load) -> Findings {
        let promises: Vec<Promise> = load.acknowledged().cloned().collect();
        let undecided = load.undecided();
        self.check_promises(stack, promises, &undecided, now()).await
    }

    async fn check_promises(
        &self,
        stack: &Stack,
        mut promises: Vec<Promise>,
        undecided: &[Vec<load::Unknown>],
        latest: DateTime<Utc>,
    ) -> Findings {
        let store: WriteStore = stack.store().await;
        if let Some(sabotage) = self.sabotage {
            plant(sabotage, &store, &mut promises).await;
        }
        let mut findings = check::compare(&store, &promises, undecided).await;
        store.close().await;
        check::fsck(&stack.connect(), latest, &mut findings).await;
        findings
    }
}

fn now() -> DateTime<Utc> {
    Clock::system().now()
}
