//! The router under test.

use std::time::Duration;

use axum::Router;
use context_api::{Config, Guards, Options, State, router};
use embedding::{CacheOptions, Embedder, EmbeddingCache};
use service_kit::Clock;
use service_kit::auth::{Authenticator, VerdictKeys};
use service_kit::boundary::{Boundary, RequestIds};
use service_kit::metrics::{HttpMetrics, registry};
use service_kit::rate_limit::{RateLimiter, SteadyClock};
use testkit::Database;
use testkit::request::{self, Answer};

/// A service on a schema of its own.
pub(crate) struct App {
    pub(crate) router: Router,
    /// The clock of the rate limits; it stands still.
    pub(crate) steady: SteadyClock,
    pub(crate) database: Database,
}

impl App {
    /// A service whose default configuration was changed. It keeps no answers.
    pub(crate) async fn configured(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_embedder(Database::embedder(), change).await
    }

    /// A service with another embedder; its model must be the one of the test databases by name and dimension.
    pub(crate) async fn with_embedder(embedder: Embedder, change: impl FnOnce(&mut Config)) -> Self {
        let database = Database::new("contextapi").await;
        let mut config = Config::load(None, []).unwrap();
        // However slow the machine is, except where a test says otherwise.
        config.embedding.timeout = Duration::from_secs(30);
        change(&mut config);
        let mut registry = registry("contextapi");
        let boundary = Boundary {
            limits: config.requests,
            request_ids: RequestIds::seeded(1),
            metrics: HttpMetrics::register(&mut registry),
        };
        let steady = SteadyClock::manual();
        let authenticator = Authenticator::from_config(&config.auth, VerdictKeys::seeded(1));
        let guards = Guards {
            authenticator: authenticator.await.unwrap(),
            limiter: RateLimiter::new(config.rate_limit, steady.clone(), &mut registry),
        };
        let state = State::new(
            database.reader().await,
            EmbeddingCache::new(embedder, CacheOptions::default()),
            Clock::manual(Database::now()),
            Options {
                embedding_timeout: config.embedding.timeout,
            },
        );
        Self {
            router: router(state, &guards, boundary),
            steady,
            database,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        request::get(&self.router, path).await
    }
}
