//! Both services under test.

use std::num::NonZeroU32;
use std::sync::Arc;

use audit_store::compatibility::ModelIdentity;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use data_storage::{Config, Ingest, Metrics, Writers, router, vectors};
use devstack::Progress;
use embedding::{CacheOptions, Embedder, EmbedderOptions, EmbeddingCache, MiniLm, Precision};
use http_body_util::BodyExt as _;
use serde_json::Value;
use service_kit::Clock;
use service_kit::auth::Authenticator;
use service_kit::boundary::{Boundary, RequestIds, RequestsConfig};
use service_kit::metrics::{HttpMetrics, Registry, registry};
use service_kit::rate_limit::{RateLimitConfig, RateLimiter, SteadyClock};
use testkit::Database;
use testkit::request::{self, Answer};
use tower::ServiceExt as _;

/// The real model, fetched on first use.
pub(crate) async fn minilm() -> Embedder {
    let model = tokio::task::spawn_blocking(|| {
        let cache = devstack::cache_directory().expect("a cache directory");
        MiniLm::load(
            &devstack::fetch_model(&cache, Progress::detect()).expect("the model"),
            Precision::Float32,
        )
        .expect("a sound model")
    });
    Embedder::start(model.await.expect("the model"), EmbedderOptions::default()).expect("a thread")
}

/// Context API, open to everybody and however much a test asks: guards are tested elsewhere.
pub(crate) fn open(state: context_api::State, metrics: &mut Registry, seed: u64) -> Router {
    state.register_metrics(metrics);
    let boundary = Boundary {
        limits: RequestsConfig::default(),
        request_ids: RequestIds::seeded(seed),
        metrics: HttpMetrics::register(metrics),
    };
    let unlimited = RateLimitConfig {
        per_second: NonZeroU32::MAX,
        burst: NonZeroU32::MAX,
        caller_per_second: NonZeroU32::MAX,
        caller_burst: NonZeroU32::MAX,
    };
    let guards = context_api::Guards {
        authenticator: Authenticator::disabled(),
        limiter: RateLimiter::new(unlimited, SteadyClock::system(), metrics),
    };
    context_api::router(state, &guards, boundary)
}

/// Data Storage and Context API on one schema.
pub(crate) struct Both {
    pub(crate) data_storage: Router,
    pub(crate) context_api: Router,
    pub(crate) clock: Clock,
    pub(crate) store: audit_store::WriteStore,
    pub(crate) reader: audit_store::Reader,
    pub(crate) database: Database,
    _writers: Writers,
}

impl Both {
    /// With the deterministic test model.
    pub(crate) async fn new() -> Self {
        Self::on(Database::new("recall").await, Database::embedder()).await
    }

    /// With a model of the test's choice.
    pub(crate) async fn with_embedder(embedder: Embedder) -> Self {
        let model = embedder.model();
        let model = ModelIdentity {
            name: model.name.clone(),
            version: model.version.clone(),
            dimension: model.dimension,
        };
        Self::on(Database::with_model("recall", model).await, embedder).await
    }

    pub(crate) async fn on(database: Database, embedder: Embedder) -> Self {
        let clock = Clock::manual(Database::now());
        let store = database.store().await;
        let mut config = Config::load(None, []).expect("the default configuration");
        config.embedding.budget = std::time::Duration::from_secs(30);
        let mut metrics = registry("datastorage");
        let own = Metrics::register(&mut metrics);
        let boundary = Boundary {
            limits: RequestsConfig::default(),
            request_ids: RequestIds::seeded(1),
            metrics: HttpMetrics::register(&mut metrics),
        };
        let (ingest, writers) = Ingest::start(
            store.clone(),
            vectors(&store, embedder.clone(), &config.embedding),
            &config,
            clock.clone(),
            own.clone(),
        );
        // However much a test stores: limits are tested elsewhere.
        config.rate_limit.per_second = NonZeroU32::MAX;
        config.rate_limit.burst = NonZeroU32::MAX;
        let guards = data_storage::Guards {
            authenticator: Authenticator::disabled(),
            limiter: RateLimiter::new(config.rate_limit, SteadyClock::system(), &mut metrics),
        };
        let state = data_storage::State::new(ingest, clock.clone(), &config, own);
        let data_storage = router(state, guards, boundary);

        let reader = database.reader().await;
        reader
            .require_compatible(database.model())
            .await
            .expect("a compatible database");
        let cache = EmbeddingCache::new(embedder, CacheOptions::default());
        let options = context_api::Options {
            embedding_timeout: std::time::Duration::from_secs(30),
        };
        let state = context_api::State::new(reader.clone(), cache, clock.clone(), options);
        let context_api = open(state, &mut registry("contextapi"), 2);
        Self {
            data_storage,
            context_api,
            clock,
            store,
            reader,
            database,
            _writers: writers,
        }
    }

    /// A reader whose connections carry further settings of PostgreSQL.
    pub(crate) async fn reader_with(&self, settings: &str) -> audit_store::Reader {
        let options = self.database.reader_options();
        let settings = settings.replace(' ', "%20").replace('=', "%3D");
        let url = format!("{}?options={settings}", options.url);
        audit_store::Reader::connect(&audit_store::ConnectOptions { url, ..options })
            .await
            .expect("a connection")
    }

    /// Posts a record, which must be a new version, and gives the answer's body.
    pub(crate) async fn record(&self, kind: &str, body: &Value) -> Value {
        let answer = request::post(&self.data_storage, &format!("/api/v1/audit/{kind}"), body).await;
        assert_eq!(answer.status, 201, "{kind}: {}", answer.body);
        answer.body
    }

    /// Posts a remediation and gives the id of its incident.
    pub(crate) async fn incident(&self, body: &Value) -> i64 {
        self.record("remediation", body).await["incidentId"]
            .as_i64()
            .expect("an incident id")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        request::get(&self.context_api, path).await
    }

    /// The ids a list gives, and its total.
    pub(crate) async fn list(&self, query: &str) -> (Vec<i64>, i64) {
        let answer = self.get(&format!("/api/v1/incidents?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        (
            ids(&answer.body["incidents"]),
            answer.body["total"].as_i64().expect("a total"),
        )
    }

    pub(crate) async fn search(&self, body: &Value) -> Answer {
        request::post(&self.context_api, "/api/v1/context/match", body).await
    }

    /// The incident ids a search finds, best first.
    pub(crate) async fn found(&self, body: &Value) -> Vec<i64> {
        let answer = self.search(body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let matches = answer.body["matches"].as_array().expect("matches");
        matches
            .iter()
            .map(|hit| hit["incident"]["id"].as_i64().expect("an id"))
            .collect()
    }
}

/// What the metrics of a service tell.
pub(crate) async fn metrics(registry: Registry) -> String {
    let request = Request::get("/metrics").body(Body::empty()).expect("a request");
    let router = service_kit::metrics::router(Arc::new(registry));
    let answer = router.oneshot(request).await.expect("an answer");
    let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("a text")
}

/// The ids of incidents on the wire, in their order.
pub(crate) fn ids(incidents: &Value) -> Vec<i64> {
    incidents
        .as_array()
        .expect("incidents")
        .iter()
        .map(|incident| incident["id"].as_i64().expect("an id"))
        .collect()
}
