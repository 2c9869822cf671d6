//! The table of the vectors to come: made after the one in use, column by column and index by index, so that there is
//! one description of both.

use sqlx::{AssertSqlSafe, PgConnection};

use super::{ReembedError, Schemas, not_allowed};
use crate::compatibility::ModelIdentity;

/// The columns that say how far a text's vector is. They begin anew; every other column is copied.
const STATE_OF_THE_VECTOR: [&str; 7] = [
    "model",
    "embedding",
    "embedded_at",
    "attempts",
    "refusals",
    "next_attempt_at",
    "last_error",
];

/// Makes the schema, its properties and the empty table, with every index that is cheap to keep up to date.
pub(super) async fn build(
    connection: &mut PgConnection,
    schemas: &Schemas,
    target: &ModelIdentity,
) -> Result<(), ReembedError> {
    let Schemas { live, next } = schemas;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "CREATE SCHEMA {next}; COMMENT ON SCHEMA {next} IS '{}'",
        schemas.mark()
    )))
    .execute(&mut *connection)
    .await
    .map_err(not_allowed("make schemas"))?;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "CREATE TABLE {next}.store_properties (LIKE {live}.store_properties INCLUDING ALL);
         CREATE TABLE {next}.incident_embeddings (LIKE {live}.incident_embeddings INCLUDING ALL EXCLUDING INDEXES);
         ALTER TABLE {next}.incident_embeddings ALTER COLUMN embedding TYPE public.vector({})",
        target.dimension
    )))
    .execute(&mut *connection)
    .await?;
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO {next}.store_properties (contract_version, embedding_model, embedding_model_version, embedding_dimension)
         SELECT contract_version, $1, $2, $3 FROM {live}.store_properties"
    )))
    .bind(&target.name)
    .bind(&target.version)
    .bind(target.stored_dimension())
    .execute(&mut *connection)
    .await?;
    let constraints: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT format('ALTER TABLE {next}.incident_embeddings ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
         FROM pg_constraint WHERE conrelid = '{live}.incident_embeddings'::regclass AND contype IN ('p', 'u') ORDER BY contype"
    )))
    .fetch_all(&mut *connection)
    .await?;
    for statement in constraints {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await?;
    }
    build_indexes(connection, schemas, false).await
}

