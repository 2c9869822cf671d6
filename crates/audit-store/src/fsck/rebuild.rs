//! The read model, made again from the ledger, in place.
//!
//! The ledger is folded into scratch tables while everybody goes on working. Then writers are held up, what they added
//! in the meantime is folded too, and the differences are written: all in one transaction, so that a reader sees the old
//! state or the new one. What is right stays as it is, and keeps its id.
//!
//! Which rows were "added in the meantime"? Before the long pass, all writers are waited for once, and the last ledger
//! id given out is noted. No row with a smaller id can appear any more, since a writer takes its ids under a lock that
//! the wait conflicts with. The long pass reads up to that id, the short one from there.

use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::ledger::{self, Pass};
use super::session::{FOLDED, Session, analyze_scratch, live_first};
use super::{FsckError, Listener, Options, Progress, Severity};
use crate::{ConnectOptions, SchemaName, StoreError};

/// What was changed in a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RebuiltTable {
    /// The table.
    pub table: &'static str,
    /// Rows added, or changed to what the ledger says.
    pub written: u64,
    /// Rows removed, of which the ledger says nothing.
    pub removed: u64,
}

/// What a rebuild did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Ledger rows folded.
    pub events: u64,
    /// The tables, parents first.
    pub tables: Vec<RebuiltTable>,
}

/// Makes the read model again from the ledger.
///
/// Readers are not hindered. Writers wait while the differences are written; a batch that waits longer than its
/// statement timeout is tried again by Data Storage. Texts and vectors are left as they are.
///
/// # Errors
/// [`FsckError`]; then nothing was changed.
pub async fn rebuild(
    connect: &ConnectOptions,
    options: &Options,
    listener: &mut Listener<'_>,
) -> Result<Rebuilt, FsckError> {
    let mut session = Session::open(connect).await?;
    session.create_scratch().await?;
    let Session { connection, schema } = &mut session;
    live_first(connection, schema).await?;
    let partitions = ledger::partitions(connection).await?;
    let horizon = horizon(connection).await?;
    let long = ledger::pass(connection, schema, options, (i64::MIN, horizon), listener).await?;
    let mut events = long.events;
    refuse_damage(long, options)?;
    analyze_scratch(connection).await?;

    listener(Progress {
        step: "writing",
        events,
    });
    let mut transaction = connection.begin().await?;
    lock(&mut transaction, schema).await?;
    if ledger::partitions(&mut transaction).await? != partitions {
        return Err(FsckError::PartitionsChanged);
    }
    let rest = ledger::pass(&mut transaction, schema, options, (horizon, i64::MAX), listener).await?;
    events += rest.events;
    refuse_damage(rest, options)?;
    let tables = apply(&mut transaction).await?;
    transaction.commit().await?;
    session.connection.close().await?;
    Ok(Rebuilt { events, tables })
}

/// The last ledger id given out, when nobody holds one that is not committed yet.
async fn horizon(connection: &mut PgConnection) -> Result<i64, StoreError> {
    let mut transaction = connection.begin().await?;
    sqlx::query("LOCK TABLE audit_events IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await?;
    let last: Option<i64> = sqlx::query_scalar(
        "SELECT pg_sequence_last_value(pg_get_serial_sequence('audit_events', 'id')::regclass)",
    )
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(last.unwrap_or(0))
}

fn refuse_damage(pass: Pass, options: &Options) -> Result<(), FsckError> {
    let damaged = |outcome: &super::Outcome| outcome.check.severity == Severity::Error && outcome.count > 0;
    match pass.into_outcomes().into_iter().find(damaged) {
        Some(outcome) if !options.force => Err(FsckError::LedgerDamaged {
            first: outcome.examples.first().map_or_else(
                || outcome.check.name.to_owned(),
                |example| format!("{}: {}, {}", outcome.check.name, example.subject, example.detail),
            ),
        }),
        _ => Ok(()),
    }
}

/// Holds up writers, and maintenance, which makes and drops partitions under the same advisory lock.
async fn lock(connection: &mut PgConnection, schema: &SchemaName) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('kubernaut maintenance ' || $1, 0))")
        .bind(schema.data())
        .execute(&mut *connection)
        .await?;
    sqlx::query(AssertSqlSafe(format!(
        "LOCK TABLE audit_events, {} IN SHARE ROW EXCLUSIVE MODE",
        FOLDED.join(", ")
    )))
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// Ids of action histories in the scratch table, and of the same histories in the real one.
const HISTORIES: &str = "SELECT sh.id AS scratch_id, h.id
    FROM pg_temp.action_histories sh
    JOIN pg_temp.resource_references sr ON sr.id = sh.resource_id
    JOIN resource_references r
      ON r.name = sr.name AND r.kind = sr.kind AND r.cluster_name = sr.cluster_name
     AND r.namespace IS NOT DISTINCT FROM sr.namespace
    JOIN action_histories h
      ON h.resource_id = r.id AND h.workflow_id IS NOT DISTINCT FROM sh.workflow_id
     AND h.action_type IS NOT DISTINCT FROM sh.action_type";

