//! What Context API tells of itself: metrics that count exactly what happened, probes, and problems with all their fields.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, Request};
use serde_json::{Value, json};
use service_kit::shutdown::Shutdown;
use testkit::request::{Answer, get, post, post_bytes, send};
use testkit::{ChaosProxy, records};

use crate::both::Both;
use crate::cached::{Replica, header};

/// The values of a metrics text, by name with labels.
fn values(text: &str) -> BTreeMap<&str, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (name, value.parse().expect("a number"))
        })
        .collect()
}

#[tokio::test]
async fn known_requests_move_the_counters_they_should_and_no_others() {
    let both = Both::new().await;
    let id = both.incident(&records::remediation("rr-1")).await;
    let replica = Replica::new(&both, "").await;
    let before = replica.exposition();
    for path in [
        "/api/v1/incidents".to_owned(),
        "/api/v1/incidents".to_owned(),
        "/api/v1/incidents?severity=critical".to_owned(),
        "/api/v1/incidents?limit=invalid".to_owned(),
        format!("/api/v1/incidents/{id}"),
        "/api/v1/incidents/4711".to_owned(),
        "/api/v1/incidents/x".to_owned(),
        "/api/v1/aggregations/severities".to_owned(),
        "/api/v1/wp-login.php".to_owned(),
        "/api/v1/incidents/1/%2e%2e/.env".to_owned(),
    ] {
        replica.get(&path).await;
    }
    let search = json!({"description": "KubePodCrashLooping"});
    assert_eq!(
        post(&replica.router, "/api/v1/context/match", &search)
            .await
            .status,
        200
    );
    assert_eq!(
        post(&replica.router, "/api/v1/incidents", &search).await.status,
        405
    );
    let after = replica.exposition();
    let (before, after) = (values(&before), values(&after));
    let moved: Vec<(&str, f64)> = after
        .iter()
        // How long things take and how large they are is not known beforehand.
        .filter(|(name, _)| {
            !name.contains("_bucket{") && !name.contains("_seconds_sum") && !name.ends_with("_bytes")
        })
        // What is there now, and not what happened.
        .filter(|(name, _)| {
            !name.starts_with("contextapi_database_connections") && !name.ends_with("_entries")
        })
        .map(|(name, value)| (*name, value - before.get(name).unwrap_or(&0.0)))
        // What was not measured yet is no number.
        .filter(|(_, change)| *change != 0.0 && !change.is_nan())
        .collect();
    assert_eq!(
        moved,
        [
            ("contextapi_cache_loads_total{result=\"absent\"}", 1.0),
            ("contextapi_cache_loads_total{result=\"found\"}", 4.0),
            (
                "contextapi_cache_lookups_total{tier=\"memory\",result=\"hit\"}",
                1.0
            ),
            (
                "contextapi_cache_lookups_total{tier=\"memory\",result=\"miss\"}",
                5.0
            ),
            (
                r#"contextapi_http_request_duration_seconds_count{method="GET",route="/api/v1/aggregations/severities",status_class="2xx"}"#,
                1.0
            ),
            (
                r#"contextapi_http_request_duration_seconds_count{method="GET",route="/api/v1/incidents",status_class="2xx"}"#,
                3.0
            ),
            (
                r#"contextapi_http_request_duration_seconds_count{method="GET",route="/api/v1/incidents",status_class="4xx"}"#,
                1.0
            ),
            (
                r#"contextapi_http_request_duration_seconds_count{method="GET",route="/api/v1/incidents/{id}",status_class="2xx"}"#,
                1.0
            ),
            (
                r#"contextapi_http_request_duration_seconds_count{method="GET",route="/api/v1/incidents/{id}",status_class="4xx"}"#,
                2.0
            ),
            (
                r#"contextapi_http_request_duration_seconds_count{method="GET",route="unmatched",status_class="4xx"}"#,
                2.0
            ),
            (
                r#"contextapi_http_request_duration_seconds_count{method="POST",route="/api/v1/context/match",status_class="2xx"}"#,
                1.0
            ),
            (
                r#"contextapi_http_request_duration_seconds_count{method="POST",route="/api/v1/incidents",status_class="4xx"}"#,
                1.0
            ),
            (
                r#"contextapi_http_requests_total{method="GET",route="/api/v1/aggregations/severities",status="200",problem=""}"#,
                1.0
            ),
            (
                r#"contextapi_http_requests_total{method="GET",route="/api/v1/incidents",status="200",problem=""}"#,
                3.0
            ),
            (
                r#"contextapi_http_requests_total{method="GET",route="/api/v1/incidents",status="400",problem="invalid-parameter"}"#,
                1.0
            ),
            (
                r#"contextapi_http_requests_total{method="GET",route="/api/v1/incidents/{id}",status="200",problem=""}"#,
                1.0
            ),
            (
                r#"contextapi_http_requests_total{method="GET",route="/api/v1/incidents/{id}",status="400",problem="invalid-parameter"}"#,
                1.0
            ),
            (
                r#"contextapi_http_requests_total{method="GET",route="/api/v1/incidents/{id}",status="404",problem="not-found"}"#,
                1.0
            ),
            (
                r#"contextapi_http_requests_total{method="GET",route="unmatched",status="404",problem="unknown-path"}"#,
                2.0
            ),
            (
                r#"contextapi_http_requests_total{method="POST",route="/api/v1/context/match",status="200",problem=""}"#,
                1.0
            ),
            (
                r#"contextapi_http_requests_total{method="POST",route="/api/v1/incidents",status="405",problem="method-not-allowed"}"#,
                1.0
            ),
            ("contextapi_query_embedding_duration_seconds_count", 1.0),
            ("contextapi_search_duration_seconds_count", 1.0),
        ]
    );
}

