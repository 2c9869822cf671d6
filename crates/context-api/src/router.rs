//! Every path of the API, and who may ask for it.

use axum::Router;
use axum::routing::{get, post};
use service_kit::auth::{Access, Authenticator, require};
use service_kit::boundary::{Boundary, stack};
use service_kit::rate_limit::{RateLimiter, limit};
use service_kit::router::fallbacks;

use crate::endpoint::{
    aggregate_actions, aggregate_namespaces, aggregate_severities, aggregate_trend, environment_context,
    get_incident, historical_context, list_incidents, match_incidents, recovery_context, success_rates,
};
use crate::openapi;
use crate::state::State;

/// What a caller must be allowed who names the incident that is asked for.
const GET: Access = Access {
    verb: "get",
    group: "kubernaut.ai",
    resource: "incidents",
};

/// What a caller must be allowed who looks for incidents, or for figures about them.
const LIST: Access = Access { verb: "list", ..GET };

/// What stands before the routes.
#[derive(Debug, Clone)]
pub struct Guards {
    /// Tells who a caller is.
    pub authenticator: Authenticator,
    /// Tells how much may be asked for.
    pub limiter: RateLimiter,
}

impl Guards {
    /// Who is it, may they, is it too much.
    fn stand_before(&self, routes: Router<State>, access: Access) -> Router<State> {
        let limited = limit(routes, self.limiter.clone());
        require(limited, self.authenticator.clone(), access)
    }
}

/// The API, wrapped in what happens around every request. It opens no port; probes are beside it, not in it. Unknown
/// paths are told to everybody.
pub fn router(state: State, guards: &Guards, boundary: Boundary) -> Router {
    let one = guards.stand_before(routes_of_one(), GET);
    let many = guards.stand_before(routes_of_many(), LIST);
    let api = fallbacks(one.merge(many)).with_state(state);
    stack(api.merge(openapi::contract().routes()), boundary)
}

fn routes_of_one() -> Router<State> {
    Router::new()
        .route("/api/v1/incidents/{id}", get(get_incident::get))
        .route("/api/v1/context/remediation/{name}", get(recovery_context::get))
}

fn routes_of_many() -> Router<State> {
    Router::new()
        .route("/api/v1/incidents", get(list_incidents::get))
        .route("/api/v1/context", get(environment_context::get))
        .route("/api/v1/context/historical", get(historical_context::get))
        .route("/api/v1/context/match", post(match_incidents::post))
        .route("/api/v1/context/success-rates", get(success_rates::get))
        .route("/api/v1/aggregations/namespaces", get(aggregate_namespaces::get))
        .route("/api/v1/aggregations/severities", get(aggregate_severities::get))
        .route("/api/v1/aggregations/actions", get(aggregate_actions::get))
        .route("/api/v1/aggregations/trend", get(aggregate_trend::get))
}
