//! Monthly partitions, made ahead of time.
//!
//! Every partitioned table also has a DEFAULT partition, so a record of any date is accepted; partitions made ahead
//! keep that one empty.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::{StoreError, WriteStore};

/// The tables partitioned by month.
const PARTITIONED: [&str; 2] = ["audit_events", "resource_action_traces"];

/// Which months must have a partition, around the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionWindow {
    /// Months before the current one.
    pub months_back: u32,
    /// Months after the current one.
    pub months_ahead: u32,
}

impl Default for PartitionWindow {
    /// Three months on both sides.
    fn default() -> Self {
        Self {
            months_back: 3,
            months_ahead: 3,
        }
    }
}

/// Makes the missing monthly partitions around `now` and returns their names.
///
/// Concurrent callers are serialised by an advisory lock. A month whose rows already sit in the DEFAULT partition is
/// left there (PostgreSQL could only move them by deleting from the ledger) and is reported in the log.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached or refuses the DDL.
pub async fn ensure_partitions(
    store: &WriteStore,
    now: DateTime<Utc>,
    window: PartitionWindow,
) -> Result<Vec<String>, StoreError> {
    let mut made = Vec::new();
    for table in PARTITIONED {
        // A transaction for each: making a partition locks its table, and readers lock the tables in an order of theirs.
        let mut transaction = store.pool().begin().await?;
        sqlx::query!(
            "SELECT pg_advisory_xact_lock(hashtextextended('kubernaut partitions ' || $1, 0))",
            store.schema().data()
        )
        .execute(&mut *transaction)
        .await?;
        for month in months(now, window) {
            if let Some(name) = ensure_partition(&mut transaction, table, month).await? {
                made.push(name);
            }
        }
        transaction.commit().await?;
    }
    Ok(made)
}

/// First days of the months in the window, oldest first.
fn months(now: DateTime<Utc>, window: PartitionWindow) -> Vec<NaiveDate> {
    let today = now.date_naive();
    let this_month = today - Days::new(u64::from(today.day0()));
    let first = this_month - Months::new(window.months_back);
    (0..=window.months_back + window.months_ahead)
        .map(|offset| first + Months::new(offset))
        .collect()
}

async fn ensure_partition(
    connection: &mut PgConnection,
    table: &'static str,
    month: NaiveDate,
) -> Result<Option<String>, StoreError> {
    let name = format!("{table}_y{:04}m{:02}", month.year(), month.month());
    let exists = sqlx::query_scalar!(r#"SELECT to_regclass($1) IS NOT NULL AS "exists!""#, name)
        .fetch_one(&mut *connection)
        .await?;
    if exists {
        return Ok(None);
    }
    let (from, to) = (month, month + Months::new(1));
    let key = if table == "audit_events" {
        "event_time"
    } else {
        "action_timestamp"
    };
    // Table, key and dates are made here, not taken from a caller.
    let occupied: bool = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT EXISTS (SELECT 1 FROM {table}_default WHERE {key} >= '{from} 00:00:00+00' AND {key} < '{to} 00:00:00+00')"
    )))
    .fetch_one(&mut *connection)
    .await?;
    if occupied {
        tracing::warn!(table, month = %from, "rows of this month are in the DEFAULT partition; no partition is made for it");
        return Ok(None);
    }
    sqlx::query(AssertSqlSafe(format!(
        "CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{from} 00:00:00+00') TO ('{to} 00:00:00+00')"
    )))
    .execute(&mut *connection)
    .await?;
    if table == "audit_events" {
        // Row triggers are inherited; a TRUNCATE trigger is not.
        sqlx::query(AssertSqlSafe(format!(
            "CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON {name} \
             FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change()"
        )))
        .execute(&mut *connection)
        .await?;
    }
    Ok(Some(name))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    #[test]
    fn a_window_counts_calendar_months_from_any_day_of_the_month() {
        let now = Utc.with_ymd_and_hms(2026, 1, 31, 23, 59, 59).unwrap();
        let names: Vec<String> = months(
            now,
            PartitionWindow {
                months_back: 2,
                months_ahead: 2,
            },
        )
        .iter()
        .map(ToString::to_string)
        .collect();
        assert_eq!(
            names,
            [
                "2025-11-01",
                "2025-12-01",
                "2026-01-01",
                "2026-02-01",
                "2026-03-01"
            ]
        );
    }
}
