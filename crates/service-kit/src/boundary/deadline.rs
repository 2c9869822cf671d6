//! No answer takes longer than the deadline.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::timeout;

use crate::problem::{Problem, ProblemKind};

pub(super) async fn enforce(State(deadline): State<Duration>, request: Request, next: Next) -> Response {
    match timeout(deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => Problem::new(ProblemKind::GATEWAY_TIMEOUT)
            .with_detail(format!(
                "There was no answer within {}. What was asked for may have happened or may yet happen.",
                humantime::format_duration(deadline)
            ))
            .into_response(),
    }
}
