//! The service under test: the one the binary runs, in this process.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use audit_store::WriteStore;
use data_storage::{Config, DataStorage};
use serde_json::Value;
use service_kit::metrics::BuildInfo;
use service_kit::server::{Ended, ServerConfig};
use service_kit::shutdown::Shutdown;
use service_kit::telemetry::TraceMetrics;
use service_kit::{Clock, Host};
use testkit::Database;
use testkit::request::Answer;
use testkit::wire::Wire;
use tokio::task::JoinHandle;

/// How long anything may take that is expected to happen, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether it happened.
const GLANCE: Duration = Duration::from_millis(10);

/// A running service.
pub(crate) struct Service {
    pub(crate) api: SocketAddr,
    metrics: SocketAddr,
    shutdown: Shutdown,
    task: JoinHandle<Ended>,
}

impl Service {
    /// On a schema, by way of `url`.
    pub(crate) async fn start(url: &str, schema: &str, change: impl FnOnce(&mut Config)) -> Self {
        let environment = [
            ("DATA_STORAGE__DATABASE__URL".into(), url.into()),
            ("DATA_STORAGE__DATABASE__SCHEMA".into(), schema.into()),
        ];
        let mut config = Config::load(None, environment).unwrap();
        config.server = ServerConfig::ephemeral();
        // Storms are meant to reach the queue.
        config.rate_limit.per_second = NonZeroU32::MAX;
        config.rate_limit.burst = NonZeroU32::MAX;
        change(&mut config);
        let build = BuildInfo {
            version: "0".to_owned(),
            revision: "test".to_owned(),
        };
        let clock = Clock::manual(Database::now());
        let shutdown = Shutdown::new();
        let host = Host {
            clock,
            build,
            traces: TraceMetrics::default(),
            shutdown: shutdown.clone(),
        };
        let service = DataStorage::bind(config, Database::embedder(), host)
            .await
            .unwrap();
        let service = Self {
            api: service.api_address(),
            metrics: service.metrics_address(),
            task: tokio::spawn(service.serve()),
            shutdown,
        };
        let deadline = Instant::now() + PATIENCE;
        while Wire::new(service.api)
            .get("/startupz")
            .await
            .is_ok_and(|answer| answer.status != 200)
        {
            assert!(Instant::now() < deadline, "not started within {PATIENCE:?}");
            tokio::time::sleep(GLANCE).await;
        }
        service
    }

    pub(crate) async fn on(database: &Database, change: impl FnOnce(&mut Config)) -> Self {
        Self::start(&database.url(), database.schema().data(), change).await
    }

    /// One record, over a connection of its own.
    pub(crate) async fn post(&self, kind: &str, body: &Value) -> Answer {
        Wire::new(self.api)
            .post(&format!("/api/v1/audit/{kind}"), body)
            .await
            .unwrap()
    }

    /// Status and report of the readiness probe.
    pub(crate) async fn readiness(&self) -> (u16, Value) {
        let answer = Wire::new(self.metrics).get("/readyz").await.unwrap();
        (answer.status.as_u16(), answer.body)
    }

    /// The value of a metric without labels, or the sum over the labels that contain `label`.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> f64 {
        let answer = Wire::new(self.metrics).get("/metrics").await.unwrap();
        let text = answer.body.as_str().unwrap();
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let labels = series.strip_prefix("datastorage_")?.strip_prefix(name)?;
            let is_it = labels.is_empty() || labels.starts_with('{');
            (is_it && labels.contains(label)).then(|| value.parse::<f64>().unwrap())
        });
        values.sum()
    }

    /// Stops it as SIGTERM would.
    pub(crate) async fn stop(self) -> Ended {
        self.shutdown.begin();
        self.task.await.unwrap()
    }
}

/// Settings with which what takes a minute by default takes seconds, and by which every request is answered within
/// [`ANSWERED_WITHIN`].
pub(crate) fn impatient(config: &mut Config) {
    config.database.acquire_timeout = Duration::from_millis(500);
    config.database.statement_timeout = Duration::from_secs(1);
    config.writer.retry_for = Duration::from_millis(1500);
    config.embedding.backfill_interval = Duration::from_millis(100);
}

/// 1.5 s of trying, 0.5 s for a connection, 2 s for a transaction, 0.15 s for a vector; and 1.35 s for the machine.
pub(crate) const ANSWERED_WITHIN: Duration = Duration::from_millis(5500);

/// Waits until something holds, and tells how long that took.
pub(crate) async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(GLANCE).await;
    }
    began.elapsed()
}

/// One number from the database.
pub(crate) async fn count(store: &WriteStore, from: &str) -> i64 {
    let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {from}"));
    sqlx::query_scalar(query).fetch_one(store.pool()).await.unwrap()
}

/// Sessions that are in a transaction which has touched a table of the schema, other than `store`'s own.
pub(crate) async fn transactions(store: &WriteStore) -> i64 {
    sqlx::query_scalar(
        "SELECT count(DISTINCT l.pid) FROM pg_locks l
         JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE n.nspname = $1 AND a.state LIKE 'idle in transaction%'",
    )
    .bind(store.schema().data())
    .fetch_one(store.pool())
    .await
    .unwrap()
}
