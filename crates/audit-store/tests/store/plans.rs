//! The writer's statements keep their plans, which must be good for more rows than there were when they were made.

use std::collections::BTreeSet;

use audit_store::record::{Execution, Record, Remediation, SignalType};
use audit_store::writer::{NewRecord, RecordText, write_batch};
use audit_store::{ConnectOptions, WriteStore};
use serde_json::Value;
use sqlx::Row;
use testkit::Database;

use crate::records::{analysis, head, workflow};

fn remediation() -> NewRecord {
    let record = Record::Remediation(Remediation {
        head: head("rr-1"),
        signal_type: SignalType::Prometheus,
        signal_name: "KubePodCrashLooping".into(),
        signal_namespace: None,
        target_type: "Deployment".into(),
        target_name: "cart".into(),
        target_namespace: Some("shop".into()),
        cluster_name: "eu-1".into(),
        environment: None,
        severity: None,
        priority: None,
        fingerprint: None,
        action_type: None,
        action_parameters: None,
        reason: None,
        error_message: None,
        labels: None,
        original_payload: None,
    });
    let mut new = NewRecord::new(record, "writer".into(), Database::now()).unwrap();
    new.text = Some(RecordText {
        text: "Kube Pod Crash Looping".to_owned(),
        sha256: [7; 32],
        vector: None,
    });
    new
}

fn execution() -> NewRecord {
    let record = Record::Execution(Execution {
        head: head("ae-1"),
        workflow_execution_ref: "wf-1".into(),
        step_name: None,
        action_type: "restart_pod".into(),
        action_data: None,
        target_type: "Deployment".into(),
        target_name: "cart".into(),
        target_namespace: Some("shop".into()),
        cluster_name: "eu-1".into(),
        enable_dry_run: None,
        enable_validation: None,
        enable_rollback: None,
        action_result: None,
        resource_version: None,
        previous_version: None,
        dry_run_result: None,
        validation_result: None,
        validation_warnings: None,
        is_rolled_back: None,
    });
    NewRecord::new(record, "writer".into(), Database::now()).unwrap()
}

/// How a plan reads tables: the kind of scan, the table, and what the index is asked for.
fn scans(node: &Value, into: &mut BTreeSet<(String, String, String)>) {
    let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
    if node.get("Relation Name").is_some() && text("Node Type") != "ModifyTable" {
        // All partitions are read in the same way.
        let table = match text("Relation Name") {
            partition if partition.starts_with("audit_events") => "audit_events".to_owned(),
            table => table,
        };
        // Without aliases, whose numbers mean nothing.
        let condition: Vec<String> = text("Index Cond")
            .split(" AND ")
            .filter_map(|condition| Some(condition.split_once(" ")?.0.trim_start_matches('(').to_owned()))
            .collect();
        into.insert((text("Node Type"), table, condition.join(" ")));
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        scans(child, into);
    }
}

#[tokio::test]
async fn plans_that_were_made_on_empty_tables_find_rows_by_their_keys() {
    let database = Database::new("store").await;
    let store = WriteStore::connect(&ConnectOptions {
        max_connections: 1,
        ..database.writer_options()
    })
    .await
    .unwrap();
    let batch = [
        remediation(),
        analysis("ai-1", 0.5),
        workflow("wf-1"),
        execution(),
    ];
    for _ in 0..2 {
        write_batch(&store, database.model(), &batch).await.unwrap();
    }
    let mut session = store.pool().acquire().await.unwrap();
    let statements = sqlx::query(
        "SELECT name, cardinality(parameter_types) AS parameters, custom_plans FROM pg_prepared_statements
         WHERE cardinality(parameter_types) > 0 AND statement ~ 'UNNEST'",
    )
    .fetch_all(&mut *session)
    .await
    .unwrap();
    // Texts, the ledger's rows and replays, names, histories, states.
    assert_eq!(statements.len(), 6);
    // As the writer's transactions do: what other tests do to the server may have plans made again.
    sqlx::raw_sql(
        "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_bitmapscan = off;
         SET enable_hashjoin = off; SET enable_mergejoin = off",
    )
    .execute(&mut *session)
    .await
    .unwrap();
    let mut found = BTreeSet::new();
    for statement in statements {
        assert_eq!(statement.get::<i64, _>("custom_plans"), 0);
        let (name, parameters): (String, i32) = (statement.get("name"), statement.get("parameters"));
        let nulls = vec!["NULL"; usize::try_from(parameters).unwrap()].join(", ");
        let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE {name} ({nulls})");
        let plan: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
            .fetch_one(&mut *session)
            .await
            .unwrap();
        scans(&plan[0]["Plan"], &mut found);
    }
    let expected = [
        ("Index Scan", "action_histories", "resource_id workflow_id"),
        (
            "Index Scan",
            "action_histories",
            "resource_id workflow_id action_type",
        ),
        ("Index Scan", "audit_events", "event_time"),
        (
            "Index Scan",
            "audit_events",
            "event_time record_kind namespace name payload_sha256",
        ),
        ("Index Scan", "incident_embeddings", "id"),
        ("Index Scan", "incident_embeddings", "model text_sha256"),
        ("Index Scan", "remediation_requests", "namespace name created_at"),
        ("Index Scan", "resource_references", "name kind cluster_name"),
        // Its one row.
        ("Seq Scan", "store_properties", ""),
    ]
    .map(|(scan, table, key)| (scan.to_owned(), table.to_owned(), key.to_owned()));
    let found: BTreeSet<_> = found
        .into_iter()
        .map(|(scan, table, key)| (scan.replace("Only ", ""), table, key))
        .collect();
    assert_eq!(found, BTreeSet::from(expected));
}
