//! The kinds of problem that any service may answer with.

use axum::http::StatusCode;

/// What every kind's URI begins with.
pub const PROBLEM_BASE_URI: &str = "https://kubernaut.ai/problems/";

/// A kind of problem: what a client may branch on.
///
/// The slug is API: it is the end of the `type` URI, a metric label and a log field, and never changes once released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemKind {
    slug: &'static str,
    title: &'static str,
    status: StatusCode,
}

impl ProblemKind {
    /// 400: the body is well formed, but breaks rules of its fields.
    pub const VALIDATION_ERROR: Self = Self::new(
        "validation-error",
        "The request body breaks rules",
        StatusCode::BAD_REQUEST,
    );
    /// 400: the body is not JSON.
    pub const MALFORMED_JSON: Self = Self::new(
        "malformed-json",
        "The request body is not valid JSON",
        StatusCode::BAD_REQUEST,
    );
    /// 400: the body ended before its announced end.
    pub const INCOMPLETE_BODY: Self = Self::new(
        "incomplete-body",
        "The request body is incomplete",
        StatusCode::BAD_REQUEST,
    );
    /// 400: a parameter of the query or path is unknown or has a value that cannot be used.
    pub const INVALID_PARAMETER: Self = Self::new(
        "invalid-parameter",
        "A parameter cannot be used",
        StatusCode::BAD_REQUEST,
    );
    /// 401: the request carries no token that proves who sends it; `WWW-Authenticate` says what is missing.
    pub const UNAUTHENTICATED: Self = Self::new(
        "unauthenticated",
        "The caller is not authenticated",
        StatusCode::UNAUTHORIZED,
    );
    /// 403: who sends the request is known, and may not do this.
    pub const FORBIDDEN: Self = Self::new("forbidden", "The caller may not do this", StatusCode::FORBIDDEN);
    /// 404: the path is served, the thing it names does not exist.
    pub const NOT_FOUND: Self = Self::new("not-found", "Not found", StatusCode::NOT_FOUND);
    /// 404: nothing is served under this path.
    pub const UNKNOWN_PATH: Self = Self::new(
        "unknown-path",
        "Nothing is served under this path",
        StatusCode::NOT_FOUND,
    );
    /// 405: the path is served, but not with this method; `Allow` lists the others.
    pub const METHOD_NOT_ALLOWED: Self = Self::new(
        "method-not-allowed",
        "Method not allowed",
        StatusCode::METHOD_NOT_ALLOWED,
    );
    /// 408: the client took too long to send its body.
    pub const REQUEST_TIMEOUT: Self = Self::new(
        "request-timeout",
        "The request took too long to arrive",
        StatusCode::REQUEST_TIMEOUT,
    );
    /// 413: the body is larger than the limit.
    pub const PAYLOAD_TOO_LARGE: Self = Self::new(
        "payload-too-large",
        "The request body is too large",
        StatusCode::PAYLOAD_TOO_LARGE,
    );
    /// 415: the body has a media type or coding that is not understood.
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self::new(
        "unsupported-media-type",
        "Unsupported media type",
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
    );
    /// 422: valid in itself, at odds with what is already there.
    pub const UNPROCESSABLE: Self = Self::new(
        "unprocessable",
        "The request cannot be processed",
        StatusCode::UNPROCESSABLE_ENTITY,
    );
    /// 429: this caller, or all of them, sent too much; `Retry-After` says when to come back.
    pub const TOO_MANY_REQUESTS: Self = Self::new(
        "too-many-requests",
        "Too many requests",
        StatusCode::TOO_MANY_REQUESTS,
    );
    /// 500: a bug.
    pub const INTERNAL_ERROR: Self = Self::new(
        "internal-error",
        "Internal error",
        StatusCode::INTERNAL_SERVER_ERROR,
    );
    /// 503: something we need is away or full; `Retry-After` says when to come back.
    pub const SERVICE_UNAVAILABLE: Self = Self::new(
        "service-unavailable",
        "Service unavailable",
        StatusCode::SERVICE_UNAVAILABLE,
    );
    /// 504: the answer was not ready within the deadline; what was asked for may yet have happened.
    pub const GATEWAY_TIMEOUT: Self = Self::new(
        "gateway-timeout",
        "The answer took too long",
        StatusCode::GATEWAY_TIMEOUT,
    );

    /// All kinds above, for documentation and tests.
    pub const STANDARD: [Self; 17] = [
        Self::VALIDATION_ERROR,
        Self::MALFORMED_JSON,
        Self::INCOMPLETE_BODY,
        Self::INVALID_PARAMETER,
        Self::UNAUTHENTICATED,
        Self::FORBIDDEN,
        Self::NOT_FOUND,
        Self::UNKNOWN_PATH,
        Self::METHOD_NOT_ALLOWED,
        Self::REQUEST_TIMEOUT,
        Self::PAYLOAD_TOO_LARGE,
        Self::UNSUPPORTED_MEDIA_TYPE,
        Self::UNPROCESSABLE,
        Self::TOO_MANY_REQUESTS,
        Self::INTERNAL_ERROR,
        Self::SERVICE_UNAVAILABLE,
        Self::GATEWAY_TIMEOUT,
    ];

    /// A kind that only one service answers with. `slug` is kebab-case; `title` is the same for every occurrence.
    pub const fn new(slug: &'static str, title: &'static str, status: StatusCode) -> Self {
        Self { slug, title, status }
    }

    /// The static code, for example `not-found`.
    pub const fn slug(self) -> &'static str {
        self.slug
    }

    /// What the kind means, for people.
    pub const fn title(self) -> &'static str {
        self.title
    }

    /// The HTTP status it is answered with.
    pub const fn status(self) -> StatusCode {
        self.status
    }

    /// The `type` of its documents.
    pub fn uri(self) -> String {
        format!("{PROBLEM_BASE_URI}{}", self.slug)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn slugs_and_statuses_are_what_clients_were_told() {
        let kinds: BTreeMap<_, _> = ProblemKind::STANDARD
            .map(|kind| (kind.slug(), kind.status().as_u16()))
            .into();
        let told = [
            ("forbidden", 403),
            ("gateway-timeout", 504),
            ("incomplete-body", 400),
            ("internal-error", 500),
            ("invalid-parameter", 400),
            ("malformed-json", 400),
            ("method-not-allowed", 405),
            ("not-found", 404),
            ("payload-too-large", 413),
            ("request-timeout", 408),
            ("service-unavailable", 503),
            ("too-many-requests", 429),
            ("unauthenticated", 401),
            ("unknown-path", 404),
            ("unprocessable", 422),
            ("unsupported-media-type", 415),
            ("validation-error", 400),
        ];
        assert_eq!(kinds, told.into());
    }
}
