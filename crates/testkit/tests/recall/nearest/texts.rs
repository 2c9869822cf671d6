//! Texts as a model sees them: many topics of very different size, in each of which everybody uses the same words.

use pgvector::Vector;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::records;

use crate::both::Both;

/// Components of a vector, as MiniLM's.
pub(super) const DIMENSION: usize = 384;
const TOPICS: usize = 300;
const WORDS_OF_TOPIC: usize = 24;
const WORDS_OF_ALL: usize = 1_000;
/// How many texts one statement inserts.
const BATCH: usize = 5_000;

/// Makes texts, always the same of the same seed.
///
/// A text is the unit vector of a sum: what all texts share, its topic, some of the topic's words, and a word of
/// everybody's. Topics follow Zipf's law, as alerts do: the largest has a twentieth of all texts.
pub(super) struct Texts {
    random: StdRng,
    shared: Vec<f32>,
    topics: Vec<Vec<f32>>,
    /// Of each topic in turn, then those of all.
    words: Vec<Vec<f32>>,
    /// Sums of the shares of the topics.
    shares: Vec<f64>,
}

impl Texts {
    pub(super) fn seeded(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut vectors = |count: usize| -> Vec<Vec<f32>> { (0..count).map(|_| unit(&mut random)).collect() };
        let shared = vectors(1).remove(0);
        let topics = vectors(TOPICS);
        let words = vectors(TOPICS * WORDS_OF_TOPIC + WORDS_OF_ALL);
        let shares = (0..TOPICS)
            .scan(0.0, |sum, topic| {
                *sum += 1.0 / f64::from(u32::try_from(topic).expect("a small number") + 3);
                Some(*sum)
            })
            .collect();
        Self {
            random,
            shared,
            topics,
            words,
            shares,
        }
    }

    /// The vector of another text.
    pub(super) fn next(&mut self) -> Vec<f32> {
        let place = self
            .random
            .random_range(0.0..*self.shares.last().expect("topics"));
        let topic = self.shares.partition_point(|sum| *sum <= place);
        let mut text: Vec<f32> = (self.shared.iter().zip(&self.topics[topic]))
            .map(|(shared, topic)| 0.8 * shared + topic)
            .collect();
        for _ in 0..5 {
            let word = topic * WORDS_OF_TOPIC + self.random.random_range(0..WORDS_OF_TOPIC);
            let weight = self.random.random_range(0.2..0.6);
            add(&mut text, &self.words[word], weight);
        }
        let word = TOPICS * WORDS_OF_TOPIC + self.random.random_range(0..WORDS_OF_ALL);
        add(&mut text, &self.words[word], 0.3);
        scaled_to_unit(text)
    }
}

fn add(sum: &mut [f32], vector: &[f32], weight: f32) {
    for (sum, component) in sum.iter_mut().zip(vector) {
        *sum += weight * component;
    }
}

/// A direction, all directions being equally likely as nearly as matters: a sum of four even numbers is bell-shaped.
fn unit(random: &mut StdRng) -> Vec<f32> {
    let components = (0..DIMENSION).map(|_| (0..4).map(|_| random.random_range(-1.0_f32..1.0)).sum());
    scaled_to_unit(components.collect())
}

fn scaled_to_unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector
        .iter()
        .map(|component| component * component)
        .sum::<f32>()
        .sqrt();
    vector.iter_mut().for_each(|component| *component /= length);
    vector
}

/// Stores `count` texts with an incident each, by the tables' own shapes, and makes the vector index as
/// `migrations/0004` does. Incident by incident and independent of the text, one of ten is in cluster `few`, one of a
/// hundred has alert `Rare`, one of a thousand the correlation id `single`; createdAt falls by a second each.
pub(super) async fn store(both: &Both, texts: &mut Texts, count: usize) {
    both.incident(&records::remediation("first")).await;
    run(both, "DROP INDEX incident_embeddings_nearest").await;
    for from in (0..count).step_by(BATCH) {
        let vectors: Vec<Vector> = (from..count.min(from + BATCH))
            .map(|_| Vector::from(texts.next()))
            .collect();
        sqlx::query(
            "INSERT INTO incident_embeddings (model, text_sha256, text, created_at, next_attempt_at, embedding, embedded_at)
             SELECT p.embedding_model, sha256(n::text::bytea), 'text ' || n, now(), now(), v.embedding, now()
             FROM store_properties p, UNNEST($1::vector[]) WITH ORDINALITY AS v (embedding, place),
                  LATERAL (SELECT $2 + v.place) AS n (n)",
        )
        .bind(vectors)
        .bind(i64::try_from(from).expect("a small number"))
        .execute(both.store.pool())
        .await
        .expect("texts");
    }
    run(
        both,
        "WITH given AS (
             SELECT e.id, row_number() OVER (ORDER BY sha256(('place ' || e.id)::bytea)) AS place
             FROM incident_embeddings e WHERE e.text LIKE 'text %'),
         made AS (
             INSERT INTO remediation_requests (namespace, name, created_at)
             SELECT 'kubernaut-system', 'rr-' || id, timestamptz '2026-06-10T00:00:00Z' - place * interval '1 second'
             FROM given RETURNING id, namespace, name, created_at)
         INSERT INTO resource_action_traces (id, action_history_id, action_timestamp, remediation_namespace,
             remediation_name, signal_type, alert_name, cluster_name, phase, correlation_id,
             embedding_id, last_event_id, recorded_by, updated_at)
         SELECT m.id, t.action_history_id, m.created_at, m.namespace, m.name, t.signal_type,
                CASE WHEN g.place % 100 = 0 THEN 'Rare' ELSE 'Usual' END,
                CASE WHEN g.place % 10 = 0 THEN 'few' ELSE 'many' END, 'Completed',
                CASE WHEN g.place % 1000 = 0 THEN 'single' ELSE 'other' END, g.id, t.last_event_id, t.recorded_by,
                t.updated_at
         FROM made m JOIN given g ON m.name = 'rr-' || g.id, resource_action_traces t
         WHERE t.remediation_name = 'first'",
    )
    .await;
    let mut connection = both.store.pool().acquire().await.expect("a connection");
    for statement in [
        "SET statement_timeout = 0",
        "SET maintenance_work_mem = '512MB'",
        "CREATE INDEX incident_embeddings_nearest ON incident_embeddings
             USING hnsw (embedding vector_cosine_ops) WITH (m = 16, ef_construction = 64)",
        "RESET ALL",
    ] {
        sqlx::query(statement)
            .execute(&mut *connection)
            .await
            .expect(statement);
    }
    both.database.analyze().await;
}

async fn run(both: &Both, statement: &'static str) {
    sqlx::query(statement)
        .execute(both.store.pool())
        .await
        .expect(statement);
}
