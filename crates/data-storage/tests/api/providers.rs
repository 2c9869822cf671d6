//! Whatever the provider of vectors does, records are stored, and their vectors follow.

use std::time::{Duration, Instant};

use embedding::{Embedder, HttpOptions};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use testkit::embedding_server::Reply;
use testkit::{Database, EmbeddingServer, records};

use crate::app::App;

/// How long anything may take that is expected to happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// Beyond the longest pause of a text that failed.
const LATER: Duration = Duration::from_secs(2 * 3600);

async fn app(server: &EmbeddingServer) -> App {
    let model = Database::embedder().model().clone();
    let mut options = HttpOptions::new(server.url(), model.name, model.version, model.dimension);
    options.timeout = Duration::from_millis(300);
    options.retry_for = Duration::from_millis(300);
    options.breaker_cool_off = Duration::from_millis(100);
    let embedder = Embedder::http(&options, StdRng::seed_from_u64(1)).unwrap();
    App::with_embedder(embedder, |config| {
        config.embedding.budget = Duration::from_millis(100);
        config.embedding.backfill_interval = Duration::from_millis(50);
    })
    .await
}

async fn wait_for(app: &App, what: &'static str, expected: i64) {
    let deadline = Instant::now() + PATIENCE;
    while app.count(what).await != expected {
        assert!(Instant::now() < deadline, "not {expected} {what}");
        // Texts that failed are tried again when their pause is over.
        app.clock.advance(LATER);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Stores a record while the provider misbehaves; then lets it behave, and waits for exactly its vector.
async fn survives(
    fault: &str,
    misbehave: impl FnOnce(&EmbeddingServer),
    behave: impl FnOnce(&EmbeddingServer),
) {
    let dimension = Database::embedder().model().dimension;
    let server = EmbeddingServer::start(dimension).await;
    misbehave(&server);
    let app = app(&server).await;
    let body = records::full_remediation("rr-1");
    let answer = app.post("remediation", &body).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body["embeddingStatus"]),
        (201, &json!("pending")),
        "{fault}"
    );
    let deadline = Instant::now() + PATIENCE;
    while server.requests().is_empty() {
        assert!(Instant::now() < deadline, "{fault}: the provider was never asked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        app.count("incident_embeddings WHERE embedding IS NULL").await,
        1,
        "{fault}"
    );
    behave(&server);
    wait_for(&app, "incident_embeddings WHERE embedding IS NOT NULL", 1).await;
    let (text, stored): (String, pgvector::Vector) =
        sqlx::query_as("SELECT text, embedding FROM incident_embeddings")
            .fetch_one(app.store.pool())
            .await
            .unwrap();
    let expected = server.vector(&text);
    let length = expected.iter().map(|x| x * x).sum::<f32>().sqrt();
    for (stored, expected) in stored.as_slice().iter().zip(&expected) {
        assert!((stored - expected / length).abs() < 1e-6, "{fault}");
    }
    let replay = app.post("remediation", &body).await;
    assert_eq!(replay.body["embeddingStatus"], "stored", "{fault}");
    assert_eq!(app.count("audit_events").await, 1, "{fault}");
}

fn good(server: &EmbeddingServer) {
    server.otherwise(Reply::Vectors);
}

#[tokio::test]
async fn a_provider_that_is_slow() {
    let slow = |server: &EmbeddingServer| server.delay(Duration::from_secs(60));
    survives("slow", slow, |server| server.delay(Duration::ZERO)).await;
}

#[tokio::test]
async fn a_provider_that_is_down() {
    survives("closed", |server| server.otherwise(Reply::Closed), good).await;
    survives("503", |server| server.otherwise(Reply::status(503)), good).await;
    survives(
        "429",
        |server| server.otherwise(Reply::status(429).with("retry-after", 1)),
        good,
    )
    .await;
}

#[tokio::test]
async fn a_provider_with_vectors_of_another_dimension() {
    survives("dimension", |server| server.otherwise(Reply::dimension(3)), good).await;
}

#[tokio::test]
async fn a_provider_with_numbers_that_are_none() {
    let nan = |server: &EmbeddingServer| {
        server.otherwise(Reply::changed(|answer| {
            answer["data"][0]["embedding"][0] = json!("NaN");
        }));
    };
    survives("NaN", nan, good).await;
}

#[tokio::test]
async fn a_provider_with_fewer_vectors_than_texts() {
    survives("fewer", |server| server.otherwise(Reply::one_less()), good).await;
}

#[tokio::test]
async fn a_provider_that_behaves_is_in_time() {
    let server = EmbeddingServer::start(Database::embedder().model().dimension).await;
    let app = app(&server).await;
    let answer = app.post("remediation", &records::full_remediation("rr-1")).await;
    assert_eq!(answer.body["embeddingStatus"], "stored");
}
