//! A panic is a 500, not a broken connection.

use std::{any::Any, panic::AssertUnwindSafe};

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;

use crate::problem::Problem;

#[derive(Debug, thiserror::Error)]
#[error("the handler panicked: {0}")]
struct Panicked(String);

pub(super) async fn catch(request: Request, next: Next) -> Response {
    // Unwind safe: the request and the future are gone after a panic, and shared state is behind locks that poison.
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(payload) => Problem::internal(Panicked(message(payload.as_ref()))).into_response(),
    }
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
