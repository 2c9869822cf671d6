//! An embedder that is slow or broken never costs a record: the vector follows.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use embedding::{Embedder, EmbedderOptions, Hashed, Model, ModelError, ModelInfo};
use serde_json::json;
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
    let deadline = Instant::now() + PATIENCE;
    while app.count("incident_embeddings WHERE embedding IS NOT NULL").await != expected {
        assert!(Instant::now() < deadline, "the vectors do not follow");
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
}
