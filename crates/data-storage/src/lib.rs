//! Data Storage: the write service.
//!
//! A write goes `router → audit/<kind> → validation → ingest (embed) → writer task → audit-store → commit → 201`.
//! What is acknowledged is durable, idempotent, and findable through Context API.

mod audit;
mod config;
mod idempotency;
mod ingest;
mod late_vectors;
mod maintenance;
mod metrics;
pub mod openapi;
mod reembed;
mod router;
mod state;
mod validation;

use std::sync::Arc;
use std::time::{Duration, Instant};

use audit_store::compatibility::{Incompatible, ModelIdentity};
use audit_store::{InvalidSchemaName, StoreError, WriteStore, ensure_partitions, pending};
use embedding::{Embedder, EmbeddingCache};
use service_kit::Host;
use service_kit::auth::{AuthError, Authenticator, VerdictKeys};
use service_kit::boundary::{Boundary, RequestIds};
use service_kit::health::{CheckFailure, Health, HealthBuilder, Starting};
use service_kit::metrics::{HttpMetrics, register_build_info};
use service_kit::rate_limit::{RateLimiter, SteadyClock};
use service_kit::server::{Ended, ListenError, Server};

pub use config::{
    BatchesConfig, Config, DEFAULTS, DatabaseConfig, EmbeddingConfig, IdempotencyConfig, PartitionsConfig,
    RecordsConfig, RetentionConfig, WriterConfig,
};
pub use ingest::{Ingest, Submission, Writers};
pub use maintenance::Maintenance;
pub use metrics::Metrics;
pub use reembed::{Progress, ReembedOptions, Report, reembed};
pub use router::{Guards, router};
pub use state::State;

/// How long the database may take to tell whether a text is embedded already.
const VECTOR_LOOKUP_TIMEOUT: Duration = Duration::from_millis(50);

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be taken.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A batch may be larger than what the rate limit ever grants at once.
    #[error(
        "batches.max_records is {records}, but rate_limit.burst and rate_limit.caller_burst never grant more than {granted} at once: raise them or lower it"
    )]
    BatchesBeyondLimits {
        /// Records of the largest batch.
        records: usize,
        /// Records granted at once.
        granted: u32,
    },
    /// Callers cannot be identified as configured.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The schema's name is no identifier.
    #[error(transparent)]
    Schema(#[from] InvalidSchemaName),
    /// No database is configured.
    #[error(
        "no database is configured: set database.url in the configuration, DATA_STORAGE__DATABASE__URL or DATABASE_URL"
    )]
    NoDatabase,
    /// The database cannot be served, or is not there.
    #[error(transparent)]
    Database(#[from] Incompatible),
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Database(error.into())
    }
}

/// A service that holds its ports and its database, ready to serve.
pub struct DataStorage {
    server: Server,
    health: Health,
    starting: Starting,
    authenticator: Authenticator,
    config: Config,
    store: WriteStore,
    embedder: Embedder,
    host: Host,
}

impl DataStorage {
    /// Takes the ports, then the database, in the order in which a mistake is noticed soonest. The probes answer while
    /// it waits for the database.
    ///
    /// # Errors
    /// [`StartError`], saying what to do.
    pub async fn bind(config: Config, embedder: Embedder, host: Host) -> Result<Self, StartError> {
        config.require_batches_within_limits()?;
        let authenticator = Authenticator::from_config(&config.auth, VerdictKeys::from_os()).await?;
        let mut server = Server::bind(config.server.clone(), &authenticator)?;
        let (health, starting) = Health::starting(host.shutdown.clone());
        server.serve_probes(&health.router());
        if config.database.url.expose().is_empty() {
            return Err(StartError::NoDatabase);
        }
        let store = connect(&config.database).await?;
        let identity = model_identity(&embedder);
        store.bounded(store.require_compatible(&identity)).await?;
        // Before the first record, so that none of the current month goes to DEFAULT.
        let window = config.partition_window();
        store
            .bounded(ensure_partitions(&store, host.clock.now(), window))
            .await?;
        redaction::prepare();
        Ok(Self {
            server,
            health,
            starting,
            authenticator,
            config,
            store,
            embedder,
            host,
        })
    }

    /// Where the API listens.
    #[must_use]
    pub fn api_address(&self) -> std::net::SocketAddr {
        self.server.api_address()
    }

    /// Where metrics and probes listen.
    #[must_use]
    pub fn metrics_address(&self) -> std::net::SocketAddr {
        self.server.metrics_address()
    }

