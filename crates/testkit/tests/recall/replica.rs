//! Context API on a real streaming replica of the database that Data Storage writes to.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use audit_store::{ConnectOptions, Reader};
use axum::body::Body;
use axum::http::Request;
use axum::http::header::CACHE_CONTROL;
use devstack::{Durability, Major, Postgres, PostgresOptions, Progress};
use service_kit::shutdown::Shutdown;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use testkit::{Database, records, request};
use tokio::time::{Instant, sleep};

use crate::both::Both;
use crate::cached::{Replica, header};

const LIST: &str = "/api/v1/incidents";
/// How long anything of these tests may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Both services on a primary, and where its standby is.
struct Pair {
    both: Both,
    options: ConnectOptions,
    standby: Postgres,
    primary: Postgres,
    _directory: TempDir,
}

impl Pair {
    async fn new(of_standby: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let replicating = [("wal_level", "replica"), ("max_wal_senders", "4")];
        let settings: Vec<_> = replicating.iter().chain(of_standby).map(owned).collect();
        let start = move || {
            let cache = devstack::cache_directory().expect("a cache directory");
            let package = devstack::fetch_postgres(&cache, Progress::detect()).expect("PostgreSQL");
            let directory = tempfile::Builder::new()
                .prefix("replica-")
                // The user that PostgreSQL runs as must get there.
                .permissions(Permissions::from_mode(0o755))
                .tempdir()
                .expect("a directory");
            let options = |name| PostgresOptions {
                durability: Durability::Disposable,
                settings: settings.clone(),
                ..PostgresOptions::new(Major::V18, directory.path().join(name))
            };
            let primary = Postgres::start(&package, &options("primary")).expect("a primary");
            let standby =
                Postgres::start_replica(&package, &options("standby"), &primary).expect("a standby");
            (directory, primary, standby)
        };
        let (directory, primary, standby) = tokio::task::spawn_blocking(start).await.expect("servers");
        let database = Database::on_server(primary.url(), "recall").await;
        let both = Both::on(database, Database::embedder()).await;
        let options = both.database.reader_options();
        let [from, to] = [&primary, &standby].map(|server| format!(":{}/", server.port()));
        let options = ConnectOptions {
            url: options.url.replace(&from, &to),
            ..options
        };
        let pair = Self {
            both,
            options,
            standby,
            primary,
            _directory: directory,
        };
        // What the service asks of a database before it serves it.
        let reader = pair.reader().await;
        let began = Instant::now();
        while let Err(refused) = reader.require_compatible(pair.both.database.model()).await {
            assert!(began.elapsed() < PATIENCE, "{refused}");
            sleep(Duration::from_millis(20)).await;
        }
        pair
    }

    /// On the standby.
    async fn reader(&self) -> Reader {
        Reader::connect(&self.options).await.expect("a connection")
    }

    /// A Context API on the standby.
    async fn replica(&self) -> Replica {
        Replica::watching(&self.both, &self.options, "").await
    }

    async fn on_standby(&self, statement: &'static str) {
        let mut superuser = PgConnection::connect(&self.standby.url())
            .await
            .expect("a connection");
        sqlx::raw_sql(statement)
            .execute(&mut superuser)
            .await
            .expect(statement);
    }

    /// What the probe of a Context API on the standby says, with 200.
    async fn readiness(&self, replica: &Replica) -> String {
        let model = self.both.database.model().clone();
        let checks = context_api::checks(&self.reader().await, model, &replica.cache);
        let probes = checks.build(Shutdown::new()).router();
        let answer = request::get(&probes, "/readyz").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let checks = &answer.body["checks"];
        format!(
            "{} {}",
            answer.body["status"].as_str().expect("a status"),
            checks["replay_lag"]["status"].as_str().expect("a check")
        )
    }
}

/// Waits for a number of incidents, and gives how long it took.
async fn until_total(replica: &Replica, total: i64) -> Duration {
    let began = Instant::now();
    loop {
        let answer = replica.get(LIST).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        if answer.body["total"] == total {
            return began.elapsed();
        }
        assert!(began.elapsed() < PATIENCE, "{}", answer.body);
        sleep(Duration::from_millis(2)).await;
    }
}

