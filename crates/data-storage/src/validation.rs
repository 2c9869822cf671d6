//! From a JSON body to a validated record.
//!
//! Every rule of a body is looked at, and every violation is reported, each with its JSON pointer. A reader takes the
//! fields it knows, one after the other; what is left at the end is unknown and is refused.

mod fields;
pub(crate) mod rules;

pub(crate) use fields::{Fields, Refused};
pub(crate) use rules::{
    base64_text, boolean, choice, fingerprint, head, identifier, integer, json_object, labels, namespace,
    number, object_name, resource_kind, resource_name, step_statuses, text, texts,
};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use service_kit::Violation;

/// What a record is validated against, beside itself.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The current time.
    pub(crate) now: DateTime<Utc>,
    /// Cluster of a record that names none.
    pub(crate) default_cluster: String,
}

/// Reads a record with `read`, which answers `None` only after it has reported a violation.
pub(crate) fn validate<T>(
    body: &Map<String, Value>,
    read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Result<T, Vec<Violation>> {
    let mut fields = Fields::new(body);
    let record = read(&mut fields);
    let violations = fields.finish();
    match record {
        Some(record) if violations.is_empty() => Ok(record),
        _ => Err(violations),
    }
}