/// A table of states, as it is written.
struct States {
    table: &'static str,
    key: [&'static str; 3],
    /// Columns whose values differ between the scratch table and the real one, with the real values.
    translated: &'static [(&'static str, &'static str)],
    /// Where these values come from; `{histories}` stands for [`HISTORIES`].
    joined: &'static str,
}

const STATES: [States; 4] = [
    States {
        table: "resource_action_traces",
        key: ["remediation_namespace", "remediation_name", "action_timestamp"],
        translated: &[("id", "k.id"), ("action_history_id", "h.id")],
        joined: "JOIN remediation_requests k ON (k.namespace, k.name, k.created_at)
                     = (s.remediation_namespace, s.remediation_name, s.action_timestamp)
                 JOIN ({histories}) h ON h.scratch_id = s.action_history_id",
    },
    States {
        table: "ai_analyses",
        key: ["namespace", "name", "record_created_at"],
        translated: &[],
        joined: "",
    },
    States {
        table: "workflow_executions",
        key: ["namespace", "name", "record_created_at"],
        translated: &[],
        joined: "",
    },
    States {
        table: "action_executions",
        key: ["namespace", "name", "record_created_at"],
        translated: &[("action_history_id", "h.id")],
        joined: "JOIN ({histories}) h ON h.scratch_id = s.action_history_id",
    },
];

impl States {
    /// Removes the rows of which the ledger says nothing.
    fn removal(&self) -> String {
        let same = self
            .key
            .map(|column| format!("s.{column} = t.{column}"))
            .join(" AND ");
        let table = self.table;
        format!("DELETE FROM {table} t WHERE NOT EXISTS (SELECT 1 FROM pg_temp.{table} s WHERE {same})")
    }

