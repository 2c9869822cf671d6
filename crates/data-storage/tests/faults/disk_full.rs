//! The disk of PostgreSQL is full: of its tables, of its write-ahead log.
//!
//! No file system is filled: `testkit::preload` tells a server of the test's own that its files cannot grow.
//! PostgreSQL's own handling of the error is the real one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use audit_store::migrate::{MigrateOptions, ReaderRole, migrate};
use audit_store::{ConnectOptions, PartitionWindow, SchemaName, WriteStore};
use devstack::{Durability, Major, Postgres, PostgresOptions, Progress};
use tempfile::TempDir;
use testkit::Database;
use testkit::preload::{Disk, FullDisks};

use crate::load::{Load, faults};
use crate::service::{Service, wait_until};

const CLIENTS: usize = 8;
/// How soon records are acknowledged again once there is room and a server.
const RECOVERY: Duration = Duration::from_secs(5);
/// How long a record is held at most that finds no room; far less than what is held for a database that is away.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// A server whose disks can be filled.
struct Server {
    disks: FullDisks,
    options: PostgresOptions,
    postgres: Postgres,
    _directory: TempDir,
}

impl Server {
    async fn start() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("kubernaut-")
            // The user that PostgreSQL runs as must get in.
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        let disks = FullDisks::new(directory.path());
        let mut options = PostgresOptions::new(Major::default(), directory.path().join("pg"));
        options.durability = Durability::Disposable;
        options.environment = disks.environment();
        let postgres = run(options.clone()).await;
        options.port = Some(postgres.port());
        Self {
            disks,
            options,
            postgres,
            _directory: directory,
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.postgres.log_path()).unwrap()
    }

    async fn migrated(&self) -> ConnectOptions {
        let connect = ConnectOptions::new(self.postgres.url(), SchemaName::default(), "test");
        let options = MigrateOptions {
            model: data_storage::model_identity(&Database::embedder()),
            reader: ReaderRole {
                name: "kubernaut_reader".to_owned(),
                password: None,
            },
            partitions: PartitionWindow {
                months_back: 1,
                months_ahead: 1,
            },
        };
        migrate(&connect, &options, Database::now()).await.unwrap();
        connect
    }
}

async fn run(options: PostgresOptions) -> Postgres {
    let start = move || {
        let cache = devstack::cache_directory().unwrap();
        let package = devstack::fetch_postgres(&cache, Progress::detect()).unwrap();
        Postgres::start(&package, &options).unwrap_or_else(|error| panic!("{error}"))
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}

async fn writer_reason(service: &Service) -> String {
    let (_, report) = service.readiness().await;
    let reason = &report["checks"]["writer"]["reason"];
    reason.as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_cannot_grow_are_told_and_survived() {
    let server = Server::start().await;
    let connect = server.migrated().await;
    let service = Service::start(&server.postgres.url(), connect.schema.data(), |_| {}).await;
    let load = Load::start(service.api, CLIENTS);
    wait_until("records", async || load.acknowledged() >= 50).await;
    assert_eq!(writer_reason(&service).await, "");

    server.disks.fill(Disk::Data);
    let full = |seen: &crate::load::Seen| seen.refusals.get("storage-full").copied().unwrap_or(0);
    wait_until("a refusal for each client", async || {
        load.seen(full) >= 4 * CLIENTS
    })
    .await;
    assert!(service.metric("writes_total", "storage-full").await >= 4.0);
    wait_until("the reason", async || {
        writer_reason(&service).await == "the database has no space left"
    })
    .await;
    assert!(server.said().contains("No space left on device"));

    let before = load.acknowledged();
    server.disks.make_room(Disk::Data);
    let recovery = wait_until("records", async || load.acknowledged() >= before + 50).await;
    assert!(recovery < RECOVERY, "took {recovery:?}");
    wait_until("readiness", async || service.readiness().await.0 == 200).await;
    let seen = load.finish().await;
    assert_eq!(seen.wrong, [""; 0]);
    assert_eq!(seen.broken, 0);
    assert!(seen.slowest < ANSWERED_WITHIN, "took {:?}", seen.slowest);
    let store = WriteStore::connect(&connect).await.unwrap();
    assert_eq!(faults(&store, &seen.acknowledged).await, [""; 0]);
    store.close().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_grow_ends_postgresql_and_loses_nothing() {
    let mut server = Server::start().await;
    let connect = server.migrated().await;
    let service = Service::start(&server.postgres.url(), connect.schema.data(), |config| {
        config.writer.retry_for = Duration::from_secs(1);
        config.database.acquire_timeout = Duration::from_millis(300);
    })
    .await;
    let load = Load::start(service.api, CLIENTS);
    wait_until("records", async || load.acknowledged() >= 50).await;

    server.disks.fill(Disk::Wal);
    // The rest of the present segment would take a while to fill.
    let store = WriteStore::connect(&connect).await.unwrap();
    let _ = sqlx::query("SELECT pg_switch_wal()").execute(store.pool()).await;
    store.close().await;
    wait_until("a refusal for each client", async || {
        load.seen(|seen| seen.with_status(503)) >= CLIENTS
    })
    .await;
    let said = server.said();
    assert!(
        said.contains("PANIC") && said.contains("No space left on device"),
        "{said}"
    );
    assert_eq!(service.readiness().await.0, 503);

    server.disks.make_room(Disk::Wal);
    // PostgreSQL gives up if its recovery finds no room either; somebody starts it again then.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        if server.postgres.try_wait().unwrap().is_some() {
            let options = server.options.clone();
            drop(server.postgres);
            server.postgres = run(options).await;
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = load.acknowledged();
    let recovery = wait_until("records", async || load.acknowledged() >= before + 50).await;
    assert!(recovery < RECOVERY, "took {recovery:?}");
    wait_until("readiness", async || service.readiness().await.0 == 200).await;
    let seen = load.finish().await;
    assert_eq!(seen.wrong, [""; 0]);
    assert_eq!(seen.broken, 0);
    let store = WriteStore::connect(&connect).await.unwrap();
    assert_eq!(faults(&store, &seen.acknowledged).await, [""; 0]);
    store.close().await;
    service.stop().await;
}
