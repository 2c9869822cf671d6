//! What is sent, made ahead of time so that sending costs little.

use bytes::Bytes;
use hyper::Method;

/// A request, ready to be sent any number of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// What it asks for, in the report: `remediation`, `list`, `match` …
    pub(crate) operation: &'static str,
    /// GET or POST.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    /// JSON, or nothing for a GET.
    pub(crate) body: Bytes,
    /// Whether a kept answer will not do.
    pub(crate) no_cache: bool,
}

impl Request {
    /// A question that a kept answer may answer.
    #[must_use]
    pub(crate) fn get(operation: &'static str, target: impl Into<String>) -> Self {
        Self {
            operation,
            method: Method::GET,
            target: target.into(),
            body: Bytes::new(),
            no_cache: false,
        }
    }

    /// JSON to post.
    #[must_use]
    pub(crate) fn post(operation: &'static str, target: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            operation,
            method: Method::POST,
            target: target.into(),
            body: body.into(),
            no_cache: false,
        }
    }

    /// The same, answered by the database.
    #[must_use]
    pub(crate) fn uncached(mut self) -> Self {
        self.no_cache = true;
        self
    }
}
