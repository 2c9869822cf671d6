//! A database moves to another model while both services go on with the old one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audit_store::compatibility::ModelIdentity;
use audit_store::pending;
use audit_store::reembed::{Reembedding, status};
use data_storage::{Config, Ingest, Metrics, ReembedOptions, Report, model_identity, reembed, vectors};
use embedding::{
    CacheOptions, Embedder, EmbedderOptions, EmbeddingCache, Hashed, Model, ModelError, ModelInfo,
    canonical_query,
};
use futures::future::join_all;
use serde_json::json;
use service_kit::Clock;
use service_kit::metrics::registry;
use service_kit::shutdown::Shutdown;
use testkit::records::{self, with};
use testkit::{Database, request};

use crate::both::{Both, open};

/// Words that make texts differ in what they mean.
const WORDS: [&str; 8] = [
    "memory",
    "disk",
    "network",
    "certificate",
    "quota",
    "image",
    "probe",
    "node",
];

/// The model to move to: another name, version and dimension. It notes what it embeds.
struct Other {
    info: ModelInfo,
    vectors: Hashed,
    seen: Arc<Mutex<Vec<String>>>,
    takes: Duration,
}

impl Model for Other {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        std::thread::sleep(self.takes);
        self.seen.lock().expect("no panic").extend_from_slice(texts);
        self.vectors.embed(texts)
    }
}

fn other(seen: &Arc<Mutex<Vec<String>>>, takes: Duration) -> Embedder {
    let model = Other {
        info: ModelInfo {
            name: "other".to_owned(),
            version: "2".to_owned(),
            dimension: 32,
        },
        vectors: Hashed::new(32),
        seen: Arc::clone(seen),
        takes,
    };
    Embedder::start(model, EmbedderOptions::default()).expect("a thread")
}

fn taken(seen: &Arc<Mutex<Vec<String>>>) -> Vec<String> {
    std::mem::take(&mut *seen.lock().expect("no panic"))
}

/// A remediation with a text of its own.
fn remediation(number: usize) -> serde_json::Value {
    let words: Vec<&str> = (0..6).map(|place| WORDS[(number >> (place * 3)) & 7]).collect();
    with(
        records::remediation(&format!("rr-{number}")),
        json!({"message": format!("failure of kind {}", words.join(" "))}),
    )
}

/// Records remediations, many at a time; the text id of each.
async fn record(both: &Both, numbers: std::ops::Range<usize>) -> BTreeMap<usize, i64> {
    let mut ids = BTreeMap::new();
    for numbers in numbers.collect::<Vec<_>>().chunks(50) {
        let answers = join_all(numbers.iter().map(|number| async move {
            let answer = both.record("remediation", &remediation(*number)).await;
            (*number, answer["embeddingId"].as_i64().expect("a text"))
        }));
        ids.extend(answers.await);
    }
    ids
}

/// The texts with their vectors, as the database writes them.
async fn stored(both: &Both) -> Vec<(String, Option<String>)> {
    sqlx::query_as("SELECT text, embedding::text FROM incident_embeddings ORDER BY id")
        .fetch_all(both.store.pool())
        .await
        .expect("the texts")
}

/// The vector of a text as the database writes it.
async fn written(both: &Both, model: &mut Hashed, text: &str) -> String {
    let vector = model.embed(&[text.to_owned()]).expect("a vector").remove(0);
    let literal = vector.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    sqlx::query_scalar("SELECT $1::vector::text")
        .bind(format!("[{literal}]"))
        .fetch_one(both.store.pool())
        .await
        .expect("a vector")
}

