//! An embedder that is slow or broken never costs a record: the vector follows.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use audit_store::pending;
use data_storage::{Config, Ingest, Metrics, vectors};
use embedding::{Embedder, EmbedderOptions, Hashed, Model, ModelError, ModelInfo};
use prometheus_client::registry::Registry;
use serde_json::json;
use service_kit::Clock;
use testkit::Database;
use testkit::records::{self, with};

use crate::app::App;

/// How long a vector may take to follow.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gate that is closed until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        drop(
            self.0
                .1
                .wait_while(self.0.0.lock().unwrap(), |open| !*open)
                .unwrap(),
        );
    }
}

/// The test model behind a gate, which knows no vector for texts that contain "poison".
struct Troubled {
    model: Hashed,
    gate: Gate,
}

impl Model for Troubled {
    fn info(&self) -> &ModelInfo {
        self.model.info()
    }

    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        self.gate.wait();
        if texts.iter().any(|text| text.contains("poison")) {
            return Err(ModelError::new("no vector for poison"));
        }
        self.model.embed(texts)
    }
}

async fn app(gate: &Gate) -> App {
    let dimension = testkit::Database::embedder().model().dimension;
    let model = Troubled {
        model: Hashed::new(dimension),
        gate: gate.clone(),
    };
    let embedder = Embedder::start(model, EmbedderOptions::default()).unwrap();
    App::with_embedder(embedder, |config| {
        config.embedding.budget = Duration::from_millis(50);
        config.embedding.backfill_interval = Duration::from_millis(50);
    })
    .await
}

/// Waits until so many texts have their vectors.
async fn embedded(app: &App, expected: i64) {
    counted(app, "incident_embeddings WHERE embedding IS NOT NULL", expected).await;
}

