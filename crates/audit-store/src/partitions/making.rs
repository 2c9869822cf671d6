//! Making one partition beside running traffic.
//!
//! `CREATE TABLE … PARTITION OF` locks the whole table against readers and writers. A table made on its own and then
//! attached does not: ATTACH locks the partitioned table against other DDL only. It still locks the DEFAULT partition
//! against everybody and reads it through, to be sure that none of the month's rows is there, unless a CHECK proves
//! that. Where the DEFAULT partition is large such a CHECK, here called a fence, is put up first and validated without
//! holding anybody up. A fence refuses rows of its month, so only a month that no record can have yet gets one.

use std::time::Duration;

use chrono::{DateTime, Datelike, Months, NaiveDate, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use super::{Partitioned, WhyMissing, start_of};
use crate::maintenance::{begin, gave_up};
use crate::{SchemaName, StoreError};

/// Rows of a DEFAULT partition that may be read through while it is locked: some milliseconds' worth.
pub const DEFAULT_ROWS_SCANNED: i64 = 10_000;
/// A month that begins later than this after now has no records: Data Storage refuses a createdAt some minutes ahead.
const NO_RECORDS_YET: TimeDelta = TimeDelta::days(1);
/// Deadline of a statement; the validation of a fence reads the whole DEFAULT partition.
const STATEMENT_TIMEOUT: Duration = Duration::from_mins(5);

/// What became of a missing partition.
pub(super) enum Outcome {
    Made(String),
    /// Another replica was faster.
    ThereByNow,
    Missing(WhyMissing),
    /// Another replica is at work.
    Elsewhere,
}

/// Makes the partition of a month that had none.
pub(super) async fn make(
    connection: &mut PgConnection,
    schema: &SchemaName,
    partitioned: Partitioned,
    month: NaiveDate,
    now: DateTime<Utc>,
) -> Result<Outcome, StoreError> {
    let Some(next) = month.checked_add_months(Months::new(1)) else {
        return Ok(Outcome::ThereByNow);
    };
    let partition = NewPartition {
        partitioned,
        name: name(partitioned, month),
        from: month,
        to: next,
    };
    if partition.rows_in_default(connection).await? {
        return Ok(Outcome::Missing(WhyMissing::RowsInDefault));
    }
    let fenced = default_is_large(connection, partitioned).await?;
    if fenced {
        if start_of(month) <= now + NO_RECORDS_YET {
            return Ok(Outcome::Missing(WhyMissing::LargeDefault));
        }
        for statement in [partition.fence(), partition.validate_fence()] {
            match in_transaction(connection, schema, &statement).await {
                Ok(true) => {}
                Ok(false) => return Ok(Outcome::Elsewhere),
                Err(error) if gave_up(&error) => return Ok(Outcome::Missing(WhyMissing::Busy)),
                Err(error) => return Err(error),
            }
        }
    }
    match partition.attach(connection, schema, fenced).await {
        Err(error) if gave_up(&error) => Ok(Outcome::Missing(WhyMissing::Busy)),
        result => result,
    }
}

/// Name of a month's partition.
fn name(partitioned: Partitioned, month: NaiveDate) -> String {
    format!("{}_y{:04}m{:02}", partitioned.table, month.year(), month.month())
}

/// Names, keys and dates in the statements below are made here, never taken from a caller.
struct NewPartition {
    partitioned: Partitioned,
    name: String,
    from: NaiveDate,
    to: NaiveDate,
}

impl NewPartition {
    async fn rows_in_default(&self, connection: &mut PgConnection) -> Result<bool, StoreError> {
        let Partitioned { table, key } = self.partitioned;
        let Self { from, to, .. } = self;
        Ok(sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT EXISTS (SELECT 1 FROM {table}_default WHERE {key} >= '{from} 00:00:00+00' AND {key} < '{to} 00:00:00+00')"
        )))
        .fetch_one(connection)
        .await?)
    }

    fn fence_name(&self) -> String {
        format!("{}_fence", self.name)
    }

    fn fence(&self) -> String {
        let Partitioned { table, key } = self.partitioned;
        let Self { from, to, .. } = self;
        let fence = self.fence_name();
        // A round that was cut off may have left it.
        format!(
            "ALTER TABLE {table}_default DROP CONSTRAINT IF EXISTS {fence}; \
             ALTER TABLE {table}_default ADD CONSTRAINT {fence} \
             CHECK ({key} < '{from} 00:00:00+00' OR {key} >= '{to} 00:00:00+00') NOT VALID"
        )
    }

    fn validate_fence(&self) -> String {
        format!(
            "ALTER TABLE {}_default VALIDATE CONSTRAINT {}",
            self.partitioned.table,
            self.fence_name()
        )
    }

    async fn attach(
        &self,
        connection: &mut PgConnection,
        schema: &SchemaName,
        fenced: bool,
    ) -> Result<Outcome, StoreError> {
        let Some(mut transaction) = begin(connection, schema, STATEMENT_TIMEOUT).await? else {
            return Ok(Outcome::Elsewhere);
        };
        let Partitioned { table, .. } = self.partitioned;
        let Self { name, from, to, .. } = self;
        let exists = sqlx::query_scalar!(r#"SELECT to_regclass($1) IS NOT NULL AS "exists!""#, name)
            .fetch_one(&mut *transaction)
            .await?;
        if exists {
            transaction.rollback().await?;
            return Ok(Outcome::ThereByNow);
        }
        // An identity belongs to the partitioned table; indexes, CHECKs, generated columns and comments are copied.
        let mut statements = format!(
            "CREATE TABLE {name} (LIKE {table} INCLUDING ALL EXCLUDING IDENTITY); \
             COMMENT ON TABLE {name} IS 'Rows of {table} from {from} to {to}, the end excluded.';"
        );
        if table == super::LEDGER.table {
            // Row triggers come with ATTACH; a TRUNCATE trigger does not.
            statements.push_str(&format!(
                "CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON {name} \
                 FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();"
            ));
        }
        // Last, so that the DEFAULT partition is locked no longer than that and the commit take.
        statements.push_str(&format!(
            "ALTER TABLE {table} ATTACH PARTITION {name} \
             FOR VALUES FROM ('{from} 00:00:00+00') TO ('{to} 00:00:00+00');"
        ));
        if fenced {
            statements.push_str(&format!(
                "ALTER TABLE {table}_default DROP CONSTRAINT {};",
                self.fence_name()
            ));
        }
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Outcome::Made(name.clone()))
    }
}

