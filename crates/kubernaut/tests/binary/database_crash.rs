//! PostgreSQL killed under load: the service answers 503 meanwhile, goes on by itself afterwards, and what it
//! acknowledged is there, once and whole.

use audit_store::migrate::{MigrateOptions, ReaderRole, migrate};
use audit_store::{ConnectOptions, PartitionWindow, SchemaName, WriteStore};
use chrono::TimeDelta;
use devstack::{Major, Postgres, PostgresOptions, Progress};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use service_kit::Clock;

use crate::directory::directory;
use crate::ledger::faults;
use crate::load::{CLIENTS, Load};
use crate::model::minilm;
use crate::process::wait_until;
use crate::storage::Storage;

/// How often PostgreSQL is killed.
const KILLS: usize = 2;
/// How many records have to come before and after a kill.
const RECORDS: usize = 100;

async fn start(options: PostgresOptions) -> Postgres {
    let start = move || {
        let package =
            devstack::fetch_postgres(&devstack::cache_directory().unwrap(), Progress::detect()).unwrap();
        Postgres::start(&package, &options).unwrap_or_else(|error| panic!("{error}"))
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}

async fn migrated(url: &str) -> ConnectOptions {
    let connect = ConnectOptions::new(url, SchemaName::default(), "test");
    let options = MigrateOptions {
        model: minilm(),
        reader: ReaderRole {
            name: "kubernaut_reader".to_owned(),
            password: None,
        },
        partitions: PartitionWindow {
            months_back: 1,
            months_ahead: 1,
        },
    };
    migrate(&connect, &options, Clock::system().now()).await.unwrap();
    connect
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_killed_database() {
    let directory = directory();
    let mut options = PostgresOptions::new(Major::default(), directory.path().join("pg"));
    let mut postgres = start(options.clone()).await;
    options.port = Some(postgres.port());
    let connect = migrated(&postgres.url()).await;
    // Impatient, so that the time without a database is seen.
    let settings = [
        ("WRITER__RETRY_FOR", "300ms"),
        ("DATABASE__ACQUIRE_TIMEOUT", "100ms"),
    ];
    let mut storage = Storage::start(&postgres.url(), &connect.schema, &settings).await;
    let recording = Load::new(Clock::system().now() - TimeDelta::hours(12)).start(&storage.api);
    let counts = recording.counts.clone();
    for _ in 0..KILLS {
        let (before, refused) = (counts.acknowledged(), counts.refused());
        wait_until("records", async || counts.acknowledged() >= before + RECORDS).await;
        let pid = Pid::from_raw(postgres.pid().unwrap().cast_signed());
        kill(pid, Signal::SIGKILL).unwrap();
        wait_until("the end of PostgreSQL", async || {
            postgres.try_wait().unwrap().is_some()
        })
        .await;
        drop(postgres);
        wait_until("a refusal for each client", async || {
            counts.refused() >= refused + CLIENTS
        })
        .await;
        postgres = start(options.clone()).await;
    }
    let before = counts.acknowledged();
    wait_until("records afterwards", async || {
        counts.acknowledged() >= before + RECORDS
    })
    .await;
    recording.stop();
    let load = recording.ended().await;
    eprintln!("{KILLS} kills; {:?}", load.counts);
    assert_eq!(load.counts.failed(), 0, "the service broke connections");
    storage.process.stop(Signal::SIGTERM).await;
    let store = WriteStore::connect(&connect).await.unwrap();
    assert_eq!(faults(&store, &load.acknowledged()).await, [""; 0]);
    store.close().await;
    tokio::task::spawn_blocking(|| postgres.stop())
        .await
        .unwrap()
        .unwrap();
}
