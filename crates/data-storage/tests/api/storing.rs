//! A record that is accepted is in the ledger and in the read model.

use serde_json::{Value, json};
use testkit::records;

use crate::app::App;

#[tokio::test]
async fn a_new_record_is_answered_with_its_ids() {
    let app = App::new().await;
    let answer = app.post("remediation", &records::remediation("rr-1")).await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        answer.body,
        json!({"id": 1, "incidentId": 1, "embeddingId": 1, "embeddingStatus": "stored",
               "createdAt": "2026-06-15T12:00:00.000000Z", "replayed": false})
    );
    let answer = app.post("aianalysis", &records::analysis("ai-1", "rr-1")).await;
    assert_eq!(answer.status, 201);
    // A minimal analysis says nothing that could be searched by meaning.
    assert_eq!(
        answer.body,
        json!({"id": 2, "embeddingStatus": "none", "createdAt": "2026-06-15T12:00:00.000000Z", "replayed": false})
    );
    assert_eq!(
        app.post("workflow", &records::workflow("wf-1", "rr-1"))
            .await
            .status,
        201
    );
    assert_eq!(
        app.post("execution", &records::execution("ex-1", "wf-1"))
            .await
            .status,
        201
    );
    assert_eq!(app.count("audit_events").await, 4);
    for table in [
        "resource_action_traces",
        "ai_analyses",
        "workflow_executions",
        "action_executions",
    ] {
        assert_eq!(app.count(table).await, 1, "{table}");
    }
}

#[tokio::test]
async fn the_ledger_holds_the_record_as_it_was_sent() {
    let app = App::new().await;
    let bodies = [
        ("remediation", records::full_remediation("rr-1")),
        ("aianalysis", records::full_analysis("ai-1", "rr-1")),
        ("workflow", records::full_workflow("wf-1", "rr-1", "ai-1")),
        ("execution", records::full_execution("ex-1", "wf-1")),
    ];
    for (kind, body) in bodies {
        assert_eq!(app.post(kind, &body).await.status, 201, "{kind}");
        let (payload, actor): (Value, String) =
            sqlx::query_as("SELECT payload, actor FROM audit_events WHERE record_kind = $1")
                .bind(kind)
                .fetch_one(app.store.pool())
                .await
                .unwrap();
        assert_eq!(actor, "system:anonymous");
        // Times are written with microseconds in UTC; everything else is as it was.
        for (field, value) in body.as_object().unwrap() {
            let stored = &payload[field];
            if field.ends_with("At") {
                let time =
                    |text: &Value| chrono::DateTime::parse_from_rfc3339(text.as_str().unwrap()).unwrap();
                assert_eq!(time(stored), time(value), "{kind} {field}");
            } else {
                assert_eq!(stored, value, "{kind} {field}");
            }
        }
        assert_eq!(
            payload.as_object().unwrap().len(),
            body.as_object().unwrap().len(),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn a_resource_without_a_namespace_is_one_resource() {
    let app = App::new().await;
    for name in ["rr-1", "rr-2"] {
        let body = records::with(
            records::remediation(name),
            json!({"targetType": "node", "targetName": "worker-1"}),
        );
        assert_eq!(app.post("remediation", &body).await.status, 201);
    }
    assert_eq!(app.count("resource_references").await, 1);
    assert_eq!(
        app.count("resource_references WHERE namespace IS NULL AND kind = 'Node'")
            .await,
        1
    );
    assert_eq!(app.count("action_histories").await, 1);
}

#[tokio::test]
async fn equal_texts_are_stored_once() {
    let app = App::new().await;
    let mut ids = Vec::new();
    for index in 0..5 {
        let body = records::with(
            records::remediation(&format!("rr-{index}")),
            json!({"message": format!("Back-off restarting failed container in pod checkout-6d4f9c7b8{index}-x2k4q")}),
        );
        ids.push(app.post("remediation", &body).await.body["embeddingId"].clone());
    }
    assert_eq!(ids, vec![json!(1); 5]);
    assert_eq!(app.count("incident_embeddings").await, 1);
}

#[tokio::test]
async fn a_record_of_long_ago_is_accepted_by_the_default_partition() {
    let app = App::new().await;
    let body = records::with(
        records::remediation("rr-1"),
        json!({"createdAt": "2001-02-03T04:05:06Z"}),
    );
    assert_eq!(app.post("remediation", &body).await.status, 201);
    assert_eq!(app.count("audit_events_default").await, 1);
    assert_eq!(app.count("resource_action_traces_default").await, 1);
}

#[tokio::test]
async fn records_that_arrive_together_are_each_answered() {
    let app = App::new().await;
    let posts = (0..100).map(|index| {
        let (app, body) = (&app, records::remediation(&format!("rr-{index}")));
        async move { app.post("remediation", &body).await }
    });
    let answers = futures::future::join_all(posts).await;
    assert!(answers.iter().all(|answer| answer.status == 201));
    let mut incidents: Vec<i64> = answers
        .iter()
        .map(|answer| answer.body["incidentId"].as_i64().unwrap())
        .collect();
    incidents.sort_unstable();
    incidents.dedup();
    assert_eq!(incidents.len(), 100);
    assert_eq!(app.count("audit_events").await, 100);
}
