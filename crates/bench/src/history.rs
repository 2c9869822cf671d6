//! How large the history is that everything is measured on.

use std::time::Instant;

use audit_store::{ConnectOptions, PartitionWindow, SchemaName, WriteStore, ensure_partitions};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::preload::copies::{Copying, TABLES};
use crate::schema::PARTITIONS;

/// Months ahead that are tried for one that has no partitions yet.
const MOST_MONTHS: u32 = 120;

/// What there was when the first load began.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Incidents.
    pub incidents: i64,
    /// Versions of records in the ledger.
    pub records: i64,
    /// Distinct texts.
    pub texts: i64,
    /// Sizes of the tables, partitions included.
    pub tables: Vec<TableSize>,
    /// Sizes of the indexes, partitions included.
    pub indexes: Vec<IndexSize>,
    /// What the copies took, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copying: Option<Copying>,
    /// Upkeep of the partitions, where the run may do that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<PartitionRounds>,
}

/// Bytes of a table.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableSize {
    /// Its name.
    pub table: String,
    /// Its rows, as the planner estimates them.
    pub rows: i64,
    /// Bytes of the rows, maps included.
    pub table_bytes: i64,
    /// Bytes of what is stored out of line, with its index.
    pub toast_bytes: i64,
    /// Bytes of all indexes.
    pub index_bytes: i64,
}

/// Bytes of an index.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexSize {
    /// Its name.
    pub index: String,
    /// btree, gin or hnsw.
    pub method: String,
    /// Bytes.
    pub bytes: i64,
}

/// What a round of partition maintenance takes: the statements of Data Storage.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionRounds {
    /// Seconds of a round that finds all months there.
    pub nothing_to_do_seconds: f64,
    /// Seconds of a round that makes the partitions of one month.
    pub one_month_seconds: f64,
    /// Partitions that the latter made.
    pub made: usize,
}

/// Measures the history of the connection's schema.
///
/// # Errors
/// Where the database does not answer.
pub(crate) async fn measure(connection: &mut PgConnection) -> anyhow::Result<History> {
    let (incidents, records, texts) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM remediation_requests), (SELECT count(*) FROM audit_events),
                (SELECT count(*) FROM incident_embeddings)",
    )
    .fetch_one(&mut *connection)
    .await?;
    let names = TABLES.map(|(table, _)| table.to_owned()).to_vec();
    let tables: Vec<(String, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT n.name, coalesce(sum(greatest(c.reltuples, 0)) FILTER (WHERE c.relkind = 'r'), 0)::bigint,
                sum(pg_table_size(r.relid) - s.toast)::bigint, sum(s.toast)::bigint, sum(pg_indexes_size(r.relid))::bigint
         FROM unnest($1::text[]) WITH ORDINALITY AS n (name, place)
         CROSS JOIN LATERAL (SELECT n.name::regclass AS relid UNION SELECT p.relid FROM pg_partition_tree(n.name::regclass) p) r
         JOIN pg_class c ON c.oid = r.relid
         CROSS JOIN LATERAL (SELECT CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE pg_total_relation_size(c.reltoastrelid) END AS toast) s
         GROUP BY n.name, n.place ORDER BY n.place",
    )
    .bind(&names)
    .fetch_all(&mut *connection)
    .await?;
    let indexes: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT c.relname::text, m.amname::text, sum(pg_relation_size(r.relid))::bigint
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
         CROSS JOIN LATERAL (SELECT c.oid::regclass AS relid UNION SELECT p.relid FROM pg_partition_tree(c.oid::regclass) p) r
         WHERE i.indrelid = ANY($1::text[]::regclass[])
         GROUP BY c.relname, m.amname ORDER BY 3 DESC, 1",
    )
    .bind(&names)
    .fetch_all(&mut *connection)
    .await?;
    let tables = tables.into_iter();
    let indexes = indexes.into_iter();
    Ok(History {
        incidents,
        records,
        texts,
        tables: tables
            .map(|(table, rows, table_bytes, toast_bytes, index_bytes)| TableSize {
                table,
                rows,
                table_bytes,
                toast_bytes,
                index_bytes,
            })
            .collect(),
        indexes: indexes
            .map(|(index, method, bytes)| IndexSize { index, method, bytes })
            .collect(),
        copying: None,
        partitions: None,
    })
}

/// Measures the upkeep of the partitions of a schema that belongs to the run: one month more is made than there was.
///
/// # Errors
/// Where the database does not answer.
pub(crate) async fn partition_rounds(
    url: &str,
    schema: &SchemaName,
    now: DateTime<Utc>,
) -> anyhow::Result<PartitionRounds> {
    let store = WriteStore::connect(&ConnectOptions::new(url, schema.clone(), schema.data())).await?;
    // Connects, and fills the caches.
    ensure_partitions(&store, now, PARTITIONS).await?;
    let begin = Instant::now();
    ensure_partitions(&store, now, PARTITIONS).await?;
    let nothing_to_do_seconds = begin.elapsed().as_secs_f64();
    let (one_month_seconds, made) = one_month(&store, now).await?;
    store.close().await;
    Ok(PartitionRounds {
        nothing_to_do_seconds,
        one_month_seconds,
        made,
    })
}

/// Seconds of the round that makes the first month behind the window that has no partitions yet, and how many it makes. A
/// kept history has the months that earlier runs made.
async fn one_month(store: &WriteStore, now: DateTime<Utc>) -> anyhow::Result<(f64, usize)> {
    for further in 1..=MOST_MONTHS {
        let window = PartitionWindow {
            months_ahead: PARTITIONS.months_ahead + further,
            ..PARTITIONS
        };
        let begin = Instant::now();
        let round = ensure_partitions(store, now, window).await?;
        if !round.made.is_empty() {
            return Ok((begin.elapsed().as_secs_f64(), round.made.len()));
        }
    }
    anyhow::bail!("all of the next {MOST_MONTHS} months have their partitions already");
}
