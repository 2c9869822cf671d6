//! One span, one count and one log line per request.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{MatchedPath, Request},
    http::{StatusCode, Uri, header},
    response::Response,
};
use opentelemetry::Context;
use tokio::time::Instant;
use tracing::Span;

use super::{Correlation, REQUEST_ID_HEADER, RequestId, RequestIds};
use crate::{
    metrics::{Finished, HttpMetrics, Route, Series, method_label},
    problem::{Occurrence, Problem},
    telemetry::server_span,
};

pub(super) struct Observer {
    pub(super) request_ids: RequestIds,
    pub(super) metrics: HttpMetrics,
}

/// A request under observation. Dropped unfinished, its client has left: that too is counted and logged.
pub(super) struct Observed {
    observer: Arc<Observer>,
    series: Arc<Series>,
    uri: Uri,
    method: &'static str,
    route: Route,
    request_id: RequestId,
    started: Instant,
    span: Span,
    /// The trace that the request belongs to.
    context: Context,
    correlation: Correlation,
    finished: bool,
}

/// The status nginx made customary for a request whose client left before the answer; it is never sent.
const CLIENT_CLOSED_REQUEST: u16 = 499;

const CLIENT_CLOSED_REQUEST_CODE: &str = "client-closed-request";

impl Observed {
    /// Begins, and puts the id of the request and its [`Correlation`] into its extensions.
    pub(super) fn start(observer: &Arc<Observer>, series: &Arc<Series>, request: &mut Request) -> Self {
        observer.metrics.started();
        let request_id = observer.request_ids.take_or_make(request.headers());
        let method = method_label(request.method());
        let route = Route::new(request.extensions().get::<MatchedPath>().cloned());
        let span = tracing::info_span!(
            "request",
            request_id = request_id.as_str(),
            method,
            route = route.as_str(),
            correlation_id = tracing::field::Empty,
        );
        let context = server_span::begin(&span, request, method);
        let correlation = Correlation::default();
        request.extensions_mut().insert(request_id.clone());
        request.extensions_mut().insert(correlation.clone());
        Self {
            observer: Arc::clone(observer),
            series: Arc::clone(series),
            uri: request.uri().clone(),
            method,
            route,
            request_id,
            started: Instant::now(),
            span,
            context,
            correlation,
            finished: false,
        }
    }

    /// Does a part of the work on the request: within its span and its trace.
    pub(super) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        let _in_trace = self.context.clone().attach();
        self.span.in_scope(work)
    }

    /// Ends with this answer, which gets the id of the request.
    pub(super) fn finish(mut self, mut response: Response) -> Response {
        let problem = response.extensions_mut().remove::<Problem>();
        if let Some(problem) = &problem {
            let occurrence = Occurrence {
                instance: Some(self.uri.path()),
                request_id: Some(self.request_id.as_str()),
            };
            *response.body_mut() = Body::from(problem.body(occurrence));
            // It told the length of the body without the occurrence.
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        response
            .headers_mut()
            .insert(REQUEST_ID_HEADER, self.request_id.header_value());
        let status = response.status();
        let cause = problem.as_ref().and_then(Problem::cause_chain);
        let problem = problem.as_ref().map(Problem::code);
        server_span::end(&self.span, Some(status), problem);
        self.report(status, problem, cause.as_deref());
        self.finished = true;
        response
    }

    fn report(&self, status: StatusCode, problem: Option<&'static str>, cause: Option<&str>) {
        let duration = self.started.elapsed();
        // For the line of the log; the span itself is not entered again, or its time would go on.
        let _in_trace = self.context.clone().attach();
        let finished = Finished {
            method: self.method,
            route: self.route.clone(),
            status,
            problem: problem.unwrap_or_default(),
            duration,
        };
        self.observer.metrics.finished(finished, &self.series);
        // A macro, since the level of an event is part of its static description.
        macro_rules! log {
            ($level:expr) => {
                tracing::event!(
                    target: "access",
                    $level,
                    method = self.method,
                    route = self.route.as_str(),
                    status = status.as_u16(),
                    duration_ms = duration.as_secs_f64() * 1_000.0,
                    request_id = self.request_id.as_str(),
                    correlation_id = self.correlation.id(),
                    problem,
                    cause,
                    "answered"
                )
            };
        }
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            log!(tracing::Level::ERROR);
        } else if status.is_server_error() {
            log!(tracing::Level::WARN);
        } else {
            log!(tracing::Level::INFO);
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if !self.finished {
            let status = StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::BAD_REQUEST);
            server_span::end(&self.span, None, Some(CLIENT_CLOSED_REQUEST_CODE));
            self.report(status, Some(CLIENT_CLOSED_REQUEST_CODE), None);
        }
    }
}
