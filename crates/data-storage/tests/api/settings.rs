//! Every key of the configuration has an effect, and a test that shows it.

mod shown;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use audit_store::WriteStore;
use data_storage::{Config, DEFAULTS, DataStorage};
use futures::future::join_all;
use serde_json::{Value, json};
use service_kit::config::Secret;
use service_kit::metrics::BuildInfo;
use service_kit::server::ServerConfig;
use service_kit::shutdown::Shutdown;
use service_kit::telemetry::TraceMetrics;
use service_kit::{Clock, Host};
use testkit::{Database, records};

use crate::app::App;
use shown::SHOWN;

fn keys(prefix: &str, table: &toml::Table, into: &mut Vec<String>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(table) => keys(&format!("{prefix}{key}."), table, into),
            _ => into.push(format!("{prefix}{key}")),
        }
    }
}

#[test]
fn every_key_is_listed_with_a_test_that_exists() {
    let mut known = Vec::new();
    keys("", &DEFAULTS.parse().unwrap(), &mut known);
    known.sort();
    let listed: Vec<&str> = SHOWN.iter().map(|(key, ..)| *key).collect();
    assert_eq!(known, listed);
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for (key, file, test) in SHOWN {
        let text = files.entry(file).or_insert_with(|| {
            std::fs::read_to_string(crates.join(file)).unwrap_or_else(|_| panic!("{file}"))
        });
        assert!(
            text.contains(&format!("fn {test}(")),
            "{key}: no {test} in {file}"
        );
    }
}

/// A row of the ledger locked, so that a transaction with it waits until this one ends.
async fn locked(app: &App, table: &str) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut lock = app.store.pool().begin().await.unwrap();
    let statement = sqlx::AssertSqlSafe(format!("LOCK TABLE {table} IN EXCLUSIVE MODE"));
    sqlx::query(statement).execute(&mut *lock).await.unwrap();
    lock
}

#[tokio::test]
async fn transactions_are_as_large_and_as_many_as_configured() {
    for (max_batch, expected) in [(1, 9), (128, 2)] {
        let app = App::configured(|config| {
            config.writer.tasks = 1;
            config.writer.max_batch = max_batch;
        })
        .await;
        let lock = locked(&app, "ai_analyses").await;
        let first = records::analysis("ai-1", "rr-1");
        let others: Vec<Value> = (0..8)
            .map(|index| records::remediation(&format!("rr-{index}")))
            .collect();
        let release = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            // One task waits for the lock, so nothing else is written although nothing else is locked.
            assert_eq!(app.count("audit_events").await, 0);
            lock.rollback().await.unwrap();
        };
        let rest = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            join_all(others.iter().map(|body| app.post("remediation", body))).await
        };
        let (first, rest, ()) = tokio::join!(app.post("aianalysis", &first), rest, release);
        assert_eq!(first.status, 201);
        assert!(rest.iter().all(|answer| answer.status == 201));
        let transactions: i64 = sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM audit_events")
            .fetch_one(app.store.pool())
            .await
            .unwrap();
        assert_eq!(transactions, expected, "of at most {max_batch} records");
    }
    // With two tasks, what waits for nothing is written meanwhile.
    let app = App::configured(|config| config.writer.tasks = 2).await;
    let mut taken = app.store.pool().begin().await.unwrap();
    sqlx::query(
        "INSERT INTO idempotency_keys (caller, key, request_sha256, created_at, expires_at)
         VALUES ('system:anonymous', 'taken', sha256(''), now(), now())",
    )
    .execute(&mut *taken)
    .await
    .unwrap();
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let answer = app.post("remediation", &records::remediation("rr-1")).await;
        assert_eq!(answer.status, 201);
        assert_eq!(app.count("ai_analyses").await, 0);
        taken.rollback().await.unwrap();
    };
    let first = records::analysis("ai-1", "rr-1");
    let (first, ()) = tokio::join!(app.post_with_key("aianalysis", "taken", &first), meanwhile);
    assert_eq!(first.status, 201);
}

