//! The rows of a run, inserted again by plain SQL: what the database takes without a service in front of it.
//!
//! The rows are read from the service's schema as PostgreSQL sends them, in the groups in which the service's transactions
//! wrote them, and are inserted into a schema that was migrated in the same way, each group by one transaction with one
//! statement for each table. That is less than the service does: rows are inserted in their last state, nothing is looked
//! up, folded or found to be a replay, and the resources and action histories, which others refer to, go ahead.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Context;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgConnectOptions, PgTypeInfo};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection, Encode, PgConnection, Postgres, Row, Type};
use tokio::task::JoinSet;

use super::Baseline;
use crate::histogram::Latencies;

/// Rows of a prelude that go together.
const PRELUDE_GROUP: i64 = 128;
/// Bytes in front of the type of the elements in an array as PostgreSQL sends it: dimensions and flags.
const BEFORE_ELEMENT_TYPE: usize = 8;

/// Tables that others refer to, and which of their rows a run needs.
const PRELUDE: [(&str, &str); 2] = [
    (
        "resource_references",
        "SELECT (row_number() OVER (ORDER BY t.id) - 1) / $2 AS part, t AS r FROM resource_references t
         WHERE $1::bigint IS NOT NULL AND t.id IN (SELECT h.resource_id FROM action_histories h WHERE h.id IN (
             SELECT x.action_history_id FROM resource_action_traces x JOIN written w ON w.id = x.last_event_id
             UNION SELECT x.action_history_id FROM action_executions x JOIN written w ON w.id = x.last_event_id))",
    ),
    (
        "action_histories",
        "SELECT (row_number() OVER (ORDER BY t.id) - 1) / $2 AS part, t AS r FROM action_histories t
         WHERE $1::bigint IS NOT NULL AND t.id IN (
             SELECT x.action_history_id FROM resource_action_traces x JOIN written w ON w.id = x.last_event_id
             UNION SELECT x.action_history_id FROM action_executions x JOIN written w ON w.id = x.last_event_id)",
    ),
];

/// The other tables, and the transaction that each row belongs to.
const TABLES: [(&str, &str); 7] = [
    (
        "incident_embeddings",
        "SELECT w.part, t AS r FROM incident_embeddings t
         JOIN (SELECT embedding_id, min(part) AS part FROM written GROUP BY embedding_id) w ON w.embedding_id = t.id
         WHERE t.id > $1 AND $2::bigint IS NOT NULL",
    ),
    (
        "audit_events",
        "SELECT w.part, t AS r FROM audit_events t JOIN written w ON w.id = t.id
         WHERE $1::bigint IS NOT NULL AND $2::bigint IS NOT NULL",
    ),
    (
        "remediation_requests",
        "SELECT w.part, t AS r FROM remediation_requests t JOIN resource_action_traces x ON x.id = t.id
         JOIN written w ON w.id = x.last_event_id
         WHERE $1::bigint IS NOT NULL AND $2::bigint IS NOT NULL",
    ),
    (
        "resource_action_traces",
        "SELECT w.part, t AS r FROM resource_action_traces t JOIN written w ON w.id = t.last_event_id
         WHERE $1::bigint IS NOT NULL AND $2::bigint IS NOT NULL",
    ),
    (
        "ai_analyses",
        "SELECT w.part, t AS r FROM ai_analyses t JOIN written w ON w.id = t.last_event_id
         WHERE $1::bigint IS NOT NULL AND $2::bigint IS NOT NULL",
    ),
    (
        "workflow_executions",
        "SELECT w.part, t AS r FROM workflow_executions t JOIN written w ON w.id = t.last_event_id
         WHERE $1::bigint IS NOT NULL AND $2::bigint IS NOT NULL",
    ),
    (
        "action_executions",
        "SELECT w.part, t AS r FROM action_executions t JOIN written w ON w.id = t.last_event_id
         WHERE $1::bigint IS NOT NULL AND $2::bigint IS NOT NULL",
    ),
];

/// Where a run began: the greatest ids that were there before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    event: i64,
    text: i64,
}

/// Rows of one table, as PostgreSQL sends an array of them.
#[derive(Debug, Clone)]
struct Rows {
    bytes: Vec<u8>,
    array_type: Oid,
}

impl Type<Postgres> for Rows {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("record[]")
    }
}

impl Encode<'_, Postgres> for Rows {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(self.array_type))
    }
}

/// A statement with its rows.
#[derive(Debug, Clone)]
struct Insert {
    sql: Arc<str>,
    rows: Rows,
}

/// What is inserted by one transaction.
type Group = Vec<Insert>;

/// The rows of a run.
#[derive(Debug)]
pub(crate) struct Recorded {
    prelude: Vec<Group>,
    groups: Vec<Group>,
    events: i64,
}

/// Connects to a schema, under its name.
///
/// # Errors
/// Where the database cannot be reached.
pub(crate) async fn connect(url: &str, schema: &str) -> anyhow::Result<PgConnection> {
    let options = PgConnectOptions::from_str(url)?
        .application_name(schema)
        .options([
            ("search_path", format!("{schema},public")),
            ("synchronous_commit", "on".to_owned()),
            ("timezone", "UTC".to_owned()),
            ("jit", "off".to_owned()),
        ]);
    options.connect().await.context("the database cannot be reached")
}

/// How many records the ledger holds.
///
/// # Errors
/// Where the database does not answer.
pub(crate) async fn ledger_rows(connection: &mut PgConnection) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM audit_events")
        .fetch_one(connection)
        .await?)
}

/// Where a run begins.
///
/// # Errors
/// Where the database does not answer.
pub(crate) async fn mark(connection: &mut PgConnection) -> anyhow::Result<Mark> {
    let (event, text) = sqlx::query_as(
        "SELECT (SELECT coalesce(max(id), 0) FROM audit_events), (SELECT coalesce(max(id), 0) FROM incident_embeddings)",
    )
    .fetch_one(connection)
    .await?;
    Ok(Mark { event, text })
}