/// Builds the indexes that the table in use has and the new one has not; those over vectors only where asked for,
/// because they are quickest built over all vectors at once.
pub(super) async fn build_indexes(
    connection: &mut PgConnection,
    schemas: &Schemas,
    over_vectors: bool,
) -> Result<(), ReembedError> {
    let Schemas { live, next } = schemas;
    for (definition, is_over_vectors) in missing_indexes(connection, schemas).await? {
        if is_over_vectors && !over_vectors {
            continue;
        }
        let definition = definition.replacen(
            &format!(" ON {live}.incident_embeddings "),
            &format!(" ON {next}.incident_embeddings "),
            1,
        );
        sqlx::query(AssertSqlSafe(definition))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Definitions of the indexes not built yet, and whether each is over vectors.
pub(super) async fn missing_indexes(
    connection: &mut PgConnection,
    schemas: &Schemas,
) -> Result<Vec<(String, bool)>, ReembedError> {
    let Schemas { live, next } = schemas;
    Ok(sqlx::query_as(AssertSqlSafe(format!(
        "SELECT pg_get_indexdef(i.indexrelid), a.amname IN ('hnsw', 'ivfflat')
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
         WHERE i.indrelid = '{live}.incident_embeddings'::regclass
           AND NOT EXISTS (SELECT 1 FROM pg_index n JOIN pg_class k ON k.oid = n.indexrelid
                           WHERE n.indrelid = '{next}.incident_embeddings'::regclass AND k.relname = c.relname)
         ORDER BY c.relname"
    )))
    .fetch_all(connection)
    .await?)
}

/// Refuses to go on where the two tables have come to differ in more than the dimension of the vector.
pub(super) async fn require_same_shape(
    connection: &mut PgConnection,
    schemas: &Schemas,
) -> Result<(), ReembedError> {
    let Schemas { live, next } = schemas;
    let same: bool = sqlx::query_scalar(AssertSqlSafe(format!(
        "WITH columns AS (
             SELECT attrelid, attname, attnotnull, attidentity, attgenerated, atthasdef, atttypid,
                    CASE WHEN attname <> 'embedding' THEN atttypmod END AS atttypmod
             FROM pg_attribute
             WHERE attrelid IN ('{live}.incident_embeddings'::regclass, '{next}.incident_embeddings'::regclass)
               AND attnum > 0 AND NOT attisdropped
         ),
         checks AS (
             SELECT conrelid, conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
             WHERE conrelid IN ('{live}.incident_embeddings'::regclass, '{next}.incident_embeddings'::regclass)
         ),
         of_columns AS (
             SELECT array_agg(to_jsonb(c) - 'attrelid' ORDER BY attname) AS shape FROM columns c GROUP BY attrelid
         ),
         of_checks AS (
             SELECT array_agg(to_jsonb(k) - 'conrelid' ORDER BY conname) AS shape FROM checks k GROUP BY conrelid
         )
         SELECT (SELECT count(DISTINCT shape) FROM of_columns) = 1 AND (SELECT count(DISTINCT shape) FROM of_checks) = 1"
    )))
    .fetch_one(connection)
    .await?;
    if same {
        Ok(())
    } else {
        Err(ReembedError::SchemaChanged)
    }
}

/// What one statement copied.
pub(super) struct Copied {
    pub(super) rows: u64,
    /// The greatest id among them; `None` where nothing was left to copy.
    pub(super) last: Option<i64>,
}

/// Copies up to `limit` texts with ids greater than `after` that are not there yet.
pub(super) async fn copy(
    connection: &mut PgConnection,
    schemas: &Schemas,
    after: i64,
    limit: i64,
) -> Result<Copied, ReembedError> {
    let Schemas { live, next } = schemas;
    let columns: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT quote_ident(attname) FROM pg_catalog.pg_attribute
         WHERE attrelid = '{live}.incident_embeddings'::regclass AND attnum > 0 AND NOT attisdropped
           AND attgenerated = '' AND attname <> ALL ($1) ORDER BY attnum"
    )))
    .bind(STATE_OF_THE_VECTOR.map(str::to_owned).to_vec())
    .fetch_all(&mut *connection)
    .await?;
    let columns = columns.join(", ");
    let (rows, last): (i64, Option<i64>) = sqlx::query_as(AssertSqlSafe(format!(
        "WITH copied AS (
             INSERT INTO {next}.incident_embeddings ({columns}, model, next_attempt_at) OVERRIDING SYSTEM VALUE
             SELECT {columns}, (SELECT embedding_model FROM {next}.store_properties), created_at
             FROM {live}.incident_embeddings e
             WHERE e.id > $1 AND NOT EXISTS (SELECT 1 FROM {next}.incident_embeddings n WHERE n.id = e.id)
             ORDER BY e.id LIMIT $2
             RETURNING id
         )
         SELECT count(*), max(id) FROM copied"
    )))
    .bind(after)
    .bind(limit)
    .fetch_one(connection)
    .await?;
    Ok(Copied {
        rows: u64::try_from(rows).unwrap_or(0),
        last,
    })
}

/// Drops copies of texts that were deleted since.
pub(super) async fn drop_vanished(
    connection: &mut PgConnection,
    schemas: &Schemas,
) -> Result<(), ReembedError> {
    let Schemas { live, next } = schemas;
    sqlx::query(AssertSqlSafe(format!(
        "DELETE FROM {next}.incident_embeddings n
         WHERE NOT EXISTS (SELECT 1 FROM {live}.incident_embeddings e WHERE e.id = n.id)"
    )))
    .execute(connection)
    .await?;
    Ok(())
}
