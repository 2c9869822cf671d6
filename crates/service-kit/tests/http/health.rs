//! The probes.

use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use serde_json::json;
use service_kit::{
    health::{CheckFailure, Health},
    shutdown::Shutdown,
};

use crate::app::{Answer, answer};

async fn probe(router: &Router, path: &str) -> Answer {
    answer(router.clone(), Request::get(path).body(Body::empty()).unwrap()).await
}

async fn ok() -> Result<(), CheckFailure> {
    Ok(())
}

async fn away() -> Result<(), CheckFailure> {
    Err(CheckFailure::new("no connection").with_cause("10.0.0.1 refused kubernaut:hunter2"))
}

#[tokio::test]
async fn alive_is_always_200() {
    let shutdown = Shutdown::new();
    let router = Health::builder()
        .required("database", away)
        .build(shutdown.clone())
        .router();
    shutdown.begin();
    let alive = probe(&router, "/healthz").await;
    assert_eq!(
        (alive.status.as_u16(), alive.json()),
        (200, json!({"status": "alive"}))
    );
}

#[tokio::test]
async fn ready_names_every_check() {
    let router = Health::builder()
        .required("database", ok)
        .optional("redis", ok)
        .build(Shutdown::new())
        .router();
    let ready = probe(&router, "/readyz").await;
    assert_eq!(ready.header("cache-control"), Some("no-store"));
    let checks = json!({"database": {"status": "ok"}, "redis": {"status": "ok"}});
    assert_eq!(
        (ready.status.as_u16(), ready.json()),
        (200, json!({"status": "ready", "checks": checks}))
    );
}

#[tokio::test]
async fn without_an_optional_dependency_the_service_is_degraded() {
    let router = Health::builder()
        .optional("redis", away)
        .required("database", ok)
        .build(Shutdown::new())
        .router();
    let ready = probe(&router, "/readyz").await;
    let checks =
        json!({"database": {"status": "ok"}, "redis": {"status": "failed", "reason": "no connection"}});
    assert_eq!(
        (ready.status.as_u16(), ready.json()),
        (200, json!({"status": "degraded", "checks": checks}))
    );
}

#[tokio::test(start_paused = true)]
async fn a_required_check_that_fails_or_hangs_makes_it_not_ready() {
    let router = Health::builder()
        .required("database", future::pending::<Result<(), CheckFailure>>)
        .required("schema", away)
        .build(Shutdown::new())
        .router();
    let ready = probe(&router, "/readyz").await;
    let checks = json!({
        "database": {"status": "failed", "reason": "no answer within 1s"},
        "schema": {"status": "failed", "reason": "no connection"},
    });
    assert_eq!(
        (ready.status.as_u16(), ready.json()),
        (503, json!({"status": "not ready", "checks": checks}))
    );
}

#[tokio::test]
async fn from_the_beginning_of_shutdown_it_is_not_ready() {
    let shutdown = Shutdown::new();
    let router = Health::builder()
        .required("database", ok)
        .build(shutdown.clone())
        .router();
    assert_eq!(probe(&router, "/readyz").await.status, 200);
    shutdown.begin();
    let ready = probe(&router, "/readyz").await;
    assert_eq!(
        (ready.status.as_u16(), ready.json()),
        (503, json!({"status": "shutting down", "checks": {}}))
    );
}

#[tokio::test(start_paused = true)]
async fn probes_within_a_second_run_the_checks_once() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let check = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(())
        }
    };
    let router = Health::builder()
        .required("database", check)
        .build(Shutdown::new())
        .router();
    let together = tokio::join!(
        probe(&router, "/readyz"),
        probe(&router, "/readyz"),
        probe(&router, "/readyz")
    );
    assert_eq!(together.2.status, 200);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    tokio::time::advance(Duration::from_millis(1_001)).await;
    probe(&router, "/readyz").await;
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn probes_answer_to_get_alone_and_leave_other_paths_alone() {
    let service = Router::new().fallback(|| async { "the service" });
    let router = service.merge(Health::builder().build(Shutdown::new()).router());
    assert_eq!(probe(&router, "/other").await.text, "the service");
    let refused = answer(router, Request::post("/readyz").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("allow")),
        (405, Some("GET,HEAD"))
    );
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
}
