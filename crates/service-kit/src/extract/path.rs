//! Parameters of the path.

use axum::{
    extract::{FromRequestParts, RawPathParams, rejection::RawPathParamsRejection},
    http::request::Parts,
};

use super::parameter::{self, Broken};
use crate::problem::{Problem, Violation};

/// The `{…}` parts of a matched route, decoded.
///
/// # Errors
///
/// 400 `invalid-parameter` if one is not UTF-8. The getters answer 400 for a value that cannot be used and 500 for a name
/// that the route does not have.
#[derive(Clone, Debug)]
pub struct PathParameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for PathParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match RawPathParams::from_request_parts(parts, state).await {
            Ok(parameters) => Ok(Self(
                parameters
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            )),
            Err(RawPathParamsRejection::InvalidUtf8InPathParam(_)) => {
                Err(Problem::invalid_parameters([Violation::parameter(
                    "path",
                    "invalid-encoding",
                    "must be percent-encoded UTF-8",
                )]))
            }
            Err(rejection) => Err(Problem::internal(rejection)),
        }
    }
}

impl PathParameters {
    /// An id: a positive integer in its one spelling.
    ///
    /// # Errors
    ///
    /// See [`PathParameters`].
    pub fn id(&self, name: &str) -> Result<i64, Problem> {
        self.get(name, parameter::id)
    }

    /// A text of at most `max_chars` characters.
    ///
    /// # Errors
    ///
    /// See [`PathParameters`].
    pub fn text(&self, name: &str, max_chars: usize) -> Result<String, Problem> {
        self.get(name, |value| parameter::text(value, max_chars))
    }

    fn get<T>(&self, name: &str, read: impl FnOnce(&str) -> Result<T, Broken>) -> Result<T, Problem> {
        let (_, value) = self
            .0
            .iter()
            .find(|(given, _)| given == name)
            .ok_or_else(|| Problem::internal(format!("the route has no parameter `{name}`")))?;
        read(value)
            .map_err(|(code, detail)| Problem::invalid_parameters([Violation::parameter(name, code, detail)]))
    }
}
