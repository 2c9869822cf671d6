//! The service as the binary runs it, in this process.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use context_api::{Config, ContextApi};
use serde_json::Value;
use service_kit::metrics::BuildInfo;
use service_kit::server::{Ended, ServerConfig};
use service_kit::shutdown::Shutdown;
use service_kit::telemetry::TraceMetrics;
use service_kit::{Clock, Host};
use testkit::Database;
use testkit::wire::Wire;
use tokio::task::JoinHandle;

/// How long anything may take that is expected to happen, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether it happened.
const GLANCE: Duration = Duration::from_millis(10);

/// A running service.
pub(crate) struct Service {
    pub(crate) api: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) task: JoinHandle<Ended>,
}

/// The default configuration on any free ports, with the database that `url` leads to.
pub(crate) fn config(database: &Database, url: String) -> Config {
    let environment = [
        ("CONTEXT_API__DATABASE__URL".into(), url.into()),
        (
            "CONTEXT_API__DATABASE__SCHEMA".into(),
            database.schema().data().into(),
        ),
    ];
    let mut config = Config::load(None, environment).unwrap();
    config.server = ServerConfig::ephemeral();
    config
}

pub(crate) fn host() -> Host {
    Host {
        clock: Clock::manual(Database::now()),
        build: BuildInfo {
            version: "1.2.3".to_owned(),
            revision: "abc".to_owned(),
        },
        traces: TraceMetrics::default(),
        shutdown: Shutdown::new(),
    }
}

impl Service {
    pub(crate) async fn start(config: Config) -> Self {
        let host = host();
        let shutdown = host.shutdown.clone();
        let service = ContextApi::bind(config, Database::embedder(), host)
            .await
            .unwrap();
        let service = Self {
            api: service.api_address(),
            metrics: service.metrics_address(),
            task: tokio::spawn(service.serve()),
            shutdown,
        };
        let began = Instant::now();
        while probe(service.api, "/startupz").await != Some((200, "started".into())) {
            assert!(began.elapsed() < PATIENCE, "not started within {PATIENCE:?}");
            tokio::time::sleep(GLANCE).await;
        }
        service
    }

    pub(crate) async fn on(database: &Database, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(database, database.reader_url());
        change(&mut config);
        Self::start(config).await
    }

    /// What `/metrics` says.
    pub(crate) async fn scrape(&self) -> String {
        let scrape = Wire::new(self.metrics).get("/metrics").await.unwrap();
        scrape.body.as_str().unwrap().to_owned()
    }
}

/// Status and `status` of a probe; `None` where nobody answers.
pub(crate) async fn probe(address: SocketAddr, path: &str) -> Option<(u16, Value)> {
    let answer = Wire::new(address).get(path).await.ok()?;
    Some((answer.status.as_u16(), answer.body["status"].clone()))
}

/// Waits until something holds.
pub(crate) async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(GLANCE).await;
    }
}

/// The incidents locked, so that whoever reads them waits until this transaction ends.
pub(crate) async fn lock(store: &audit_store::WriteStore) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut lock = store.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE resource_action_traces IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    lock
}

/// Statements that wait for the locked incidents.
pub(crate) async fn waiting(store: &audit_store::WriteStore) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
         WHERE NOT l.granted AND a.state = 'active' AND l.relation = 'resource_action_traces'::regclass",
    )
    .fetch_one(store.pool())
    .await
    .unwrap()
}
