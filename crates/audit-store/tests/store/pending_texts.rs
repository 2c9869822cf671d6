//! Texts whose vectors come later.

use std::time::Duration;

use audit_store::WriteStore;
use audit_store::compatibility::ModelIdentity;
use audit_store::pending::{self, Failure, FailureKind, Overview, PendingText};
use audit_store::writer::{EmbeddingStatus, NewRecord, RecordText, write_batch};
use chrono::{DateTime, TimeDelta, Utc};
use testkit::Database;

use crate::records::workflow;

const LEASE: Duration = Duration::from_secs(60);

fn record(name: &str, number: u32, vector: Option<Vec<f32>>) -> NewRecord {
    let mut record = workflow(name);
    let mut sha256 = [0; 32];
    sha256[..4].copy_from_slice(&number.to_be_bytes());
    record.text = Some(RecordText {
        text: format!("text {number}"),
        sha256,
        vector,
    });
    record
}

fn after(seconds: i64) -> DateTime<Utc> {
    Database::now() + TimeDelta::seconds(seconds)
}

/// Writes texts 1 to `count` without vectors, recorded a second apart.
async fn pending_texts(database: &Database, count: u32) -> WriteStore {
    let store = database.store().await;
    let records: Vec<NewRecord> = (1..=count)
        .map(|number| {
            let mut record = record(&format!("wf-{number}"), number, None);
            record.received_at = after(number.into());
            record
        })
        .collect();
    let receipts = write_batch(&store, database.model(), &records).await.unwrap();
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt.embedding_status == EmbeddingStatus::Pending)
    );
    store
}

fn vector(database: &Database) -> Vec<f32> {
    vec![0.125; database.model().dimension]
}

fn numbers(texts: &[PendingText]) -> Vec<u32> {
    texts
        .iter()
        .map(|text| text.text.strip_prefix("text ").unwrap().parse().unwrap())
        .collect()
}

fn failure(text: &PendingText, kind: FailureKind) -> Failure {
    Failure {
        text: text.clone(),
        kind,
        error: format!("no vector\0 for {}{}", text.text, "!".repeat(300)),
    }
}

#[tokio::test]
async fn a_text_is_claimed_by_one_worker_and_filled_once() {
    let database = Database::new("store").await;
    let store = pending_texts(&database, 2).await;
    let model = database.model();
    let first = pending::claim(&store, model, 1, after(10), LEASE).await.unwrap();
    let second = pending::claim(&store, model, 10, after(10), LEASE).await.unwrap();
    assert_eq!((numbers(&first), numbers(&second)), (vec![1], vec![2]));
    assert_eq!((first[0].attempt, first[0].refusals), (1, 0));

    let filled = pending::fill(&store, model, vec![(first[0].id, vector(&database))])
        .await
        .unwrap();
    assert_eq!(filled, 1);
    let mut sha256 = [0; 32];
    sha256[3] = 1;
    assert_eq!(
        pending::vector_of(&store, model, &sha256).await.unwrap(),
        Some(vector(&database))
    );
    // What is stored stays.
    let other = vec![0.5; model.dimension];
    assert_eq!(
        pending::fill(&store, model, vec![(first[0].id, other)])
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        pending::vector_of(&store, model, &sha256).await.unwrap(),
        Some(vector(&database))
    );
    assert_eq!(
        pending::overview(&store).await.unwrap(),
        Overview {
            pending: 1,
            oldest: Some(after(2)),
            poisoned: 0
        }
    );
    assert_eq!(pending::count_texts(&store).await.unwrap(), 2);
}

#[tokio::test]
async fn a_replay_tells_that_the_vector_is_there_by_now() {
    let database = Database::new("store").await;
    let (store, model) = (database.store().await, database.model());
    write_batch(&store, model, &[record("wf-1", 1, None)])
        .await
        .unwrap();
    let texts = pending::claim(&store, model, 10, after(0), LEASE).await.unwrap();
    pending::fill(&store, model, vec![(texts[0].id, vector(&database))])
        .await
        .unwrap();
    let receipts = write_batch(&store, model, &[record("wf-1", 1, None)])
        .await
        .unwrap();
    assert_eq!(
        (receipts[0].replayed, receipts[0].embedding_status),
        (true, EmbeddingStatus::Stored)
    );
}