/// Waits until there are so many.
async fn counted(app: &App, what: &'static str, expected: i64) {
    let deadline = Instant::now() + PATIENCE;
    while app.count(what).await != expected {
        assert!(Instant::now() < deadline, "not {expected} {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a metric has a value.
async fn measured(app: &App, name: &str, expected: i64) {
    let deadline = Instant::now() + PATIENCE;
    while app.metric(name) != Some(expected) {
        assert!(Instant::now() < deadline, "{name} is {:?}", app.metric(name));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_record_is_stored_while_the_embedder_hangs_and_its_vector_follows() {
    let gate = Gate::default();
    let app = app(&gate).await;
    let body = records::remediation("rr-1");
    let answer = app.post("remediation", &body).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body["embeddingStatus"]),
        (201, &json!("pending"))
    );
    assert_eq!(app.count("resource_action_traces").await, 1);
    assert_eq!(
        app.count("incident_embeddings WHERE embedding IS NULL AND embedded_at IS NULL")
            .await,
        1
    );
    gate.open();
    embedded(&app, 1).await;
    let replay = app.post("remediation", &body).await;
    assert_eq!(
        (replay.status.as_u16(), &replay.body["embeddingStatus"]),
        (200, &json!("stored"))
    );
    assert_eq!(replay.body["embeddingId"], answer.body["embeddingId"]);
}

#[tokio::test]
async fn a_text_that_cannot_be_embedded_holds_up_no_other() {
    let gate = Gate::default();
    let app = app(&gate).await;
    // More of them than the worker claims at once, and all before the good one.
    let poisoned = (0..40).map(|index| {
        let body = with(
            records::remediation(&format!("rr-{index}")),
            json!({"message": format!("poison of kind {}", "x".repeat(index + 1))}),
        );
        let app = &app;
        async move { app.post("remediation", &body).await }
    });
    for answer in futures::future::join_all(poisoned).await {
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    let good = with(
        records::remediation("rr-good"),
        json!({"message": "disk pressure"}),
    );
    assert_eq!(
        app.post("remediation", &good).await.body["embeddingStatus"],
        "pending"
    );
    gate.open();
    embedded(&app, 1).await;
    assert_eq!(app.count("incident_embeddings WHERE embedding IS NULL").await, 40);
    assert_eq!(
        app.count("incident_embeddings WHERE text LIKE '%disk pressure%' AND embedding IS NOT NULL")
            .await,
        1
    );

    // Each is tried again after a pause of its own; at the fifth failure it counts as poisoned.
    for (attempt, pause) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        assert_eq!(attempts(&app, attempt).await, 40);
        assert_eq!(app.metric("datastorage_embeddings_poisoned"), Some(0));
        app.clock.advance(Duration::from_secs(pause));
    }
    assert_eq!(attempts(&app, 5).await, 40);
    measured(&app, "datastorage_embeddings_poisoned", 40).await;
    assert_eq!(app.metric("datastorage_embeddings_pending"), Some(40));
    // 1 + 2 + 4 + 8 seconds after the first of them was recorded.
    assert_eq!(
        app.metric("datastorage_embeddings_oldest_pending_seconds"),
        Some(15)
    );
    let hour_later = app.count("incident_embeddings WHERE next_attempt_at = '2026-06-15T13:00:15Z'");
    assert_eq!(hour_later.await, 40);
    // A poisoned text costs nothing until then.
    app.clock.advance(Duration::from_secs(3_599));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(app.count("incident_embeddings WHERE attempts > 5").await, 0);
}

/// Waits until no text without a vector is held by a worker or has had fewer attempts; how many there are.
async fn attempts(app: &App, attempts: i32) -> i64 {
    let failed = match attempts {
        1 => "incident_embeddings WHERE embedding IS NULL AND attempts = 1 AND refusals = 1",
        2 => "incident_embeddings WHERE embedding IS NULL AND attempts = 2 AND refusals = 2",
        3 => "incident_embeddings WHERE embedding IS NULL AND attempts = 3 AND refusals = 3",
        4 => "incident_embeddings WHERE embedding IS NULL AND attempts = 4 AND refusals = 4",
        _ => "incident_embeddings WHERE embedding IS NULL AND attempts = 5 AND refusals = 5",
    };
    counted(app, failed, 40).await;
    app.count(failed).await
}

/// The test model, which notes what it embeds and takes its time.
struct Noting {
    model: Hashed,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Model for Noting {
    fn info(&self) -> &ModelInfo {
        self.model.info()
    }

    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        std::thread::sleep(Duration::from_millis(5));
        self.seen.lock().unwrap().extend_from_slice(texts);
        self.model.embed(texts)
    }
}

#[tokio::test]
async fn two_replicas_share_the_late_texts_and_embed_none_twice() {
    let database = Database::new("datastorage").await;
    let store = database.store().await;
    sqlx::query(
        "INSERT INTO incident_embeddings (model, text_sha256, text, created_at)
         SELECT 'hashed', sha256(n::text::bytea), n::text, '2026-06-15T12:00:00Z' FROM generate_series(1, 300) AS n",
    )
    .execute(store.pool())
    .await
    .unwrap();
    let mut config = Config::load(None, []).unwrap();
    config.embedding.backfill_interval = Duration::from_millis(10);
    let seen: [Arc<Mutex<Vec<String>>>; 2] = Default::default();
    let _replicas = seen.clone().map(|seen| {
        let model = Noting {
            model: Hashed::new(database.model().dimension),
            seen,
        };
        let embedder = Embedder::start(model, EmbedderOptions::default()).unwrap();
        Ingest::start(
            store.clone(),
            vectors(&store, embedder, &config.embedding),
            &config,
            Clock::manual(Database::now()),
            Metrics::register(&mut Registry::default()),
        )
    });
    let deadline = Instant::now() + PATIENCE;
    while pending::overview(&store).await.unwrap().pending > 0 {
        assert!(Instant::now() < deadline, "the vectors do not follow");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let shares = seen.map(|seen| seen.lock().unwrap().clone());
    assert!(shares.iter().all(|share| !share.is_empty()), "one did everything");
    let mut all: Vec<i32> = shares.concat().iter().map(|text| text.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (1..=300).collect::<Vec<_>>());
}
