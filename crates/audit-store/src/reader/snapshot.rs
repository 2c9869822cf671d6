//! A transaction that sees one state of the database.

use std::ops::{Deref, DerefMut};
use std::pin::Pin;

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, SqlSafeStr, Transaction};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::Reader;
use crate::StoreError;

/// A transaction whose statements all see one state of the database. Dropped, it is rolled back, which is as good.
pub(super) struct Snapshot {
    transaction: Transaction<'static, Postgres>,
    plans: Plans,
    /// From the wait for a connection to the end of the transaction; it is never entered.
    _span: Span,
}

/// How the statements of a snapshot are planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plans {
    /// Each for its values, as the session has it.
    Anew,
    /// Each once for a connection, without joins that read a table as a whole: a plan that is made without values does not
    /// know that it starts from a few rows.
    Kept,
    /// Each once for a connection, and by an index that has the order asked for.
    KeptInOrder,
}

impl Plans {
    fn begin(self) -> String {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        match self {
            Self::Anew => begin.to_owned(),
            Self::Kept | Self::KeptInOrder => format!("{begin}; {}", self.set()),
        }
    }

    fn set(self) -> &'static str {
        match self {
            Self::Anew => {
                "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL enable_hashjoin TO DEFAULT; \
                 SET LOCAL enable_mergejoin TO DEFAULT; SET LOCAL enable_sort TO DEFAULT"
            }
            Self::Kept => {
                "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_hashjoin = off; \
                 SET LOCAL enable_mergejoin = off; SET LOCAL enable_sort TO DEFAULT"
            }
            Self::KeptInOrder => {
                "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_hashjoin = off; \
                 SET LOCAL enable_mergejoin = off; SET LOCAL enable_sort = off"
            }
        }
    }
}

/// BEGIN on a connection, which goes on if nobody waits for it any more. Cut off between its question and the answer, it would
/// leave a transaction and its settings on a connection of the pool, for whoever has that next.
struct Beginning(Option<Begin>);

type Begin = Pin<Box<dyn Future<Output = sqlx::Result<Transaction<'static, Postgres>>> + Send>>;

impl Beginning {
    fn new(connection: PoolConnection<Postgres>, statement: String) -> Self {
        let statement = AssertSqlSafe(statement).into_sql_str();
        Self(Some(Transaction::begin(connection, Some(statement))))
    }

    async fn end(mut self) -> sqlx::Result<Transaction<'static, Postgres>> {
        let Some(begin) = &mut self.0 else {
            return Err(sqlx::Error::BeginFailed);
        };
        let begun = begin.await;
        self.0 = None;
        begun
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if let (Some(begin), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            // The transaction that comes of it is dropped, which rolls it back.
            runtime.spawn(begin);
        }
    }
}

impl Reader {
    /// Begins a snapshot, within what is left until the deadline.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.begin(Plans::Anew).await
    }

    /// Begins a snapshot for statements that name what they look for, and have no conditions that may be absent: one plan
    /// serves all values, and making it for each took four fifths of the time of a detail, with partitions for 15 months.
    pub(super) async fn snapshot_with_kept_plans(&self) -> Result<Snapshot, StoreError> {
        self.begin(Plans::Kept).await
    }

    /// Like [`Self::snapshot_with_kept_plans`], for statements that give the first rows in the order of an index. A plan
    /// that is made without values cannot know how few they are, and might sort all; so it may not sort.
    pub(super) async fn snapshot_in_order(&self) -> Result<Snapshot, StoreError> {
        self.begin(Plans::KeptInOrder).await
    }

    async fn begin(&self, plans: Plans) -> Result<Snapshot, StoreError> {
        let span = tracing::info_span!("database", otel.kind = "client", db.system.name = "postgresql");
        // Who gives up while waiting for a connection leaves nothing behind.
        let begun = async {
            Beginning::new(self.pool.acquire().await?, plans.begin())
                .end()
                .await
        };
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
            plans,
            _span: span,
        })
    }
}

impl Snapshot {
    /// From here on statements are planned for their values: those whose conditions may be absent, and drive them.
    pub(super) async fn plan_anew(&mut self) -> Result<(), StoreError> {
        self.plan(Plans::Anew).await
    }

    /// From here on statements keep the plan that a connection once made for them; see
    /// [`Reader::snapshot_with_kept_plans`].
    pub(super) async fn keep_plans(&mut self) -> Result<(), StoreError> {
        self.plan(Plans::Kept).await
    }

    /// From here on statements keep their plans, and find the first rows by an index that has them in the order asked for;
    /// see [`Reader::snapshot_in_order`].
    pub(super) async fn keep_plans_in_order(&mut self) -> Result<(), StoreError> {
        self.plan(Plans::KeptInOrder).await
    }

    async fn plan(&mut self, plans: Plans) -> Result<(), StoreError> {
        if self.plans != plans {
            sqlx::raw_sql(plans.set()).execute(&mut *self.transaction).await?;
            self.plans = plans;
        }
        Ok(())
    }

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
