//! Context API: the read service. It gives back what Data Storage recorded.
//!
//! A read goes `router → endpoint/<one file> → audit-store/reader` and does not turn back. What an endpoint needs
//! stands beside it:
//!
//! - `router`: every path, and who may ask for it;
//! - `endpoint`: one file each: what it takes, what it does, what it answers;
//! - `cache`: answers that are asked for again; every GET ends in its `cached`;
//! - `filter`: the rules of the filters, shared by the query string of the list and the body of the search;
//! - `body`: strict reading of a JSON body;
//! - `cursor`: where a page of the list ended, as an opaque text;
//! - `evidence`: how far a match can be trusted, on the wire;
//! - `incident`: an incident on the wire;
//! - [`openapi`]: the contract, put together from the operations of the endpoints;
//! - `scope`, `window` and `rate`: what figures are computed over, and what a success rate is;
//! - `confidence`: a rate of success and its interval, as the context of a recovery tells them;
//! - `self_check`: what share of what they should find searches find, measured in rounds;
//! - `pattern`: what names a pattern of alert and error;
//! - `target`: parameters that the questions about a target share;
//! - `replay_lag`: how old the data of a replica is;
//! - `problems`: which error of the store or the embedder is which answer.
//!
//! To add an endpoint, add a file to `endpoint`, with its `operation` for the contract beside its handler, and a line
//! to `router` and to [`openapi`].

mod body;
mod cache;
mod confidence;
mod config;
mod cursor;
mod database;
mod endpoint;
mod evidence;
mod filter;
mod incident;
mod metrics;
pub mod openapi;
mod pattern;
mod problems;
mod rate;
mod replay_lag;
mod router;
mod scope;
mod self_check;
mod state;
mod target;
mod window;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use audit_store::compatibility::{Incompatible, ModelIdentity};
use audit_store::{InvalidSchemaName, Reader, StoreError};
use embedding::{Embedder, EmbeddingCache};
use service_kit::Host;
use service_kit::auth::{AuthError, Authenticator, VerdictKeys};
use service_kit::boundary::{Boundary, RequestIds};
use service_kit::health::{CheckFailure, Health, HealthBuilder, Starting};
use service_kit::metrics::{HttpMetrics, register_build_info};
use service_kit::rate_limit::{RateLimiter, SteadyClock};
use service_kit::server::{Ended, ListenError, Server};

pub use cache::{InvalidRedisUrl, Jitter, ReadCache};
pub use config::{CacheConfig, Config, DEFAULTS, DatabaseConfig, EmbeddingConfig, SearchConfig};
pub use problems::{AMBIGUOUS_NAME, EMBEDDING_PENDING};
pub use replay_lag::ReplayLag;
pub use router::{Guards, router};
pub use self_check::SelfCheck;
pub use state::{Options, State};