#[tokio::test]
async fn every_family_says_what_it_is_and_scraping_changes_nothing() {
    let both = Both::new().await;
    let replica = Replica::new(&both, "").await;
    replica.get("/api/v1/incidents").await;
    let text = replica.exposition();
    let said = |what: &str| -> BTreeMap<String, String> {
        text.lines()
            .filter_map(|line| line.strip_prefix(what)?.split_once(' '))
            .map(|(name, said)| (name.to_owned(), said.to_owned()))
            .collect()
    };
    let (types, helps) = (said("# TYPE "), said("# HELP "));
    for family in [
        ("contextapi_cache_loads", "counter"),
        ("contextapi_cache_lookups", "counter"),
        ("contextapi_cache_memory_bytes", "gauge"),
        ("contextapi_cache_memory_entries", "gauge"),
        ("contextapi_cache_redis_connected", "gauge"),
        ("contextapi_cache_redis_written", "counter"),
        ("contextapi_cache_renewals", "counter"),
        ("contextapi_cache_stale_served", "counter"),
        ("contextapi_database_connections", "gauge"),
        ("contextapi_database_connections_idle", "gauge"),
        ("contextapi_http_request_duration_seconds", "histogram"),
        ("contextapi_http_requests", "counter"),
        ("contextapi_http_requests_in_flight", "gauge"),
        ("contextapi_query_embedding_duration_seconds", "histogram"),
        ("contextapi_search_duration_seconds", "histogram"),
    ] {
        assert_eq!(
            types.get(family.0).map(String::as_str),
            Some(family.1),
            "{}: {types:?}",
            family.0
        );
    }
    for name in types.keys() {
        let help = helps.get(name).map(String::as_str).unwrap_or_default();
        assert!(help.ends_with('.') && help.len() > 10, "{name}: {help:?}");
    }
    assert!(text.ends_with("# EOF\n"));

    // Idle connections and memory settle in the background.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let metrics = service_kit::metrics::router(Arc::new(replica.into_metrics()));
    let mut scraped = Vec::new();
    for _ in 0..3 {
        let request = Request::get("/metrics").body(Body::empty()).expect("a request");
        let response = tower::ServiceExt::oneshot(metrics.clone(), request)
            .await
            .expect("an answer");
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .expect("a text");
        scraped.push(String::from_utf8(bytes.to_vec()).expect("UTF-8"));
    }
    assert_eq!(scraped[0], scraped[1]);
    assert_eq!(scraped[1], scraped[2]);
    assert_eq!(values(&scraped[0])["contextapi_http_requests_in_flight"], 0.0);
}

