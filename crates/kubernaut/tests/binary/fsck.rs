//! `kubernaut fsck`: what it prints and how it ends.

use std::process::Output;

use serde_json::Value;
use testkit::Database;

use crate::process::kubernaut;

/// Runs it on a schema. Its clock is the system's, so months of the tests' time may lie outside the window.
fn fsck(database: &Database, arguments: &[&str]) -> Output {
    kubernaut(&["fsck"])
        .args(arguments)
        .env("DATABASE_URL", database.url())
        .env("DATA_STORAGE__DATABASE__SCHEMA", database.schema().data())
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[tokio::test]
async fn a_finding_is_1_until_the_read_model_is_made_again() {
    let database = Database::new("fsck").await;
    let clean = fsck(&database, &["--json"]);
    assert_eq!(clean.status.code(), Some(0), "{clean:?}");
    assert_eq!(json(&clean)["clean"], true);

    let store = database.store().await;
    sqlx::query(
        "INSERT INTO remediation_requests (namespace, name, created_at) VALUES ('n', 'made-up', now())",
    )
    .execute(store.pool())
    .await
    .unwrap();
    let found = fsck(&database, &["--json"]);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    let report = json(&found);
    let errors: Vec<_> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["count"] != 0 && check["severity"] == "error")
        .collect();
    assert_eq!(errors.len(), 1, "{report:#}");
    assert_eq!(errors[0]["name"], "read_model.remediation_requests");
    assert_eq!(errors[0]["count"], 1);
    let text = String::from_utf8(fsck(&database, &[]).stdout).unwrap();
    assert!(
        text.contains("ERROR    read_model.remediation_requests"),
        "{text}"
    );
    assert!(text.contains("not in the ledger (id 1)"), "{text}");

    let rebuilt = fsck(&database, &["--rebuild", "--json"]);
    assert_eq!(rebuilt.status.code(), Some(0), "{rebuilt:?}");
    let tables = json(&rebuilt)["rebuilt"]["tables"].clone();
    assert_eq!(
        tables[2],
        serde_json::json!({"table": "remediation_requests", "written": 0, "removed": 1})
    );
}

#[tokio::test]
async fn a_warning_counts_when_it_is_told_to() {
    let database = Database::new("fsck").await;
    let store = database.store().await;
    sqlx::query(
        "INSERT INTO incident_embeddings (model, text, text_sha256, created_at) VALUES ('hashed', 'x', sha256('x'), now())",
    )
    .execute(store.pool())
    .await
    .unwrap();
    let lenient = fsck(&database, &[]);
    assert_eq!(lenient.status.code(), Some(0), "{lenient:?}");
    let text = String::from_utf8(lenient.stdout).unwrap();
    assert!(text.contains("warning  embeddings.orphan"), "{text}");
    assert_eq!(fsck(&database, &["--strict"]).status.code(), Some(1));
}

#[test]
fn what_cannot_be_checked_is_2() {
    let output = kubernaut(&["fsck"])
        .env("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/d")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: the database is unavailable"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert_eq!(kubernaut(&["fsck"]).output().unwrap().status.code(), Some(2));
}
