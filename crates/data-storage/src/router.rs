//! Every path of the API.

use axum::Router;
use axum::routing::post;
use service_kit::boundary::{Boundary, stack};
use service_kit::router::fallbacks;

use crate::audit;
use crate::state::State;

/// The API, wrapped in what happens around every request.
pub fn router(state: State, boundary: Boundary) -> Router {
    let routes = Router::new()
        .route("/api/v1/audit/remediation", post(audit::remediation::post))
        .route("/api/v1/audit/aianalysis", post(audit::ai_analysis::post))
        .route("/api/v1/audit/workflow", post(audit::workflow::post))
        .route("/api/v1/audit/execution", post(audit::execution::post));
    stack(fallbacks(routes).with_state(state), boundary)
}
