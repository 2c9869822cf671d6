//! What was committed since the last look.
//!
//! # Why no commit is missed
//!
//! Every ledger row carries the number of the transaction that inserted it. A look is one statement, so it sees one
//! snapshot; its *horizon* is the oldest transaction that was running then (`pg_snapshot_xmin`). Every transaction before
//! the horizon had ended, so its rows were visible to that look or never will be. The next look reads every row from that
//! horizon on. So a row that becomes visible between two looks is read by the second, whatever its number and whatever
//! the order of commits.
//!
//! Rows between the horizon and the snapshot may be read again; the numbers of transactions that were seen spare that,
//! and to forget them is harmless. A transaction becomes visible as a whole, so its number is enough.
//!
//! This asks for the lower end of a snapshot only, never for its list of running transactions, which a standby does not
//! have. It holds there as well: on a standby a transaction has ended when its end was replayed.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::Reader;
use crate::StoreError;

/// Rows read by one look; with more the caller is told that anything may have changed.
const MOST_ROWS: i64 = 10_000;

/// Transactions remembered as seen. More are not before the oldest running one has run for long.
const MOST_SEEN: usize = 10_000;

/// Looks at the database again and again, over a connection of its own: it must see changes even while requests hold
/// every connection of the pool.
#[derive(Debug)]
pub struct ChangeFeed {
    options: PgConnectOptions,
    deadline: Duration,
    connection: Option<PgConnection>,
    /// Of the last look; `None` before the first, and after a connection was lost: the next may lead to another server.
    horizon: Option<i64>,
    /// Transactions from the horizon on that a look has told of.
    seen: HashSet<i64>,
}

/// What a look saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Every transaction before this number had ended.
    pub horizon: i64,
    /// No transaction from this number on was visible.
    pub end: i64,
    /// What is new since the last look.
    pub changed: Changed,
}

/// What is new since the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Nothing.
    Nothing,
    /// Records.
    Records {
        /// Ids of the incidents that show them, sorted.
        incidents: Vec<i64>,
    },
    /// Anything: this is the first look of a connection, or more changed than is worth telling, or retention dropped a
    /// month.
    Anything,
}

impl ChangeFeed {
    /// Looks at the reader's database as the reader's role. It connects with the first look.
    #[must_use]
    pub fn of(reader: &Reader, deadline: Duration) -> Self {
        Self {
            options: reader.pool().connect_options().as_ref().clone(),
            deadline,
            connection: None,
            horizon: None,
            seen: HashSet::new(),
        }
    }

    /// What was committed since the last look. One that fails, or is dropped, ends the connection, and the next look
    /// begins anew.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not answer in time.
    pub async fn look(&mut self) -> Result<Look, StoreError> {
        let kept = self.connection.take();
        let before = self.horizon.take();
        let look = async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => PgConnection::connect_with(&self.options).await?,
            };
            let seen: Vec<String> = self.seen.iter().map(ToString::to_string).collect();
            let rows = ask(&mut connection, before, &seen).await?;
            Ok::<_, StoreError>((connection, rows))
        };
        let outcome = tokio::time::timeout(self.deadline, look).await;
        let (connection, rows) = outcome.unwrap_or_else(|_elapsed| Err(StoreError::timed_out()))?;
        let Some((horizon, end)) = rows.first().map(|row| (row.horizon, row.end)) else {
            return Err(StoreError::Inconsistent("there is no snapshot".to_owned()));
        };
        self.connection = Some(connection);
        self.horizon = Some(horizon);
        let changed = match before {
            None => Changed::Anything,
            Some(_) => changed(&rows),
        };
        self.seen.extend(rows.iter().filter_map(|row| row.transaction));
        self.seen.retain(|transaction| *transaction >= horizon);
        if self.seen.len() > MOST_SEEN {
            self.seen.clear();
        }
        Ok(Look {
            horizon,
            end,
            changed,
        })
    }
}

fn changed(rows: &[Row]) -> Changed {
    let changes = || rows.iter().filter(|row| row.transaction.is_some());
    if changes().next().is_none() {
        return Changed::Nothing;
    }
    let dropped = changes().any(|row| row.record_kind.as_deref() == Some("retention"));
    if dropped || i64::try_from(rows.len()).unwrap_or(i64::MAX) > MOST_ROWS {
        return Changed::Anything;
    }
    let mut incidents: Vec<i64> = changes().filter_map(|row| row.incident_id).collect();
    incidents.sort_unstable();
    incidents.dedup();
    Changed::Records { incidents }
}

/// A change, or the snapshot alone where there is none.
struct Row {
    horizon: i64,
    end: i64,
    transaction: Option<i64>,
    record_kind: Option<String>,
    incident_id: Option<i64>,
}

async fn ask(
    connection: &mut PgConnection,
    from: Option<i64>,
    seen: &[String],
) -> Result<Vec<Row>, StoreError> {
    // Numbers of transactions are of a type that the driver does not know, so they go as text.
    let from = from.map(|horizon| horizon.to_string());
    Ok(sqlx::query_as!(
        Row,
        r#"SELECT pg_snapshot_xmin(s.snapshot)::text::bigint AS "horizon!",
                  pg_snapshot_xmax(s.snapshot)::text::bigint AS "end!",
                  c.transaction_id::text::bigint AS transaction, c.record_kind AS "record_kind?",
                  c.incident_id AS "incident_id?"
           FROM (SELECT pg_current_snapshot() AS snapshot) s
           LEFT JOIN (
               SELECT n.transaction_id, n.record_kind, n.incident_id
               FROM changes n
               WHERE n.transaction_id >= $1::text::xid8
                 -- Rows of a restored dump may carry numbers that this server has not reached.
                 AND n.transaction_id < pg_snapshot_xmax(pg_current_snapshot())
                 AND NOT n.transaction_id = ANY (($2::text[])::xid8[])
               ORDER BY n.transaction_id
               LIMIT $3::bigint + 1
           ) c ON true"#,
        from,
        seen,
        MOST_ROWS,
    )
    .fetch_all(connection)
    .await?)
}
