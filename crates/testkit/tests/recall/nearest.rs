//! Recall at ten of searches by vector: which share of the ten nearest incidents a search gives, held against a
//! comparison with all of them.

mod texts;

use audit_store::reader::{IncidentFilter, Reader, Search, Tuning};
use embedding::{Embedder, EmbedderOptions, Hashed};
use pgvector::Vector;

use self::texts::{DIMENSION, Texts};
use crate::both::Both;

const TEXTS: usize = 50_000;
const QUESTIONS: usize = 30;
/// Similarities that differ by less are equal: single precision has seven digits.
const NOISE: f64 = 1e-6;

/// A filter, the share of all incidents that it lets through, and the same filter in SQL.
fn filters() -> [(&'static str, IncidentFilter, &'static str); 4] {
    let none = IncidentFilter::default;
    [
        ("100 %", none(), "true"),
        (
            "10 %",
            IncidentFilter {
                cluster: Some("few".to_owned()),
                ..none()
            },
            "t.cluster_name = 'few'",
        ),
        (
            "1 %",
            IncidentFilter {
                alert_name: Some("Rare".to_owned()),
                ..none()
            },
            "t.alert_name = 'Rare'",
        ),
        (
            "0.1 %",
            IncidentFilter {
                correlation_id: Some("single".to_owned()),
                ..none()
            },
            "t.correlation_id = 'single'",
        ),
    ]
}

/// The similarity of the tenth nearest incident for each of [`filters`], by comparing all; in SQL of its own.
async fn tenth(both: &Both, question: &[f32]) -> Vec<f64> {
    let of_filter = filters().map(|(_, _, condition)| {
        format!("(SELECT min(s) FROM (SELECT s FROM t WHERE {condition} ORDER BY s DESC LIMIT 10) n)")
    });
    let statement = format!(
        "WITH t AS MATERIALIZED (
             SELECT i.cluster_name, i.alert_name, i.correlation_id, 1 - (e.embedding <=> $1) AS s
             FROM resource_action_traces i JOIN incident_embeddings e ON e.id = i.embedding_id
             WHERE i.remediation_name <> 'first')
         SELECT ARRAY[{}]",
        of_filter.join(", ")
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
        .bind(Vector::from(question.to_vec()))
        .fetch_one(both.store.pool())
        .await
        .expect("four similarities")
}

/// How many of the ten nearest a search finds; one as similar as the tenth counts.
async fn found(reader: &Reader, search: &Search, tuning: &Tuning, tenth: f64) -> usize {
    let hits = reader.search_tuned(search, tuning).await.expect("hits");
    assert_eq!(hits.len(), 10);
    hits.iter().filter(|hit| hit.similarity >= tenth - NOISE).count()
}

/// How many of the ten nearest a plain query finds, as one would write it first: it follows the vector index without
/// going on, and filters what comes.
async fn found_plainly(both: &Both, question: &[f32], condition: &str, tenth: f64) -> usize {
    let mut transaction = both.store.pool().begin().await.expect("a transaction");
    for setting in [
        "SET LOCAL hnsw.iterative_scan = off",
        "SET LOCAL hnsw.ef_search = 40",
        "SET LOCAL enable_seqscan = off",
    ] {
        sqlx::query(setting)
            .execute(&mut *transaction)
            .await
            .expect(setting);
    }
    let statement = format!(
        "WITH near AS MATERIALIZED (
             SELECT id, 1 - (embedding <=> $1) AS similarity FROM incident_embeddings ORDER BY embedding <=> $1 LIMIT 40)
         SELECT near.similarity FROM near JOIN resource_action_traces t ON t.embedding_id = near.id
         WHERE t.remediation_name <> 'first' AND {condition} ORDER BY 1 DESC LIMIT 10"
    );
    let similarities: Vec<f64> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
        .bind(Vector::from(question.to_vec()))
        .fetch_all(&mut *transaction)
        .await
        .expect("similarities");
    similarities
        .into_iter()
        .filter(|similarity| *similarity >= tenth - NOISE)
        .count()
}

#[expect(clippy::cast_precision_loss, reason = "hundreds")]
fn recall(found: usize) -> f64 {
    found as f64 / (10 * QUESTIONS) as f64
}

#[tokio::test]
async fn of_the_ten_nearest_among_fifty_thousand_texts_99_percent_are_found_whatever_is_filtered() {
    let embedder = Embedder::start(Hashed::new(DIMENSION), EmbedderOptions::default()).expect("a thread");
    let both = Both::with_embedder(embedder).await;
    let mut texts = Texts::seeded(1);
    texts::store(&both, &mut texts, TEXTS).await;
    let by_index = Tuning {
        exact_up_to: 0,
        ..Tuning::MEASURED
    };
    let (mut ours, mut indexed, mut plain) = ([0; 4], [0; 4], [0; 4]);
    for _ in 0..QUESTIONS {
        let question = texts.next();
        let tenths = tenth(&both, &question).await;
        for (place, (_, filter, condition)) in filters().into_iter().enumerate() {
            let search = Search {
                vector: question.clone(),
                model: both.database.model().clone(),
                filter,
                max_results: 10,
                min_similarity: -1.0,
                except: None,
            };
            ours[place] += found(&both.reader, &search, &Tuning::MEASURED, tenths[place]).await;
            // The few that pass are compared one by one; what the index alone would give is measured as well.
            indexed[place] += found(&both.reader, &search, &by_index, tenths[place]).await;
            plain[place] += found_plainly(&both, &question, condition, tenths[place]).await;
        }
    }
    let told: Vec<_> = (filters().into_iter().enumerate())
        .map(|(place, (share, ..))| {
            let [ours, indexed, plain] = [ours, indexed, plain].map(|found| recall(found[place]));
            format!("{share}: {ours:.4}, by index {indexed:.4}, plain {plain:.4}")
        })
        .collect();
    println!("{}", told.join("\n"));
    for (place, share) in told.iter().enumerate() {
        assert!(recall(ours[place]) >= 0.99, "{share}");
        assert!(recall(indexed[place]) >= 0.99, "{share}");
    }
    // The data is such that it can be lost.
    for place in [2, 3] {
        assert!(recall(plain[place]) < 0.5, "{}", told[place]);
    }
}
