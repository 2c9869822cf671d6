//! Distinct texts: each is stored once, so that a repeated one never enters the vector index again.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use pgvector::Vector;
use sqlx::PgConnection;

use super::{EmbeddingStatus, NewRecord, sha256};
use crate::StoreError;
use crate::compatibility::ModelIdentity;

/// Where a text is stored and whether its vector is.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredText {
    pub(super) id: i64,
    pub(super) status: EmbeddingStatus,
}

impl StoredText {
    fn new(id: i64, embedded: bool) -> Self {
        let status = if embedded {
            EmbeddingStatus::Stored
        } else {
            EmbeddingStatus::Pending
        };
        Self { id, status }
    }
}

/// What is to be stored of a distinct text.
struct NewText<'a> {
    text: &'a str,
    created_at: DateTime<Utc>,
    vector: Option<&'a Vec<f32>>,
}

/// Inserts the texts that are not there, and finds the others, by SHA-256.
///
/// A text that is there without a vector is left to the worker that fills it: waiting here for its lock would make
/// a write as slow as the embedder.
///
/// Once the database has moved to another model, a text is stored for that one, without the vector of this one. The
/// statement sees that in time: it takes its snapshot after its lock on the table, which the move holds to its end.
pub(super) async fn insert(
    connection: &mut PgConnection,
    model: &ModelIdentity,
    records: &[&NewRecord],
) -> Result<HashMap<[u8; 32], StoredText>, StoreError> {
    // Sorted by key, and each key once. A vector of any of the records serves all of them.
    let mut distinct: BTreeMap<[u8; 32], NewText<'_>> = BTreeMap::new();
    for record in records {
        if let Some(text) = &record.text {
            let entry = distinct.entry(text.sha256).or_insert(NewText {
                text: &text.text,
                created_at: record.received_at,
                vector: None,
            });
            entry.vector = entry.vector.or(text.vector.as_ref());
        }
    }
    if distinct.is_empty() {
        return Ok(HashMap::new());
    }
    // The statement below looks texts up and inserts them, and would lock their table twice, the weaker lock first: a move to
    // another model in between would be a deadlock.
    sqlx::raw_sql("LOCK TABLE incident_embeddings IN ROW EXCLUSIVE MODE")
        .execute(&mut *connection)
        .await?;
    let hashes: Vec<&[u8]> = distinct.keys().map(<[u8; 32]>::as_slice).collect();
    let texts: Vec<&str> = distinct.values().map(|new| new.text).collect();
    let times: Vec<_> = distinct.values().map(|new| new.created_at).collect();
    let vectors: Vec<Option<Vector>> = distinct
        .values()
        .map(|new| new.vector.map(|vector| Vector::from(vector.clone())))
        .collect();
    // A conflict would take a number from the sequence; most texts are there.
    let rows = sqlx::query!(
        r#"WITH n AS MATERIALIZED (
             SELECT t.text_sha256, t.text, t.created_at, t.embedding, p.embedding_model AS model,
                    p.embedding_model = $1 AND p.embedding_model_version = $6 AND p.embedding_dimension = $7 AS fits
             FROM UNNEST($2::bytea[], $3::text[], $4::timestamptz[], $5::vector[]) AS t (text_sha256, text, created_at, embedding)
             CROSS JOIN store_properties p
         ), t AS MATERIALIZED (
             SELECT n.*, e.id, e.embedding IS NOT NULL AS embedded
             FROM n LEFT JOIN incident_embeddings e ON e.model = n.model AND e.text_sha256 = n.text_sha256
         ), made AS (
             INSERT INTO incident_embeddings (model, text_sha256, text, created_at, next_attempt_at, embedding, embedded_at)
             SELECT t.model, t.text_sha256, t.text, t.created_at, t.created_at, CASE WHEN t.fits THEN t.embedding END,
                    CASE WHEN t.fits AND t.embedding IS NOT NULL THEN t.created_at END
             FROM t
             WHERE t.id IS NULL
             ORDER BY t.text_sha256
             ON CONFLICT (model, text_sha256) DO NOTHING
             RETURNING id, text_sha256, embedding IS NOT NULL AS embedded
         )
         SELECT id AS "id!", text_sha256 AS "text_sha256!", embedded AS "embedded!" FROM t WHERE id IS NOT NULL
         UNION ALL
         SELECT id, text_sha256, embedded FROM made"#,
        model.name,
        &hashes as _,
        &texts as _,
        &times,
        &vectors as _,
        model.version,
        model.stored_dimension(),
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut stored = HashMap::with_capacity(distinct.len());
    for row in rows {
        stored.insert(sha256(row.text_sha256)?, StoredText::new(row.id, row.embedded));
    }
    if stored.len() < distinct.len() {
        // Another transaction was faster with a text: it was waited for, and only a new statement sees its row.
        let rows = sqlx::query!(
            r#"SELECT id, text_sha256, embedding IS NOT NULL AS "embedded!" FROM incident_embeddings
               WHERE model = (SELECT embedding_model FROM store_properties) AND text_sha256 = ANY($1)"#,
            &hashes as _,
        )
        .fetch_all(&mut *connection)
        .await?;
        for row in rows {
            stored.insert(sha256(row.text_sha256)?, StoredText::new(row.id, row.embedded));
        }
    }
    Ok(stored)
}
