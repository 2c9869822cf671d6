//! A history, copied by SQL: copy *k* is another cluster with the same stories at another time.
//!
//! Millions of incidents take days over HTTP, where each text goes through the model. A copy has the rows of all tables
//! again, under other ids, in another cluster, with other names of records, references and correlations, and earlier by
//! one and the same time. What a story is about stays: namespaces, workloads, alerts, actions. A text of which only one
//! record speaks gets a text and a vector of its own in each copy; texts that several records share are shared by the
//! copies too, as clusters share them.
//!
//! Views, lists, details and searches find in a copy what they find in its original. Payloads are copied as they are: they
//! name the original's records and times, so that `fsck` finds the copies wrong, and the times of a copy's timeline are
//! those of the original. Nothing else reads them.
//!
//! Foreign keys are not asked, and indexes that keep no constraint are made again at the end, which takes a fraction of
//! the time. So nobody else may be at work in the schema.

use std::time::Instant;

use anyhow::Context;
use audit_store::SchemaName;
use serde::Serialize;
use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::baseline::rows::connect;
use crate::machine;

/// The tables with history, and the column in whose order the rows of a copy come: time, as if they had just happened.
pub(crate) const TABLES: [(&str, &str); 9] = [
    ("resource_references", "id"),
    ("action_histories", "id"),
    ("incident_embeddings", "id"),
    ("audit_events", "event_time"),
    ("remediation_requests", "created_at"),
    ("resource_action_traces", "action_timestamp"),
    ("ai_analyses", "record_created_at"),
    ("workflow_executions", "record_created_at"),
    ("action_executions", "record_created_at"),
];
/// Columns with a name of a record, or of something that belongs to one story.
const NAMES: [&str; 11] = [
    "name",
    "remediation_name",
    "remediation_request_ref",
    "ai_analysis_ref",
    "workflow_execution_ref",
    "workflow_id",
    "status_instance",
    "correlation_id",
    "alert_fingerprint",
    "investigation_id",
    "cluster_name",
];
/// Rows of a statement, about: so many that statements cost nothing, so few that progress is seen.
const CHUNK: i64 = 100_000;
/// How much another text's vector weighs beside that of the text itself: a neighbour, as another telling of it would be.
const MIXED: f32 = 0.3;
/// Bounds of the memory that an index is made in, in MiB; within them it is a quarter of what is free.
const INDEX_MEMORY_MIB: (u64, u64) = (64, 4_096);

/// What copying took.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Copying {
    /// Copies, the original not counted.
    pub copies: u32,
    /// Seconds for everything.
    pub seconds: f64,
    /// Rows that were inserted, and the seconds for them, by table.
    pub tables: Vec<CopiedTable>,
    /// Seconds for each index that was made again.
    pub indexes: Vec<BuiltIndex>,
    /// Seconds of the VACUUM (ANALYZE) of all tables.
    pub vacuum_seconds: f64,
}

/// What was copied of a table.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopiedTable {
    /// Its name.
    pub table: &'static str,
    /// Rows that were inserted.
    pub rows: u64,
    /// Seconds.
    pub seconds: f64,
}

/// An index that was made again.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltIndex {
    /// Its name.
    pub index: String,
    /// Seconds, over all partitions.
    pub seconds: f64,
}

/// What all copies have in common.
struct Plan {
    copies: i64,
    /// Between an id and that of its copy; more than every id.
    stride: i64,
    /// Seconds by which a copy is earlier than the one before it.
    earlier: i64,
    /// Distinct texts.
    texts: i64,
    /// Components of a vector.
    dimension: i32,
}

/// A column, and its type.
type Column = (String, String);

/// Copies the history of a schema so many times. No service may use it meanwhile; progress goes to standard error.
///
/// # Errors
/// Where the role is no superuser, there is nothing to copy, or the database does not take it. What was done until then
/// stays, and the schema is of no use any more.
pub async fn copy_history(url: &str, schema: &SchemaName, copies: u32) -> anyhow::Result<Copying> {
    let begin = Instant::now();
    let connection = &mut connect(url, schema.data()).await?;
    prepare_session(connection).await?;
    let plan = Plan::of(connection, copies).await?;
    collect_texts(connection).await?;
    let indexes = drop_indexes(connection).await?;
    let mut tables = Vec::new();
    for (table, order) in TABLES {
        tables.push(plan.copy_table(connection, table, order).await?);
    }
    let indexes = make_indexes(connection, indexes).await?;
    for (table, _) in TABLES {
        // Where a table has no sequence of its own, there is nothing to set.
        sqlx::query(AssertSqlSafe(format!(
            "SELECT setval(s, (SELECT max(id) FROM {table})) FROM pg_get_serial_sequence('{table}', 'id') AS s
             WHERE s IS NOT NULL"
        )))
        .execute(&mut *connection)
        .await?;
    }
    let vacuum = Instant::now();
    eprintln!("  vacuum and statistics …");
    let names = TABLES.map(|(table, _)| table).join(", ");
    for statement in [format!("VACUUM (ANALYZE) {names}"), "CHECKPOINT".to_owned()] {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await?;
    }
    Ok(Copying {
        copies,
        seconds: begin.elapsed().as_secs_f64(),
        tables,
        indexes,
        vacuum_seconds: vacuum.elapsed().as_secs_f64(),
    })
}

