//! A key names one request of one caller.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures::future::join_all;
use serde_json::json;
use testkit::{records, request};

use crate::app::App;

#[tokio::test]
async fn the_same_key_and_body_get_the_first_answers_ids() {
    let app = App::new().await;
    let body = records::full_remediation("rr-1");
    let first = app.post_with_key("remediation", "key-1", &body).await;
    assert_eq!(first.status, 201);
    // Quoted and bare are one key.
    let second = app.post_with_key("remediation", "\"key-1\"", &body).await;
    assert_eq!(second.status, 200);
    assert_eq!(second.body, records::with(first.body, json!({"replayed": true})));
    assert_eq!(app.count("audit_events").await, 1);
    assert_eq!(app.count("idempotency_keys WHERE key = 'key-1'").await, 1);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused_and_changes_nothing() {
    let app = App::new().await;
    let first = app
        .post_with_key("workflow", "key-1", &records::workflow("wf-1", "rr-1"))
        .await;
    assert_eq!(first.status, 201);
    for (kind, body) in [
        ("workflow", records::workflow("wf-2", "rr-1")),
        ("remediation", records::remediation("rr-1")),
    ] {
        let other = app.post_with_key(kind, "key-1", &body).await;
        assert_eq!(other.status, 422);
        assert_eq!(
            other.body["type"],
            "https://kubernaut.ai/problems/idempotency-key-reused"
        );
        assert_eq!(
            other.violations(),
            [("Idempotency-Key".to_owned(), "reused".to_owned())]
        );
    }
    assert_eq!(app.count("audit_events").await, 1);
    // The refused records were not stored under their natural keys either.
    assert_eq!(
        app.post("workflow", &records::workflow("wf-2", "rr-1"))
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn a_request_that_is_refused_leaves_its_key_free() {
    let app = App::new().await;
    let invalid = records::with(records::remediation("rr-1"), json!({"phase": "Done"}));
    assert_eq!(
        app.post_with_key("remediation", "key-1", &invalid).await.status,
        400
    );
    let valid = records::remediation("rr-1");
    assert_eq!(
        app.post_with_key("remediation", "key-1", &valid).await.status,
        201
    );
}

#[tokio::test]
async fn a_key_is_forgotten_when_its_time_is_up() {
    let app = App::configured(|config| config.idempotency.keep = Duration::from_secs(3600)).await;
    let (one, two) = (records::remediation("rr-1"), records::remediation("rr-2"));
    assert_eq!(app.post_with_key("remediation", "key-1", &one).await.status, 201);
    app.clock.advance(Duration::from_millis(3_599_999));
    assert_eq!(app.post_with_key("remediation", "key-1", &two).await.status, 422);
    app.clock.advance(Duration::from_millis(1));
    assert_eq!(app.post_with_key("remediation", "key-1", &two).await.status, 201);
    assert_eq!(app.post_with_key("remediation", "key-1", &one).await.status, 422);
}

#[tokio::test]
async fn expired_keys_are_removed_and_no_others() {
    let app = App::new().await;
    for (key, name) in [("old", "rr-1"), ("new", "rr-2")] {
        let answer = app
            .post_with_key("remediation", key, &records::remediation(name))
            .await;
        assert_eq!(answer.status, 201);
        app.clock.advance(Duration::from_secs(3600));
    }
    let in_a_day = app.clock.now() + Duration::from_secs(22 * 3600);
    let removed = audit_store::writer::remove_expired_keys(&app.store, in_a_day)
        .await
        .unwrap();
    assert_eq!(removed, 1);
    assert_eq!(app.count("idempotency_keys WHERE key = 'new'").await, 1);
    assert_eq!(app.count("idempotency_keys").await, 1);
}

#[tokio::test]
async fn of_concurrent_requests_with_one_key_one_body_wins_on_all_replicas() {
    let app = App::new().await;
    let other = app.replica().await;
    let bodies: Vec<_> = (0..8)
        .map(|body| records::remediation(&format!("rr-{body}")))
        .collect();
    let requests = (0..64).map(|index| {
        let app = if index % 2 == 0 { &app } else { &other };
        app.post_with_key("remediation", "key-1", &bodies[index % 8])
    });
    let answers = join_all(requests).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    let count = |status| statuses.iter().filter(|other| **other == status).count();
    assert_eq!((count(201), count(200), count(422)), (1, 7, 56));
    assert_eq!(app.count("audit_events").await, 1);
    // Without the keys, every body would have been stored.
    let without = join_all(bodies.iter().map(|body| app.post("remediation", body))).await;
    let created = without.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 7);
}

#[tokio::test]
async fn sixty_four_identical_requests_on_two_replicas_make_one_row() {
    let app = App::new().await;
    let other = app.replica().await;
    let body = records::full_execution("ex-1", "wf-1");
    let requests = (0..64).map(|index| {
        let app = if index % 2 == 0 { &app } else { &other };
        app.post_with_key("execution", "key-1", &body)
    });
    let answers = join_all(requests).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    let replayed = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((created, replayed), (1, 63));
    assert!(
        answers
            .iter()
            .all(|answer| answer.body["id"] == answers[0].body["id"])
    );
    assert_eq!(app.count("audit_events").await, 1);
}

#[tokio::test]
async fn a_malformed_key_is_refused_before_the_body_is_read() {
    let app = App::new().await;
    let request = Request::post("/api/v1/audit/remediation")
        .header("content-type", "application/json")
        .header("idempotency-key", "two words")
        .body(Body::from("not json"))
        .unwrap();
    let answer = request::send(&app.router, request).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.violations(),
        [("Idempotency-Key".to_owned(), "format".to_owned())]
    );
}
