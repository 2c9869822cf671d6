//! A panic is a 500, not a broken connection.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

#[derive(Debug, thiserror::Error)]
#[error("the handler panicked: {0}")]
struct Panicked(String);

/// What `poll` gives, or a 500 if it panics.
pub(super) fn caught(poll: impl FnOnce() -> Poll<Response>) -> Poll<Response> {
    // Unwind safe: the request and the future are gone after a panic, and shared state is behind locks that poison.
    catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|payload| {
        Poll::Ready(Problem::internal(Panicked(message(payload.as_ref()))).into_response())
    })
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "not a text".to_owned()
    }
}
