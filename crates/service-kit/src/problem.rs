//! Error answers: RFC 9457 problem documents.
//!
//! A [`Problem`] has two sides. What the client may read (kind, detail, violations) becomes the body; what we know
//! (the cause) travels beside it in a response extension, and the boundary logs it once under the request id. Nothing
//! moves a cause into a body: it is not `Serialize`, and the body is built from the client's side alone.

mod kind;
mod violation;

use std::{error::Error, sync::Arc, time::Duration};

use axum::response::{IntoResponse, Response};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};
use serde::Serialize;

pub use self::{
    kind::{PROBLEM_BASE_URI, ProblemKind},
    violation::{Location, Violation, pointer_token},
};

/// The media type of every error body.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Violations listed in one body; the rest are only counted, so that a small request cannot ask for a huge answer.
const LISTED_VIOLATIONS: usize = 100;

const INTERNAL_DETAIL: &str = "The request failed on our side. The request id leads to the cause in the log.";

/// An error answer.
///
/// As a response it also puts itself into the response's extensions, where the boundary finds the code for metrics and
/// the cause for the log, and from where it completes the body with `instance` and `requestId`.
#[derive(Clone, Debug)]
pub struct Problem {
    // Boxed: a problem is the `Err` of many small results.
    parts: Box<Parts>,
}

#[derive(Clone, Debug)]
struct Parts {
    kind: ProblemKind,
    detail: Option<String>,
    errors: Vec<Violation>,
    retry_after: Option<Duration>,
    headers: HeaderMap,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// What the boundary knows about the request that ended in a problem.
#[derive(Clone, Copy, Debug, Default)]
pub struct Occurrence<'a> {
    /// Path of the request, without its query.
    pub instance: Option<&'a str>,
    /// Id under which the request is logged.
    pub request_id: Option<&'a str>,
}

impl Problem {
    /// A problem of this kind, with nothing more to say.
    pub fn new(kind: ProblemKind) -> Self {
        Self {
            parts: Box::new(Parts {
                kind,
                detail: None,
                errors: Vec::new(),
                retry_after: None,
                headers: HeaderMap::new(),
                cause: None,
            }),
        }
    }

    /// 400: the body breaks rules; all of them are named.
    pub fn validation(errors: impl IntoIterator<Item = Violation>) -> Self {
        Self::new(ProblemKind::VALIDATION_ERROR)
            .with_detail("The body breaks the rules listed in `errors`.")
            .with_violations(errors)
    }

    /// 400: parameters of the query or path cannot be used; all of them are named.
    pub fn invalid_parameters(errors: impl IntoIterator<Item = Violation>) -> Self {
        Self::new(ProblemKind::INVALID_PARAMETER)
            .with_detail("The parameters listed in `errors` cannot be used.")
            .with_violations(errors)
    }

    /// 404: there is no such resource; `detail` says which.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::NOT_FOUND).with_detail(detail)
    }

    /// 500: a bug, or what we take for one. The client learns nothing of the cause.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ProblemKind::INTERNAL_ERROR)
            .with_detail(INTERNAL_DETAIL)
            .with_cause(cause)
    }

    /// 503: something we need is away or full, and the same request may succeed after `retry_after`.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(ProblemKind::SERVICE_UNAVAILABLE)
            .with_detail(detail)
            .with_retry_after(retry_after)
    }

    /// Says, to the client, what happened this time.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.parts.detail = Some(detail.into());
        self
    }

    /// Adds violations, in the order given.
    #[must_use]
    pub fn with_violations(mut self, errors: impl IntoIterator<Item = Violation>) -> Self {
        self.parts.errors.extend(errors);
        self
    }

    /// Sends `Retry-After`, rounded up to whole seconds.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.parts.retry_after = Some(retry_after);
        self
    }

    /// Sends a header along, in place of any earlier one of that name.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.parts.headers.insert(name, value);
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.parts.cause = Some(Arc::from(cause.into()));
        self
    }

    /// The kind.
    pub fn kind(&self) -> ProblemKind {
        self.parts.kind
    }

    /// The static code of the kind: the last segment of its URI, the label of metrics, the field of the log.
    pub fn code(&self) -> &'static str {
        self.parts.kind.slug()
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.parts.kind.status()
    }

    /// What the client reads about this occurrence.
    pub fn detail(&self) -> Option<&str> {
        self.parts.detail.as_deref()
    }

    /// The broken rules.
    pub fn violations(&self) -> &[Violation] {
        &self.parts.errors
    }

    /// The cause and the causes of the cause, outermost first, joined by `: `. Never for the client.
    pub fn cause_chain(&self) -> Option<String> {
        self.parts.cause.as_deref().map(|cause| chain(cause))
    }

    /// The body, as JSON text.
    pub fn body(&self, occurrence: Occurrence<'_>) -> String {
        let Parts {
            kind, detail, errors, ..
        } = &*self.parts;
        let listed = &errors[..errors.len().min(LISTED_VIOLATIONS)];
        let document = Document {
            r#type: kind.uri(),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail: detail.as_deref(),
            instance: occurrence.instance,
            request_id: occurrence.request_id,
            errors: listed,
            errors_omitted: errors.len() - listed.len(),
        };
        #[expect(
            clippy::expect_used,
            reason = "strings, numbers and arrays of them always serialise to JSON"
        )]
        serde_json::to_string(&document).expect("a problem document serialises")
    }
}