impl Recorded {
    /// Reads what was written after a mark, for a schema into which it shall be inserted.
    ///
    /// # Errors
    /// Where the database does not answer, or nothing was written.
    pub(crate) async fn read(
        from: &mut PgConnection,
        to: &mut PgConnection,
        mark: Mark,
    ) -> anyhow::Result<Self> {
        sqlx::query(
            "CREATE TEMP TABLE written (id bigint PRIMARY KEY, embedding_id bigint, part bigint NOT NULL)",
        )
        .execute(&mut *from)
        .await?;
        let events = sqlx::query(
            "INSERT INTO written SELECT e.id, e.embedding_id, dense_rank() OVER (ORDER BY e.xmin::text::bigint) - 1
             FROM audit_events e WHERE e.id > $1",
        )
        .bind(mark.event)
        .execute(&mut *from)
        .await?
        .rows_affected();
        anyhow::ensure!(events > 0, "nothing was written that could be written again");
        sqlx::raw_sql("ANALYZE written").execute(&mut *from).await?;
        let mut recorded = Self {
            prelude: Vec::new(),
            groups: Vec::new(),
            events: i64::try_from(events)?,
        };
        for (table, rows) in PRELUDE {
            let groups = groups_of(from, to, table, rows, mark).await?;
            recorded
                .prelude
                .extend(groups.into_values().map(|insert| vec![insert]));
        }
        let mut groups = BTreeMap::<i64, Group>::new();
        for (table, rows) in TABLES {
            for (part, insert) in groups_of(from, to, table, rows, mark).await? {
                groups.entry(part).or_default().push(insert);
            }
        }
        recorded.groups = groups.into_values().collect();
        sqlx::query("DROP TABLE written").execute(&mut *from).await?;
        Ok(recorded)
    }

    /// Inserts everything over several connections to a schema.
    ///
    /// # Errors
    /// Where the database does not take it.
    pub(crate) async fn insert(
        self,
        url: &str,
        schema: &str,
        connections: usize,
    ) -> anyhow::Result<Baseline> {
        let mut open = Vec::new();
        for _ in 0..connections.max(1) {
            open.push(connect(url, schema).await?);
        }
        let transactions = self.groups.len();
        let mut latencies = Latencies::default();
        let begin = Instant::now();
        if let Some(first) = open.first_mut() {
            for group in &self.prelude {
                transaction(first, group).await?;
            }
        }
        let (groups, next) = (Arc::new(self.groups), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for mut connection in open {
            let (groups, next) = (Arc::clone(&groups), Arc::clone(&next));
            tasks.spawn(async move {
                let mut times = Vec::new();
                while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = Instant::now();
                    transaction(&mut connection, group).await?;
                    times.push(one.elapsed());
                }
                anyhow::Ok(times)
            });
        }
        for times in tasks.join_all().await {
            times?.into_iter().for_each(|time| latencies.record(time));
        }
        let per_second = self.events as f64 / begin.elapsed().as_secs_f64();
        let group = format!("{:.1}", self.events as f64 / transactions.max(1) as f64);
        Ok(Baseline {
            name: "the same rows by plain SQL, in the same groups".to_owned(),
            per_second,
            unit: "records",
            latency: latencies.quantiles(),
            notes: BTreeMap::from([
                ("recordsPerTransaction", group),
                ("connections", connections.to_string()),
            ]),
        })
    }
}

async fn transaction(connection: &mut PgConnection, group: &Group) -> anyhow::Result<()> {
    let mut transaction = connection.begin().await?;
    for insert in group {
        // The statement has the names of the catalogue, quoted by it.
        sqlx::query(AssertSqlSafe(insert.sql.to_string()))
            .bind(&insert.rows)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(transaction.commit().await?)
}

/// The rows of a table, by the transaction that they belong to, and the statement for them.
async fn groups_of(
    from: &mut PgConnection,
    to: &mut PgConnection,
    table: &str,
    rows: &'static str,
    mark: Mark,
) -> anyhow::Result<BTreeMap<i64, Insert>> {
    let columns: String = sqlx::query_scalar(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
         WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
    )
    .bind(table)
    .fetch_one(&mut *to)
    .await?;
    let (row_type, array_type): (Oid, Oid) =
        sqlx::query_as("SELECT oid, typarray FROM pg_type WHERE oid = $1::regtype")
            .bind(table)
            .fetch_one(&mut *to)
            .await?;
    let sql: Arc<str> =
        format!("INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM unnest($1)")
            .into();
    let found = sqlx::query(AssertSqlSafe(format!(
        "SELECT part::bigint, array_agg(r) AS rows FROM ({rows}) x GROUP BY part ORDER BY part"
    )))
    .bind(mark.text)
    .bind(PRELUDE_GROUP)
    .fetch_all(from)
    .await?;
    found
        .into_iter()
        .map(|row| {
            let mut bytes = row
                .try_get_raw("rows")?
                .as_bytes()
                .map_err(|error| anyhow::anyhow!("rows of {table} cannot be read: {error}"))?
                .to_vec();
            // The type of a row belongs to its schema; what it consists of is the same in both.
            bytes
                .get_mut(BEFORE_ELEMENT_TYPE..BEFORE_ELEMENT_TYPE + 4)
                .context("an array without a head")?
                .copy_from_slice(&row_type.0.to_be_bytes());
            let rows = Rows { bytes, array_type };
            Ok((
                row.try_get("part")?,
                Insert {
                    sql: Arc::clone(&sql),
                    rows,
                },
            ))
        })
        .collect()
}
