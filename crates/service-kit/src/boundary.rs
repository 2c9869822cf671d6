//! What happens around every request, in one visible place.

mod around;
mod correlation;
mod deadline;
mod observe;
mod panic;
mod request_id;

use std::time::Duration;

use axum::Router;
use serde::Deserialize;

use self::around::Around;
pub use self::correlation::Correlation;
pub use self::deadline::Deadline;
pub use self::request_id::{REQUEST_ID_HEADER, RequestId, RequestIds};
use crate::{extract::BodyLimits, metrics::HttpMetrics};

/// Limits of one request; the section `[requests]` of a service's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestsConfig {
    /// How long a request may take from its head to its answer; then 504.
    #[serde(with = "crate::config::duration")]
    pub deadline: Duration,
    /// How long the body may take to arrive; then 408.
    #[serde(with = "crate::config::duration")]
    pub body_read_timeout: Duration,
    /// Bytes of the largest body accepted; above, 413.
    pub body_max_bytes: usize,
    /// Bytes of all bodies together that are being read or worked on; beyond, 503.
    pub bodies_max_bytes: usize,
}

impl Default for RequestsConfig {
    /// 30 s in all, 10 s for a body of at most 1 MiB, 64 MiB for all bodies together.
    fn default() -> Self {
        let BodyLimits {
            max_bytes,
            read_timeout,
        } = BodyLimits::default();
        Self {
            deadline: Duration::from_secs(30),
            body_read_timeout: read_timeout,
            body_max_bytes: max_bytes,
            bodies_max_bytes: 64 * 1024 * 1024,
        }
    }
}

/// What [`stack`] needs.
#[derive(Clone, Debug)]
pub struct Boundary {
    /// Limits of one request.
    pub limits: RequestsConfig,
    /// Names the requests that come without an id.
    pub request_ids: RequestIds,
    /// Counts the requests.
    pub metrics: HttpMetrics,
}

/// Wraps every route and fallback of `router`. Call it last: what is added to the router afterwards is not wrapped.
///
/// From the outside in, all of it one layer, whose future's `poll` reads in this order:
///
/// 1. *observe*: takes or makes the request id, opens the span, counts, logs one line, and completes problem documents
///    with the id. Outermost, so that whatever happens inside is seen, under the id;
/// 2. *panic*: turns a panic into a 500. Inside of (1), so that it is logged and counted like any other answer;
/// 3. *deadline*: 504 when the inside takes too long, which it knows as its [`Deadline`]. Inside of (2), since dropping
///    a future may panic too;
/// 4. *body limits* and the request's share of the room for all bodies: only noted for the extractors, which enforce
///    them; the share is given back when the handler has answered.
pub fn stack(router: Router, boundary: Boundary) -> Router {
    router.layer(Around::new(boundary))
}
