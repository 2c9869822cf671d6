//! A replica of Context API that keeps answers, on the schema of `Both`.

use std::time::Duration;

use audit_store::{ConnectOptions, Reader};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, Request};
use context_api::{CacheConfig, Jitter, ReadCache};
use embedding::{CacheOptions, EmbeddingCache};
use service_kit::boundary::{RequestIds, RequestsConfig};
use service_kit::config::Secret;
use service_kit::metrics::{BuildInfo, Registry, registry, render};
use testkit::Database;
use testkit::request::{self, Answer};

use crate::both::Both;

/// How long the replicas of tests keep an answer; jitter takes up to a tenth.
pub(crate) const TTL: Duration = Duration::from_secs(10);
pub(crate) const STALE_FOR: Duration = Duration::from_secs(300);

pub(crate) struct Replica {
    pub(crate) router: Router,
    pub(crate) cache: ReadCache,
    metrics: Registry,
}

impl Replica {
    pub(crate) async fn new(both: &Both, redis_url: &str) -> Self {
        Self::on(both, &both.database.reader_options(), redis_url).await
    }

    /// With a database at the end of another way.
    pub(crate) async fn on(both: &Both, options: &ConnectOptions, redis_url: &str) -> Self {
        Self::waiting(both, options, redis_url, Duration::from_millis(50)).await
    }

    /// With another limit for Redis.
    pub(crate) async fn waiting(
        both: &Both,
        options: &ConnectOptions,
        redis_url: &str,
        redis_timeout: Duration,
    ) -> Self {
        let reader = Reader::connect(options).await.expect("a connection");
        let config = CacheConfig {
            memory_max_bytes: 1_000_000,
            ttl: TTL,
            negative_ttl: Duration::from_secs(1),
            stale_for: STALE_FOR,
            redis_url: Secret::new(redis_url),
            redis_timeout,
        };
        let cache = ReadCache::new(&config, &reader, both.clock.clone(), Jitter::seeded(1)).expect("a cache");
        let embeddings = EmbeddingCache::new(Database::embedder(), CacheOptions::default());
        let options = context_api::Options::default();
        let state = context_api::State::new(reader, embeddings, both.clock.clone(), options)
            .with_cache(cache.clone());
        let build = BuildInfo {
            version: "0".to_owned(),
            revision: "test".to_owned(),
        };
        let mut registry = registry("contextapi");
        let limits = RequestsConfig::default();
        let router = context_api::app(state, &mut registry, &build, limits, RequestIds::seeded(2));
        Self {
            router,
            cache,
            metrics: registry,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        request::get(&self.router, path).await
    }

    pub(crate) async fn get_with(&self, path: &str, name: HeaderName, value: &str) -> Answer {
        let request = Request::get(path).header(name, value).body(Body::empty());
        request::send(&self.router, request.expect("a request")).await
    }

    /// `Cache-Status` without our name and the time to live.
    pub(crate) async fn how(&self, path: &str) -> String {
        how(&self.get(path).await)
    }

    /// All metrics as they are scraped.
    pub(crate) fn exposition(&self) -> String {
        render(&self.metrics).expect("metrics")
    }

    /// The metrics, to be served.
    pub(crate) fn into_metrics(self) -> Registry {
        self.metrics
    }

    /// The value of a metric, its labels in the name.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.exposition();
        let line = text.lines().find_map(|line| {
            line.strip_prefix("contextapi_cache_")?
                .strip_prefix(name)?
                .strip_prefix(' ')
        });
        line.unwrap_or_else(|| panic!("{name} is not in {text}"))
            .parse()
            .expect("a number")
    }

    /// Waits until a metric has a value.
    pub(crate) async fn until(&self, name: &str, value: u64) {
        for _ in 0..500 {
            if self.metric(name) == value {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} is {}, not {value}", self.metric(name));
    }
}

pub(crate) fn how(answer: &Answer) -> String {
    let status = header(answer, "cache-status");
    status
        .split("; ")
        .skip(1)
        .filter(|parameter| !parameter.starts_with("ttl="))
        .collect::<Vec<_>>()
        .join("; ")
}

pub(crate) fn header(answer: &Answer, name: &str) -> String {
    let value = answer.headers.get(name);
    value.map_or_else(String::new, |value| value.to_str().expect("text").to_owned())
}
