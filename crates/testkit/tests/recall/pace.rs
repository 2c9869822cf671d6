//! How soon Context API answers on 20,000 incidents. The limits are ceilings for a debug build on any machine, far from
//! what `kubernaut bench` measures: an answer that crosses one was made in another way than it should be.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use audit_store::Reader;
use axum::Router;
use context_api::{Config, Jitter, Options, ReadCache, ReplayLag, State};
use embedding::{CacheOptions, EmbeddingCache};
use serde_json::json;
use service_kit::Clock;
use service_kit::metrics::{Registry, registry, render};
use testkit::{Database, request};
use tokio::task::JoinSet;

use crate::both::open;
use crate::volumes::{alone, large};

async fn service() -> (Router, Registry) {
    let reader = Reader::connect(&large().await.database.reader_options())
        .await
        .expect("a connection");
    let clock = Clock::manual(Database::now());
    let config = Config::load(None, []).expect("the default configuration").cache;
    let cache = ReadCache::new(
        &config,
        &reader,
        clock.clone(),
        Jitter::seeded(1),
        ReplayLag::none(),
    );
    let vectors = EmbeddingCache::new(Database::embedder(), CacheOptions::default());
    let state = State::new(reader, vectors, clock, Options::default()).with_cache(cache.expect("a cache"));
    let mut metrics = registry("contextapi");
    (open(state, &mut metrics, 5), metrics)
}

/// The 95th percentile of how long the answers take, one after the other; all must be 200.
async fn p95(service: &Router, paths: impl IntoIterator<Item = String>) -> Duration {
    let mut times = Vec::new();
    for path in paths {
        let began = Instant::now();
        let answer = request::get(service, &path).await;
        times.push(began.elapsed());
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    percentile(times)
}

fn percentile(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 95 / 100]
}

fn count(metrics: &Registry, name: &str) -> f64 {
    let text = render(metrics).expect("metrics");
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.expect("a metric").parse().expect("a number")
}

#[tokio::test]
async fn kept_and_new_answers_and_searches_come_soon() {
    let _alone = alone().await;
    let (service, _) = service().await;
    let list = |limit: usize| format!("/api/v1/incidents?environment=production&limit={limit}");
    let new = p95(&service, (1..=50).map(list)).await;
    assert!(new < Duration::from_millis(200), "new answers: {new:?}");
    let kept = p95(&service, (0..100).map(|_| list(10))).await;
    assert!(kept < Duration::from_millis(50), "kept answers: {kept:?}");
    let filtered =
        |limit: usize| format!("/api/v1/incidents?environment=production&severity=critical&limit={limit}");
    let filtered = p95(&service, (1..=30).map(filtered)).await;
    assert!(filtered < Duration::from_millis(200), "two filters: {filtered:?}");
    let mut times = Vec::new();
    for number in 0..30 {
        let body = json!({"description": format!("pod number {number} was killed for want of memory")});
        let began = Instant::now();
        let answer = request::post(&service, "/api/v1/context/match", &body).await;
        times.push(began.elapsed());
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let searches = percentile(times);
    assert!(searches < Duration::from_millis(250), "searches: {searches:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_workers_get_a_hundred_answers_a_second_and_most_of_them_are_kept_ones() {
    const WORKERS: usize = 5;
    const QUESTIONS: usize = 20;
    const PERIOD: Duration = Duration::from_secs(2);
    let _alone = alone().await;
    let (service, metrics) = service().await;
    let answered = std::sync::Arc::<AtomicUsize>::default();
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (service, answered) = (service.clone(), answered.clone());
        workers.spawn(async move {
            let began = Instant::now();
            let mut asked = worker;
            while began.elapsed() < PERIOD {
                let path = format!(
                    "/api/v1/incidents?severity=critical&limit={}",
                    asked % QUESTIONS + 1
                );
                let answer = request::get(&service, &path).await;
                assert_eq!(answer.status, 200, "{path}: {}", answer.body);
                answered.fetch_add(1, Ordering::Relaxed);
                asked += 1;
            }
        });
    }
    workers.join_all().await;
    let answered = answered.load(Ordering::Relaxed);
    assert!(answered >= 200, "{answered} in two seconds");
    let looked = |result: &str| {
        count(
            &metrics,
            &format!("contextapi_cache_lookups_total{{tier=\"memory\",result=\"{result}\"}}"),
        )
    };
    let (hits, misses) = (looked("hit"), looked("miss"));
    assert!(hits / (hits + misses) >= 0.7, "{hits} hits, {misses} misses");
}
