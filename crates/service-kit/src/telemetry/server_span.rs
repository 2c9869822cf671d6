//! What the span of a request tells, after OpenTelemetry's semantic conventions for HTTP servers, version 1.38
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).

use axum::{
    extract::{MatchedPath, Request},
    http::{StatusCode, Version, header, uri::Authority},
};
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanBuilder, Status},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::trace_context;

/// Carries the name of the span to the tracer; never sent.
const NAME: &str = "service_kit.server_span";

/// Fields of the span that are for the log: the conventions have other names for them.
const FOR_THE_LOG: [&str; 2] = ["method", "route"];

/// Bytes of a path that are told: a path may be as long as a request's head.
const PATH_MAX_BYTES: usize = 1_024;

/// Makes `span` the span of `request`, a child of what the request's headers name. `method` is one of the known ones or
/// `other`. Gives the context in which the request is worked on: with the span, or where traces are off, with the
/// caller's, so that the log and the next service still learn of it.
pub(crate) fn begin(span: &Span, request: &Request, method: &'static str) -> Context {
    let parent = trace_context::extract(request.headers());
    if span.set_parent(parent.clone()).is_err() {
        return parent;
    }
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let known = method != "other";
    let subject = if known { method } else { "HTTP" };
    span.set_attribute(
        NAME,
        route.map_or_else(|| subject.to_owned(), |route| format!("{subject} {route}")),
    );
    span.set_attribute("http.request.method", if known { method } else { "_OTHER" });
    if let Some(route) = route {
        span.set_attribute("http.route", route.to_owned());
    }
    let path = request.uri().path();
    span.set_attribute("url.path", path.get(..PATH_MAX_BYTES).unwrap_or(path).to_owned());
    span.set_attribute("url.scheme", "http");
    if let Some(version) = version(request.version()) {
        span.set_attribute("network.protocol.version", version);
    }
    if let Some(server) = server(request) {
        span.set_attribute("server.address", server.host().to_owned());
        if let Some(port) = server.port_u16() {
            span.set_attribute("server.port", i64::from(port));
        }
    }
    span.context()
}

/// How the request of `span` ended; without a status, its client left before there was one. `problem` is the code of
/// the problem that was answered.
pub(crate) fn end(span: &Span, status: Option<StatusCode>, problem: Option<&'static str>) {
    if let Some(status) = status {
        span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    }
    // A client error is no error of the server (section "Status").
    if status.is_none_or(|status| status.is_server_error()) {
        let kind = problem.map_or_else(
            || status.map_or_else(String::new, |status| status.as_str().to_owned()),
            str::to_owned,
        );
        span.set_attribute("error.type", kind);
        span.set_status(Status::error(""));
    }
}

/// The name that [`begin`] gave, if the span is one of a request.
pub(super) fn take_name(builder: &mut SpanBuilder) -> Option<String> {
    let attributes = builder.attributes.as_mut()?;
    let at = attributes
        .iter()
        .position(|attribute| attribute.key.as_str() == NAME)?;
    let KeyValue { value, .. } = attributes.remove(at);
    attributes.retain(|attribute| !FOR_THE_LOG.contains(&attribute.key.as_str()));
    Some(value.as_str().into_owned())
}

fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        _ => None,
    }
}

/// The name by which the client called us.
fn server(request: &Request) -> Option<Authority> {
    let host = request.headers().get(header::HOST)?;
    Authority::try_from(host.as_bytes()).ok()
}
