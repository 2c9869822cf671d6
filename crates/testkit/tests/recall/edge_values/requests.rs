//! Methods, paths and bodies.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;
use testkit::request::{post, post_bytes, send};

use super::{known, violation};
use crate::both::Both;
use crate::cached::header;

#[tokio::test]
async fn every_path_answers_to_its_method_alone_and_to_head_like_to_get() {
    let both = Both::new().await;
    let id = known(&both).await;
    let document = context_api::openapi::contract().document();
    let paths = document["paths"].as_object().expect("paths");
    assert_eq!(paths.len(), 11);
    for (path, operations) in paths {
        let path = path.replace("{id}", &id.to_string()).replace("{name}", "rr-1");
        let reads = operations.get("get").is_some();
        let allowed = if reads { "GET,HEAD" } else { "POST" };
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
            Method::TRACE,
        ] {
            if (method == Method::GET && reads) || (method == Method::POST && !reads) {
                continue;
            }
            let request = Request::builder().method(&method).uri(&path).body(Body::empty());
            let answer = send(&both.context_api, request.expect("a request")).await;
            assert_eq!(
                (
                    answer.status.as_u16(),
                    header(&answer, "allow").as_str(),
                    &answer.body["type"]
                ),
                (
                    405,
                    allowed,
                    &json!("https://kubernaut.ai/problems/method-not-allowed")
                ),
                "{method} {path}"
            );
        }
        if reads {
            let query = "?namespace=shop&targetType=Deployment&targetName=checkout";
            let path = if path == "/api/v1/context" || path.ends_with("historical") {
                path + query
            } else {
                path
            };
            let get = both.get(&path).await;
            let head = Request::head(&path).body(Body::empty()).expect("a request");
            let head = send(&both.context_api, head).await;
            assert_eq!((get.status.as_u16(), head.status.as_u16()), (200, 200), "{path}");
            assert_eq!(head.body, json!(null));
            for name in ["content-type", "etag", "cache-control", "content-length"] {
                assert_eq!(header(&get, name), header(&head, name), "{path} {name}");
            }
        }
    }
}

#[tokio::test]
async fn other_paths_are_not_served() {
    let both = Both::new().await;
    known(&both).await;
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/incidents/",
        "/api/v1/incidents/1/",
        "/api/v1/incidents/1/events",
        "/api/v1//incidents",
        "//api/v1/incidents",
        "/api/v1/Incidents",
        "/API/v1/incidents",
        "/api/v2/incidents",
        "/api/v1/context/",
        "/api/v1/context/query",
        "/api/v1/context/remediation/",
        "/api/v1/context/remediation/a/b",
        "/api/v1/aggregations",
        "/api/v1/aggregations/success-rate",
        "/search/semantic",
        "/api/v1/incidents%2F1",
        "/api/v1/audit/remediation",
    ] {
        let answer = both.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["type"]),
            (404, &json!("https://kubernaut.ai/problems/unknown-path")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_body_of_another_type_or_size_is_refused() {
    let both = Both::new().await;
    let path = "/api/v1/context/match";
    let body = r#"{"description": "memory"}"#;
    for media_type in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
    ] {
        let answer = post_bytes(&both.context_api, path, media_type, body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["type"]),
            (
                415,
                &json!("https://kubernaut.ai/problems/unsupported-media-type")
            ),
            "{media_type}"
        );
    }
    let mebibyte = 1024 * 1024;
    let padded = |bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
    for (bytes, status) in [(mebibyte, 200), (mebibyte + 1, 413)] {
        let answer = post_bytes(&both.context_api, path, "application/json", padded(bytes)).await;
        assert_eq!(answer.status, status, "{bytes} bytes: {}", answer.body);
    }
    for (body, slug) in [
        ("", "malformed-json"),
        ("{", "malformed-json"),
        ("{\"description\": \"memory\",}", "malformed-json"),
        ("[]", "validation-error"),
        ("\"memory\"", "validation-error"),
        (
            "{\"description\": \"memory\", \"description\": \"disk\"}",
            "malformed-json",
        ),
        ("{\"description\": \"\\u0000\"}", "validation-error"),
        (
            "{\"description\": \"memory\", \"maxResults\": 1e999}",
            "malformed-json",
        ),
    ] {
        let answer = post_bytes(&both.context_api, path, "application/json", body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["type"]),
            (400, &json!(format!("https://kubernaut.ai/problems/{slug}"))),
            "{body}: {}",
            answer.body
        );
    }
    let unknown = post(
        &both.context_api,
        &format!("{path}?limit=1"),
        &json!({"description": "memory"}),
    )
    .await;
    assert_eq!(unknown.violations(), violation("limit", "unknown"));
}
