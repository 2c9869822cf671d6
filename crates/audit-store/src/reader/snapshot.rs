//! A transaction that sees one state of the database.

use std::ops::{Deref, DerefMut};

use sqlx::{PgConnection, Postgres, Transaction};
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::Reader;
use crate::StoreError;

/// A transaction whose statements all see one state of the database. Dropped, it is rolled back, which is as good.
pub(super) struct Snapshot {
    transaction: Transaction<'static, Postgres>,
    /// From the wait for a connection to the end of the transaction; it is never entered.
    _span: Span,
}

impl Reader {
    /// Begins a snapshot, within what is left until the deadline.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let span = tracing::info_span!("database", otel.kind = "client", db.system.name = "postgresql");
        let begun = self
            .pool
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        let transaction = match self.deadline {
            None => begun.await?,
            Some(deadline) => {
                let begun = timeout_at(deadline, begun).await;
                let mut transaction = begun.unwrap_or_else(|_elapsed| Err(sqlx::Error::PoolTimedOut))?;
                let left = deadline.saturating_duration_since(Instant::now());
                // What the session says is tighter as a rule, and costs no round trip.
                if left < self.statement_timeout {
                    // Zero would be no limit.
                    let milliseconds = left.as_millis().max(1).to_string();
                    sqlx::query_scalar!(
                        r#"SELECT set_config('statement_timeout', $1, true) AS "set!""#,
                        milliseconds
                    )
                    .fetch_one(&mut *transaction)
                    .await?;
                }
                transaction
            }
        };
        Ok(Snapshot {
            transaction,
            _span: span,
        })
    }
}

impl Snapshot {
    /// Ends the transaction, and gives its connection back at once.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }
}

impl Deref for Snapshot {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for Snapshot {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
