//! What names a pattern on the wire, whichever endpoint tells of it.

use serde::Serialize;
use service_kit::openapi::schema::{Field, count, required, string};

/// The fields of a [`PatternHead`].
pub(crate) fn fields() -> [Field; 4] {
    [
        required(
            "pattern",
            string(),
            "`alertName` and `errorType`, joined by a colon.",
        ),
        required("alertName", string(), "Name of the alert."),
        required(
            "errorType",
            string(),
            "Class of the error by fixed words in reason, error message and message, such as `OOMKilled`, \
             `ImagePull` or `Timeout`; `Unknown` where none is found.",
        ),
        required("occurrences", count(), "How many incidents."),
    ]
}

/// Which alert and class of error, and how often.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PatternHead {
    /// Alert and class of error, joined by a colon.
    pattern: String,
    alert_name: String,
    error_type: String,
    occurrences: i64,
}

impl PatternHead {
    pub(crate) fn new(alert_name: String, error_type: String, occurrences: i64) -> Self {
        Self {
            pattern: format!("{alert_name}:{error_type}"),
            alert_name,
            error_type,
            occurrences,
        }
    }
}
