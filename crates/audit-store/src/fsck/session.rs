//! A connection with scratch tables: temporary copies of the read model's tables, empty, for the fold to fill.

use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection};

use super::FsckError;
use crate::compatibility::{require_extension, require_migrations, require_server};
use crate::{ConnectOptions, SchemaName, StoreError};

/// The tables that are folded from the ledger, parents first.
pub(super) const FOLDED: [&str; 7] = [
    "resource_references",
    "action_histories",
    "remediation_requests",
    "resource_action_traces",
    "ai_analyses",
    "workflow_executions",
    "action_executions",
];

/// A connection of its own, which takes its scratch tables along when it goes.
pub(super) struct Session {
    pub(super) connection: PgConnection,
    pub(super) schema: SchemaName,
}

impl Session {
    /// Connects, and refuses a schema that this version does not know.
    pub(super) async fn open(connect: &ConnectOptions) -> Result<Self, FsckError> {
        let connecting = async { connect.writer()?.connect().await.map_err(StoreError::from) };
        let mut connection = tokio::time::timeout(connect.acquire_timeout, connecting)
            .await
            .map_err(|_| StoreError::Unavailable(sqlx::Error::PoolTimedOut))??;
        // A pass over the ledger is no request. What waits for a lock gives up, lest writers queue up behind it.
        // Scratch tables that stay in memory are several times as fast.
        for setting in [
            "SET statement_timeout = 0",
            "SET lock_timeout = '30s'",
            "SET temp_buffers = '64MB'",
            "SET work_mem = '32MB'",
        ] {
            sqlx::query(setting).execute(&mut connection).await?;
        }
        require_server(&mut connection).await?;
        require_extension(&mut connection).await?;
        require_migrations(&mut connection, &connect.schema).await?;
        Ok(Self {
            connection,
            schema: connect.schema.clone(),
        })
    }

    /// Makes the scratch tables, with the constraints that the fold relies on.
    pub(super) async fn create_scratch(&mut self) -> Result<(), StoreError> {
        for table in FOLDED {
            sqlx::query(AssertSqlSafe(format!(
                "CREATE TEMPORARY TABLE {table} (LIKE {table} INCLUDING ALL EXCLUDING COMMENTS)"
            )))
            .execute(&mut self.connection)
            .await?;
        }
        // Indexes that serve no unique key serve readers, and here is none.
        let unneeded: Vec<String> = sqlx::query_scalar(
            "SELECT format('DROP INDEX %s', i.indexrelid::regclass)
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             WHERE c.relnamespace = pg_my_temp_schema() AND NOT i.indisunique",
        )
        .fetch_all(&mut self.connection)
        .await?;
        for drop in unneeded {
            sqlx::query(AssertSqlSafe(drop))
                .execute(&mut self.connection)
                .await?;
        }
        Ok(())
    }
}

/// Names mean the scratch tables, and the ledger, which has none.
pub(super) async fn scratch_first(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<(), StoreError> {
    set_search_path(connection, format!("pg_temp,{}", schema.writer_search_path())).await
}

/// Names mean the real tables; the scratch tables are called `pg_temp.…`.
pub(super) async fn live_first(connection: &mut PgConnection, schema: &SchemaName) -> Result<(), StoreError> {
    set_search_path(connection, format!("{},pg_temp", schema.writer_search_path())).await
}

async fn set_search_path(connection: &mut PgConnection, path: String) -> Result<(), StoreError> {
    sqlx::query("SELECT set_config('search_path', $1, false)")
        .bind(path)
        .execute(connection)
        .await?;
    Ok(())
}

/// Tells the planner how large the scratch tables have become: nothing else looks at temporary tables.
pub(super) async fn analyze_scratch(connection: &mut PgConnection) -> Result<(), StoreError> {
    for table in FOLDED {
        sqlx::query(AssertSqlSafe(format!("ANALYZE pg_temp.{table}")))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
