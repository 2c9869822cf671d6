//! How far ahead partitions reach, and whether the DEFAULT ones are empty.

use chrono::{DateTime, Months, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use super::{INCIDENTS, LEDGER, Partitioned, month_of, start_of};
use crate::maintenance::partitions_of;
use crate::{StoreError, WriteStore};

/// Rows of a DEFAULT partition are counted up to this many.
pub const DEFAULT_ROWS_COUNTED: i64 = 100_000;

/// The partitions of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionStatus {
    /// The partitioned table.
    pub table: &'static str,
    /// Months after the current one that have a partition, up to the first that has none.
    pub months_ahead: i64,
    /// Rows in the DEFAULT partition; [`DEFAULT_ROWS_COUNTED`] for that many or more.
    pub default_rows: i64,
}

/// The partitions of the ledger and of the incidents.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached.
pub async fn partition_status(
    store: &WriteStore,
    now: DateTime<Utc>,
) -> Result<[PartitionStatus; 2], StoreError> {
    let mut connection = store.pool().acquire().await?;
    Ok([
        status_of(&mut connection, LEDGER, now).await?,
        status_of(&mut connection, INCIDENTS, now).await?,
    ])
}

async fn status_of(
    connection: &mut PgConnection,
    partitioned: Partitioned,
    now: DateTime<Utc>,
) -> Result<PartitionStatus, StoreError> {
    let partitions = partitions_of(connection, partitioned.table).await?;
    let months_ahead = (1..)
        .map_while(|ahead| month_of(now).checked_add_months(Months::new(ahead)))
        .map(start_of)
        .take_while(|start| partitions.iter().any(|p| p.from <= *start && *start < p.to))
        .count();
    let default_rows = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT count(*) FROM (SELECT 1 FROM {}_default LIMIT {DEFAULT_ROWS_COUNTED}) counted",
        partitioned.table
    )))
    .fetch_one(connection)
    .await?;
    Ok(PartitionStatus {
        table: partitioned.table,
        months_ahead: i64::try_from(months_ahead).unwrap_or(i64::MAX),
        default_rows,
    })
}
