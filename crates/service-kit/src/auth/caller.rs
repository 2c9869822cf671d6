//! Who sent a request.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::problem::Problem;

/// The name and group that Kubernetes gives to requests without credentials.
const ANONYMOUS: &str = "system:anonymous";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// Who sent a request, as the API server knows them. Clones share the texts.
///
/// As an extractor it gives what [`require`](super::require) found; on a route that is not behind it, it is a 500.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Such as `system:serviceaccount:shop:gateway`; never empty.
    pub username: Arc<str>,
    /// Tells two callers apart that have had one name after another; may be empty.
    pub uid: Arc<str>,
    /// The groups the caller is in.
    pub groups: Arc<[String]>,
}

impl Caller {
    /// The caller of whom nobody asked who it is: `system:anonymous`.
    pub fn anonymous() -> Self {
        Self {
            username: Arc::from(ANONYMOUS),
            uid: Arc::from(""),
            groups: Arc::from([UNAUTHENTICATED.to_owned()]),
        }
    }

    /// Whether nobody asked who it is.
    pub fn is_anonymous(&self) -> bool {
        &*self.username == ANONYMOUS
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| Problem::internal("the route is not behind auth::require"))
    }
}
