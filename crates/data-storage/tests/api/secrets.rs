//! Secrets are in no table, whichever field they came in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::{records, request};

use crate::app::App;

/// A password that nothing else looks like.
const SECRET: &str = "Tr0ub4dor-and-3-horses";

/// The text of every row of every table of the schema.
async fn everything(app: &App) -> String {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.tables
         WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'",
    )
    .fetch_all(app.store.pool())
    .await
    .unwrap();
    assert!(
        tables.contains(&"audit_events".to_owned()) && tables.contains(&"incident_embeddings".to_owned())
    );
    let mut text = String::new();
    for table in tables {
        let query = sqlx::AssertSqlSafe(format!(
            "SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM {table} t"
        ));
        let rows: String = sqlx::query_scalar(query)
            .fetch_one(app.store.pool())
            .await
            .unwrap();
        text.push_str(&rows);
    }
    text
}

/// A record of each kind with the secret in every text and every free value.
fn bodies() -> [(&'static str, Value); 4] {
    let text = format!("login failed: DB_PASSWORD={SECRET} was refused");
    let free = json!({"password": SECRET, "env": [{"name": "API_TOKEN", "value": SECRET}], "note": text});
    let encoded = STANDARD.encode(free.to_string());
    [
        (
            "remediation",
            records::with(
                records::full_remediation("rr-1"),
                json!({"message": text, "reason": text, "errorMessage": text, "actionParameters": free, "originalPayload": encoded}),
            ),
        ),
        (
            "aianalysis",
            records::with(
                records::full_analysis("ai-1", "rr-1"),
                json!({"message": text, "rootCause": text}),
            ),
        ),
        (
            "workflow",
            records::with(
                records::full_workflow("wf-1", "rr-1", "ai-1"),
                json!({"message": text}),
            ),
        ),
        (
            "execution",
            records::with(
                records::full_execution("ex-1", "wf-1"),
                json!({"message": text, "actionData": free, "actionResult": text, "dryRunResult": text,
                       "validationResult": text, "validationWarnings": [text, text]}),
            ),
        ),
    ]
}

#[tokio::test]
async fn a_secret_in_any_field_of_any_kind_is_stored_nowhere() {
    let app = App::new().await;
    for (kind, body) in bodies() {
        let key = format!("key-{kind}");
        let answer = app.post_with_key(kind, &key, &body).await;
        assert_eq!(answer.status, 201, "{kind}: {}", answer.body);
        // What was stored is what is compared: the same record again is a replay, by key and without.
        assert_eq!(app.post_with_key(kind, &key, &body).await.status, 200);
        assert_eq!(app.post(kind, &body).await.status, 200);
    }
    let stored = everything(&app).await;
    assert!(!stored.contains(SECRET));
    let in_base64 = STANDARD.encode(SECRET);
    assert!(!stored.contains(in_base64.trim_end_matches('=')));
    // The sentence around it is still there, and the policy is told.
    assert!(stored.contains("login failed: DB_PASSWORD=*** was refused"));
    assert_eq!(app.count("audit_events").await, 4);
    assert_eq!(app.count("audit_events WHERE redaction_policy = 1").await, 4);
    let payload: Value =
        sqlx::query_scalar("SELECT payload FROM audit_events WHERE record_kind = 'remediation'")
            .fetch_one(app.store.pool())
            .await
            .unwrap();
    assert_eq!(payload["actionParameters"]["password"], "***");
    assert_eq!(
        payload["actionParameters"]["env"][0],
        json!({"name": "API_TOKEN", "value": "***"})
    );
    let original = STANDARD
        .decode(payload["originalPayload"].as_str().unwrap())
        .unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&original).unwrap()["password"],
        "***"
    );
}

#[tokio::test]
async fn two_records_that_differ_in_their_secret_only_are_one_version_and_one_request() {
    let app = App::new().await;
    let with = |password: &str| {
        let message = format!("login failed: password={password}");
        records::with(records::remediation("rr-1"), json!({"message": message}))
    };
    assert_eq!(
        app.post_with_key("remediation", "key-1", &with(SECRET))
            .await
            .status,
        201
    );
    let other = with("Another-Pa55word-of-them");
    assert_eq!(
        app.post_with_key("remediation", "key-1", &other).await.status,
        200
    );
    assert_eq!(app.count("audit_events").await, 1);
}

#[tokio::test]
async fn what_has_no_secret_is_stored_as_it_came() {
    let app = App::new().await;
    let message =
        "failed to mount secret volume: secret \"db-creds\" not found; token has expired; delete_pod";
    let body = records::with(records::remediation("rr-1"), json!({"message": message}));
    assert_eq!(app.post("remediation", &body).await.status, 201);
    let stored: String = sqlx::query_scalar("SELECT message FROM resource_action_traces")
        .fetch_one(app.store.pool())
        .await
        .unwrap();
    assert_eq!(stored, message);
}

#[tokio::test]
async fn a_name_or_an_id_with_a_secret_is_refused_without_repeating_it() {
    let app = App::new().await;
    let token = format!("glpat-{}", "a1b2c3d4e5f6g7h8i9j0");
    let body = records::with(
        records::remediation("rr-1"),
        json!({"name": token, "correlationId": token, "signalName": token, "targetName": token}),
    );
    let answer = app.post("remediation", &body).await;
    assert_eq!(answer.status, 400);
    let refused = ["/name", "/correlationId", "/signalName", "/targetName"];
    assert_eq!(
        answer.violations(),
        refused.map(|pointer| (pointer.to_owned(), "secret".to_owned()))
    );
    assert!(!answer.body.to_string().contains(&token));
}

#[tokio::test]
async fn secrets_of_a_batch_go_too() {
    let app = App::new().await;
    let entries: Value = bodies()
        .into_iter()
        .map(|(kind, record)| json!({"kind": kind, "record": record}))
        .collect();
    for query in ["", "?atomic=true"] {
        let path = format!("/api/v1/audit/batch{query}");
        let answer = request::post(&app.router, &path, &entries).await;
        assert_eq!(answer.body["refused"], 0, "{}", answer.body);
    }
    assert!(!everything(&app).await.contains(SECRET));
    assert_eq!(app.count("audit_events").await, 4);
}