fn options() -> ReembedOptions {
    ReembedOptions {
        report_every: Duration::ZERO,
        ..ReembedOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_moves_to_another_model_under_both_services() {
    let both = Both::new().await;
    let before = record(&both, 0..500).await;
    assert_eq!(
        before.values().collect::<std::collections::BTreeSet<_>>().len(),
        500
    );
    let question = json!({"description": "failure of kind memory disk", "maxResults": 3});
    assert_eq!(both.found(&question).await.len(), 3);

    let connect = both.database.writer_options();
    let seen = Arc::default();
    let embedder = other(&seen, Duration::from_millis(2));
    let target = model_identity(&embedder);
    let reembedding = Reembedding::begin(&connect, &target).await.expect("a beginning");
    let mut reports = Vec::new();
    let over = AtomicBool::new(false);
    let moving = async {
        let switched = reembed(&reembedding, embedder.clone(), &both.clock, options(), |report| {
            reports.push(report);
        })
        .await
        .expect("a switch");
        over.store(true, Ordering::Relaxed);
        switched
    };
    // A writer and a reader with the old model, from the beginning until after the switch.
    let writing = async {
        let (mut number, mut ids) = (1_000, BTreeMap::new());
        while !over.load(Ordering::Relaxed) {
            ids.extend(record(&both, number..number + 2).await);
            number += 2;
        }
        ids.extend(record(&both, number..number + 2).await);
        ids
    };
    let reading = async {
        let (mut found, mut refused) = (0, 0);
        while !over.load(Ordering::Relaxed) {
            let answer = both.search(&question).await;
            match answer.status.as_u16() {
                200 => {
                    assert_eq!(refused, 0, "the old model answers again");
                    assert_eq!(answer.body["matches"].as_array().expect("matches").len(), 3);
                    found += 1;
                }
                503 => refused += 1,
                _ => panic!("{}", answer.body),
            }
            assert_eq!(both.list("limit=1").await.0.len(), 1);
        }
        found
    };
    let (switched, written_meanwhile, found) = tokio::join!(moving, writing, reading);
    assert!(found >= 1, "no search while the texts were embedded");
    assert!(written_meanwhile.len() >= 4);
    assert!(matches!(reports.first(), Some(Report::Embedding(progress)) if progress.texts >= 500));
    assert_eq!(reports.last(), Some(&Report::Switching));
    assert!(reports.contains(&Report::BuildingIndexes));

    // The old services say so; records are stored all the same.
    let refusal = both.search(&question).await;
    assert_eq!(
        (refusal.status.as_u16(), &refusal.body["detail"]),
        (
            503,
            &json!(
                "The database has moved to another embedding model, and this service has to be restarted with it. Everything but searches by meaning still works."
            )
        )
    );
    let like = both
        .search(&json!({"incidentId": both.list("limit=1").await.0[0]}))
        .await;
    assert_eq!(like.status, 503);
    let answer = both.record("remediation", &remediation(5_000)).await;
    assert_eq!(answer["embeddingStatus"], "pending");

    // Services with the new model: the rest is embedded, and everything is found.
    let waiting = pending::overview(&both.store).await.expect("an overview").pending;
    assert!(waiting > switched.pending);
    let mut config = Config::load(None, []).expect("the default configuration");
    config.embedding.backfill_interval = Duration::from_millis(10);
    let (ingest, _writers) = Ingest::start(
        both.store.clone(),
        vectors(&both.store, embedder.clone(), &config.embedding),
        &config,
        both.clock.clone(),
        Metrics::register(&mut registry("new")),
    );
    for (model, status) in [(both.database.model(), "degraded"), (&target, "ready")] {
        let probes = [
            data_storage::checks(&both.store, model.clone(), &ingest)
                .build(Shutdown::new())
                .router(),
            context_api::checks(
                &both.reader,
                model.clone(),
                &context_api::ReadCache::off(&both.reader, both.clock.clone()),
            )
            .build(Shutdown::new())
            .router(),
        ];
        for probes in probes {
            let ready = request::get(&probes, "/readyz").await;
            assert_eq!(
                (ready.status.as_u16(), &ready.body["status"]),
                (200, &json!(status)),
                "{}",
                ready.body
            );
            let reason = &ready.body["checks"]["model"]["reason"];
            let expected = "the database has moved to another embedding model: restart with that model";
            assert_eq!(reason.as_str(), (status == "degraded").then_some(expected));
        }
    }
    while pending::overview(&both.store).await.expect("an overview").pending > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let texts = stored(&both).await;
    assert_eq!(texts.len(), 500 + written_meanwhile.len() + 1);
    let mut model = Hashed::new(32);
    for (text, vector) in &texts {
        assert_eq!(*vector, Some(written(&both, &mut model, text).await), "{text}");
    }
    // The records point to the texts they pointed to.
    for (number, text) in before.iter().chain(&written_meanwhile) {
        let kept: i64 =
            sqlx::query_scalar("SELECT embedding_id FROM resource_action_traces WHERE remediation_name = $1")
                .bind(format!("rr-{number}"))
                .fetch_one(both.store.pool())
                .await
                .expect("an incident");
        assert_eq!(kept, *text);
    }
    let reader = both.database.reader().await;
    reader.require_compatible(&target).await.expect("the new model");
    let state = context_api::State::new(
        reader,
        EmbeddingCache::new(embedder, CacheOptions::default()),
        both.clock.clone(),
        context_api::Options::default(),
    );
    let new_context_api = open(state, &mut registry("contextapi"), 3);
    // The text of a record is the best match for itself.
    let message = remediation(321)["message"].clone();
    let answer = request::post(
        &new_context_api,
        "/api/v1/context/match",
        &json!({"description": format!("KubePodCrashLooping {}", message.as_str().expect("text")), "maxResults": 100}),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    // By words all are alike, so that the first may be another.
    let best: i64 = answer.body["matches"]
        .as_array()
        .expect("matches")
        .iter()
        .filter_map(|hit| Some((hit["similarityScore"].as_f64()?, hit["incident"]["id"].as_i64()?)))
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .expect("a match")
        .1;
    assert_eq!(best, nearest(&both, &mut model, &message).await);
}

/// The incident nearest to a description, by comparing all vectors.
async fn nearest(both: &Both, model: &mut Hashed, message: &serde_json::Value) -> i64 {
    let text = format!("KubePodCrashLooping {}", message.as_str().expect("text"));
    let query = canonical_query(&text).expect("words");
    let vector = written(both, model, &query).await;
    let mut transaction = both.store.pool().begin().await.expect("a transaction");
    sqlx::query("SET LOCAL enable_indexscan = off")
        .execute(&mut *transaction)
        .await
        .expect("a setting");
    sqlx::query_scalar(
        "SELECT t.id FROM resource_action_traces t JOIN incident_embeddings e ON e.id = t.embedding_id
         ORDER BY e.embedding <=> $1::vector, t.action_timestamp DESC, t.id DESC LIMIT 1",
    )
    .bind(vector)
    .fetch_one(&mut *transaction)
    .await
    .expect("an incident")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_is_cut_off_goes_on_where_it_stopped() {
    let both = Both::new().await;
    record(&both, 0..200).await;
    let connect = both.database.writer_options();
    let seen = Arc::default();
    let target = model_identity(&other(&seen, Duration::ZERO));
    let run = |takes| {
        let (connect, clock, embedder) = (connect.clone(), both.clock.clone(), other(&seen, takes));
        async move {
            let reembedding = Reembedding::begin(&connect, &model_identity(&embedder))
                .await
                .expect("a beginning");
            reembed(&reembedding, embedder, &clock, options(), |_| {})
                .await
                .expect("a switch")
        }
    };
    let killed = tokio::spawn(run(Duration::from_millis(20)));
    let done = loop {
        let under_way = status(&connect).await.expect("a status").under_way;
        match under_way {
            Some(under_way) if under_way.embedded >= 30 => break under_way.embedded,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    killed.abort();
    assert!(killed.await.expect_err("it was killed").is_cancelled());
    assert!(done < 200);
    // What was in the model when it was killed comes out of it still.
    tokio::time::sleep(Duration::from_millis(100)).await;
    taken(&seen);
    let next = format!("{}_reembed", both.database.schema());
    let mut left: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "SELECT text FROM {next}.incident_embeddings WHERE embedding IS NULL"
    )))
    .fetch_all(both.store.pool())
    .await
    .expect("the rest");
    assert!(left.len() <= 170);

    // The lease of what it had claimed ends.
    both.clock.advance(Duration::from_secs(60));
    let switched = run(Duration::ZERO).await;
    assert_eq!(switched.pending, 0);
    let mut embedded = taken(&seen);
    embedded.sort();
    left.sort();
    assert_eq!(embedded, left);
    assert_eq!(both.store.model().await.expect("a model"), target);
    let mut model = Hashed::new(32);
    for (text, vector) in stored(&both).await {
        assert_eq!(vector, Some(written(&both, &mut model, &text).await), "{text}");
    }
}

#[tokio::test]
async fn a_text_that_the_new_model_refuses_does_not_hold_up_the_move() {
    struct Refusing(Hashed, ModelInfo);
    impl Model for Refusing {
        fn info(&self) -> &ModelInfo {
            &self.1
        }
        fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
            if texts.iter().any(|text| text.contains("poison")) {
                return Err(ModelError::new("no vector for poison"));
            }
            self.0.embed(texts)
        }
    }
    let both = Both::new().await;
    record(&both, 0..5).await;
    let poison = with(records::remediation("rr-poison"), json!({"message": "poison"}));
    both.record("remediation", &poison).await;
    // The same name and dimension, and another version of the weights.
    let info = ModelInfo {
        version: "2".to_owned(),
        ..Hashed::new(64).info().clone()
    };
    let target = ModelIdentity {
        version: "2".to_owned(),
        ..both.database.model().clone()
    };
    let embedder =
        Embedder::start(Refusing(Hashed::new(64), info), EmbedderOptions::default()).expect("a thread");
    let connect = both.database.writer_options();
    let reembedding = Reembedding::begin(&connect, &target).await.expect("a beginning");
    let clock = Clock::manual(Database::now());
    // Time passes quickly, so that its pauses do.
    let passing = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            clock.advance(Duration::from_secs(1));
        }
    };
    let switched = tokio::select! {
        switched = reembed(&reembedding, embedder, &clock, options(), |_| {}) => switched.expect("a switch"),
        () = passing => unreachable!("time does not end"),
    };
    assert_eq!(switched.pending, 1);
    assert_eq!(both.store.model().await.expect("a model"), target);
    let (attempts, error): (i32, String) =
        sqlx::query_as("SELECT refusals, last_error FROM incident_embeddings WHERE embedding IS NULL")
            .fetch_one(both.store.pool())
            .await
            .expect("the poisoned text");
    assert_eq!(
        (attempts, error.as_str()),
        (5, "the embedding model failed: no vector for poison")
    );
    // An old reader of the same name and dimension is refused as well.
    assert_eq!(both.search(&json!({"description": "memory"})).await.status, 503);
}