/// A session that loads: foreign keys are not asked, commits do not wait for the disk.
async fn prepare_session(connection: &mut PgConnection) -> anyhow::Result<()> {
    let asked = sqlx::raw_sql("SET session_replication_role = replica")
        .execute(&mut *connection)
        .await;
    if let Err(error) = asked {
        // 42501: insufficient_privilege.
        let lacks = error.as_database_error().and_then(DatabaseError::code);
        if lacks.as_deref() == Some("42501") {
            anyhow::bail!(
                "--copies needs a superuser of the database, who may leave foreign keys unasked; without --database-url \
                 the run has a PostgreSQL of its own"
            );
        }
        return Err(error.into());
    }
    let (least, most) = INDEX_MEMORY_MIB;
    let memory = (machine::free_memory_mib().unwrap_or(least) / 4).clamp(least, most);
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    sqlx::raw_sql(AssertSqlSafe(format!(
        "SET synchronous_commit = off; SET maintenance_work_mem = '{memory}MB';
         SET max_parallel_maintenance_workers = {workers}"
    )))
    .execute(connection)
    .await?;
    Ok(())
}

impl Plan {
    async fn of(connection: &mut PgConnection, copies: u32) -> anyhow::Result<Self> {
        let greatest = TABLES
            .map(|(table, _)| format!("(SELECT coalesce(max(id), 0) FROM {table})"))
            .join(", ");
        // Copies are spread over the time from the first month with a partition to the first event.
        let (greatest, free, texts, dimension): (i64, Option<i64>, i64, i32) =
            sqlx::query_as(AssertSqlSafe(format!(
                "SELECT greatest({greatest}),
                        floor(extract(epoch FROM (SELECT min(event_time) FROM audit_events) - (
                            SELECT min((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \\(''([^'']+)''\\)'))[1]::timestamptz)
                            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                            WHERE i.inhparent = 'audit_events'::regclass)))::bigint,
                        (SELECT count(*) FROM incident_embeddings),
                        (SELECT embedding_dimension FROM store_properties)"
            )))
            .fetch_one(connection)
            .await?;
        let free = free.context("there is no history to copy, or no month with a partition")?;
        anyhow::ensure!(
            texts >= 2,
            "a history of fewer than two texts has no vectors to mix"
        );
        // Ids of copies are read as copy and original.
        let mut stride = 10;
        while stride <= greatest {
            stride *= 10;
        }
        anyhow::ensure!(
            stride.checked_mul(i64::from(copies) + 1).is_some(),
            "there are no ids for {copies} copies"
        );
        Ok(Self {
            copies: copies.into(),
            stride,
            earlier: free.max(0) / i64::from(copies.max(1)),
            texts,
            dimension,
        })
    }

    async fn copy_table(
        &self,
        connection: &mut PgConnection,
        table: &'static str,
        order: &str,
    ) -> anyhow::Result<CopiedTable> {
        let begin = Instant::now();
        let columns: Vec<Column> = sqlx::query_as(
            "SELECT quote_ident(attname), atttypid::regtype::text FROM pg_attribute
             WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
        )
        .bind(table)
        .fetch_all(&mut *connection)
        .await?;
        // Read from a table of their own, lest each statement look for the originals among the copies.
        let originals = sqlx::query(AssertSqlSafe(format!(
            "CREATE TEMP TABLE original AS SELECT t.* FROM {table} t {} ORDER BY {order}",
            if table == "incident_embeddings" {
                "JOIN text_to_copy o USING (id) WHERE o.is_own"
            } else {
                ""
            }
        )))
        .execute(&mut *connection)
        .await?
        .rows_affected();
        sqlx::raw_sql("ANALYZE original")
            .execute(&mut *connection)
            .await?;
        let insert = self.insert(table, &columns);
        let at_once = (CHUNK / i64::try_from(originals)?.max(1)).clamp(1, self.copies.max(1));
        let (mut from, mut rows) = (1, 0);
        while from <= self.copies && originals > 0 {
            let to = (from + at_once - 1).min(self.copies);
            rows += sqlx::query(AssertSqlSafe(insert.clone()))
                .bind(from)
                .bind(to)
                .execute(&mut *connection)
                .await?
                .rows_affected();
            let seconds = begin.elapsed().as_secs();
            eprintln!(
                "  {table}: copy {to} of {}, {rows} rows, {seconds} s",
                self.copies
            );
            from = to + 1;
        }
        sqlx::raw_sql("DROP TABLE original").execute(connection).await?;
        Ok(CopiedTable {
            table,
            rows,
            seconds: begin.elapsed().as_secs_f64(),
        })
    }

    /// The statement that makes the copies `$1` to `$2` of the rows of `original`.
    fn insert(&self, table: &str, columns: &[Column]) -> String {
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<String> = columns.iter().map(|column| self.value(table, column)).collect();
        let joins = if table == "incident_embeddings" {
            // Copy k is mixed with the kth text after its own, and never with itself.
            format!(
                "JOIN text_to_copy o ON o.id = t.id
                 JOIN text_to_copy p ON p.number = (o.number + 1 + k % {}) % {}",
                self.texts - 1,
                self.texts
            )
        } else if names.contains(&"embedding_id") {
            "LEFT JOIN text_to_copy o ON o.id = t.embedding_id".to_owned()
        } else {
            String::new()
        };
        format!(
            "INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE
             SELECT {} FROM generate_series($1::bigint, $2::bigint) k CROSS JOIN original t {joins}",
            names.join(", "),
            values.join(", ")
        )
    }

    /// What a copy has in a column.
    fn value(&self, table: &str, (name, kind): &Column) -> String {
        let Self {
            stride,
            earlier,
            dimension,
            ..
        } = self;
        let copied_id = format!("t.{name} + k * {stride}");
        match (table, name.as_str(), kind.as_str()) {
            // Workloads have their names in all clusters.
            ("resource_references", "name", _) => format!("t.{name}"),
            ("incident_embeddings", "text", _) => "t.text || ' ' || k".to_owned(),
            ("incident_embeddings", "text_sha256", _) => {
                "sha256(convert_to(t.text || ' ' || k, 'UTF8'))".to_owned()
            }
            ("incident_embeddings", "embedding", _) => format!(
                "l2_normalize(t.embedding + p.embedding * array_fill({MIXED}::real, ARRAY[{dimension}])::vector)"
            ),
            (_, "embedding_id", _) => {
                format!("CASE WHEN o.is_own THEN {copied_id} ELSE t.{name} END")
            }
            (_, column, "bigint") if column == "id" || column.ends_with("_id") => copied_id,
            (_, column, "text") if NAMES.contains(&column) => format!("t.{name} || '-' || k"),
            (_, _, "timestamp with time zone") => {
                format!("t.{name} - make_interval(secs => k * {earlier})")
            }
            // A transaction of the original is over for everybody, as one of a copy must be.
            _ => format!("t.{name}"),
        }
    }
}

/// Numbers the texts, and tells which of them one record alone has.
async fn collect_texts(connection: &mut PgConnection) -> anyhow::Result<()> {
    sqlx::raw_sql(
        "CREATE TEMP TABLE text_to_copy AS
         SELECT t.id, row_number() OVER (ORDER BY t.id) - 1 AS number, t.embedding, coalesce(u.records, 0) = 1 AS is_own
         FROM incident_embeddings t
         LEFT JOIN (SELECT r.embedding_id, count(*) AS records
                    FROM (SELECT DISTINCT embedding_id, record_kind, namespace, name, event_time FROM audit_events) r
                    GROUP BY r.embedding_id) u ON u.embedding_id = t.id;
         ALTER TABLE text_to_copy ADD PRIMARY KEY (id), ADD UNIQUE (number);
         ANALYZE text_to_copy",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Drops the indexes that keep no constraint; their names and how they are made. Those of a partitioned table go and
/// come with its partitions'.
async fn drop_indexes(connection: &mut PgConnection) -> anyhow::Result<Vec<(String, String)>> {
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT c.relname::text, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         WHERE i.indrelid = ANY($1::text[]::regclass[])
           AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)
         ORDER BY 1",
    )
    .bind(TABLES.map(|(table, _)| table.to_owned()).to_vec())
    .fetch_all(&mut *connection)
    .await?;
    for (name, _) in &indexes {
        sqlx::raw_sql(AssertSqlSafe(format!("DROP INDEX {name}")))
            .execute(&mut *connection)
            .await?;
    }
    Ok(indexes)
}

async fn make_indexes(
    connection: &mut PgConnection,
    indexes: Vec<(String, String)>,
) -> anyhow::Result<Vec<BuiltIndex>> {
    let mut built = Vec::new();
    for (index, definition) in indexes {
        let begin = Instant::now();
        sqlx::raw_sql(AssertSqlSafe(definition))
            .execute(&mut *connection)
            .await
            .with_context(|| format!("the index {index} cannot be made again"))?;
        let seconds = begin.elapsed().as_secs_f64();
        eprintln!("  {index}: made in {seconds:.1} s");
        built.push(BuiltIndex { index, seconds });
    }
    Ok(built)
}
