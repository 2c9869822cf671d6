//! What a collector gets to see, of requests through the real boundary.

mod collector;

use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use opentelemetry_proto::tonic::{
    common::v1::any_value,
    trace::v1::{span::SpanKind, status::StatusCode as SpanStatus},
};
use serde_json::{Value, json};
use tower::ServiceExt;
use tracing::{Instrument, info_span};
use tracing_subscriber::{Registry, layer::SubscriberExt};

use super::*;
use crate::config::Secret;
use crate::{
    Problem,
    boundary::{Boundary, RequestIds, RequestsConfig, stack},
    metrics::{self, HttpMetrics},
    router::fallbacks,
    telemetry::{self, LogConfig, LogFormat, LogLevel},
};
use collector::{Received, attributes, collect, hex, status};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER_SPAN: &str = "b7ad6b7169203331";

/// Traces into a collector, and the subscriber of this thread that makes them.
struct Traced {
    traces: Traces,
    received: Received,
    metrics: TraceMetrics,
    log: Log,
    _subscriber: tracing::subscriber::DefaultGuard,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn layer(&self) -> impl Layer<Registry> + Send + Sync + use<> {
        let config = LogConfig {
            format: LogFormat::Json,
            level: LogLevel::Info,
            directives: String::new(),
        };
        let writer = self.clone();
        telemetry::log_layer(&config, &[], move || writer.clone(), false).unwrap()
    }
}

fn config(address: SocketAddr, sample_ratio: f64) -> TracesConfig {
    TracesConfig {
        endpoint: Secret::new(format!("http://{address}/v1/traces")),
        sample_ratio,
        ..TracesConfig::off()
    }
}

fn start(config: &TracesConfig) -> (Traces, TraceMetrics, Log, tracing::subscriber::DefaultGuard) {
    let process = Process {
        name: "greeter",
        version: "1.2.3",
        own_crates: &[],
    };
    let (metrics, log) = (TraceMetrics::default(), Log::default());
    let traces = Traces::start(&process, config, &metrics).unwrap().unwrap();
    let subscriber = Registry::default()
        .with(log.layer())
        .with(traces.layer(process.own_crates));
    let guard = tracing::subscriber::set_default(subscriber);
    (traces, metrics, log, guard)
}

impl Traced {
    fn start(sample_ratio: f64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = config(listener.local_addr().unwrap(), sample_ratio);
        let received = collect(listener);
        let (traces, metrics, log, guard) = start(&config);
        Self {
            traces,
            received,
            metrics,
            log,
            _subscriber: guard,
        }
    }

    /// Everything that was finished by now.
    fn received(&self) -> &Received {
        self.traces.provider.force_flush().unwrap();
        &self.received
    }
}

fn boundary(routes: Router) -> Router {
    let boundary = Boundary {
        limits: RequestsConfig::default(),
        request_ids: RequestIds::seeded(1),
        metrics: HttpMetrics::register(&mut metrics::registry("test")),
    };
    stack(fallbacks(routes), boundary)
}

async fn send(router: &Router, request: &str, traceparent: Option<&str>) -> StatusCode {
    let (method, path) = request.split_once(' ').unwrap();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "greeter.example:8080")
        .header("x-request-id", "r1");
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    let request = request.body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap().status()
}

/// What the handler of `router` would send to the next service.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<HeaderMap>>);

impl Sent {
    fn router(&self) -> Router {
        let sent = self.clone();
        let handler = move || async move {
            let inside = async {
                tracing::info!("embedding");
                telemetry::inject(&mut sent.0.lock().unwrap());
            };
            inside.instrument(info_span!("embed", texts = 3)).await;
            StatusCode::CREATED
        };
        boundary(Router::new().route("/greetings/{name}", post(handler)))
    }

