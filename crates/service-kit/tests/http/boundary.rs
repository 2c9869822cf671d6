//! What happens around requests.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{body::Body, http::Request};
use serde_json::{Value, json};

use crate::app::{App, first_id};

#[tokio::test]
async fn unknown_paths_are_404() {
    let app = App::new();
    let answer = app.get("/nothing/here?token=secret").await;
    answer.assert_problem(
        404,
        "unknown-path",
        "/nothing/here",
        &json!({"title": "Nothing is served under this path"}),
    );
}

#[tokio::test]
async fn unknown_methods_are_405_and_allow_lists_the_others() {
    let app = App::new();
    let answer = app
        .send(Request::put("/things/7").body(Body::empty()).unwrap())
        .await;
    answer.assert_problem(
        405,
        "method-not-allowed",
        "/things/7",
        &json!({
            "title": "Method not allowed",
            "detail": "`PUT` is not answered here; `Allow` lists the methods that are.",
        }),
    );
    assert_eq!(answer.header("allow"), Some("GET,HEAD,DELETE"));
}

#[tokio::test]
async fn a_panic_is_a_500_without_its_message() {
    let answer = App::new().get("/panic").await;
    let detail = "The request failed on our side. The request id leads to the cause in the log.";
    answer.assert_problem(
        500,
        "internal-error",
        "/panic",
        &json!({"title": "Internal error", "detail": detail}),
    );
}

#[tokio::test]
async fn a_cause_stays_inside() {
    let answer = App::new().get("/broken").await;
    let detail = "The request failed on our side. The request id leads to the cause in the log.";
    answer.assert_problem(
        500,
        "internal-error",
        "/broken",
        &json!({"title": "Internal error", "detail": detail}),
    );
}

#[tokio::test]
async fn unavailability_says_when_to_come_back() {
    let answer = App::new().get("/busy").await;
    answer.assert_problem(
        503,
        "service-unavailable",
        "/busy",
        &json!({"title": "Service unavailable", "detail": "The queue is full."}),
    );
    assert_eq!(answer.header("retry-after"), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_a_request_with_504() {
    let app = App::new();
    assert_eq!(app.get("/sleep/1999").await.text, "slept");
    let answer = app.get("/sleep/2001").await;
    answer.assert_problem(
        504,
        "gateway-timeout",
        "/sleep/2001",
        &json!({
            "title": "The answer took too long",
            "detail": "There was no answer within 2s. What was asked for may have happened or may yet happen.",
        }),
    );
}

#[tokio::test]
async fn a_head_request_gets_the_head_of_the_problem() {
    let answer = App::new()
        .send(Request::head("/things/8").body(Body::empty()).unwrap())
        .await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (404, ""));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn the_callers_request_id_is_echoed_and_a_missing_or_unusable_one_is_replaced() {
    let app = App::new();
    let with_id = |id: &str| {
        Request::get("/things/7")
            .header("x-request-id", id)
            .body(Body::empty())
            .unwrap()
    };
    assert_eq!(
        app.send(with_id("caller-1")).await.header("x-request-id"),
        Some("caller-1")
    );
    assert_eq!(
        app.get("/things/7").await.header("x-request-id"),
        Some(first_id().as_str())
    );
    let replaced = app.send(with_id("a b")).await;
    assert_eq!(replaced.header("x-request-id").unwrap().len(), 32);
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_by_route_status_and_problem() {
    let app = App::new();
    for path in [
        "/things/7",
        "/things/8",
        "/things/9",
        "/wp-login.php",
        "/panic",
        "/sleep/30",
    ] {
        app.get(path).await;
    }
    app.send(
        Request::builder()
            .method("BREW")
            .uri("/things")
            .body(Body::empty())
            .unwrap(),
    )
    .await;
    let text = app.metrics();
    let mut counts: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("kit_http_requests_total"))
        .collect();
    counts.sort_unstable();
    assert_eq!(
        counts,
        [
            r#"kit_http_requests_total{method="GET",route="/panic",status="500",problem="internal-error"} 1"#,
            r#"kit_http_requests_total{method="GET",route="/sleep/{ms}",status="200",problem=""} 1"#,
            r#"kit_http_requests_total{method="GET",route="/things/{id}",status="200",problem=""} 1"#,
            r#"kit_http_requests_total{method="GET",route="/things/{id}",status="404",problem="not-found"} 2"#,
            r#"kit_http_requests_total{method="GET",route="unmatched",status="404",problem="unknown-path"} 1"#,
            r#"kit_http_requests_total{method="other",route="/things",status="405",problem="method-not-allowed"} 1"#,
        ]
    );
    let slept = r#"kit_http_request_duration_seconds_bucket{le="LE",method="GET",route="/sleep/{ms}",status_class="2xx"}"#;
    assert!(
        text.contains(&format!("{} 0\n", slept.replace("LE", "0.025"))),
        "{text}"
    );
    assert!(
        text.contains(&format!("{} 1\n", slept.replace("LE", "0.05"))),
        "{text}"
    );
    assert!(text.contains("\nkit_http_requests_in_flight 0\n"));
    assert!(text.contains("# UNIT kit_http_request_duration_seconds seconds\n"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_counted_and_no_longer_in_flight() {
    let app = App::new();
    {
        let mut request = Box::pin(app.get("/sleep/1000"));
        assert!(
            tokio::time::timeout(Duration::from_millis(10), &mut request)
                .await
                .is_err()
        );
        assert!(app.metrics().contains("\nkit_http_requests_in_flight 1\n"));
    }
    let text = app.metrics();
    assert!(text.contains("\nkit_http_requests_in_flight 0\n"));
    let counted = r#"{method="GET",route="/sleep/{ms}",status="499",problem="client-closed-request"} 1"#;
    assert!(text.contains(counted), "{text}");
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_is_one_line_with_its_cause_and_without_query_or_body() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let app = App::new();
    app.get("/broken?token=secret").await;
    app.get("/sleep/20").await;
    app.get("/correlated").await;
    drop(guard);
    let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("secret"));
    let lines: Vec<Value> = text
        .lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("timestamp");
            line
        })
        .collect();
    let second_id = lines[1]["request_id"].clone();
    assert_eq!(
        lines,
        [
            json!({
                "level": "ERROR", "target": "access", "message": "answered", "method": "GET", "route": "/broken",
                "status": 500, "duration_ms": 0.0, "request_id": first_id(), "problem": "internal-error",
                "cause": "the disk is on fire",
            }),
            json!({
                "level": "INFO", "target": "access", "message": "answered", "method": "GET", "route": "/sleep/{ms}",
                "status": 200, "duration_ms": lines[1]["duration_ms"], "request_id": second_id,
            }),
            json!({
                "level": "INFO", "target": "access", "message": "answered", "method": "GET", "route": "/correlated",
                "status": 200, "duration_ms": 0.0, "request_id": lines[2]["request_id"], "correlation_id": "c-7",
            }),
        ]
    );
    assert!((20.0..23.0).contains(&lines[1]["duration_ms"].as_f64().unwrap()));
}
