//! The statements that a reader's session prepared: the very ones that it ran, explained where it ran them.

use audit_store::Reader;
use serde_json::Value;

/// The name of the statement that this occurs in.
pub(crate) async fn name_of(reader: &Reader, part: &str) -> String {
    sqlx::query_scalar(
        "SELECT name FROM pg_prepared_statements
         WHERE position($1 IN statement) > 0 AND position('pg_prepared_statements' IN statement) = 0",
    )
    .bind(part)
    .fetch_one(reader.pool())
    .await
    .expect("the statement")
}

/// The plan of a statement for these arguments and what it read, run in a transaction with these settings, which ends
/// without a trace.
pub(crate) async fn explained(
    reader: &Reader,
    name: &str,
    arguments: &str,
    settings: Option<&'static str>,
) -> Value {
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name} ({arguments})");
    let mut transaction = reader.pool().begin().await.expect("a transaction");
    if let Some(settings) = settings {
        sqlx::raw_sql(settings)
            .execute(&mut *transaction)
            .await
            .expect("the settings");
    }
    let plan: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
        .fetch_one(&mut *transaction)
        .await
        .expect("a plan");
    transaction.rollback().await.expect("the end of it");
    plan[0]["Plan"].clone()
}
