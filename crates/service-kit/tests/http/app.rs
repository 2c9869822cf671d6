//! A small service that uses every part of the kit, with seeded ids.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use service_kit::{
    Problem,
    boundary::{Boundary, Correlation, RequestIds, RequestsConfig, stack},
    extract::{BodyBytes, JsonObject, PathParameters, QueryParameters},
    metrics::{self, HttpMetrics, Registry},
    router::fallbacks,
};
use tower::ServiceExt;

/// The first id that the seeded generator makes.
pub(crate) fn first_id() -> String {
    RequestIds::seeded(1).make().as_str().to_owned()
}

pub(crate) struct App {
    pub(crate) router: Router,
    registry: Arc<Registry>,
}

/// Limits small enough for tests to reach.
pub(crate) fn limits() -> RequestsConfig {
    RequestsConfig {
        deadline: Duration::from_secs(2),
        body_read_timeout: Duration::from_millis(300),
        body_max_bytes: 64,
        bodies_max_bytes: 128,
    }
}

fn routes() -> Router {
    Router::new()
        .route(
            "/json",
            post(|JsonObject(object): JsonObject| async { Value::Object(object).to_string() }),
        )
        .route(
            "/bytes",
            post(|BodyBytes(bytes): BodyBytes| async move { bytes.len().to_string() }),
        )
        .route(
            "/hold",
            post(|BodyBytes(bytes): BodyBytes| async move {
                tokio::time::sleep(Duration::from_millis(200)).await;
                bytes.len().to_string()
            }),
        )
        .route("/things", get(things))
        .route("/things/{id}", get(thing).delete(|| async {}))
        .route(
            "/correlated",
            get(|Extension(correlation): Extension<Correlation>| async move { correlation.tell("c-7") }),
        )
        .route("/panic", get(panicking))
        .route(
            "/broken",
            get(|| async { Problem::internal(std::io::Error::other("the disk is on fire")) }),
        )
        .route(
            "/busy",
            get(|| async { Problem::unavailable("The queue is full.", Duration::from_millis(1_200)) }),
        )
        .route("/sleep/{ms}", get(sleep))
}

async fn things(mut query: QueryParameters) -> Result<String, Problem> {
    let limit = query.integer("limit", 1..=100).unwrap_or(10);
    query.finish()?;
    Ok(limit.to_string())
}

async fn thing(path: PathParameters) -> Result<String, Problem> {
    match path.id("id")? {
        7 => Ok("seven".to_owned()),
        id => Err(Problem::not_found(format!("There is no thing {id}."))),
    }
}

async fn panicking() {
    panic!("a bug of {}", "mine");
}

async fn sleep(path: PathParameters) -> Result<&'static str, Problem> {
    let ms = path.id("ms")?;
    tokio::time::sleep(Duration::from_millis(ms.unsigned_abs())).await;
    Ok("slept")
}

impl App {
    pub(crate) fn new() -> Self {
        let mut registry = metrics::registry("kit");
        let metrics = HttpMetrics::register(&mut registry);
        let boundary = Boundary {
            limits: limits(),
            request_ids: RequestIds::seeded(1),
            metrics,
        };
        Self {
            router: stack(fallbacks(routes()), boundary),
            registry: Arc::new(registry),
        }
    }

    pub(crate) fn metrics(&self) -> String {
        metrics::render(&self.registry).unwrap()
    }

    pub(crate) fn metrics_router(&self) -> Router {
        metrics::router(Arc::clone(&self.registry))
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        answer(self.router.clone(), request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

pub(crate) async fn answer(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text,
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts that this is a problem whose whole body, but for what every problem has, is `rest`.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, slug: &str, instance: &str, rest: &Value) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(
            self.header("content-length"),
            Some(self.text.len().to_string().as_str())
        );
        let mut expected = json!({
            "type": format!("https://kubernaut.ai/problems/{slug}"),
            "status": status,
            "instance": instance,
            "requestId": self.header("x-request-id").unwrap(),
        });
        expected
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        assert_eq!((self.status.as_u16(), self.json()), (status, expected));
    }
}
