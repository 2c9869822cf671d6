//! Context API measures the recall of its searches in production.

use std::time::Duration;

use audit_store::reader::RecallSample;
use context_api::{SearchConfig, SelfCheck};
use embedding::{CacheOptions, EmbeddingCache};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use service_kit::metrics::{Registry, registry};
use service_kit::shutdown::Shutdown;
use sqlx::AssertSqlSafe;
use testkit::Database;
use testkit::records::{self, with};

use crate::both::{Both, metrics, open};

const WORDS: [&str; 10] = [
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jade",
];

/// Forty incidents about memory and ten about a certificate, with a text each; the vector index knows the first
/// `indexed`.
async fn fifty(indexed: usize) -> Both {
    let both = Both::new().await;
    for index in 0..50 {
        if index == indexed {
            ready_for_inserts(&both, false).await;
        }
        let topic = if index < 40 {
            "memory limit exceeded by container"
        } else {
            "certificate renewal failed at issuer"
        };
        let message = format!("{topic} {} {}", WORDS[index / 10], WORDS[index % 10]);
        let body = with(
            records::remediation(&format!("rr-{index}")),
            json!({"message": message}),
        );
        both.incident(&body).await;
    }
    ready_for_inserts(&both, true).await;
    both
}

/// Whether rows that are written enter the vector index.
async fn ready_for_inserts(both: &Both, ready: bool) {
    sqlx::query(
        "UPDATE pg_index SET indisready = $1 WHERE indexrelid = 'incident_embeddings_nearest'::regclass",
    )
    .bind(ready)
    .execute(both.store.pool())
    .await
    .expect("a superuser");
}

/// The state of a service that takes the vector index wherever it may, and its metrics.
async fn service(both: &Both) -> (context_api::State, Registry) {
    let reader = both.reader_with("-c enable_seqscan=off -c enable_sort=off").await;
    let cache = EmbeddingCache::new(Database::embedder(), CacheOptions::default());
    let state = context_api::State::new(reader, cache, both.clock.clone(), context_api::Options::default());
    let mut registry = registry("contextapi");
    let _api = open(state.clone(), &mut registry, 4);
    (state, registry)
}

fn options(sample: u32) -> SearchConfig {
    SearchConfig {
        self_check_interval: Duration::from_millis(1),
        self_check_sample: sample,
        self_check_timeout: Duration::from_secs(5),
    }
}

/// The lines about recall.
async fn told(registry: Registry) -> Vec<String> {
    let metrics = metrics(registry).await;
    metrics
        .lines()
        .filter(|line| line.starts_with("contextapi_search_recall"))
        .map(str::to_owned)
        .collect()
}

fn lines(ratio: &str, samples: u32, failures: u32) -> [String; 3] {
    [
        format!("contextapi_search_recall_ratio {ratio}"),
        format!("contextapi_search_recall_samples_total {samples}"),
        format!("contextapi_search_recall_failures_total {failures}"),
    ]
}

#[tokio::test]
async fn a_sound_index_finds_all_ten_of_each_sample() {
    let both = fifty(50).await;
    let (state, registry) = service(&both).await;
    SelfCheck::seeded(&state, options(8), 1).round().await;
    assert_eq!(told(registry).await, lines("1.0", 8, 0));
}

#[tokio::test]
async fn an_index_that_lacks_texts_lowers_the_recall_by_as_much() {
    let both = fifty(40).await;
    let (state, registry) = service(&both).await;
    // The ten nearest of a text about a certificate are the ten that the index lacks; it gives others.
    let reader = both.reader_with("-c enable_seqscan=off -c enable_sort=off").await;
    for (place, found) in [(0.0, 10), (0.999, 0)] {
        let sample = reader
            .recall(both.database.model(), place, Duration::from_secs(5))
            .await
            .expect("a measurement");
        assert_eq!(sample, Some(RecallSample { found, nearest: 10 }), "{place}");
    }
    let mut places = StdRng::seed_from_u64(1);
    let known = (0..16).filter(|_| places.random::<f64>() * 49.0 < 40.0).count();
    assert!((1..16).contains(&known), "{known}");
    SelfCheck::seeded(&state, options(16), 1).round().await;
    let ratio = f64::from(u32::try_from(known).expect("a small number")) / 16.0;
    assert_eq!(told(registry).await, lines(&ratio.to_string(), 16, 0));
}

#[tokio::test]
async fn without_texts_nothing_is_told_and_a_failure_is_counted() {
    let both = Both::new().await;
    let (state, registry) = service(&both).await;
    SelfCheck::seeded(&state, options(3), 1).round().await;
    both.incident(&records::remediation("rr-1")).await;
    let revoke = format!(
        "REVOKE SELECT ON {}.texts FROM PUBLIC, kubernaut_test_reader",
        both.database.schema().context()
    );
    sqlx::query(AssertSqlSafe(revoke))
        .execute(both.store.pool())
        .await
        .expect("a privilege less");
    SelfCheck::seeded(&state, options(3), 1).round().await;
    assert_eq!(told(registry).await, lines("NaN", 0, 1));
}

#[tokio::test]
async fn a_sample_that_takes_too_long_is_given_up() {
    let both = fifty(50).await;
    let (state, registry) = service(&both).await;
    let mut owner = both.store.pool().begin().await.expect("a transaction");
    sqlx::query("LOCK TABLE incident_embeddings IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *owner)
        .await
        .expect("a lock");
    let options = SearchConfig {
        self_check_timeout: Duration::from_millis(100),
        ..options(1)
    };
    let began = std::time::Instant::now();
    SelfCheck::seeded(&state, options, 1).round().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(told(registry).await, lines("NaN", 0, 1));
}

#[tokio::test]
async fn the_rounds_end_with_the_service_and_do_not_begin_when_they_are_off() {
    let both = fifty(50).await;
    let (state, registry) = service(&both).await;
    let shutdown = Shutdown::new();
    let rounds = SelfCheck::seeded(&state, options(1), 1).start(shutdown.clone());
    let off = SelfCheck::new(&state, SearchConfig::unchecked()).start(Shutdown::new());
    tokio::time::timeout(Duration::from_secs(10), off)
        .await
        .expect("no rounds")
        .expect("no panic");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!rounds.is_finished());
    shutdown.begin();
    tokio::time::timeout(Duration::from_secs(10), rounds)
        .await
        .expect("an end")
        .expect("no panic");
    let told = told(registry).await;
    assert!(told.contains(&lines("1.0", 0, 0)[0]), "{told:?}");
}
