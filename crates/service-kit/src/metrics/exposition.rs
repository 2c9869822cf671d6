//! How a registry becomes text for Prometheus.

use std::sync::Arc;

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::problem::Problem;

/// Media type of [`render`]'s text: OpenMetrics 1.0.
pub const EXPOSITION_MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the registry in the OpenMetrics text format, ending in `# EOF`.
///
/// # Errors
///
/// Only if a collector of the registry fails to encode itself.
pub fn render(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}

/// `GET /metrics`.
pub fn router(registry: Arc<Registry>) -> Router {
    let answer = move || {
        let registry = Arc::clone(&registry);
        async move { exposition(&registry) }
    };
    Router::new().route("/metrics", get(answer))
}

fn exposition(registry: &Registry) -> Response {
    match render(registry) {
        Ok(text) => ([(header::CONTENT_TYPE, EXPOSITION_MEDIA_TYPE)], text).into_response(),
        Err(error) => {
            // Scrapes pass no boundary that would log it.
            tracing::error!(%error, "cannot render the metrics");
            Problem::internal(error).into_response()
        }
    }
}
