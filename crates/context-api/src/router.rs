//! Every path of the API.

use axum::Router;
use axum::routing::{get, post};
use service_kit::boundary::{Boundary, RequestIds, RequestsConfig, stack};
use service_kit::metrics::{BuildInfo, HttpMetrics, Registry, register_build_info};
use service_kit::router::fallbacks;

use crate::endpoint::{get_incident, list_incidents, match_incidents};
use crate::state::State;

fn routes() -> Router<State> {
    Router::new()
        .route("/api/v1/incidents", get(list_incidents::get))
        .route("/api/v1/incidents/{id}", get(get_incident::get))
        .route("/api/v1/context/match", post(match_incidents::post))
}

/// The API, wrapped in what happens around every request, with its metrics in `registry`. It opens no port; probes are
/// beside it, not in it.
pub fn app(
    state: State,
    registry: &mut Registry,
    build: &BuildInfo,
    limits: RequestsConfig,
    request_ids: RequestIds,
) -> Router {
    register_build_info(registry, build);
    state.metrics.register(registry, &state.reader);
    state.cache.register(registry);
    let boundary = Boundary {
        limits,
        request_ids,
        metrics: HttpMetrics::register(registry),
    };
    stack(fallbacks(routes()).with_state(state), boundary)
}