    fn traceparent(&self) -> String {
        self.0.lock().unwrap()["traceparent"].to_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_request_continues_its_callers_trace() {
    let traced = Traced::start(0.0);
    let sent = Sent::default();
    let traceparent = format!("00-{TRACE}-{CALLER_SPAN}-01");
    assert_eq!(
        send(
            &sent.router(),
            "POST /greetings/ada?token=hunter2",
            Some(&traceparent)
        )
        .await,
        201
    );

    let span = traced.received().span("POST /greetings/{name}");
    assert_eq!(
        (hex(&span.trace_id), hex(&span.parent_span_id)),
        (TRACE.into(), CALLER_SPAN.into())
    );
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!((status(&span), span.events.len()), (SpanStatus::Unset, 0));
    assert_eq!(
        attributes(&span),
        json!({
            "request_id": "r1",
            "http.request.method": "POST",
            "http.route": "/greetings/{name}",
            "http.response.status_code": 201,
            "url.path": "/greetings/ada",
            "url.scheme": "http",
            "network.protocol.version": "1.1",
            "server.address": "greeter.example",
            "server.port": 8080,
        })
    );
    let inner = traced.received.span("embed");
    assert_eq!(
        (&inner.trace_id, &inner.parent_span_id),
        (&span.trace_id, &span.span_id)
    );
    assert_eq!((inner.kind(), inner.events.len()), (SpanKind::Internal, 0));
    // The next service becomes a child of the innermost span.
    assert_eq!(
        sent.traceparent(),
        format!("00-{TRACE}-{}-01", hex(&inner.span_id))
    );

    let resources = traced.received.resources.lock().unwrap();
    let of = |key: &str| {
        let attribute = resources[0]
            .attributes
            .iter()
            .find(|attribute| attribute.key == key);
        attribute.unwrap().value.clone().unwrap().value.unwrap()
    };
    assert_eq!(
        of("service.name"),
        any_value::Value::StringValue("greeter".into())
    );
    assert_eq!(
        of("service.version"),
        any_value::Value::StringValue("1.2.3".into())
    );
}

#[tokio::test]
async fn what_the_caller_does_not_send_is_not_sent_here_either() {
    let traced = Traced::start(1.0);
    let sent = Sent::default();
    let traceparent = format!("00-{TRACE}-{CALLER_SPAN}-00");
    assert_eq!(
        send(&sent.router(), "POST /greetings/ada", Some(&traceparent)).await,
        201
    );
    assert_eq!(traced.received().names(), [""; 0]);
    // It is the same trace all the same, for the log and for the next service.
    let passed_on = sent.traceparent();
    assert!(
        passed_on.starts_with(&format!("00-{TRACE}-")) && passed_on.ends_with("-00"),
        "{passed_on}"
    );
    let traces: Vec<_> = traced
        .log
        .lines()
        .into_iter()
        .map(|line| line["trace_id"].clone())
        .collect();
    assert_eq!(traces, [TRACE, TRACE]);
}

#[tokio::test]
async fn a_traceparent_that_is_none_begins_a_new_trace() {
    let traced = Traced::start(1.0);
    let malformed = format!("00-{TRACE}-{CALLER_SPAN}-01-more");
    assert_eq!(
        send(&Sent::default().router(), "POST /greetings/ada", Some(&malformed)).await,
        201
    );
    let span = traced.received().span("POST /greetings/{name}");
    assert_eq!(span.parent_span_id, [0; 0]);
    assert_ne!(hex(&span.trace_id), TRACE);
}

#[tokio::test]
async fn the_ratio_is_about_the_traces_that_begin_here() {
    let traced = Traced::start(0.0);
    assert_eq!(
        send(&Sent::default().router(), "POST /greetings/ada", None).await,
        201
    );
    assert_eq!(traced.received().names(), [""; 0]);
}

#[tokio::test]
async fn errors_of_the_server_are_errors_of_the_span() {
    let traced = Traced::start(1.0);
    let routes = Router::new()
        .route("/broken", get(|| async { Problem::internal("password=hunter2") }))
        .route("/teapot", get(|| async { StatusCode::SERVICE_UNAVAILABLE }));
    let router = boundary(routes);
    for request in [
        "GET /broken",
        "GET /teapot",
        "GET /nowhere/at/all",
        "BREW /teapot",
    ] {
        send(&router, request, None).await;
    }
    let received = traced.received();
    let told = |name: &str| {
        let span = received.span(name);
        let attributes = attributes(&span);
        let [code, error] = ["http.response.status_code", "error.type"].map(|key| attributes[key].clone());
        (status(&span), code, error)
    };
    assert_eq!(
        told("GET /broken"),
        (SpanStatus::Error, json!(500), json!("internal-error"))
    );
    assert_eq!(told("GET /teapot"), (SpanStatus::Error, json!(503), json!("503")));
    assert_eq!(told("GET"), (SpanStatus::Unset, json!(404), Value::Null));
    assert_eq!(told("HTTP /teapot"), (SpanStatus::Unset, json!(405), Value::Null));
    assert_eq!(
        attributes(&received.span("HTTP /teapot"))["http.request.method"],
        "_OTHER"
    );
    assert!(!format!("{:?}", received.spans.lock().unwrap()).contains("hunter2"));
}

#[tokio::test]
async fn a_client_that_leaves_leaves_a_span() {
    let traced = Traced::start(1.0);
    let router = boundary(Router::new().route("/slow", get(std::future::pending::<StatusCode>)));
    let left = tokio::time::timeout(Duration::from_millis(20), send(&router, "GET /slow", None));
    assert!(left.await.is_err());
    let span = traced.received().span("GET /slow");
    assert_eq!(status(&span), SpanStatus::Error);
    let attributes = attributes(&span);
    assert_eq!(attributes["error.type"], "client-closed-request");
    assert_eq!(attributes.get("http.response.status_code"), None);
}

#[tokio::test]
async fn every_line_of_a_request_names_its_trace() {
    let traced = Traced::start(1.0);
    let traceparent = format!("00-{TRACE}-{CALLER_SPAN}-01");
    send(
        &Sent::default().router(),
        "POST /greetings/ada",
        Some(&traceparent),
    )
    .await;
    tracing::info!("afterwards");
    let lines = traced.log.lines();
    let told: Vec<_> = lines
        .iter()
        .map(|line| (&line["message"], &line["trace_id"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("embedding"), &json!(TRACE)),
            (&json!("answered"), &json!(TRACE)),
            (&json!("afterwards"), &Value::Null),
        ]
    );
    // What is for the collector is not for the log.
    assert_eq!(lines[0]["span"], json!({"name": "embed", "texts": 3}));
    assert_eq!(lines[1].get("span"), None);
}

#[tokio::test]
async fn without_a_collector_the_trace_is_passed_on() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(Registry::default().with(log.layer()));
    let sent = Sent::default();
    let traceparent = format!("00-{TRACE}-{CALLER_SPAN}-01");
    send(&sent.router(), "POST /greetings/ada", Some(&traceparent)).await;
    assert_eq!(sent.traceparent(), traceparent);
    let lines = log.lines();
    assert_eq!(
        (&lines[0]["trace_id"], &lines[1]["trace_id"]),
        (&json!(TRACE), &json!(TRACE))
    );
}

/// The ways that the documentation of [`telemetry`] recommends.
#[tokio::test]
async fn spans_reach_tasks_channels_and_batches() {
    let traced = Traced::start(1.0);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let handler = move || async move {
        let in_a_task = info_span!("in a task");
        tokio::spawn(async {}.instrument(in_a_task)).await.unwrap();
        let queued = info_span!("queue");
        let request = tracing::Span::current();
        sender.send((queued, request)).await.unwrap();
    };
    let router = boundary(Router::new().route("/", post(handler)));
    assert_eq!(send(&router, "POST /", None).await, 200);
    drop(router);
    let (queued, request) = receiver.recv().await.unwrap();
    drop(queued);
    let commit = info_span!(parent: None, "commit", records = 1);
    commit.follows_from(&request);
    drop(request);
    commit.in_scope(|| {});
    drop(commit);

    let received = traced.received();
    let request = received.span("POST /");
    for child in ["in a task", "queue"] {
        let child = received.span(child);
        assert_eq!(
            (child.trace_id, &child.parent_span_id),
            (request.trace_id.clone(), &request.span_id)
        );
    }
    let commit = received.span("commit");
    assert_ne!(commit.trace_id, request.trace_id);
    assert_eq!(commit.links.len(), 1);
    assert_eq!(
        (&commit.links[0].trace_id, &commit.links[0].span_id),
        (&request.trace_id, &request.span_id)
    );
}

#[tokio::test]
async fn a_collector_that_comes_late_gets_what_comes_later() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (traces, metrics, _log, _guard) = start(&config(address, 1.0));
    let router = Sent::default().router();
    assert_eq!(send(&router, "POST /greetings/early", None).await, 201);
    traces.provider.force_flush().unwrap_err();
    assert_eq!(metrics.of("failed").get(), 2);

    let received = collect(TcpListener::bind(address).unwrap());
    assert_eq!(send(&router, "POST /greetings/late", None).await, 201);
    traces.provider.force_flush().unwrap();
    assert_eq!(
        attributes(&received.span("POST /greetings/{name}"))["url.path"],
        "/greetings/late"
    );
    let counts = ["exported", "failed", "dropped"].map(|outcome| metrics.of(outcome).get());
    assert_eq!(counts, [2, 2, 0]);
}

#[tokio::test]
async fn the_end_sends_what_is_left() {
    let traced = Traced::start(1.0);
    assert_eq!(
        send(&Sent::default().router(), "POST /greetings/ada", None).await,
        201
    );
    assert_eq!(traced.received.names(), [""; 0], "it waits for more");
    let ending = Instant::now();
    let telemetry = telemetry::Telemetry {
        traces: Some(traced.traces),
        metrics: traced.metrics,
    };
    telemetry.shutdown().await;
    assert_eq!(traced.received.names(), ["embed", "POST /greetings/{name}"]);
    assert!(ending.elapsed() < TracesConfig::off().timeout);
}
