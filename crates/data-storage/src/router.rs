//! Every path of the API.

use axum::routing::post;
use axum::{Extension, Router};
use service_kit::auth::{Access, Authenticator, require};
use service_kit::boundary::{Boundary, stack};
use service_kit::extract::BodyLimits;
use service_kit::rate_limit::{RateLimiter, limit};
use service_kit::router::fallbacks;

use crate::audit;
use crate::openapi;
use crate::state::State;

/// What a caller must be allowed to do.
const RECORD: Access = Access {
    verb: "create",
    group: "kubernaut.ai",
    resource: "auditrecords",
};

/// What stands before the routes.
#[derive(Clone)]
pub struct Guards {
    /// Tells who a caller is.
    pub authenticator: Authenticator,
    /// Tells how much may be asked for.
    pub limiter: RateLimiter,
}

/// The API, wrapped in what happens around every request: who is it, may they, is it too much.
pub fn router(state: State, guards: Guards, boundary: Boundary) -> Router {
    let batch_limits = BodyLimits {
        max_bytes: state.batches.body_max_bytes,
        read_timeout: boundary.limits.body_read_timeout,
    };
    let routes = Router::new()
        .route("/api/v1/audit/remediation", post(audit::remediation::post))
        .route("/api/v1/audit/aianalysis", post(audit::ai_analysis::post))
        .route("/api/v1/audit/workflow", post(audit::workflow::post))
        .route("/api/v1/audit/execution", post(audit::execution::post))
        .route(
            "/api/v1/audit/batch",
            post(audit::batch::post).layer(Extension(batch_limits)),
        );
    let limited = limit(fallbacks(routes), guards.limiter).with_state(state);
    let guarded = require(limited, guards.authenticator, RECORD);
    stack(guarded.merge(openapi::contract().routes()), boundary)
}
