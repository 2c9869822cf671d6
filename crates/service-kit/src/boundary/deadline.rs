//! No answer takes longer than the deadline, and handlers know when that is.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    response::{IntoResponse, Response},
    routing::future::RouteFuture,
};
use tokio::time::{Instant, Timeout};

use crate::problem::{Problem, ProblemKind};

/// When a request is given up; [`stack`](super::stack) puts one into each request's extensions, so that a handler can
/// bound what it asks of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub Instant);

/// The answer of the inside, or a 504 once it has taken as long as `deadline`.
pub(super) fn poll(
    inside: Pin<&mut Timeout<RouteFuture<Infallible>>>,
    deadline: Duration,
    context: &mut Context<'_>,
) -> Poll<Response> {
    Poll::Ready(match ready!(inside.poll(context)) {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_elapsed) => Problem::new(ProblemKind::GATEWAY_TIMEOUT)
            .with_detail(format!(
                "There was no answer within {}. What was asked for may have happened or may yet happen.",
                humantime::format_duration(deadline)
            ))
            .into_response(),
    })
}
