//! The service under test.

use std::sync::Arc;

use axum::Router;
use data_storage::{Config, Guards, Ingest, Metrics, State, Writers, router, vectors};
use embedding::Embedder;
use prometheus_client::registry::Registry;
use serde_json::Value;
use service_kit::Clock;
use service_kit::auth::{Authenticator, VerdictKeys};
use service_kit::boundary::{Boundary, RequestIds, RequestsConfig};
use service_kit::metrics::HttpMetrics;
use service_kit::rate_limit::{RateLimiter, SteadyClock};
use testkit::request::{Answer, post};
use testkit::{Database, request};

/// A service on a schema of its own.
pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) clock: Clock,
    /// The clock of the rate limits; it stands still.
    pub(crate) steady: SteadyClock,
    pub(crate) store: audit_store::WriteStore,
    registry: Registry,
    database: Arc<Database>,
    _writers: Writers,
}

impl App {
    pub(crate) async fn new() -> Self {
        Self::configured(|_| {}).await
    }

    /// A service whose default configuration was changed.
    pub(crate) async fn configured(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_embedder(Database::embedder(), change).await
    }

    /// A service with another embedder; its model must be the one of the test databases by name and dimension.
    pub(crate) async fn with_embedder(embedder: Embedder, change: impl FnOnce(&mut Config)) -> Self {
        let database = Arc::new(Database::new("datastorage").await);
        Self::on(database, embedder, change).await
    }

    /// A second replica of the service, on the same schema.
    pub(crate) async fn replica(&self) -> Self {
        Self::on(Arc::clone(&self.database), Database::embedder(), |_| {}).await
    }

    async fn on(database: Arc<Database>, embedder: Embedder, change: impl FnOnce(&mut Config)) -> Self {
        let store = database.store().await;
        let mut config = Config::load(None, []).unwrap();
        // Tests of late vectors ask for them; everywhere else a vector is there, however slow the machine is.
        config.embedding.budget = std::time::Duration::from_secs(30);
        change(&mut config);
        let mut registry = service_kit::metrics::registry("datastorage");
        let metrics = Metrics::register(&mut registry);
        let boundary = Boundary {
            limits: RequestsConfig::default(),
            request_ids: RequestIds::seeded(1),
            metrics: HttpMetrics::register(&mut registry),
        };
        let authenticator = Authenticator::from_config(&config.auth, VerdictKeys::seeded(1))
            .await
            .unwrap();
        let steady = SteadyClock::manual();
        let guards = Guards {
            authenticator,
            limiter: RateLimiter::new(config.rate_limit, steady.clone(), &mut registry),
        };
        let clock = Clock::manual(Database::now());
        let (ingest, writers) = Ingest::start(
            store.clone(),
            vectors(&store, embedder, &config.embedding),
            &config,
            clock.clone(),
            metrics.clone(),
        );
        let state = State::new(ingest, clock.clone(), &config, metrics);
        Self {
            router: router(state, guards, boundary),
            registry,
            clock,
            steady,
            store,
            database,
            _writers: writers,
        }
    }

    pub(crate) async fn post(&self, kind: &str, body: &Value) -> Answer {
        post(&self.router, &format!("/api/v1/audit/{kind}"), body).await
    }

    pub(crate) async fn post_with_key(&self, kind: &str, key: &str, body: &Value) -> Answer {
        request::post_with_key(&self.router, &format!("/api/v1/audit/{kind}"), key, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        request::get(&self.router, path).await
    }

    /// The value of a metric without labels, by its whole name.
    pub(crate) fn metric(&self, name: &str) -> Option<i64> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// One number from the database.
    pub(crate) async fn count(&self, from: &'static str) -> i64 {
        let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {from}"));
        sqlx::query_scalar(query)
            .fetch_one(self.store.pool())
            .await
            .unwrap()
    }
}
