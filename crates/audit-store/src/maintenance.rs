//! What making and dropping partitions have in common: one replica at a time, and no traffic behind a lock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use crate::{SchemaName, StoreError};

/// How long DDL waits for a lock. Whatever comes meanwhile queues behind it, so this bounds how long it can hold up
/// traffic. It is shorter than PostgreSQL's `deadlock_timeout` (1 s by default): where DDL and traffic block each
/// other, DDL gives up before PostgreSQL looks for a victim.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// Begins a transaction in which locks are waited for no longer than [`LOCK_TIMEOUT`]. `None` where another replica
/// is at work on this schema, which is not waited for either.
pub(crate) async fn begin<'c>(
    connection: &'c mut PgConnection,
    schema: &SchemaName,
    statement_timeout: Duration,
) -> Result<Option<Transaction<'c, Postgres>>, StoreError> {
    let mut transaction = connection.begin().await?;
    let alone = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(hashtextextended('kubernaut maintenance ' || $1, 0)) AS "alone!""#,
        schema.data()
    )
    .fetch_one(&mut *transaction)
    .await?;
    if !alone {
        transaction.rollback().await?;
        return Ok(None);
    }
    sqlx::query!(
        "SELECT set_config('lock_timeout', $1, true) AS lock_timeout, set_config('statement_timeout', $2, true) AS statement_timeout",
        LOCK_TIMEOUT.as_millis().to_string(),
        statement_timeout.as_millis().to_string(),
    )
    .fetch_one(&mut *transaction)
    .await?;
    Ok(Some(transaction))
}

/// Whether a lock was not to be had: the work can be done later, and nothing was changed.
pub(crate) fn gave_up(error: &StoreError) -> bool {
    matches!(error, StoreError::Contention(_))
}

/// A monthly partition, by the bounds the catalog gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) name: String,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
}

/// The partitions of a table except the DEFAULT one, oldest first.
pub(crate) async fn partitions_of(
    connection: &mut PgConnection,
    table: &str,
) -> Result<Vec<Partition>, StoreError> {
    Ok(sqlx::query_as!(
        Partition,
        r#"SELECT b.name AS "name!", b.bounds[1]::timestamptz AS "from!", b.bounds[2]::timestamptz AS "to!"
           FROM (SELECT c.relname::text AS name,
                        regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') AS bounds
                 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = to_regclass($1)) b
           WHERE b.bounds IS NOT NULL
           ORDER BY 2"#,
        table
    )
    .fetch_all(connection)
    .await?)
}