    /// Writes the rows that are missing or differ, in the writer's own way: by natural key, in its order.
    fn writing(&self, columns: &[String]) -> String {
        let untranslated = |column: &&String| self.translated.iter().all(|(name, _)| name != *column);
        let folded = columns.iter().filter(untranslated);
        let names: Vec<&str> = (self.translated.iter().map(|(name, _)| *name))
            .chain(folded.clone().map(String::as_str))
            .collect();
        let values: Vec<String> = (self.translated.iter().map(|(_, value)| (*value).to_owned()))
            .chain(folded.map(|column| format!("s.{column}")))
            .collect();
        let each = |prefix: &str| {
            names
                .iter()
                .map(|name| format!("{prefix}{name}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        format!(
            "INSERT INTO {table} AS t ({names}) SELECT {values} FROM pg_temp.{table} s {joined} ORDER BY {order}
             ON CONFLICT ({key}) DO UPDATE SET ({names}) = ROW ({excluded})
             WHERE ({current}) IS DISTINCT FROM ({excluded})",
            table = self.table,
            names = each(""),
            values = values.join(", "),
            joined = self.joined.replace("{histories}", HISTORIES),
            order = self.key.map(|column| format!("s.{column}")).join(", "),
            key = self.key.join(", "),
            excluded = each("EXCLUDED."),
            current = each("t."),
        )
    }
}

/// Writes the differences between the scratch tables and the real ones.
async fn apply(connection: &mut PgConnection) -> Result<Vec<RebuiltTable>, StoreError> {
    let mut tables = FOLDED.map(|table| RebuiltTable {
        table,
        written: 0,
        removed: 0,
    });
    let mut count = |table: &str, written: u64, removed: u64| {
        if let Some(entry) = tables.iter_mut().find(|entry| entry.table == table) {
            entry.written += written;
            entry.removed += removed;
        }
    };
    // An instance whose row was lost keeps the id under which its incident is known, unless that id is another's.
    let kept = run(
        connection,
        "INSERT INTO remediation_requests (id, namespace, name, created_at) OVERRIDING SYSTEM VALUE
         SELECT DISTINCT ON (t.id) t.id, s.namespace, s.name, s.created_at
         FROM pg_temp.remediation_requests s
         JOIN resource_action_traces t ON (t.remediation_namespace, t.remediation_name, t.action_timestamp)
                                        = (s.namespace, s.name, s.created_at)
         WHERE NOT EXISTS (SELECT 1 FROM remediation_requests k WHERE k.id = t.id)
           AND NOT EXISTS (SELECT 1 FROM remediation_requests k
                           WHERE (k.namespace, k.name, k.created_at) = (s.namespace, s.name, s.created_at))
         ORDER BY t.id, s.namespace, s.name, s.created_at",
    )
    .await?;
    count("remediation_requests", kept, 0);
    for states in STATES.iter().rev() {
        count(states.table, 0, run(connection, &states.removal()).await?);
    }
    let removed = run(
        connection,
        "DELETE FROM remediation_requests k WHERE NOT EXISTS (
             SELECT 1 FROM pg_temp.remediation_requests s
             WHERE (s.namespace, s.name, s.created_at) = (k.namespace, k.name, k.created_at))",
    )
    .await?;
    let written = run(
        connection,
        "INSERT INTO remediation_requests (namespace, name, created_at)
         SELECT namespace, name, created_at FROM pg_temp.remediation_requests s
         WHERE NOT EXISTS (SELECT 1 FROM remediation_requests k
                           WHERE (k.namespace, k.name, k.created_at) = (s.namespace, s.name, s.created_at))
         ORDER BY 1, 2, 3",
    )
    .await?;
    count("remediation_requests", written, removed);
    let written = run(
        connection,
        "INSERT INTO resource_references (name, kind, cluster_name, namespace)
         SELECT name, kind, cluster_name, namespace FROM pg_temp.resource_references
         EXCEPT SELECT name, kind, cluster_name, namespace FROM resource_references ORDER BY 1, 2, 3, 4",
    )
    .await?;
    count("resource_references", written, 0);
    let written = run(
        connection,
        "INSERT INTO action_histories AS h
             (resource_id, workflow_id, action_type, status, status_time, status_instance, status_event_id)
         SELECT r.id, s.workflow_id, s.action_type, s.status, s.status_time, s.status_instance, s.status_event_id
         FROM pg_temp.action_histories s
         JOIN pg_temp.resource_references sr ON sr.id = s.resource_id
         JOIN resource_references r
           ON r.name = sr.name AND r.kind = sr.kind AND r.cluster_name = sr.cluster_name
          AND r.namespace IS NOT DISTINCT FROM sr.namespace
         ORDER BY 1, 2, 3
         ON CONFLICT (resource_id, workflow_id, action_type) DO UPDATE
         SET status = EXCLUDED.status, status_time = EXCLUDED.status_time,
             status_instance = EXCLUDED.status_instance, status_event_id = EXCLUDED.status_event_id
         WHERE (h.status, h.status_time, h.status_instance, h.status_event_id)
             IS DISTINCT FROM (EXCLUDED.status, EXCLUDED.status_time, EXCLUDED.status_instance, EXCLUDED.status_event_id)",
    )
    .await?;
    count("action_histories", written, 0);
    for states in &STATES {
        let columns: Vec<String> = sqlx::query_scalar(
            "SELECT attname::text FROM pg_attribute
             WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
               AND attname NOT IN ('id', 'created_at') ORDER BY attnum",
        )
        .bind(states.table)
        .fetch_all(&mut *connection)
        .await?;
        count(states.table, run(connection, &states.writing(&columns)).await?, 0);
    }
    // Only now does nothing point to these any more.
    let removed = run(
        connection,
        &format!("DELETE FROM action_histories h WHERE NOT EXISTS (SELECT 1 FROM ({HISTORIES}) k WHERE k.id = h.id)"),
    )
    .await?;
    count("action_histories", 0, removed);
    let removed = run(
        connection,
        "DELETE FROM resource_references r WHERE NOT EXISTS (
             SELECT 1 FROM pg_temp.resource_references s
             WHERE s.name = r.name AND s.kind = r.kind AND s.cluster_name = r.cluster_name
               AND s.namespace IS NOT DISTINCT FROM r.namespace)",
    )
    .await?;
    count("resource_references", 0, removed);
    Ok(tables.into())
}

async fn run(connection: &mut PgConnection, statement: &str) -> Result<u64, StoreError> {
    Ok(sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(connection)
        .await?
        .rows_affected())
}