async fn probe(probes: &axum::Router, path: &str) -> (u16, Value) {
    let answer = get(probes, path).await;
    (answer.status.as_u16(), answer.body)
}

#[tokio::test]
async fn readiness_goes_with_the_database_and_comes_back_with_it() {
    let both = Both::new().await;
    let options = both.database.reader_options();
    let proxy = ChaosProxy::in_front_of(&options.url).await;
    let options = audit_store::ConnectOptions {
        url: proxy.url(&options.url),
        acquire_timeout: Duration::from_millis(500),
        ..options
    };
    let reader = audit_store::Reader::connect(&options)
        .await
        .expect("a connection");
    let replica = Replica::on(&both, &options, "").await;
    let model = both.database.model().clone();
    let checks = context_api::checks(&reader, model, &replica.cache);
    let probes = checks.build(Shutdown::new()).router();
    let ready = json!({"status": "ready", "checks": {"database": {"status": "ok"}, "model": {"status": "ok"}, "replay_lag": {"status": "ok"}}});
    assert_eq!(probe(&probes, "/readyz").await, (200, ready.clone()));
    assert_eq!(
        probe(&probes, "/healthz").await,
        (200, json!({"status": "alive"}))
    );

    proxy.refuse();
    proxy.reset();
    // The checks run once a second at most.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let failed = json!({"status": "failed", "reason": "the database does not answer"});
    assert_eq!(
        probe(&probes, "/readyz").await,
        (
            503,
            json!({
                "status": "not ready",
                "checks": {"database": failed, "model": failed, "replay_lag": {"status": "ok"}},
            })
        )
    );
    assert_eq!(
        probe(&probes, "/healthz").await,
        (200, json!({"status": "alive"}))
    );
    assert!(proxy.counts().reset > 0);

    proxy.pass();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(probe(&probes, "/readyz").await, (200, ready));
}

/// A problem has all its fields, and nothing else but the violations.
#[track_caller]
fn assert_problem(answer: &Answer, status: u16, slug: &str, instance: &str) {
    let body = answer.body.as_object().expect("a problem");
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(header(answer, "content-type"), "application/problem+json");
    assert_eq!(
        body["type"],
        json!(format!("https://kubernaut.ai/problems/{slug}"))
    );
    assert_eq!(
        (&body["status"], &body["instance"]),
        (&json!(status), &json!(instance))
    );
    assert_eq!(
        body["requestId"],
        json!(header(answer, "x-request-id")),
        "{body:?}"
    );
    let text = |field: &str| body.get(field).and_then(Value::as_str).unwrap_or_default();
    assert!(text("title").len() > 5, "{slug}: {body:?}");
    // What was wrong is told in the detail or one by one; of an unknown path the title says it all.
    assert!(
        text("detail").len() > 5 || body.contains_key("errors") || slug == "unknown-path",
        "{slug}: {body:?}"
    );
    let known = [
        "type",
        "title",
        "status",
        "detail",
        "instance",
        "requestId",
        "errors",
    ];
    let unknown: Vec<_> = body
        .keys()
        .filter(|field| !known.contains(&field.as_str()))
        .collect();
    assert_eq!(unknown, [""; 0]);
}