    /// Serves until shutdown, then answers what is queued and closes the database.
    pub async fn serve(self) -> Ended {
        let Self {
            server,
            health,
            starting,
            authenticator,
            config,
            store,
            embedder,
            host,
        } = self;
        let Host {
            clock,
            build,
            traces,
            shutdown,
        } = host;
        let mut registry = service_kit::metrics::registry("datastorage");
        register_build_info(&mut registry, &build);
        traces.register(&mut registry);
        authenticator.register_metrics(&mut registry);
        let metrics = Metrics::register(&mut registry);
        let boundary = Boundary {
            limits: config.requests,
            request_ids: RequestIds::from_os(),
            metrics: HttpMetrics::register(&mut registry),
        };
        let guards = Guards {
            authenticator,
            limiter: RateLimiter::new(config.rate_limit, SteadyClock::system(), &mut registry),
        };
        let model = model_identity(&embedder);
        let vectors = vectors(&store, embedder, &config.embedding);
        metrics::register_collectors(&mut registry, &store, &vectors);
        let (ingest, writers) =
            Ingest::start(store.clone(), vectors, &config, clock.clone(), metrics.clone());
        let maintenance = Maintenance::new(
            store.clone(),
            clock.clone(),
            config.partitions,
            config.retention,
            metrics.clone(),
        );
        let maintenance = tokio::spawn(maintenance.run());
        let checks = checks(&store, model, &ingest);
        let probes = health.router();
        let state = State::new(ingest, clock, &config, metrics);
        let api = router(state, guards, boundary).merge(probes.clone());
        let metrics = service_kit::metrics::router(Arc::new(registry)).merge(probes);
        let (api_address, metrics_address) = (server.api_address(), server.metrics_address());
        let serving = server.open(api, metrics);
        // Not before: who is told that we have started may send a record at once.
        starting.started(checks);
        tracing::info!(api = %api_address, metrics = %metrics_address, "Data Storage is ready");
        let ended = serving.until(shutdown.clone()).await;
        maintenance.abort();
        // The router is gone, and with it the last sender of the queue: the writers end when the queue is empty.
        let flushed = async {
            writers.drained().await;
            store.close().await;
        };
        tokio::select! {
            result = tokio::time::timeout(config.server.drain_timeout, flushed) => {
                if result.is_err() {
                    tracing::error!("the writer or the database did not finish in time");
                }
            }
            () = shutdown.forced() => {}
        }
        ended
    }
}

/// What readiness depends on. A database that has moved to another model is no reason to send records elsewhere: they are stored, and
/// their vectors follow.
pub fn checks(store: &WriteStore, model: ModelIdentity, ingest: &Ingest) -> HealthBuilder {
    let (store, moved) = (store.clone(), store.clone());
    let obstacle = ingest.obstacle();
    Health::builder()
        .required("database", move || {
            let store = store.clone();
            async move {
                store
                    .ping()
                    .await
                    .map_err(|error| CheckFailure::new("the database does not answer").with_cause(error))
            }
        })
        .required("writer", move || {
            let obstacle = obstacle();
            async move { obstacle.map_or(Ok(()), |reason| Err(CheckFailure::new(reason))) }
        })
        .optional("model", move || {
            let (store, model) = (moved.clone(), model.clone());
            async move {
                match store.model().await {
                    Ok(database) if database == model => Ok(()),
                    Ok(database) => Err(CheckFailure::new(
                        "the database has moved to another embedding model: restart with that model",
                    )
                    .with_cause(StoreError::OtherModel(database))),
                    Err(error) => Err(CheckFailure::new("the database does not answer").with_cause(error)),
                }
            }
        })
}

/// The cache of vectors, with the database behind it: a text that is embedded there is not embedded again.
#[must_use]
pub fn vectors(store: &WriteStore, embedder: Embedder, config: &EmbeddingConfig) -> EmbeddingCache {
    let (store, model) = (store.clone(), model_identity(&embedder));
    EmbeddingCache::with_lookup(embedder, config.cache(), move |hash| {
        let (store, model) = (store.clone(), model.clone());
        async move {
            let lookup = pending::vector_of(&store, &model, &hash);
            tokio::time::timeout(VECTOR_LOOKUP_TIMEOUT, lookup)
                .await
                .ok()?
                .ok()?
        }
    })
}

/// The embedder's model in the store's words.
#[must_use]
pub fn model_identity(embedder: &Embedder) -> ModelIdentity {
    let model = embedder.model();
    ModelIdentity {
        name: model.name.clone(),
        version: model.version.clone(),
        dimension: model.dimension,
    }
}

/// Connects, waiting for a database that is not there yet.
async fn connect(config: &DatabaseConfig) -> Result<WriteStore, StartError> {
    let options = config.connect_options()?;
    let deadline = Instant::now() + config.connect_timeout;
    loop {
        match WriteStore::connect(&options).await {
            Err(error) if error.is_retryable() && Instant::now() < deadline => {
                tracing::warn!(%error, "the database is not there yet");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            result => return Ok(result?),
        }
    }
}
