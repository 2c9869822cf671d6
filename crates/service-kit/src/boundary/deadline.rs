//! No answer takes longer than the deadline, and handlers know when that is.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::{Instant, timeout_at};

use crate::problem::{Problem, ProblemKind};

/// When a request is given up; [`stack`](super::stack) puts one into each request's extensions, so that a handler can
/// bound what it asks of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub Instant);

pub(super) async fn enforce(State(deadline): State<Duration>, mut request: Request, next: Next) -> Response {
    let at = Instant::now() + deadline;
    request.extensions_mut().insert(Deadline(at));
    match timeout_at(at, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => Problem::new(ProblemKind::GATEWAY_TIMEOUT)
            .with_detail(format!(
                "There was no answer within {}. What was asked for may have happened or may yet happen.",
                humantime::format_duration(deadline)
            ))
            .into_response(),
    }
}
