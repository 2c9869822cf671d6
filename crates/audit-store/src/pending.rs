//! Texts that wait for their vectors.

use pgvector::Vector;

use crate::{StoreError, WriteStore};

/// A text without a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingText {
    /// Row of `incident_embeddings`.
    pub id: i64,
    /// The text.
    pub text: String,
}

/// A claim on pending texts. Dropping it without [`PendingBatch::fill`] gives them back.
pub struct PendingBatch {
    transaction: sqlx::Transaction<'static, sqlx::Postgres>,
    /// The texts claimed, oldest first.
    pub texts: Vec<PendingText>,
}

/// Claims up to `limit` pending texts of a model whose ids are greater than `after`; texts that another replica has
/// claimed are skipped.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached.
pub async fn claim(
    store: &WriteStore,
    model: &str,
    after: i64,
    limit: i64,
) -> Result<PendingBatch, StoreError> {
    let mut transaction = store.pool().begin().await?;
    let texts = sqlx::query_as!(
        PendingText,
        "SELECT id, text FROM incident_embeddings WHERE embedding IS NULL AND model = $1 AND id > $2
         ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED",
        model,
        after,
        limit,
    )
    .fetch_all(&mut *transaction)
    .await?;
    Ok(PendingBatch { transaction, texts })
}

impl PendingBatch {
    /// Stores vectors of claimed texts, as pairs of text id and vector, and gives back the others.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached or refuses a vector; then none is stored.
    pub async fn fill(mut self, vectors: Vec<(i64, Vec<f32>)>) -> Result<(), StoreError> {
        let (ids, vectors): (Vec<i64>, Vec<Vector>) = vectors
            .into_iter()
            .map(|(id, vector)| (id, Vector::from(vector)))
            .unzip();
        sqlx::query!(
            "UPDATE incident_embeddings e SET embedding = v.embedding, embedded_at = clock_timestamp()
             FROM UNNEST($1::bigint[], $2::vector[]) AS v (id, embedding) WHERE e.id = v.id",
            &ids,
            &vectors as _,
        )
        .execute(&mut *self.transaction)
        .await?;
        self.transaction.commit().await?;
        Ok(())
    }
}

/// The stored vector of a text, so that a text already embedded is never embedded again.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached.
pub async fn vector_of(
    store: &WriteStore,
    model: &str,
    text_sha256: &[u8; 32],
) -> Result<Option<Vec<f32>>, StoreError> {
    let vector = sqlx::query_scalar!(
        r#"SELECT embedding AS "embedding: Vector" FROM incident_embeddings WHERE model = $1 AND text_sha256 = $2"#,
        model,
        text_sha256.as_slice(),
    )
    .fetch_optional(store.pool())
    .await?;
    Ok(vector.flatten().map(|vector| vector.to_vec()))
}

/// How many texts wait for their vectors.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached.
pub async fn count(store: &WriteStore) -> Result<i64, StoreError> {
    Ok(
        sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM incident_embeddings WHERE embedding IS NULL"#
        )
        .fetch_one(store.pool())
        .await?,
    )
}
