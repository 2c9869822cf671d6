//! Who may read what. The API server is a fake one over TLS.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use service_kit::auth::AuthMode;
use testkit::request::{self, Answer};
use testkit::{Answer as Verdict, ApiServer};

use crate::app::App;

const AGENT: &str = "system:serviceaccount:kubernaut-system:agent";
const TOKEN: &str = "agent-token";

/// Every operation with a request that is understood: method, path, and the verb that it needs.
const OPERATIONS: [(&str, &str, &str); 11] = [
    ("GET", "/api/v1/incidents", "list"),
    ("GET", "/api/v1/incidents/1", "get"),
    (
        "GET",
        "/api/v1/context?namespace=shop&targetType=Deployment&targetName=checkout",
        "list",
    ),
    (
        "GET",
        "/api/v1/context/historical?namespace=shop&targetType=Deployment",
        "list",
    ),
    ("POST", "/api/v1/context/match", "list"),
    ("GET", "/api/v1/context/remediation/rr-1", "get"),
    ("GET", "/api/v1/context/success-rates", "list"),
    ("GET", "/api/v1/aggregations/namespaces", "list"),
    ("GET", "/api/v1/aggregations/severities", "list"),
    ("GET", "/api/v1/aggregations/actions", "list"),
    ("GET", "/api/v1/aggregations/trend", "list"),
];

async fn guarded(api_server: &ApiServer) -> App {
    let kubeconfig = api_server.kubeconfig();
    App::configured(|config| {
        config.auth.mode = AuthMode::Kubernetes;
        config.auth.kubeconfig = kubeconfig;
        // Each request is a review of its own.
        config.auth.cache_ttl = Duration::ZERO;
    })
    .await
}

async fn ask(app: &App, (method, path, _): (&str, &str, &str), token: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = if method == "POST" {
        request = request.header("content-type", "application/json");
        Body::from(json!({"description": "out of memory"}).to_string())
    } else {
        Body::empty()
    };
    request::send(&app.router, request.body(body).unwrap()).await
}

#[tokio::test]
async fn each_operation_asks_the_api_server_for_its_own_verb() {
    let api_server = ApiServer::start().await;
    api_server.let_in(TOKEN, AGENT);
    let app = guarded(&api_server).await;
    for (index, operation) in OPERATIONS.into_iter().enumerate() {
        let answer = ask(&app, operation, Some(TOKEN)).await;
        // There is nothing to find yet, but it was looked for.
        let expected = if operation.2 == "get" { 404 } else { 200 };
        assert_eq!(answer.status, expected, "{operation:?}: {}", answer.body);
        let reviews = api_server.access_reviews();
        assert_eq!(reviews.len(), index + 1, "{operation:?}");
        assert_eq!(
            reviews[index].review["spec"]["resourceAttributes"],
            json!({"verb": operation.2, "group": "kubernaut.ai", "resource": "incidents"}),
            "{operation:?}"
        );
    }
    assert_eq!(
        api_server.token_reviews()[0].review["spec"]["audiences"],
        json!(["kubernaut-context-api"])
    );
}

#[tokio::test]
async fn nobody_else_is_told_anything() {
    let api_server = ApiServer::start().await;
    api_server.let_in(TOKEN, AGENT);
    let app = guarded(&api_server).await;
    for operation in OPERATIONS {
        for token in [None, Some("another-token")] {
            let answer = ask(&app, operation, token).await;
            assert_eq!(answer.status, 401, "{operation:?} {token:?}");
            let challenge = answer.headers["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Bearer"), "{challenge}");
        }
    }
    // Only the contract, and that there is nothing else, is for everybody.
    assert_eq!(app.get("/openapi.json").await.status, 200);
    assert_eq!(app.get("/api/v1/unknown").await.status, 404);
}

#[tokio::test]
async fn who_is_known_but_may_not_is_told_what_is_missing() {
    let api_server = ApiServer::start().await;
    api_server.let_in(TOKEN, AGENT);
    let app = guarded(&api_server).await;
    api_server.on_user(AGENT, Verdict::no_role());
    for operation in OPERATIONS {
        let answer = ask(&app, operation, Some(TOKEN)).await;
        assert_eq!(answer.status, 403, "{operation:?}");
        let detail = answer.body["detail"].as_str().unwrap();
        let missing = format!("`{}` on `incidents` in API group `kubernaut.ai`", operation.2);
        assert!(detail.contains(&missing), "{detail}");
    }
}

#[tokio::test]
async fn without_the_api_server_nothing_is_told_and_afterwards_it_is() {
    let mut api_server = ApiServer::start().await;
    api_server.let_in(TOKEN, AGENT);
    let app = guarded(&api_server).await;
    api_server.stop().await;
    for operation in OPERATIONS {
        let refused = ask(&app, operation, Some(TOKEN)).await;
        assert_eq!(refused.status, 503, "{operation:?}");
        assert!(refused.headers.contains_key("retry-after"), "{operation:?}");
    }
    api_server.start_again().await;
    assert_eq!(ask(&app, OPERATIONS[0], Some(TOKEN)).await.status, 200);
}
