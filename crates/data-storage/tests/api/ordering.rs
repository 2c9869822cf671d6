//! The read model is the same whatever order records arrive in.

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::records::{self, with};

use crate::app::App;

/// The read model as text: every table without its surrogate keys and times of insertion.
async fn read_model(app: &App) -> Vec<String> {
    let queries = [
        "SELECT row_to_json(x)::text FROM (SELECT remediation_name, phase, message, execution_status, execution_end_time,
            (SELECT r.name FROM action_histories h JOIN resource_references r ON r.id = h.resource_id WHERE h.id = t.action_history_id) AS target
         FROM resource_action_traces t ORDER BY remediation_name, action_timestamp) x",
        "SELECT row_to_json(x)::text FROM (SELECT name, phase, message, root_cause FROM ai_analyses ORDER BY name, record_created_at) x",
        "SELECT row_to_json(x)::text FROM (SELECT name, phase, message, step_count FROM workflow_executions ORDER BY name, record_created_at) x",
        "SELECT row_to_json(x)::text FROM (SELECT name, phase, message, is_rolled_back FROM action_executions ORDER BY name, record_created_at) x",
        "SELECT row_to_json(x)::text FROM (SELECT r.name, h.workflow_id, h.action_type, h.status FROM action_histories h
            JOIN resource_references r ON r.id = h.resource_id ORDER BY 1, 2, 3) x",
    ];
    let mut rows = Vec::new();
    for query in queries {
        rows.extend(
            sqlx::query_scalar::<_, String>(query)
                .fetch_all(app.store.pool())
                .await
                .unwrap(),
        );
    }
    rows
}

/// A history in the order in which it happened.
fn history() -> Vec<(&'static str, Value)> {
    let at = |phase: &str, message: &str| json!({"phase": phase, "message": message});
    vec![
        ("remediation", records::remediation("rr-1")),
        (
            "remediation",
            with(records::remediation("rr-1"), at("Processing", "analysing")),
        ),
        (
            "aianalysis",
            with(records::analysis("ai-1", "rr-1"), at("Processing", "asking")),
        ),
        ("aianalysis", records::full_analysis("ai-1", "rr-1")),
        (
            "workflow",
            with(records::workflow("wf-1", "rr-1"), at("Processing", "step 1")),
        ),
        (
            "execution",
            with(records::execution("ex-1", "wf-1"), at("Processing", "patching")),
        ),
        (
            "execution",
            with(records::execution("ex-1", "wf-1"), at("Completed", "patched")),
        ),
        (
            "workflow",
            with(records::workflow("wf-1", "rr-1"), at("Completed", "done")),
        ),
        (
            "remediation",
            with(records::remediation("rr-1"), at("Completed", "repaired")),
        ),
        (
            "remediation",
            with(records::remediation("rr-2"), at("Failed", "no quota")),
        ),
    ]
}

#[tokio::test]
async fn every_order_of_arrival_ends_in_the_same_read_model() {
    let in_order = App::new().await;
    for (kind, body) in history() {
        assert_eq!(in_order.post(kind, &body).await.status, 201);
    }
    let expected = read_model(&in_order).await;
    assert_eq!(expected.len(), 7);
    assert_eq!(in_order.count("audit_events").await, 10);

    let backwards = App::new().await;
    for (kind, body) in history().into_iter().rev() {
        assert_eq!(backwards.post(kind, &body).await.status, 201);
    }
    assert_eq!(read_model(&backwards).await, expected);
    assert_eq!(backwards.count("audit_events").await, 10);

    let at_once = App::new().await;
    let answers = join_all(history().iter().map(|(kind, body)| at_once.post(kind, body))).await;
    assert!(answers.iter().all(|answer| answer.status == 201));
    assert_eq!(read_model(&at_once).await, expected);
    assert_eq!(at_once.count("audit_events").await, 10);
}

#[tokio::test]
async fn a_late_processing_does_not_undo_a_completed_and_the_ledger_keeps_both() {
    let app = App::new().await;
    let completed = with(
        records::remediation("rr-1"),
        json!({"phase": "Completed", "message": "repaired"}),
    );
    let processing = with(
        records::remediation("rr-1"),
        json!({"phase": "Processing", "message": "analysing"}),
    );
    let first = app.post("remediation", &completed).await;
    let late = app.post("remediation", &processing).await;
    assert_eq!(late.status, 201);
    assert_eq!(late.body["incidentId"], first.body["incidentId"]);
    let (phase, message): (String, String) =
        sqlx::query_as("SELECT phase, message FROM resource_action_traces")
            .fetch_one(app.store.pool())
            .await
            .unwrap();
    assert_eq!((phase.as_str(), message.as_str()), ("Completed", "repaired"));
    let phases: Vec<String> = sqlx::query_scalar("SELECT phase FROM audit_events ORDER BY id")
        .fetch_all(app.store.pool())
        .await
        .unwrap();
    assert_eq!(phases, ["Completed", "Processing"]);
}

#[tokio::test]
async fn between_two_terminal_versions_the_later_one_of_the_ledger_wins() {
    let app = App::new().await;
    for (phase, message) in [("Failed", "first verdict"), ("Completed", "second verdict")] {
        let body = with(
            records::remediation("rr-1"),
            json!({"phase": phase, "message": message}),
        );
        assert_eq!(app.post("remediation", &body).await.status, 201);
    }
    let phase: String = sqlx::query_scalar("SELECT phase FROM resource_action_traces")
        .fetch_one(app.store.pool())
        .await
        .unwrap();
    assert_eq!(phase, "Completed");
}

#[tokio::test]
async fn versions_of_one_instance_written_at_once_end_in_the_newest_state() {
    let app = App::new().await;
    let versions: Vec<Value> = (0..40)
        .map(|index| {
            let phase = if index == 17 { "Completed" } else { "Processing" };
            with(
                records::remediation("rr-1"),
                json!({"phase": phase, "message": format!("version {index}")}),
            )
        })
        .collect();
    let answers = join_all(versions.iter().map(|body| app.post("remediation", body))).await;
    assert!(answers.iter().all(|answer| answer.status == 201));
    assert_eq!(app.count("audit_events").await, 40);
    assert_eq!(app.count("resource_action_traces").await, 1);
    assert_eq!(
        app.count("resource_action_traces WHERE message = 'version 17'")
            .await,
        1
    );
}
