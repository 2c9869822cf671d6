//! The rules of single fields, and of those that all records have.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use audit_store::record::{Head, Phase, StepPhase, StepStatus, Timestamp, canonical_kind};
use base64::Engine;
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::fields::{Fields, Refused};

/// Longest free text, in bytes of UTF-8.
pub(crate) const MAX_TEXT_BYTES: usize = 10 * 1024;
/// Longest identifier that Kubernetes gives no rule for, in characters.
pub(crate) const MAX_IDENTIFIER_CHARS: usize = 253;
/// Longest name of a custom resource: an RFC 1123 subdomain.
pub(crate) const MAX_NAME_CHARS: usize = 253;
/// Longest RFC 1123 label.
pub(crate) const MAX_LABEL_CHARS: usize = 63;
/// Deepest nesting of a JSON value inside a record.
pub(crate) const MAX_DEPTH: usize = 32;
/// Most values in a JSON value inside a record, on all its levels together.
pub(crate) const MAX_VALUES: usize = 10_000;
/// Most entries of an array or of labels.
pub(crate) const MAX_ENTRIES: usize = 1_000;
/// Years a time may fall into: those that RFC 3339 and PostgreSQL write alike, from the epoch on.
const YEARS: RangeInclusive<i32> = 1970..=9998;
/// How far a clock of a sender may be ahead.
const MAX_CLOCK_AHEAD: TimeDelta = TimeDelta::minutes(5);

fn string(value: &Value) -> Result<&str, Refused> {
    value
        .as_str()
        .ok_or_else(|| Refused::new("type", "must be a string"))
}

/// A name or an id as it is: it must not be rewritten, so a secret in it is refused.
fn without_secret(text: &str) -> Result<String, Refused> {
    if redaction::contains_secret(text) {
        return Err(Refused::new("secret", "must not contain a secret"));
    }
    Ok(text.to_owned())
}

/// Free text of up to 10 KiB, stored as it is.
pub(crate) fn text(value: &Value) -> Result<String, Refused> {
    let text = string(value)?;
    if text.len() > MAX_TEXT_BYTES {
        return Err(Refused::new(
            "too-long",
            format!("must be at most {MAX_TEXT_BYTES} bytes long"),
        ));
    }
    Ok(text.to_owned())
}

/// Texts of up to 10 KiB each.
pub(crate) fn texts(value: &Value) -> Result<Vec<String>, Vec<Refused>> {
    let items = array(value).map_err(|refused| vec![refused])?;
    all(items
        .iter()
        .enumerate()
        .map(|(index, item)| text(item).map_err(|refused| refused.within(&index.to_string()))))
}

/// All values, or else all refusals.
fn all<T, C: FromIterator<T>>(items: impl Iterator<Item = Result<T, Refused>>) -> Result<C, Vec<Refused>> {
    let mut refused = Vec::new();
    let values = items
        .filter_map(|item| item.map_err(|error| refused.push(error)).ok())
        .collect();
    if refused.is_empty() {
        Ok(values)
    } else {
        Err(refused)
    }
}

fn array(value: &Value) -> Result<&Vec<Value>, Refused> {
    let items = value
        .as_array()
        .ok_or_else(|| Refused::new("type", "must be an array"))?;
    if items.len() > MAX_ENTRIES {
        return Err(Refused::new(
            "too-long",
            format!("must have at most {MAX_ENTRIES} entries"),
        ));
    }
    Ok(items)
}

