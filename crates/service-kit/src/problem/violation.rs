//! One broken rule, and where it was broken.

use serde::Serialize;

/// One broken rule: `{"pointer": "/name", "code": "too-long", "detail": "must have at most 253 characters"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where.
    #[serde(flatten)]
    pub location: Location,
    /// Which rule: kebab-case, stable, for programs.
    pub code: &'static str,
    /// What the rule asks for, for people. Never repeats a value, which may be a secret.
    pub detail: String,
}

/// The place of a violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Location {
    /// A JSON pointer (RFC 6901) into the body; empty for the body itself.
    Pointer(String),
    /// A parameter of the query or the path.
    Parameter(String),
    /// A request header.
    Header(String),
}

/// One reference token of a JSON pointer, escaped (RFC 6901, section 3).
pub fn pointer_token(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

impl Violation {
    /// A violation in the body.
    pub fn pointer(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            location: Location::Pointer(pointer.into()),
            code,
            detail: detail.into(),
        }
    }

    /// A violation in a query or path parameter.
    pub fn parameter(name: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            location: Location::Parameter(name.into()),
            code,
            detail: detail.into(),
        }
    }

    /// A violation in a header.
    pub fn header(name: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            location: Location::Header(name.into()),
            code,
            detail: detail.into(),
        }
    }
}
