//! Every path of the API.

use axum::Router;
use axum::routing::{get, post};
use service_kit::boundary::{Boundary, RequestIds, RequestsConfig, stack};
use service_kit::metrics::{BuildInfo, HttpMetrics, Registry, register_build_info};
use service_kit::router::fallbacks;

use crate::endpoint::{
    aggregate_actions, aggregate_namespaces, aggregate_severities, aggregate_trend, environment_context,
    get_incident, historical_context, list_incidents, match_incidents, recovery_context, success_rates,
};
use crate::openapi;
use crate::state::State;

fn routes() -> Router<State> {
    Router::new()
        .route("/api/v1/incidents", get(list_incidents::get))
        .route("/api/v1/incidents/{id}", get(get_incident::get))
        .route("/api/v1/context", get(environment_context::get))
        .route("/api/v1/context/historical", get(historical_context::get))
        .route("/api/v1/context/match", post(match_incidents::post))
        .route("/api/v1/context/remediation/{name}", get(recovery_context::get))
        .route("/api/v1/context/success-rates", get(success_rates::get))
        .route("/api/v1/aggregations/namespaces", get(aggregate_namespaces::get))
        .route("/api/v1/aggregations/severities", get(aggregate_severities::get))
        .route("/api/v1/aggregations/actions", get(aggregate_actions::get))
        .route("/api/v1/aggregations/trend", get(aggregate_trend::get))
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
    let api = fallbacks(routes()).with_state(state);
    stack(api.merge(openapi::contract().routes()), boundary)
}