/// A name without rules of Kubernetes, such as an alert's: 1 to 253 characters, none of them a control character.
pub(crate) fn identifier(value: &Value) -> Result<String, Refused> {
    let text = string(value)?;
    if text.trim().is_empty() {
        return Err(Refused::new("empty", "must not be empty"));
    }
    if text.chars().count() > MAX_IDENTIFIER_CHARS {
        return Err(Refused::new(
            "too-long",
            format!("must be at most {MAX_IDENTIFIER_CHARS} characters long"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Refused::new("format", "must not contain control characters"));
    }
    without_secret(text)
}

fn is_label(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=MAX_LABEL_CHARS).contains(&text.len())
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text.chars().all(|c| edge(c) || c == '-')
}

/// Name of a custom resource: an RFC 1123 subdomain.
pub(crate) fn object_name(value: &Value) -> Result<String, Refused> {
    let text = string(value)?;
    if text.len() <= MAX_NAME_CHARS && is_subdomain(text) {
        return without_secret(text);
    }
    Err(Refused::new(
        "format",
        "must be an RFC 1123 subdomain: at most 253 of a-z, 0-9, - and ., starting and ending with a letter or digit",
    ))
}

fn is_subdomain(text: &str) -> bool {
    // Unlike a label, a part of a subdomain may be longer than 63 characters in Kubernetes.
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.split('.').all(|part| {
        !part.is_empty()
            && part.starts_with(edge)
            && part.ends_with(edge)
            && part.chars().all(|c| edge(c) || c == '-')
    })
}

/// A namespace: an RFC 1123 label.
pub(crate) fn namespace(value: &Value) -> Result<String, Refused> {
    let text = string(value)?;
    if is_label(text) {
        return without_secret(text);
    }
    Err(Refused::new(
        "format",
        "must be an RFC 1123 label: 1 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit",
    ))
}

/// Name of any resource. Some, such as roles, are no subdomains: Kubernetes asks only for a path segment of them.
pub(crate) fn resource_name(value: &Value) -> Result<String, Refused> {
    let name = identifier(value)?;
    if name == "." || name == ".." || name.contains(['/', '%']) {
        return Err(Refused::new(
            "format",
            "must be a path segment: not . or .., without / and %",
        ));
    }
    Ok(name)
}

/// Any Kubernetes kind, in its canonical case.
pub(crate) fn resource_kind(value: &Value) -> Result<String, Refused> {
    let text = string(value)?;
    let plain = (1..=MAX_LABEL_CHARS).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric());
    if plain {
        return Ok(canonical_kind(text));
    }
    Err(Refused::new(
        "format",
        "must be a Kubernetes kind: 1 to 63 letters and digits starting with a letter",
    ))
}

/// A correlation id.
fn correlation_id(value: &Value) -> Result<String, Refused> {
    let text = string(value)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
    if (1..=128).contains(&text.len()) && text.chars().all(allowed) {
        return without_secret(text);
    }
    Err(Refused::new(
        "format",
        "must be 1 to 128 of A-Z, a-z, 0-9, ., _, : and -",
    ))
}

/// Fingerprint of a signal: Alertmanager's has 16 hexadecimal digits, a SHA-256 has 64.
pub(crate) fn fingerprint(value: &Value) -> Result<String, Refused> {
    let text = string(value)?;
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if (16..=64).contains(&text.len()) && text.chars().all(hexadecimal) {
        return Ok(text.to_owned());
    }
    Err(Refused::new(
        "format",
        "must be 16 to 64 lower-case hexadecimal digits",
    ))
}

/// One of a closed vocabulary, named in `options` for the message.
pub(crate) fn choice<T: Copy>(
    options: &'static [T],
    spelled: fn(T) -> &'static str,
) -> impl FnOnce(&Value) -> Result<T, Refused> {
    move |value| {
        let text = string(value)?;
        options
            .iter()
            .copied()
            .find(|option| spelled(*option) == text)
            .ok_or_else(|| {
                let names: Vec<&str> = options.iter().map(|option| spelled(*option)).collect();
                Refused::new("not-an-option", format!("must be one of {}", names.join(", ")))
            })
    }
}

pub(crate) fn boolean(value: &Value) -> Result<bool, Refused> {
    value
        .as_bool()
        .ok_or_else(|| Refused::new("type", "must be true or false"))
}

