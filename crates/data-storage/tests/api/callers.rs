//! Who may write, and whose name is on what they wrote. The API server is a fake one over TLS.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use service_kit::auth::AuthMode;
use testkit::request::{self, Answer};
use testkit::{ApiServer, records};

use crate::app::App;

const GATEWAY: &str = "system:serviceaccount:kubernaut-system:gateway";

async fn guarded(api_server: &ApiServer) -> App {
    let kubeconfig = api_server.kubeconfig();
    App::configured(|config| {
        config.auth.mode = AuthMode::Kubernetes;
        config.auth.kubeconfig = kubeconfig;
    })
    .await
}

async fn post(app: &App, path: &str, token: Option<&str>, key: Option<&str>, body: &Value) -> Answer {
    let mut request = Request::post(path).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request::send(&app.router, request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn the_ledger_names_the_caller_and_the_api_server_was_asked_the_right_thing() {
    let api_server = ApiServer::start().await;
    api_server.let_in("gateway-token", GATEWAY);
    let app = guarded(&api_server).await;
    let single = post(
        &app,
        "/api/v1/audit/remediation",
        Some("gateway-token"),
        None,
        &records::remediation("rr-1"),
    )
    .await;
    assert_eq!(single.status, 201);
    let batch = json!([{"kind": "workflow", "record": records::workflow("wf-1", "rr-1")}]);
    let batch = post(&app, "/api/v1/audit/batch", Some("gateway-token"), None, &batch).await;
    assert_eq!(batch.body["created"], 1);
    let actors: Vec<String> = sqlx::query_scalar("SELECT actor FROM audit_events ORDER BY id")
        .fetch_all(app.store.pool())
        .await
        .unwrap();
    assert_eq!(actors, [GATEWAY, GATEWAY]);
    let reviews = api_server.access_reviews();
    assert_eq!(reviews.len(), 1, "the second request was let in from memory");
    assert_eq!(
        reviews[0].review["spec"]["resourceAttributes"],
        json!({"verb": "create", "group": "kubernaut.ai", "resource": "auditrecords"})
    );
    assert_eq!(
        api_server.token_reviews()[0].review["spec"]["audiences"],
        json!(["kubernaut"])
    );
}

#[tokio::test]
async fn nobody_else_writes_anything_anywhere() {
    let api_server = ApiServer::start().await;
    api_server.let_in("gateway-token", GATEWAY);
    let app = guarded(&api_server).await;
    let body = records::remediation("rr-1");
    for path in [
        "/api/v1/audit/remediation",
        "/api/v1/audit/aianalysis",
        "/api/v1/audit/workflow",
        "/api/v1/audit/execution",
        "/api/v1/audit/batch",
        "/api/v1/audit/unknown",
    ] {
        for token in [None, Some("another-token")] {
            let answer = post(&app, path, token, None, &body).await;
            assert_eq!(answer.status, 401, "{path} {token:?}");
            assert!(
                answer.headers["www-authenticate"]
                    .to_str()
                    .unwrap()
                    .starts_with("Bearer")
            );
        }
    }
    assert_eq!(app.count("audit_events").await, 0);
    let known = post(&app, "/api/v1/audit/unknown", Some("gateway-token"), None, &body).await;
    assert_eq!(known.status, 404);
}

#[tokio::test]
async fn a_key_is_its_callers_own() {
    let api_server = ApiServer::start().await;
    api_server.let_in("one", "system:serviceaccount:a:one");
    api_server.let_in("two", "system:serviceaccount:a:two");
    let app = guarded(&api_server).await;
    let path = "/api/v1/audit/remediation";
    let first = post(
        &app,
        path,
        Some("one"),
        Some("key-1"),
        &records::remediation("rr-1"),
    )
    .await;
    let second = post(
        &app,
        path,
        Some("two"),
        Some("key-1"),
        &records::remediation("rr-2"),
    )
    .await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    let reused = post(
        &app,
        path,
        Some("two"),
        Some("key-1"),
        &records::remediation("rr-1"),
    )
    .await;
    assert_eq!(reused.status, 422);
}

#[tokio::test]
async fn without_the_api_server_nothing_is_written() {
    let mut api_server = ApiServer::start().await;
    api_server.let_in("gateway-token", GATEWAY);
    let app = guarded(&api_server).await;
    api_server.stop().await;
    let path = "/api/v1/audit/remediation";
    let body = records::remediation("rr-1");
    let refused = post(&app, path, Some("gateway-token"), None, &body).await;
    assert_eq!(refused.status, 503);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(app.count("audit_events").await, 0);
    api_server.start_again().await;
    assert_eq!(
        post(&app, path, Some("gateway-token"), None, &body).await.status,
        201
    );
}
