//! A replica of Context API that keeps answers, on the schema of `Both`.

use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

use audit_store::{ConnectOptions, Reader};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, Request};
use context_api::{CacheConfig, Jitter, ReadCache, ReplayLag};
use embedding::{CacheOptions, EmbeddingCache};
use service_kit::config::Secret;
use service_kit::metrics::{Registry, registry, render};
use testkit::Database;
use testkit::request::{self, Answer};

use crate::both::{Both, open};

/// How long the replicas of tests keep an answer; jitter takes up to a tenth.
pub(crate) const TTL: Duration = Duration::from_secs(10);
/// With more lag than this a replica of the database is degraded.
pub(crate) const MAX_REPLAY_LAG: Duration = Duration::from_millis(1_500);
/// How often those look that look for changes.
const REFRESH_INTERVAL: Duration = Duration::from_millis(20);
/// How long Redis is waited for.
const REDIS_TIMEOUT: Duration = Duration::from_millis(50);
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

    /// One that looks for changes, and has looked.
    pub(crate) async fn watching(both: &Both, options: &ConnectOptions, redis_url: &str) -> Self {
        let replica = Self::with(both, options, redis_url, REFRESH_INTERVAL, REDIS_TIMEOUT).await;
        replica.looked().await;
        replica
    }

    /// With a database at the end of another way.
    pub(crate) async fn on(both: &Both, options: &ConnectOptions, redis_url: &str) -> Self {
        Self::waiting(both, options, redis_url, REDIS_TIMEOUT).await
    }

    /// With another limit for Redis.
    pub(crate) async fn waiting(
        both: &Both,
        options: &ConnectOptions,
        redis_url: &str,
        redis_timeout: Duration,
    ) -> Self {
        Self::with(both, options, redis_url, Duration::ZERO, redis_timeout).await
    }

    async fn with(
        both: &Both,
        options: &ConnectOptions,
        redis_url: &str,
        refresh_interval: Duration,
        redis_timeout: Duration,
    ) -> Self {
        let reader = Reader::connect(options).await.expect("a connection");
        let config = CacheConfig {
            memory_max_bytes: 1_000_000,
            ttl: TTL,
            // What is loaded, and when, is what these tests are about.
            renew_before: Duration::ZERO,
            refresh_interval,
            negative_ttl: Duration::from_secs(1),
            stale_for: STALE_FOR,
            redis_url: Secret::new(redis_url),
            redis_timeout,
        };
        // Who does not look for changes is asked nothing in the background either, so that its questions can be counted.
        let lag = if refresh_interval.is_zero() {
            ReplayLag::none()
        } else {
            ReplayLag::watch(&reader, MAX_REPLAY_LAG)
        };
        let clock = both.clock.clone();
        let cache = ReadCache::new(&config, &reader, clock, Jitter::seeded(1), lag).expect("a cache");
        let embeddings = EmbeddingCache::new(Database::embedder(), CacheOptions::default());
        let options = context_api::Options::default();
        let state = context_api::State::new(reader, embeddings, both.clock.clone(), options)
            .with_cache(cache.clone());
        let mut registry = registry("contextapi");
        let router = open(state, &mut registry, 2);
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

    /// Waits for a look that has all that is committed now.
    pub(crate) async fn looked(&self) {
        let since = tokio::time::Instant::now();
        // The age counts from the beginning of the last look.
        while self.look_age() >= since.elapsed().as_secs_f64() {
            assert!(since.elapsed() < Duration::from_secs(20), "nobody looks");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The value of a metric that counts, its labels in the name.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        self.value(&format!("cache_{name}"))
    }

    /// The time since the last look for changes, in seconds.
    pub(crate) fn look_age(&self) -> f64 {
        self.value("cache_look_age_seconds")
    }

    /// How far the database lags behind its primary, in seconds.
    pub(crate) fn replay_lag(&self) -> f64 {
        self.value("database_replay_lag_seconds")
    }

    fn value<T: FromStr<Err: Debug>>(&self, name: &str) -> T {
        let text = self.exposition();
        let line = text.lines().find_map(|line| {
            line.strip_prefix("contextapi_")?
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