/// Runs DDL in a transaction of its own; `false` where another replica is at work.
async fn in_transaction(
    connection: &mut PgConnection,
    schema: &SchemaName,
    statements: &str,
) -> Result<bool, StoreError> {
    let Some(mut transaction) = begin(connection, schema, STATEMENT_TIMEOUT).await? else {
        return Ok(false);
    };
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(true)
}

async fn default_is_large(
    connection: &mut PgConnection,
    partitioned: Partitioned,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT EXISTS (SELECT 1 FROM {}_default OFFSET {DEFAULT_ROWS_SCANNED})",
        partitioned.table
    )))
    .fetch_one(connection)
    .await?)
}

/// Takes down fences that a round cut off long ago left behind, before records of their months arrive.
pub(super) async fn drop_stale_fences(
    connection: &mut PgConnection,
    schema: &SchemaName,
    partitioned: Partitioned,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let fences = sqlx::query_scalar!(
        r#"SELECT conname::text AS "name!" FROM pg_constraint
           WHERE conrelid = to_regclass($1) AND conname ~ '_y[0-9]{4}m[0-9]{2}_fence$'"#,
        format!("{}_default", partitioned.table)
    )
    .fetch_all(&mut *connection)
    .await?;
    // Years have four digits, so names sort by month.
    let last = format!(
        "{}_fence",
        name(partitioned, super::month_of(now + NO_RECORDS_YET))
    );
    for fence in fences.into_iter().filter(|fence| *fence <= last) {
        let statement = format!(
            "ALTER TABLE {}_default DROP CONSTRAINT IF EXISTS {fence}",
            partitioned.table
        );
        match in_transaction(connection, schema, &statement).await {
            Err(error) if gave_up(&error) => {
                tracing::warn!(
                    fence,
                    "a CHECK that keeps records of its month out could not be dropped yet"
                );
            }
            result => {
                result?;
            }
        }
    }
    Ok(())
}