#[tokio::test]
async fn the_lease_of_a_worker_that_is_gone_ends_and_its_late_failure_counts_no_more() {
    let database = Database::new("store").await;
    let store = pending_texts(&database, 1).await;
    let model = database.model();
    let lost = pending::claim(&store, model, 10, after(10), LEASE).await.unwrap();
    assert_eq!(numbers(&lost), [1]);
    let just_before = after(70) - TimeDelta::microseconds(1);
    assert_eq!(
        pending::claim(&store, model, 10, just_before, LEASE)
            .await
            .unwrap(),
        []
    );
    let taken_over = pending::claim(&store, model, 10, after(70), LEASE).await.unwrap();
    assert_eq!((numbers(&taken_over), taken_over[0].attempt), (vec![1], 2));
    // The first worker was only slow: its failure would cut the lease of the second one short.
    let late = failure(&lost[0], FailureKind::Passing);
    assert_eq!(
        pending::fail(&store, model, after(71), vec![late]).await.unwrap(),
        0
    );
    assert_eq!(
        pending::claim(&store, model, 10, after(129), LEASE)
            .await
            .unwrap(),
        []
    );
    // Its vector is as good as any.
    assert_eq!(
        pending::fill(&store, model, vec![(lost[0].id, vector(&database))])
            .await
            .unwrap(),
        1
    );
    let second = failure(&taken_over[0], FailureKind::Passing);
    assert_eq!(
        pending::fail(&store, model, after(72), vec![second])
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn workers_that_share_the_texts_never_get_the_same_one() {
    let database = Database::new("store").await;
    let store = pending_texts(&database, 200).await;
    let model = database.model();
    let worker = || async {
        let mut mine = Vec::new();
        loop {
            let texts = pending::claim(&store, model, 7, after(300), LEASE).await.unwrap();
            if texts.is_empty() {
                return mine;
            }
            mine.extend(numbers(&texts));
            assert!(mine.len() <= 200, "a text was claimed twice");
        }
    };
    let (a, b, c, d) = tokio::join!(worker(), worker(), worker(), worker());
    // A claim may come up empty while the others hold what it wanted; the next one finds the rest.
    let mut all = [a, b, c, d, worker().await].concat();
    all.sort_unstable();
    assert_eq!(all, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn three_in_four_are_the_newest_and_one_in_four_is_the_oldest() {
    let database = Database::new("store").await;
    let store = pending_texts(&database, 100).await;
    let model = database.model();
    for expected in [[100, 99, 98, 97, 96, 95, 2, 1], [94, 93, 92, 91, 90, 89, 4, 3]] {
        let texts = pending::claim(&store, model, 8, after(200), LEASE).await.unwrap();
        assert_eq!(numbers(&texts), expected);
    }
    // A text that is recorded later than `now` is not due yet.
    let texts = pending::claim(&store, model, 100, after(50), LEASE)
        .await
        .unwrap();
    assert_eq!(numbers(&texts), (5..=50).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_pauses_between_attempts_are_exact_and_a_poisoned_text_is_counted() {
    let database = Database::new("store").await;
    let store = pending_texts(&database, 3).await;
    let model = database.model();
    let mut now = after(10);
    // Texts 1, 2 and 3 fail for a passing, a suspicious and a permanent reason, each as soon as it is due.
    let mut pauses: [Vec<i64>; 3] = Default::default();
    for _ in 0..30 {
        let texts = pending::claim(&store, model, 10, now, LEASE).await.unwrap();
        let failures = texts
            .iter()
            .map(|text| {
                let kind = match text.text.as_str() {
                    "text 1" => FailureKind::Passing,
                    "text 2" => FailureKind::Suspicious,
                    _ => FailureKind::Permanent,
                };
                failure(text, kind)
            })
            .collect();
        assert_eq!(
            pending::fail(&store, model, now, failures).await.unwrap(),
            texts.len() as u64
        );
        let next: Vec<(i64, DateTime<Utc>)> =
            sqlx::query_as("SELECT id, next_attempt_at FROM incident_embeddings ORDER BY id")
                .fetch_all(store.pool())
                .await
                .unwrap();
        for number in numbers(&texts) {
            let index = usize::try_from(number - 1).unwrap();
            pauses[index].push((next[index].1 - now).num_seconds());
        }
        now = next.iter().map(|(_, at)| *at).min().unwrap();
    }
    assert_eq!(pauses[0][..10], [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    assert_eq!(pauses[1][..5], [1, 2, 4, 8, 3_600]);
    assert_eq!(pauses[2][..1], [3_600]);
    assert_eq!(
        pending::overview(&store).await.unwrap(),
        Overview {
            pending: 3,
            oldest: Some(after(1)),
            poisoned: 2
        }
    );
    let errors: Vec<String> = sqlx::query_scalar("SELECT last_error FROM incident_embeddings ORDER BY id")
        .fetch_all(store.pool())
        .await
        .unwrap();
    assert_eq!(
        errors[1],
        format!(
            "no vector for text 2{}",
            "!".repeat(200 - "no vector for text 2".len())
        )
    );
    // With its vector a text has no error any more.
    let texts = pending::claim(&store, model, 10, after(1_000_000), LEASE)
        .await
        .unwrap();
    let vectors = texts.iter().map(|text| (text.id, vector(&database))).collect();
    assert_eq!(pending::fill(&store, model, vectors).await.unwrap(), 3);
    let errors: i64 = sqlx::query_scalar("SELECT count(last_error) FROM incident_embeddings")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(errors, 0);
    assert_eq!(
        pending::overview(&store).await.unwrap(),
        Overview {
            pending: 0,
            oldest: None,
            poisoned: 0
        }
    );
}

#[tokio::test]
async fn one_poisoned_text_among_a_hundred_delays_none_of_the_others() {
    let database = Database::new("store").await;
    let store = pending_texts(&database, 100).await;
    let model = database.model();
    let mut filled = 0;
    // Four claims at one and the same time: no pause passes.
    for _ in 0..4 {
        let texts = pending::claim(&store, model, 25, after(200), LEASE)
            .await
            .unwrap();
        let (poisoned, good): (Vec<_>, Vec<_>) = texts.into_iter().partition(|text| text.text == "text 100");
        let vectors = good.iter().map(|text| (text.id, vector(&database))).collect();
        filled += pending::fill(&store, model, vectors).await.unwrap();
        let failures = poisoned
            .iter()
            .map(|text| failure(text, FailureKind::Suspicious))
            .collect();
        pending::fail(&store, model, after(200), failures).await.unwrap();
    }
    assert_eq!(filled, 99);
    assert_eq!(
        pending::claim(&store, model, 25, after(200), LEASE)
            .await
            .unwrap(),
        []
    );
}

#[tokio::test]
async fn a_worker_of_another_model_or_version_gets_nothing_and_stores_nothing() {
    let database = Database::new("store").await;
    let store = pending_texts(&database, 2).await;
    let ours = database.model();
    let others = [
        ModelIdentity {
            name: "other".into(),
            ..ours.clone()
        },
        ModelIdentity {
            version: "other".into(),
            ..ours.clone()
        },
        ModelIdentity {
            dimension: 32,
            ..ours.clone()
        },
    ];
    let texts = pending::claim(&store, ours, 1, after(10), LEASE).await.unwrap();
    for other in &others {
        assert_eq!(
            pending::claim(&store, other, 10, after(10), LEASE).await.unwrap(),
            []
        );
        let vectors = vec![(texts[0].id, vec![0.5; other.dimension])];
        assert_eq!(pending::fill(&store, other, vectors).await.unwrap(), 0);
        let failures = vec![failure(&texts[0], FailureKind::Permanent)];
        assert_eq!(
            pending::fail(&store, other, after(10), failures).await.unwrap(),
            0
        );
        // A record of a writer with that model is stored, and its text waits for a vector of the database's model.
        let name = format!("{}-{}-{}", other.name, other.version, other.dimension);
        let record = record(&name, 7, Some(vec![0.5; other.dimension]));
        let receipts = write_batch(&store, other, &[record]).await.unwrap();
        assert_eq!(receipts[0].embedding_status, EmbeddingStatus::Pending);
    }
    let stored: Vec<(String, bool)> =
        sqlx::query_as("SELECT model, embedding IS NULL FROM incident_embeddings WHERE text = 'text 7'")
            .fetch_all(store.pool())
            .await
            .unwrap();
    assert_eq!(stored, [(ours.name.clone(), true)]);
}

#[tokio::test]
async fn due_texts_are_read_from_their_index_in_both_directions_without_sorting() {
    let database = Database::new("store").await;
    let store = pending_texts(&database, 100).await;
    sqlx::raw_sql(
        "INSERT INTO incident_embeddings (model, text_sha256, text, created_at, embedding, embedded_at)
         SELECT 'hashed', sha256(n::text::bytea), n::text, now(), array_fill(n, ARRAY[64])::vector, now()
         FROM generate_series(1, 2000) AS n;
         ANALYZE incident_embeddings",
    )
    .execute(store.pool())
    .await
    .unwrap();
    for (order, scan) in [("ASC", "Index Scan using"), ("DESC", "Index Scan Backward using")] {
        // The two subqueries of the claim.
        let plan: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "EXPLAIN (COSTS OFF) SELECT e.id FROM incident_embeddings e
             WHERE e.embedding IS NULL AND e.model = 'hashed' AND e.next_attempt_at <= '2026-06-15T12:01:00Z'
             ORDER BY e.next_attempt_at {order}, e.id {order} LIMIT 24 FOR UPDATE SKIP LOCKED"
        )))
        .fetch_all(store.pool())
        .await
        .unwrap();
        let plan = plan.join("\n");
        assert!(
            plan.contains(&format!("{scan} incident_embeddings_due")) && !plan.contains("Sort"),
            "{plan}"
        );
    }
}
