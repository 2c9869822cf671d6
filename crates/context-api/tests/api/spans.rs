//! The parts of a request that a trace tells apart.

use std::sync::{Arc, Mutex};

use serde_json::json;
use testkit::request;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use crate::app::App;

/// Every span that began, behind the names of those that it is in.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(
        &self,
        _: &tracing::span::Attributes<'_>,
        id: &tracing::span::Id,
        context: Context<'_, S>,
    ) {
        let scope = context.span_scope(id).unwrap().from_root();
        let names: Vec<&str> = scope.map(|span| span.name()).collect();
        self.0.lock().unwrap().push(names.join(" > "));
    }
}

impl Spans {
    fn take(&self) -> Vec<String> {
        let mut spans = std::mem::take(&mut *self.0.lock().unwrap());
        spans.retain(|span| span.starts_with("request"));
        spans
    }
}

#[tokio::test]
async fn a_trace_tells_cache_database_and_embedding_apart() {
    let app = App::configured(|_| {}).await;
    let spans = Spans::default();
    // Of this thread, on which the runtime of this test runs everything.
    let _guard = tracing::subscriber::set_default(Registry::default().with(spans.clone()));
    assert_eq!(app.get("/api/v1/incidents").await.status, 200);
    assert_eq!(
        spans.take(),
        ["request", "request > cache", "request > cache > database"]
    );
    let body = json!({"description": "out of memory"});
    let found = request::post(&app.router, "/api/v1/context/match", &body).await;
    assert_eq!(found.status, 200);
    assert_eq!(spans.take(), ["request", "request > embed", "request > database"]);
    // A refusal asks nobody.
    assert_eq!(app.get("/api/v1/incidents?limit=none").await.status, 400);
    assert_eq!(spans.take(), ["request"]);
}