#[tokio::test]
async fn every_problem_has_all_its_fields_and_a_success_has_none_of_them() {
    let both = Both::new().await;
    let id = both.incident(&records::remediation("rr-1")).await;
    for (path, status, slug) in [
        ("/api/v1/incidents?limit=999", 400, "invalid-parameter"),
        ("/api/v1/incidents/x", 400, "invalid-parameter"),
        ("/api/v1/context/success-rates?groupBy=", 400, "invalid-parameter"),
        (
            "/api/v1/aggregations/trend?timeRange=5000d",
            400,
            "invalid-parameter",
        ),
        ("/api/v1/context", 400, "invalid-parameter"),
        ("/api/v1/incidents/999999999", 404, "not-found"),
        ("/api/v1/context/remediation/nobody", 404, "not-found"),
        ("/api/v1/nothing", 404, "unknown-path"),
    ] {
        let answer = both.get(path).await;
        let instance = path.split('?').next().unwrap_or_default();
        assert_problem(&answer, status, slug, instance);
        assert_eq!(answer.body.get("errors").is_some(), status == 400, "{path}");
    }
    let path = "/api/v1/context/match";
    let answer = post_bytes(&both.context_api, path, "text/plain", "x").await;
    assert_problem(&answer, 415, "unsupported-media-type", path);
    let answer = post_bytes(&both.context_api, path, "application/json", "{").await;
    assert_problem(&answer, 400, "malformed-json", path);
    let answer = post_bytes(
        &both.context_api,
        path,
        "application/json",
        " ".repeat(1024 * 1024 + 1),
    )
    .await;
    assert_problem(&answer, 413, "payload-too-large", path);
    let answer = post(&both.context_api, path, &json!({})).await;
    assert_problem(&answer, 400, "validation-error", path);
    let answer = post(&both.context_api, "/api/v1/incidents", &json!({})).await;
    assert_problem(&answer, 405, "method-not-allowed", "/api/v1/incidents");

    let success = both.get(&format!("/api/v1/incidents/{id}")).await;
    assert_eq!(header(&success, "content-type"), "application/json");
    for field in ["type", "title", "instance", "requestId"] {
        assert_eq!(success.body.get(field), None);
    }
}

#[tokio::test]
async fn a_request_keeps_the_id_its_caller_gave_it_and_gets_one_of_ours_otherwise() {
    let both = Both::new().await;
    let ask = async |id: Option<&str>, path: &str| {
        let mut request = Request::get(path);
        if let Some(id) = id {
            request = request.header(HeaderName::from_static("x-request-id"), id);
        }
        send(&both.context_api, request.body(Body::empty()).expect("a request")).await
    };
    for path in ["/api/v1/incidents", "/api/v1/incidents/7", "/nowhere"] {
        assert_eq!(
            header(&ask(Some("caller-1"), path).await, "x-request-id"),
            "caller-1",
            "{path}"
        );
        let mut ids = Vec::new();
        let too_long = "x".repeat(1_000);
        for id in [
            None,
            None,
            Some(""),
            Some("a b"),
            Some("<script>"),
            Some(too_long.as_str()),
        ] {
            let answer = ask(id, path).await;
            let made = header(&answer, "x-request-id");
            assert_eq!(made.len(), 32, "{path} {id:?}: {made}");
            assert!(made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
            ids.push(made);
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 6, "{path}");
    }
    // Two answers from one load have an id each: it is of the request, not of the answer.
    let replica = Replica::new(&both, "").await;
    let (one, two) = (
        replica.get("/api/v1/incidents/7").await,
        replica.get("/api/v1/incidents/7").await,
    );
    assert_ne!(one.body["requestId"], two.body["requestId"]);
    assert_eq!(header(&two, "cache-status").split(';').nth(1), Some(" hit"));
}

#[tokio::test]
async fn a_page_of_another_origin_is_allowed_nothing_and_who_forwarded_a_request_is_not_told_back() {
    let both = Both::new().await;
    for method in ["GET", "OPTIONS"] {
        let request = Request::builder()
            .method(method)
            .uri("/api/v1/incidents")
            .header("origin", "https://elsewhere.example")
            .header("access-control-request-method", "GET")
            .header("x-forwarded-for", "203.0.113.7")
            .body(Body::empty())
            .expect("a request");
        let answer = send(&both.context_api, request).await;
        assert_eq!(answer.status, if method == "GET" { 200 } else { 405 });
        let told: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, value)| {
                name.as_str().starts_with("access-control") || value.as_bytes() == b"203.0.113.7"
            })
            .collect();
        assert_eq!(told.len(), 0, "{told:?}");
    }
}
