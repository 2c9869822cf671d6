//! A provider of vectors that is slow, silent, down or wrong: no record waits for it, and no wrong vector is stored.

use std::time::Duration;

use chrono::{DateTime, Utc};
use testkit::EmbeddingServer;
use testkit::embedding_server::Reply;

use super::progress;
use crate::process::wait_until;
use crate::stack::Stack;
use crate::{Context, Outcome};

const DIMENSION: usize = 48;
/// How far a component of a stored vector may be from the provider's: they went through text.
const ROUNDING: f32 = 1e-4;
/// The longest that a record may wait, with a budget of 150 ms for its vector; the rest is for the machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);

fn replies() -> [(&'static str, Reply, Duration); 11] {
    let now = Duration::ZERO;
    [
        ("slow", Reply::Vectors, Duration::from_secs(2)),
        ("silent", Reply::Silence, now),
        ("down, 500", Reply::status(500), now),
        ("busy, 429", Reply::status(429), now),
        ("closed", Reply::Closed, now),
        ("no JSON", Reply::raw(200, "text/html", "<p>hello"), now),
        ("other dimensions", Reply::dimension(DIMENSION / 2), now),
        ("one vector less", Reply::one_less(), now),
        ("one index for all", Reply::duplicates(), now),
        ("NaN", Reply::raw(200, "application/json", no_numbers()), now),
        ("components beyond 32 bits", Reply::components(1e39), now),
    ]
}

/// An answer as Python writes it where components are no numbers.
fn no_numbers() -> String {
    let components = ["NaN"; DIMENSION].join(",");
    format!(
        r#"{{"object": "list", "data": [{{"object": "embedding", "index": 0, "embedding": [{components}]}}]}}"#
    )
}

pub(crate) async fn run(context: &Context) -> Outcome {
    let mut outcome = Outcome::default();
    let server = EmbeddingServer::start(DIMENSION).await;
    let (url, dimension) = (server.url(), DIMENSION.to_string());
    let settings = [
        ("EMBEDDING__PROVIDER", "http"),
        ("EMBEDDING__HTTP__URL", url.as_str()),
        ("EMBEDDING__HTTP__MODEL", "campaign"),
        ("EMBEDDING__HTTP__VERSION", "1"),
        ("EMBEDDING__HTTP__DIMENSION", dimension.as_str()),
        ("EMBEDDING__HTTP__TIMEOUT", "500ms"),
        ("EMBEDDING__HTTP__RETRY_FOR", "1s"),
        ("EMBEDDING__HTTP__BREAKER_COOL_OFF", "500ms"),
        ("EMBEDDING__BACKFILL_INTERVAL", "100ms"),
    ];
    let mut stack = Stack::new(&context.program, &settings).await;
    stack.start_service().await;
    let recording = context.load().start(stack.api());
    progress(&recording, 50).await;
    for _ in 0..context.scale.rounds {
        for (what, reply, delay) in replies() {
            if context.is_late() {
                break;
            }
            if !context.harmless {
                server.delay(delay);
                server.otherwise(reply);
            }
            let spoiled = server.spoiled();
            tokio::time::sleep(context.scale.round).await;
            outcome.recoveries.push(progress(&recording, 20).await);
            if !context.harmless {
                // It is asked at the latest when the breaker closes and a new text comes.
                wait_until("a request to the provider", async || server.spoiled() > spoiled).await;
            }
            outcome.must_meet(what, server.spoiled() - spoiled, 1);
            outcome.times += 1;
        }
    }
    let store = stack.store().await;
    let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM incident_embeddings WHERE embedding IS NULL")
        .fetch_one(store.pool())
        .await
        .unwrap();
    outcome.must_meet(
        "texts without a vector at the end of the faults",
        waiting.unsigned_abs(),
        1,
    );
    server.delay(Duration::ZERO);
    server.otherwise(Reply::Vectors);
    let load = recording.finish().await;
    // Those put off for longer come into a window that moves along as long as there are any.
    let soon: DateTime<Utc> = sqlx::query_scalar("SELECT now() + interval '30 seconds'")
        .fetch_one(store.pool())
        .await
        .unwrap();
    let recovery = wait_until("the vectors that are due within half a minute", async || {
        let due: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM incident_embeddings WHERE embedding IS NULL AND next_attempt_at < $1",
        )
        .bind(soon)
        .fetch_one(store.pool())
        .await
        .unwrap();
        due == 0
    })
    .await;
    outcome.met(
        "ms until these had theirs",
        recovery.as_millis().try_into().unwrap_or(u64::MAX),
    );
    let texts: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT text, embedding::text FROM incident_embeddings")
            .fetch_all(store.pool())
            .await
            .unwrap();
    store.close().await;
    stack.stop_service().await;
    for (text, vector) in &texts {
        match vector {
            None => outcome.met("texts put off for longer", 1),
            Some(vector) if is(vector, &server.vector(text)) => outcome.met("right vectors", 1),
            Some(_) => outcome.wrong(format!("the vector of {text:?} is another's")),
        }
    }
    outcome.count(&load.counts);
    outcome.must_happen(context.scale.rounds * replies().len() as u64);
    if load.counts.failed() > 0 || load.counts.refused() > 0 {
        outcome.wrong("the provider cost a request");
    }
    if load.counts.slowest() > ANSWERED_WITHIN {
        outcome.wrong(format!("an answer took {:?}", load.counts.slowest()));
    }
    outcome.findings = context.check(&stack, &load).await;
    stack.stop().await;
    outcome
}

/// Whether PostgreSQL's text of a vector is that vector.
fn is(text: &str, vector: &[f32]) -> bool {
    let components: Result<Vec<f32>, _> = serde_json::from_str(text);
    components.is_ok_and(|components| {
        components.len() == vector.len()
            && components
                .iter()
                .zip(vector)
                .all(|(one, other)| (one - other).abs() < ROUNDING)
    })
}
