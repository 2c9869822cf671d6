//! Copies of a history: as many rows as they should be, each as the services would show it.

use std::collections::BTreeMap;
use std::path::Path;

use audit_store::SchemaName;
use campaign::process::wait_until;
use campaign::service::{Recall, Storage, client};
use demo_history::{HistoryOptions, history};
use serde_json::Value;
use service_kit::Clock;
use sqlx::{AssertSqlSafe, PgPool};
use testkit::Database;

use crate::model::minilm;
use crate::process::{PROGRAM, storage};

const COPIES: u32 = 3;
const TABLES: [&str; 9] = [
    "resource_references",
    "action_histories",
    "incident_embeddings",
    "audit_events",
    "remediation_requests",
    "resource_action_traces",
    "ai_analyses",
    "workflow_executions",
    "action_executions",
];

async fn count(pool: &PgPool, query: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn rows(pool: &PgPool) -> BTreeMap<&'static str, i64> {
    let mut rows = BTreeMap::new();
    for table in TABLES {
        rows.insert(table, count(pool, &format!("SELECT count(*) FROM {table}")).await);
    }
    rows
}

/// How the indexes of the tables are made, and how many there are with those of the partitions.
async fn indexes(pool: &PgPool) -> (Vec<String>, i64) {
    let definitions = sqlx::query_scalar(
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = ANY($1::text[]::regclass[]) ORDER BY 1",
    )
    .bind(TABLES.map(str::to_owned).to_vec())
    .fetch_all(pool)
    .await
    .unwrap();
    let all = "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
               WHERE c.relnamespace = current_schema()::regnamespace AND i.indisvalid";
    (definitions, count(pool, all).await)
}

/// A small history over HTTP, all of its texts with vectors, by a service that has ended.
async fn recorded(url: &str, schema: &SchemaName, pool: &PgPool) {
    let mut storage = storage(url, schema, &[]).await;
    let records = history(&HistoryOptions {
        incidents: 12,
        days: 20,
        end: Clock::system().now(),
        seed: 5,
    });
    for record in records {
        post(&storage, record.kind.path(), &record.body).await;
    }
    let pending = "SELECT count(*) FROM incident_embeddings WHERE embedding IS NULL";
    wait_until("every text has its vector", async || {
        count(pool, pending).await == 0
    })
    .await;
    storage.process.stop(nix::sys::signal::Signal::SIGTERM).await;
}

async fn post(storage: &Storage, path: &str, body: &Value) {
    let answer = client()
        .post(format!("{}{path}", storage.api))
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
}