/// A whole number in a range.
pub(crate) fn integer<T: TryFrom<i64>>(
    range: RangeInclusive<i64>,
) -> impl FnOnce(&Value) -> Result<T, Refused> {
    move |value| {
        let out_of_range = || {
            Refused::new(
                "out-of-range",
                format!("must be between {} and {}", range.start(), range.end()),
            )
        };
        if !value.is_number() || value.as_f64().is_some_and(|number| number.fract() != 0.0) {
            return Err(Refused::new("type", "must be a whole number"));
        }
        let number = value
            .as_i64()
            .or_else(|| exact(value.as_f64()?))
            .filter(|number| range.contains(number))
            .ok_or_else(out_of_range)?;
        T::try_from(number).map_err(|_| out_of_range())
    }
}

/// A whole number that was written like `3.0` or `3e2`, within what a double holds exactly.
fn exact(whole: f64) -> Option<i64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    (whole.abs() < LIMIT).then_some(whole as i64)
}

/// A number in a range.
pub(crate) fn number(range: RangeInclusive<f64>) -> impl FnOnce(&Value) -> Result<f64, Refused> {
    move |value| {
        let number = value
            .as_f64()
            .ok_or_else(|| Refused::new("type", "must be a number"))?;
        if range.contains(&number) {
            // Makes -0 the 0 it equals: JSONB knows no other.
            return Ok(number + 0.0);
        }
        Err(Refused::new(
            "out-of-range",
            format!("must be between {} and {}", range.start(), range.end()),
        ))
    }
}

/// A point in time as RFC 3339 defines it.
fn timestamp(value: &Value) -> Result<Timestamp, Refused> {
    let time = DateTime::parse_from_rfc3339(string(value)?)
        .map_err(|_| Refused::new("format", "must be an RFC 3339 time such as 2026-01-31T12:00:00Z"))?
        .with_timezone(&Utc);
    if !YEARS.contains(&time.year()) {
        let (first, last) = (YEARS.start(), YEARS.end());
        return Err(Refused::new(
            "out-of-range",
            format!("must be between the years {first} and {last} in UTC"),
        ));
    }
    Ok(Timestamp::new(time))
}

/// A JSON object of the sender's own making.
pub(crate) fn json_object(value: &Value) -> Result<Map<String, Value>, Refused> {
    let object = value
        .as_object()
        .ok_or_else(|| Refused::new("type", "must be an object"))?;
    if depth(value) > MAX_DEPTH {
        return Err(Refused::new(
            "too-deep",
            format!("must be nested at most {MAX_DEPTH} deep"),
        ));
    }
    if width(value) > MAX_VALUES {
        return Err(Refused::new(
            "too-wide",
            format!("must hold at most {MAX_VALUES} values"),
        ));
    }
    Ok(object.clone())
}

/// All values in a value, itself included.
fn width(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(width).sum(),
        Value::Object(object) => object.values().map(width).sum(),
        _ => 0,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Kubernetes labels: `[prefix/]name` to a value.
pub(crate) fn labels(value: &Value) -> Result<BTreeMap<String, String>, Vec<Refused>> {
    let object = value
        .as_object()
        .ok_or_else(|| vec![Refused::new("type", "must be an object of strings")])?;
    if object.len() > MAX_ENTRIES {
        return Err(vec![Refused::new(
            "too-long",
            format!("must have at most {MAX_ENTRIES} entries"),
        )]);
    }
    all(object.iter().map(|(key, value)| {
        let value = label(key, value).map_err(|refused| refused.within(key))?;
        Ok((key.clone(), value))
    }))
}

fn label(key: &str, value: &Value) -> Result<String, Refused> {
    let edge = |c: char| c.is_ascii_alphanumeric();
    let inner = |c: char| edge(c) || matches!(c, '-' | '_' | '.');
    let qualified = |text: &str| {
        text.len() <= MAX_LABEL_CHARS
            && text.starts_with(edge)
            && text.ends_with(edge)
            && text.chars().all(inner)
    };
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if !qualified(name) || prefix.is_some_and(|prefix| prefix.len() > MAX_NAME_CHARS || !is_subdomain(prefix))
    {
        return Err(Refused::new(
            "format",
            "has a key that is no Kubernetes label key",
        ));
    }
    let value = string(value)?;
    if !value.is_empty() && !qualified(value) {
        return Err(Refused::new(
            "format",
            "must be a Kubernetes label value: at most 63 of A-Z, a-z, 0-9, -, _ and ., starting and ending with a letter or digit",
        ));
    }
    Ok(value.to_owned())
}

/// Standard base64 with padding; kept as text, since its decoding is unambiguous.
pub(crate) fn base64_text(value: &Value) -> Result<String, Refused> {
    let text = string(value)?;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|_| Refused::new("format", "must be standard base64 with padding"))?;
    Ok(text.to_owned())
}

