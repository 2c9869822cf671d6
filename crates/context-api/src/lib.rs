//! Context API: the read service. It gives back what Data Storage recorded.
//!
//! A read goes `router → endpoint/<one file> → audit-store/reader` and does not turn back. What an endpoint needs
//! stands beside it:
//!
//! - [`router`]: every path, and [`app`], which wraps them;
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
//! - `target`: parameters that the questions about a target share;
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
mod problems;
mod rate;
pub mod router;
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
use axum::Router;
use embedding::{Embedder, EmbeddingCache};
use service_kit::Clock;
use service_kit::auth::Authenticator;
use service_kit::boundary::RequestIds;
use service_kit::health::{CheckFailure, Health};
use service_kit::metrics::BuildInfo;
use service_kit::server::{Ended, ListenError, Server};
use service_kit::shutdown::Shutdown;

pub use cache::{InvalidRedisUrl, Jitter, ReadCache};
pub use config::{CacheConfig, Config, DEFAULTS, DatabaseConfig, EmbeddingConfig, SearchConfig};
pub use problems::{AMBIGUOUS_NAME, EMBEDDING_PENDING};
pub use router::app;
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
    config: Config,
    reader: Reader,
    embedder: Embedder,
    cache: ReadCache,
    clock: Clock,
    build: BuildInfo,
}

impl ContextApi {
    /// Takes the ports, then the database, in the order in which a mistake is noticed soonest. `build` is what the
    /// metric `build_info` tells.
    ///
    /// # Errors
    /// [`StartError`], saying what to do.
    pub async fn bind(
        config: Config,
        embedder: Embedder,
        clock: Clock,
        build: BuildInfo,
    ) -> Result<Self, StartError> {
        let server = Server::bind(config.server.clone(), &Authenticator::disabled()).await?;
        let reader = database::connect(&config.database, embedder.model()).await?;
        let cache = ReadCache::new(&config.cache, &reader, clock.clone(), Jitter::from_os())?;
        Ok(Self {
            server,
            config,
            reader,
            embedder,
            cache,
            clock,
            build,
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
    pub async fn serve(self, shutdown: Shutdown) -> Ended {
        let Self {
            server,
            config,
            reader,
            embedder,
            cache,
            clock,
            build,
        } = self;
        let mut registry = service_kit::metrics::registry(METRICS_PREFIX);
        let model = database::identity(embedder.model());
        let state = State::new(
            reader.clone(),
            EmbeddingCache::new(embedder, config.embedding.cache()),
            clock,
            Options {
                embedding_timeout: config.embedding.timeout,
            },
        )
        .with_cache(cache.clone());
        let self_check = SelfCheck::new(&state, config.search).start(shutdown.clone());
        let drain_timeout = config.server.drain_timeout;
        let probes = probes(&reader, model, &cache, shutdown.clone());
        let api = app(
            state,
            &mut registry,
            &build,
            config.requests,
            RequestIds::from_os(),
        )
        .merge(probes.clone());
        let metrics = service_kit::metrics::router(Arc::new(registry)).merge(probes);
        let ended = server.serve(api, metrics, shutdown.clone()).await;
        // Ended by the shutdown, at once.
        let _ = self_check.await;
        // A connection that died silently may never be given back.
        tokio::select! {
            _ = tokio::time::timeout(drain_timeout, reader.close()) => {}
            () = shutdown.forced() => {}
        }
        ended
    }
}

/// The probes. A database that has moved to another model still answers everything but searches, and without Redis
/// answers come from memory and the database.
pub fn probes(reader: &Reader, model: ModelIdentity, cache: &ReadCache, shutdown: Shutdown) -> Router {
    let (reader, moved, cache) = (reader.clone(), reader.clone(), cache.clone());
    let mut health = Health::builder()
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
        });
    if cache.has_redis() {
        health = health.optional("redis", move || {
            let cache = cache.clone();
            async move { cache.check_redis().await }
        });
    }
    health.build(shutdown).router()
}