async fn detail(recall: &Recall, id: i64) -> Value {
    let url = format!("http://{}/api/v1/incidents/{id}", recall.address);
    let answer = client().get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_the_rows_of_the_original_and_shows_the_same_stories() {
    let database = Database::with_model("copies", minilm()).await;
    let store = database.store().await;
    let pool = store.pool();
    recorded(&database.url(), database.schema(), pool).await;
    let (before, indexes_before) = (rows(pool).await, indexes(pool).await);
    let vectors = "SELECT count(DISTINCT embedding::text) FROM incident_embeddings";
    let vectors_before = count(pool, vectors).await;
    let own = count(
        pool,
        "SELECT count(*) FROM (SELECT embedding_id FROM audit_events WHERE embedding_id IS NOT NULL GROUP BY embedding_id
             HAVING count(DISTINCT (record_kind, namespace, name, event_time)) = 1) texts",
    )
    .await;
    assert!(
        0 < own && own < before["incident_embeddings"],
        "{own} of {before:?}"
    );

    let copied = bench::copy_history(&database.url(), database.schema(), COPIES)
        .await
        .unwrap();
    let after = rows(pool).await;
    for (table, rows) in &before {
        let each = if *table == "incident_embeddings" {
            own
        } else {
            *rows
        };
        assert_eq!(after[table], rows + each * i64::from(COPIES), "{table}");
        let told = copied
            .tables
            .iter()
            .find(|copied| copied.table == *table)
            .unwrap();
        assert_eq!(told.rows, (each * i64::from(COPIES)).cast_unsigned(), "{table}");
    }
    assert_eq!(
        count(pool, vectors).await,
        vectors_before + own * i64::from(COPIES),
        "each text of one record has a vector of its own in each copy"
    );
    assert_eq!(indexes(pool).await, indexes_before);
    for broken in [
        "SELECT count(*) FROM incident_embeddings WHERE text_sha256 <> sha256(convert_to(text, 'UTF8'))
             OR abs(vector_norm(embedding) - 1) > 0.00001",
        "SELECT count(*) FROM audit_events e LEFT JOIN incident_embeddings t ON t.id = e.embedding_id
         WHERE e.embedding_id IS NOT NULL AND t.id IS NULL",
        "SELECT count(*) FROM action_histories h LEFT JOIN resource_references r ON r.id = h.resource_id WHERE r.id IS NULL",
        "SELECT count(*) FROM action_executions x LEFT JOIN action_histories h ON h.id = x.action_history_id WHERE h.id IS NULL",
        "SELECT count(*) FROM resource_action_traces t
         LEFT JOIN action_histories h ON h.id = t.action_history_id LEFT JOIN resource_references r ON r.id = h.resource_id
         LEFT JOIN remediation_requests k ON k.id = t.id AND k.name = t.remediation_name AND k.created_at = t.action_timestamp
         LEFT JOIN audit_events e ON e.id = t.last_event_id AND e.name = t.remediation_name AND e.event_time = t.action_timestamp
         WHERE k.id IS NULL OR e.id IS NULL OR r.cluster_name IS DISTINCT FROM t.cluster_name",
        "SELECT count(*) FROM audit_events_default",
    ] {
        assert_eq!(count(pool, broken).await, 0, "{broken}");
    }

    let recall = Recall::start(Path::new(PROGRAM), &database.reader_url(), database.schema(), &[]).await;
    let originals: Vec<(i64, String)> =
        sqlx::query_as("SELECT id, name FROM remediation_requests ORDER BY id LIMIT $1")
            .bind(before["remediation_requests"])
            .fetch_all(pool)
            .await
            .unwrap();
    let mut children = BTreeMap::<&str, usize>::new();
    for (id, name) in &originals {
        let original = detail(&recall, *id).await;
        for copy in 1..=COPIES {
            let query = format!("SELECT id FROM remediation_requests WHERE name = '{name}-{copy}'");
            let copied = detail(&recall, count(pool, &query).await).await;
            assert_eq!(copied["remediationName"], format!("{name}-{copy}"));
            for field in ["analyses", "workflows", "executions", "timeline"] {
                let [of_original, of_copy] =
                    [&original, &copied].map(|detail| detail[field].as_array().unwrap().len());
                assert_eq!(of_copy, of_original, "{field} of {name}-{copy}");
                *children.entry(field).or_default() += of_copy;
            }
            let cluster = original["cluster"].as_str().unwrap();
            assert_eq!(copied["cluster"], format!("{cluster}-{copy}"));
            assert!(original["resource"].is_object() && original["message"].is_string());
            for field in [
                "resource",
                "alertName",
                "phase",
                "status",
                "message",
                "rootCause",
                "workflow",
            ] {
                assert_eq!(copied[field], original[field], "{field} of {name}-{copy}");
            }
        }
    }
    assert!(
        children.len() == 4 && children.values().all(|count| *count > 0),
        "{children:?}"
    );

    // Sequences go on behind the copies.
    let storage = storage(&database.url(), database.schema(), &[]).await;
    for record in history(&HistoryOptions {
        incidents: 1,
        days: 1,
        end: Clock::system().now(),
        seed: 77,
    }) {
        post(&storage, record.kind.path(), &record.body).await;
    }
    assert_eq!(
        rows(pool).await["remediation_requests"],
        after["remediation_requests"] + 1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_superuser_copies_and_only_what_is_there() {
    let database = Database::with_model("copies", minilm()).await;
    let refused = async |url: &str| {
        let error = bench::copy_history(url, database.schema(), 1).await.unwrap_err();
        format!("{error:#}")
    };
    let error = refused(&database.reader_url()).await;
    assert!(error.contains("--copies needs a superuser"), "{error}");
    let error = refused(&database.url()).await;
    assert!(error.contains("there is no history to copy"), "{error}");
}