/// The fields that all records have.
pub(crate) fn head(fields: &mut Fields<'_>, now: DateTime<Utc>) -> Option<Head> {
    let name = fields.required("name", object_name);
    let namespace = fields.required("namespace", namespace);
    let phase = fields.required("phase", choice(Phase::ALL, Phase::as_str));
    let message = fields.optional("message", text);
    let created_at = fields.required("createdAt", timestamp);
    let started_at = fields.optional("startedAt", timestamp);
    let completed_at = fields.optional("completedAt", timestamp);
    let correlation_id = fields.required("correlationId", correlation_id);
    if created_at.is_some_and(|created| created.to_utc() > now + MAX_CLOCK_AHEAD) {
        fields.refuse(
            "createdAt",
            Refused::new("in-future", "must not be more than 5 minutes ahead"),
        );
    }
    times_in_order(fields, created_at, started_at, completed_at);
    Some(Head {
        name: name?,
        namespace: namespace?,
        phase: phase?,
        message,
        created_at: created_at?,
        started_at,
        completed_at,
        correlation_id: correlation_id?,
    })
}

fn times_in_order(
    fields: &mut Fields<'_>,
    created: Option<Timestamp>,
    started: Option<Timestamp>,
    completed: Option<Timestamp>,
) {
    let before = |later: Option<Timestamp>, earlier: Option<Timestamp>| {
        later.zip(earlier).is_some_and(|(later, earlier)| later < earlier)
    };
    if before(started, created) {
        fields.refuse(
            "startedAt",
            Refused::new("inconsistent", "must not be before createdAt"),
        );
    }
    if before(completed, started.or(created)) {
        let earlier = if started.is_some() {
            "startedAt"
        } else {
            "createdAt"
        };
        fields.refuse(
            "completedAt",
            Refused::new("inconsistent", format!("must not be before {earlier}")),
        );
    }
}

/// The steps of a workflow, an entry for each; `None` for one that is refused.
pub(crate) fn step_statuses(fields: &mut Fields<'_>) -> Option<Vec<Option<StepStatus>>> {
    const NAME: &str = "stepStatuses";
    match array(fields.take(NAME)?) {
        Ok(items) => Some(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| step_status(fields, NAME, index, item))
                .collect(),
        ),
        Err(refused) => {
            fields.refuse(NAME, refused);
            None
        }
    }
}

fn step_status(fields: &mut Fields<'_>, array: &str, index: usize, item: &Value) -> Option<StepStatus> {
    let Some(object) = item.as_object() else {
        let refused = Refused::new("type", "must be an object");
        fields.refuse(array, refused.within(&index.to_string()));
        return None;
    };
    let mut step = Fields::nested(object, format!("/{array}/{index}"));
    let name = step.required("name", identifier);
    let phase = step.required("phase", choice(StepPhase::ALL, StepPhase::as_str));
    let started_at = step.optional("startedAt", timestamp);
    let completed_at = step.optional("completedAt", timestamp);
    let retry_count = step.optional("retryCount", integer(0..=i64::from(i32::MAX)));
    let message = step.optional("message", text);
    times_in_order(&mut step, None, started_at, completed_at);
    fields.adopt(step.finish());
    Some(StepStatus {
        name: name?,
        phase: phase?,
        started_at,
        completed_at,
        retry_count,
        message,
    })
}

#[cfg(test)]
mod tests;
