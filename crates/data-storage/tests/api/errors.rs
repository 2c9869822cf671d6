//! What is not a record gets a problem document, and never a 500.

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::json;
use testkit::records;
use testkit::request::{post_bytes, send};

use crate::app::App;

#[tokio::test]
async fn all_violations_are_answered_at_once_with_pointers() {
    let app = App::new().await;
    let body = records::with(
        records::remediation("Not_A_Name"),
        json!({"phase": "Done", "severity": "bad", "labels": {"-x": "1"}, "unknown": 1, "targetName": null}),
    );
    let answer = app.post("remediation", &body).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(
        answer.body["type"],
        "https://kubernaut.ai/problems/validation-error"
    );
    assert_eq!(answer.body["instance"], "/api/v1/audit/remediation");
    let mut violations = answer.violations();
    violations.sort();
    let expected = [
        ("/labels/-x", "format"),
        ("/name", "format"),
        ("/phase", "not-an-option"),
        ("/severity", "not-an-option"),
        ("/targetName", "required"),
        ("/unknown", "unknown-field"),
    ];
    assert_eq!(
        violations,
        expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned()))
    );
    assert_eq!(app.count("audit_events").await, 0);
}

#[tokio::test]
async fn what_is_no_json_object_of_the_right_type_and_size_is_refused() {
    let app = App::new().await;
    let path = "/api/v1/audit/remediation";
    let valid = records::remediation("rr-1").to_string();
    let huge = json!({"message": "x".repeat(1_100_000)}).to_string();
    let cases = [
        ("text/plain", valid.clone(), 415, "unsupported-media-type"),
        (
            "application/json",
            "{\"name\": ".to_owned(),
            400,
            "malformed-json",
        ),
        ("application/json", "[1]".to_owned(), 400, "validation-error"),
        (
            "application/json",
            "{\"name\": \"a\", \"name\": \"b\"}".to_owned(),
            400,
            "malformed-json",
        ),
        ("application/json", "[".repeat(100_000), 400, "malformed-json"),
        ("application/json", huge, 413, "payload-too-large"),
    ];
    for (media_type, body, status, slug) in cases {
        let answer = post_bytes(&app.router, path, media_type, body).await;
        assert_eq!(answer.status, status, "{slug}");
        assert_eq!(
            answer.body["type"],
            format!("https://kubernaut.ai/problems/{slug}")
        );
    }
    assert_eq!(app.count("audit_events").await, 0);
}

#[tokio::test]
async fn unknown_paths_and_methods_get_problems() {
    let app = App::new().await;
    let answer = app.get("/api/v1/audit/everything").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.body["type"], "https://kubernaut.ai/problems/unknown-path");
    let request = Request::builder()
        .method(Method::DELETE)
        .uri("/api/v1/audit/workflow")
        .body(Body::empty())
        .unwrap();
    let answer = send(&app.router, request).await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.headers[header::ALLOW], "POST");
    assert_eq!(
        answer.body["type"],
        "https://kubernaut.ai/problems/method-not-allowed"
    );
}

#[tokio::test]
async fn a_nul_byte_is_refused_before_it_reaches_the_database() {
    let app = App::new().await;
    let body = records::with(
        records::remediation("rr-1"),
        json!({"actionParameters": {"a": ["x\u{0}y"]}}),
    );
    let answer = app.post("remediation", &body).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.violations(),
        [("/actionParameters/a/0".to_owned(), "nul".to_owned())]
    );
}

#[tokio::test]
async fn a_full_queue_is_answered_with_503_and_nothing_accepted_is_lost() {
    let app = App::configured(|config| {
        config.writer.queue = 1;
        config.writer.tasks = 1;
        config.writer.max_batch = 1;
    })
    .await;
    let bodies: Vec<_> = (0..200)
        .map(|index| records::remediation(&format!("rr-{index}")))
        .collect();
    let answers = futures::future::join_all(bodies.iter().map(|body| app.post("remediation", body))).await;
    let stored = answers.iter().filter(|answer| answer.status == 201).count();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert_eq!(stored + refused.len(), 200);
    assert!(
        !refused.is_empty(),
        "two hundred at once must not fit a queue of one"
    );
    assert!(
        refused
            .iter()
            .all(|answer| answer.headers[header::RETRY_AFTER] == "1")
    );
    assert_eq!(app.count("audit_events").await, i64::try_from(stored).unwrap());
}
