//! Requests straight into a router, without sockets.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// An answer, its body read to the end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body as JSON; `null` where it is none.
    pub body: Value,
}

impl Answer {
    /// The pointers (or parameters, or headers) and codes of a problem's violations, in the order given.
    #[must_use]
    pub fn violations(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|error| {
                let place = error
                    .get("pointer")
                    .or_else(|| error.get("parameter"))
                    .or_else(|| error.get("header"))
                    .map(text)
                    .unwrap_or_default();
                (place, text(&error["code"]))
            })
            .collect()
    }
}

/// Sends any request.
pub async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router
        .clone()
        .oneshot(request)
        .await
        .expect("a router always answers");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("the body of an answer").to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

/// Sends a GET.
pub async fn get(router: &Router, path: &str) -> Answer {
    send(
        router,
        Request::get(path).body(Body::empty()).expect("a valid path"),
    )
    .await
}

/// Posts JSON.
pub async fn post(router: &Router, path: &str, body: &Value) -> Answer {
    post_bytes(router, path, "application/json", body.to_string()).await
}

/// Posts JSON with an `Idempotency-Key`.
pub async fn post_with_key(router: &Router, path: &str, key: &str, body: &Value) -> Answer {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", key)
        .body(Body::from(body.to_string()))
        .expect("a valid request");
    send(router, request).await
}

/// Posts anything.
pub async fn post_bytes(router: &Router, path: &str, media_type: &str, body: impl Into<Body>) -> Answer {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::CONTENT_TYPE, media_type)
        .body(body.into())
        .expect("a valid request");
    send(router, request).await
}