/// In how many transactions the ledger was written.
async fn transactions(app: &App) -> i64 {
    sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM audit_events")
        .fetch_one(app.store.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn transactions_begin_as_far_apart_as_configured_while_many_records_come() {
    let bodies: Vec<Value> = (0..6)
        .map(|index| records::remediation(&format!("rr-{index}")))
        .collect();
    let app = App::configured(|config| config.writer.linger = Duration::ZERO).await;
    for body in &bodies {
        assert_eq!(app.post("remediation", body).await.status, 201);
    }
    assert_eq!(transactions(&app).await, 6);
    // As long as this nothing waits: a transaction that is full begins at once.
    let app = App::configured(|config| {
        config.writer.linger = Duration::from_mins(1);
        config.writer.max_batch = 5;
    })
    .await;
    assert_eq!(app.post("remediation", &bodies[0]).await.status, 201);
    let began = Instant::now();
    let others = join_all((0..).zip(&bodies[1..]).map(async |(index, body)| {
        tokio::time::sleep(Duration::from_millis(30) * index).await;
        app.post("remediation", body).await.status
    }))
    .await;
    assert_eq!(others, [201; 5]);
    assert_eq!(transactions(&app).await, 2);
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn a_transaction_that_has_sixteen_records_begins_at_once() {
    let app = App::configured(|config| config.writer.linger = Duration::from_mins(1)).await;
    let record = |number: usize| records::remediation(&format!("rr-{number}"));
    assert_eq!(app.post("remediation", &record(0)).await.status, 201);
    let began = Instant::now();
    let others = join_all((1..=16).map(async |number| app.post("remediation", &record(number)).await.status));
    assert_eq!(others.await, [201; 16]);
    assert_eq!(transactions(&app).await, 2);
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn records_on_their_way_have_as_much_room_as_configured() {
    for (bytes, status) in [(6_000, 503), (60_000, 201)] {
        let app = App::configured(|config| config.writer.queue_bytes = bytes).await;
        let lock = locked(&app, "audit_events").await;
        let record =
            |name: &str| records::with(records::remediation(name), json!({"message": "x".repeat(4_000)}));
        let second = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let second = record("rr-2");
            let release = async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                lock.rollback().await.unwrap();
            };
            tokio::join!(app.post("remediation", &second), release).0
        };
        let first = record("rr-1");
        let (first, second) = tokio::join!(app.post("remediation", &first), second);
        assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, status));
    }
}

#[tokio::test]
async fn a_record_that_names_no_cluster_is_of_the_configured_one() {
    let app = App::configured(|config| config.records.default_cluster = "edge-7".to_owned()).await;
    let mut body = records::remediation("rr-1");
    body.as_object_mut().unwrap().remove("clusterName");
    assert_eq!(app.post("remediation", &body).await.status, 201);
    assert_eq!(
        app.count("resource_action_traces WHERE cluster_name = 'edge-7'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_batch_may_be_as_large_as_configured_and_as_limits_allow() {
    let app = App::configured(|config| config.batches.max_records = 2).await;
    let entry = |name: &str| json!({"kind": "remediation", "record": records::remediation(name)});
    let path = "/api/v1/audit/batch";
    let batch: Value = ["rr-1", "rr-2", "rr-3"].map(entry).into();
    assert_eq!(
        testkit::request::post(&app.router, path, &batch).await.status,
        400
    );
    let batch: Value = ["rr-1", "rr-2"].map(entry).into();
    assert_eq!(
        testkit::request::post(&app.router, path, &batch).await.status,
        200
    );

    let mut config = started(&Database::new("datastorage").await);
    config.batches.max_records = 501;
    let refused = DataStorage::bind(config, Database::embedder(), host())
        .await
        .err()
        .unwrap();
    assert_eq!(
        refused.to_string(),
        "batches.max_records is 501, but rate_limit.burst and rate_limit.caller_burst never grant more than 500 at once: raise them or lower it"
    );
}

fn started(database: &Database) -> Config {
    let mut config = Config::load(None, []).unwrap();
    config.server = ServerConfig::ephemeral();
    config.database.url = Secret::new(database.url());
    config.database.schema = database.schema().data().to_owned();
    config
}

fn host() -> Host {
    Host {
        clock: Clock::manual(Database::now()),
        build: BuildInfo {
            version: "0".to_owned(),
            revision: "test".to_owned(),
        },
        traces: TraceMetrics::default(),
        shutdown: Shutdown::new(),
    }
}

#[tokio::test]
async fn a_start_waits_for_its_database_as_long_as_configured() {
    let database = Database::new("datastorage").await;
    let mut config = started(&database);
    config.database.url = Secret::new("postgres://nobody:none@127.0.0.1:1/none");
    config.database.connect_timeout = Duration::from_millis(700);
    let began = Instant::now();
    let refused = DataStorage::bind(config, Database::embedder(), host())
        .await
        .err()
        .unwrap();
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_millis(700) && waited < Duration::from_secs(10),
        "{refused} after {waited:?}"
    );
    assert!(
        DataStorage::bind(started(&database), Database::embedder(), host())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn connections_are_as_many_and_as_patient_as_configured() {
    let database = Database::new("datastorage").await;
    let mut config = started(&database);
    config.database.max_connections = 1;
    config.database.acquire_timeout = Duration::from_millis(300);
    config.database.statement_timeout = Duration::from_millis(1_234);
    let store = WriteStore::connect(&config.database.connect_options().unwrap())
        .await
        .unwrap();
    let only = store.pool().acquire().await.unwrap();
    let began = Instant::now();
    assert!(store.pool().acquire().await.is_err());
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_millis(300) && waited < Duration::from_secs(5),
        "{waited:?}"
    );
    drop(only);
    let timeout: String = sqlx::query_scalar("SHOW statement_timeout")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(timeout, "1234ms");
}
