//! A collector that takes connections and never answers: the worst kind. In a process of its own, since a process starts
//! its traces once.

use std::time::{Duration, Instant};

use axum::{Router, body::Body, extract::Request, routing::get};
use service_kit::{
    boundary::{Boundary, RequestIds, RequestsConfig, stack},
    config::Secret,
    metrics::{self, HttpMetrics},
    telemetry::{self, LogConfig, LogFormat, LogLevel, Process, TracesConfig},
};
use tower::ServiceExt;

const TIMEOUT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_collector_that_never_answers_delays_nothing_but_the_end_and_that_only_so_long() {
    let black_hole = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let process = Process {
        name: "test",
        version: "0",
        own_crates: &[],
    };
    let log = LogConfig {
        format: LogFormat::Json,
        level: LogLevel::Error,
        directives: String::new(),
    };
    let traces = TracesConfig {
        endpoint: Secret::new(format!("http://{}/v1/traces", black_hole.local_addr().unwrap())),
        timeout: TIMEOUT,
        queue: 8,
        ..TracesConfig::off()
    };
    let telemetry = telemetry::init(&process, &log, &traces).unwrap();
    let mut registry = metrics::registry("test");
    telemetry.register(&mut registry);
    let boundary = Boundary {
        limits: RequestsConfig::default(),
        request_ids: RequestIds::seeded(1),
        metrics: HttpMetrics::register(&mut registry),
    };
    let router = stack(
        Router::new().route("/black-hole", get(|| async { "hello" })),
        boundary,
    );

    let sending = Instant::now();
    for _ in 0..100 {
        let request = Request::get("/black-hole").body(Body::empty()).unwrap();
        assert_eq!(router.clone().oneshot(request).await.unwrap().status(), 200);
    }
    assert!(sending.elapsed() < TIMEOUT, "requests waited for the collector");
    let text = metrics::render(&registry).unwrap();
    assert!(
        text.contains("test_trace_spans_total{outcome=\"dropped\"} 92\n"),
        "8 of 100 have room: {text}"
    );

    let ending = Instant::now();
    telemetry.shutdown().await;
    let took = ending.elapsed();
    assert!(took < TIMEOUT + Duration::from_secs(2), "the end took {took:?}");
}