/// An error and its causes, outermost first, joined by `: `.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut chain = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        chain.push_str(": ");
        chain.push_str(&cause.to_string());
        next = cause.source();
    }
    chain
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body(Occurrence::default())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.extend(self.parts.headers.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        // An error is about one request at one moment; no cache may answer another with it.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(retry_after) = self.parts.retry_after {
            let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Violation],
    #[serde(skip_serializing_if = "is_zero")]
    errors_omitted: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the pool is closed")]
    struct Outer(#[source] io::Error);

    async fn body_of(response: Response) -> Value {
        serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_cause_goes_to_the_extension_and_never_to_the_body() {
        let response = Problem::internal(Outer(io::Error::other("password=hunter2 refused"))).into_response();
        assert_eq!(response.status(), 500);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
        let problem = response.extensions().get::<Problem>().unwrap();
        assert_eq!(problem.code(), "internal-error");
        assert_eq!(
            problem.cause_chain().as_deref(),
            Some("the pool is closed: password=hunter2 refused")
        );
        assert_eq!(
            body_of(response).await,
            json!({
                "type": "https://kubernaut.ai/problems/internal-error",
                "title": "Internal error",
                "status": 500,
                "detail": "The request failed on our side. The request id leads to the cause in the log.",
            })
        );
    }

    #[tokio::test]
    async fn violations_name_their_place() {
        let response = Problem::validation([
            Violation::pointer("/labels/a~1b", "too-long", "must have at most 63 characters"),
            Violation::header("idempotency-key", "nul", "must not contain NUL"),
        ])
        .into_response();
        assert_eq!(
            body_of(response).await,
            json!({
                "type": "https://kubernaut.ai/problems/validation-error",
                "title": "The request body breaks rules",
                "status": 400,
                "detail": "The body breaks the rules listed in `errors`.",
                "errors": [
                    {"pointer": "/labels/a~1b", "code": "too-long", "detail": "must have at most 63 characters"},
                    {"header": "idempotency-key", "code": "nul", "detail": "must not contain NUL"},
                ],
            })
        );
    }

    #[test]
    fn more_violations_than_fit_are_counted() {
        let many = (0..103).map(|n| Violation::parameter(format!("p{n}"), "unknown", "is not known"));
        let body: Value =
            serde_json::from_str(&Problem::invalid_parameters(many).body(Occurrence::default())).unwrap();
        assert_eq!(body["errors"].as_array().unwrap().len(), 100);
        assert_eq!(body["errorsOmitted"], 3);
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        let seconds = |ms| {
            let response = Problem::unavailable("full", Duration::from_millis(ms)).into_response();
            response.headers()[header::RETRY_AFTER]
                .to_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(
            [seconds(0), seconds(1), seconds(1_000), seconds(1_001)],
            ["0", "1", "1", "2"]
        );
    }

    #[test]
    fn the_occurrence_completes_the_body() {
        let body = Problem::not_found("There is no incident 7.").body(Occurrence {
            instance: Some("/api/v1/incidents/7"),
            request_id: Some("abc"),
        });
        assert_eq!(
            body,
            r#"{"type":"https://kubernaut.ai/problems/not-found","title":"Not found","status":404,"#
                .to_owned()
                + r#""detail":"There is no incident 7.","instance":"/api/v1/incidents/7","requestId":"abc"}"#
        );
    }
}
