//! The same content of the same instance is stored once.

use futures::future::join_all;
use serde_json::json;
use testkit::records;

use crate::app::App;

#[tokio::test]
async fn a_replay_gets_the_first_answers_ids() {
    let app = App::new().await;
    let body = records::full_remediation("rr-1");
    let first = app.post("remediation", &body).await;
    assert_eq!(first.status, 201);
    app.clock.advance(std::time::Duration::from_secs(60));
    let second = app.post("remediation", &body).await;
    assert_eq!(second.status, 200);
    assert_eq!(second.body, records::with(first.body, json!({"replayed": true})));
    assert_eq!(app.count("audit_events").await, 1);
}

#[tokio::test]
async fn the_order_of_keys_and_the_way_a_time_is_written_make_no_new_version() {
    let app = App::new().await;
    let body = records::remediation("rr-1");
    assert_eq!(app.post("remediation", &body).await.status, 201);
    let mut fields: Vec<_> = body.as_object().unwrap().clone().into_iter().collect();
    fields.reverse();
    let reversed: String = fields
        .iter()
        .map(|(key, value)| format!("{}: {value}", json!(key)))
        .collect::<Vec<_>>()
        .join(" , ");
    let answer = testkit::request::post_bytes(
        &app.router,
        "/api/v1/audit/remediation",
        "application/json",
        format!("{{{reversed}}}"),
    )
    .await;
    assert_eq!(answer.status, 200);
    let other_zone = records::with(body, json!({"createdAt": "2026-06-15T12:00:00.000+02:00"}));
    assert_eq!(app.post("remediation", &other_zone).await.status, 200);
    assert_eq!(app.count("audit_events").await, 1);
}

#[tokio::test]
async fn other_content_of_the_same_instance_is_a_new_version_of_one_incident() {
    let app = App::new().await;
    let first = app.post("remediation", &records::remediation("rr-1")).await;
    let changed = records::with(records::remediation("rr-1"), json!({"message": "still waiting"}));
    let second = app.post("remediation", &changed).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    assert_ne!(first.body["id"], second.body["id"]);
    assert_eq!(first.body["incidentId"], second.body["incidentId"]);
    assert_eq!(app.count("audit_events").await, 2);
    assert_eq!(
        app.count("resource_action_traces WHERE message = 'still waiting'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_resource_made_again_under_its_name_is_another_incident() {
    let app = App::new().await;
    let first = app.post("remediation", &records::remediation("rr-1")).await;
    let again = records::with(
        records::remediation("rr-1"),
        json!({"createdAt": "2026-06-15T11:00:00Z"}),
    );
    let second = app.post("remediation", &again).await;
    assert_ne!(first.body["incidentId"], second.body["incidentId"]);
    assert_eq!(app.count("resource_action_traces").await, 2);
}

#[tokio::test]
async fn sixty_four_identical_requests_at_once_make_one_row() {
    let app = App::new().await;
    let body = records::full_execution("ex-1", "wf-1");
    let answers = join_all((0..64).map(|_| app.post("execution", &body))).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    let replayed = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((created, replayed), (1, 63));
    assert!(
        answers
            .iter()
            .all(|answer| answer.body["id"] == answers[0].body["id"])
    );
    assert_eq!(app.count("audit_events").await, 1);
    assert_eq!(app.count("action_executions").await, 1);
}

#[tokio::test]
async fn a_hundred_and_fifty_at_once_are_all_stored() {
    let app = App::new().await;
    let bodies: Vec<_> = (0..150)
        .map(|index| records::full_remediation(&format!("rr-{index}")))
        .collect();
    let answers = join_all(bodies.iter().map(|body| app.post("remediation", body))).await;
    assert!(answers.iter().all(|answer| answer.status == 201));
    assert_eq!(app.count("audit_events").await, 150);
    assert_eq!(app.count("resource_action_traces").await, 150);
}