async fn until_lag(replica: &Replica, reached: impl Fn(f64) -> bool) {
    let began = Instant::now();
    while !reached(replica.replay_lag()) {
        assert!(began.elapsed() < PATIENCE, "{}", replica.replay_lag());
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_data_storage_writes_to_the_primary_is_read_from_a_replica() {
    let pair = Pair::new(&[]).await;
    let replica = pair.replica().await;
    let mut waits = Vec::new();
    for number in 1..=30 {
        pair.both
            .incident(&records::remediation(&format!("rr-{number}")))
            .await;
        waits.push(until_total(&replica, number).await);
    }
    waits.sort();
    assert!(waits[29] < Duration::from_secs(5), "{waits:?}");
    for path in [
        LIST,
        "/api/v1/context/remediation/rr-1",
        "/api/v1/context/success-rates?groupBy=action",
        "/api/v1/aggregations/trend",
    ] {
        let (here, there) = (replica.get(path).await, pair.both.get(path).await);
        assert_eq!((here.status.as_u16(), here.body), (200, there.body), "{path}");
    }
    until_lag(&replica, |lag| lag == 0.0).await;
    assert_eq!(pair.readiness(&replica).await, "ready ok");
    let refused = sqlx::raw_sql("CREATE TEMPORARY TABLE t ()")
        .execute(pair.reader().await.pool())
        .await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_replica_that_does_not_replay_says_how_old_its_answers_are_and_catches_up() {
    let pair = Pair::new(&[]).await;
    let replica = pair.replica().await;
    pair.both.incident(&records::remediation("rr-1")).await;
    until_total(&replica, 1).await;
    until_lag(&replica, |lag| lag == 0.0).await;
    pair.on_standby("SELECT pg_wal_replay_pause()").await;
    pair.both.incident(&records::remediation("rr-2")).await;
    let paused = Instant::now();
    until_lag(&replica, |lag| lag > 3.0).await;
    // Not more than there was since the commit, but for one round of asking.
    let lag = replica.replay_lag();
    assert!(lag < paused.elapsed().as_secs_f64() + 1.5, "{lag}");
    let old = replica.get_with(LIST, CACHE_CONTROL, "no-cache").await;
    assert_eq!((old.status.as_u16(), &old.body["total"]), (200, &1.into()));
    for answer in [old, replica.get(LIST).await] {
        let age: u64 = header(&answer, "age").parse().expect("an age");
        assert!((3..=6).contains(&age), "{age}");
    }
    assert_eq!(pair.readiness(&replica).await, "degraded failed");

    pair.on_standby("SELECT pg_wal_replay_resume()").await;
    until_total(&replica, 2).await;
    until_lag(&replica, |lag| lag == 0.0).await;
    let new = replica.get_with(LIST, CACHE_CONTROL, "no-cache").await;
    assert_eq!(header(&new, "age"), "0");
    assert_eq!(pair.readiness(&replica).await, "ready ok");
}

#[tokio::test]
async fn a_replica_whose_primary_was_killed_still_answers_and_does_not_claim_to_be_new() {
    let pair = Pair::new(&[]).await;
    let replica = pair.replica().await;
    let id = pair.both.incident(&records::remediation("rr-1")).await;
    until_total(&replica, 1).await;
    let pid = pair.primary.pid().expect("a process").to_string();
    let killed = Command::new("kill").args(["-KILL", &pid]).status();
    assert!(killed.expect("kill").success());
    until_lag(&replica, |lag| lag > 2.0).await;
    for path in [LIST, &format!("{LIST}/{id}"), "/api/v1/context/remediation/rr-1"] {
        let answer = replica.get_with(path, CACHE_CONTROL, "no-cache").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let age: u64 = header(&answer, "age").parse().expect("an age");
        assert!(age >= 2, "{path}: {age}");
    }
    assert_eq!(pair.readiness(&replica).await, "degraded failed");
}

#[tokio::test]
async fn a_request_that_replay_cuts_off_is_told_to_come_back() {
    let pair = Pair::new(&[("max_standby_streaming_delay", "0")]).await;
    // Nobody looks for changes here, who would wait for the ledger as well.
    let replica = Replica::on(&pair.both, &pair.options, "").await;
    let id = pair.both.incident(&records::remediation("rr-1")).await;
    let detail = format!("{LIST}/{id}");
    until_found(&replica, &detail).await;
    let schema = pair.both.database.schema().data();
    let mut locks = Vec::new();
    let mut asks = None;
    // The request waits for the ledger with the incidents in its hands; then the primary wants these too.
    for table in ["audit_events", "resource_action_traces"] {
        let mut owner = PgConnection::connect(&pair.primary.url())
            .await
            .expect("a connection");
        // A lock is told with the next commit or when its piece of the log is full.
        let statement =
            format!("BEGIN; LOCK TABLE {schema}.{table} IN ACCESS EXCLUSIVE MODE; SELECT pg_switch_wal()");
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut owner)
            .await
            .expect("a lock");
        locks.push(owner);
        if asks.is_none() {
            replayed_lock(&pair, &format!("{schema}.{table}")).await;
            let ask = Request::get(&detail).header(CACHE_CONTROL, "no-cache");
            let (router, ask) = (
                replica.router.clone(),
                ask.body(Body::empty()).expect("a request"),
            );
            asks = Some(tokio::spawn(async move { request::send(&router, ask).await }));
            waits(&pair, &format!("{schema}.{table}")).await;
        }
    }
    let answer = asks.expect("a request").await.expect("an answer");
    assert_eq!(
        (answer.status.as_u16(), header(&answer, "retry-after").as_str()),
        (503, "1"),
        "{}",
        answer.body
    );
    drop(locks);
    until_found(&replica, &detail).await;
}

async fn until_found(replica: &Replica, path: &str) {
    let began = Instant::now();
    while replica.get_with(path, CACHE_CONTROL, "no-cache").await.status != 200 {
        assert!(began.elapsed() < PATIENCE, "{path}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the standby holds a lock of the primary.
async fn replayed_lock(pair: &Pair, table: &str) {
    locks(pair, table, "granted AND mode = 'AccessExclusiveLock'").await;
}

/// Waits until somebody waits for a table of the standby.
async fn waits(pair: &Pair, table: &str) {
    locks(pair, table, "NOT granted AND mode = 'AccessShareLock'").await;
}

async fn locks(pair: &Pair, table: &str, which: &str) {
    let mut superuser = PgConnection::connect(&pair.standby.url())
        .await
        .expect("a connection");
    let began = Instant::now();
    loop {
        let sql =
            format!("SELECT count(*) FROM pg_locks WHERE {which} AND relation::regclass::text = '{table}'");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut superuser)
            .await
            .expect("a count");
        if count > 0 {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "nobody {which} on {table}");
        sleep(Duration::from_millis(20)).await;
    }
}