/// Prefix of the names of all metrics.
pub const METRICS_PREFIX: &str = "contextapi";

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be taken.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Callers cannot be identified as configured.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// No database is configured.
    #[error(
        "no database is configured: set `database.url` in the configuration, CONTEXT_API__DATABASE__URL or DATABASE_URL"
    )]
    NoDatabase,
    /// The schema's name is no identifier.
    #[error("`database.schema`: {0}")]
    Schema(#[from] InvalidSchemaName),
    /// The database could not be reached.
    #[error("the database did not answer for {waited:?}, which is `database.connect_timeout`")]
    DatabaseAway {
        /// How long it was tried.
        waited: Duration,
        /// The last failure.
        #[source]
        source: StoreError,
    },
    /// The address of Redis is none.
    #[error(transparent)]
    Redis(#[from] InvalidRedisUrl),
    /// The database answers, but cannot be served.
    #[error(transparent)]
    Database(#[from] Incompatible),
}

/// A service that holds its ports and its database, ready to serve.
pub struct ContextApi {
    server: Server,
    health: Health,
    starting: Starting,
    authenticator: Authenticator,
    config: Config,
    reader: Reader,
    embedder: Embedder,
    cache: ReadCache,
    host: Host,
}

impl ContextApi {
    /// Takes the ports, then the database, in the order in which a mistake is noticed soonest. The probes answer while
    /// it waits for the database.
    ///
    /// # Errors
    /// [`StartError`], saying what to do.
    pub async fn bind(config: Config, embedder: Embedder, host: Host) -> Result<Self, StartError> {
        let authenticator = Authenticator::from_config(&config.auth, VerdictKeys::from_os()).await?;
        let mut server = Server::bind(config.server.clone(), &authenticator)?;
        let (health, starting) = Health::starting(host.shutdown.clone());
        server.serve_probes(&health.router());
        let reader = database::connect(&config.database, embedder.model()).await?;
        let lag = ReplayLag::watch(&reader, config.database.max_replay_lag);
        let cache = ReadCache::new(&config.cache, &reader, host.clock.clone(), Jitter::from_os(), lag)?;
        Ok(Self {
            server,
            health,
            starting,
            authenticator,
            config,
            reader,
            embedder,
            cache,
            host,
        })
    }

    /// Where the API listens, with its true port.
    #[must_use]
    pub fn api_address(&self) -> SocketAddr {
        self.server.api_address()
    }

    /// Where metrics and probes listen, with its true port.
    #[must_use]
    pub fn metrics_address(&self) -> SocketAddr {
        self.server.metrics_address()
    }

    /// Serves until shutdown, then closes the database.
    pub async fn serve(self) -> Ended {
        let Self {
            server,
            health,
            starting,
            authenticator,
            config,
            reader,
            embedder,
            cache,
            host,
        } = self;
        let Host {
            clock,
            build,
            traces,
            shutdown,
        } = host;
        let mut registry = service_kit::metrics::registry(METRICS_PREFIX);
        register_build_info(&mut registry, &build);
        traces.register(&mut registry);
        authenticator.register_metrics(&mut registry);
        let boundary = Boundary {
            limits: config.requests,
            request_ids: RequestIds::from_os(),
            metrics: HttpMetrics::register(&mut registry),
        };
        let guards = Guards {
            authenticator,
            limiter: RateLimiter::new(config.rate_limit, SteadyClock::system(), &mut registry),
        };
        let checks = checks(&reader, database::identity(embedder.model()), &cache);
        let embeddings = EmbeddingCache::new(embedder, config.embedding.cache());
        let options = Options {
            embedding_timeout: config.embedding.timeout,
        };
        let state = State::new(reader.clone(), embeddings, clock, options).with_cache(cache);
        state.register_metrics(&mut registry);
        let self_check = SelfCheck::new(&state, config.search).start(shutdown.clone());
        let probes = health.router();
        let api = router(state, &guards, boundary).merge(probes.clone());
        let metrics = service_kit::metrics::router(Arc::new(registry)).merge(probes);
        let (api_address, metrics_address) = (server.api_address(), server.metrics_address());
        let serving = server.open(api, metrics);
        // Not before: who is told that we have started may ask at once.
        starting.started(checks);
        tracing::info!(api = %api_address, metrics = %metrics_address, "Context API is ready");
        let ended = serving.until(shutdown.clone()).await;
        // Ended by the shutdown, at once.
        let _ = self_check.await;
        // A connection that died silently may never be given back.
        tokio::select! {
            result = tokio::time::timeout(config.server.drain_timeout, reader.close()) => {
                if result.is_err() {
                    tracing::error!("the connections to the database were not given back in time");
                }
            }
            () = shutdown.forced() => {}
        }
        ended
    }
}

/// What readiness depends on. A database that has moved to another model still answers everything but searches, a
/// replica that lags answers what it has, and without Redis answers come from memory and the database.
pub fn checks(reader: &Reader, model: ModelIdentity, cache: &ReadCache) -> HealthBuilder {
    let (reader, moved, cache) = (reader.clone(), reader.clone(), cache.clone());
    let lag = cache.replay_lag().clone();
    let checks = Health::builder()
        .required("database", move || {
            let reader = reader.clone();
            async move {
                reader
                    .ping()
                    .await
                    .map_err(|error| CheckFailure::new("the database does not answer").with_cause(error))
            }
        })
        .optional("model", move || {
            let (reader, model) = (moved.clone(), model.clone());
            async move {
                match reader.model().await {
                    Ok(database) if database == model => Ok(()),
                    Ok(database) => Err(CheckFailure::new(
                        "the database has moved to another embedding model: restart with that model",
                    )
                    .with_cause(StoreError::OtherModel(database))),
                    Err(error) => Err(CheckFailure::new("the database does not answer").with_cause(error)),
                }
            }
        })
        .optional("replay_lag", move || std::future::ready(lag.check()));
    if !cache.has_redis() {
        return checks;
    }
    checks.optional("redis", move || {
        let cache = cache.clone();
        async move { cache.check_redis().await }
    })
}
