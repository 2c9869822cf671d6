//! The body of a batch: a JSON array, or one JSON value on each line.

use axum::http::HeaderMap;
use serde_json::Value;
use service_kit::extract::{ValueBudget, media_type, parse_json};
use service_kit::{Problem, Violation};

const ARRAY: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// An entry of a batch, or what is wrong with its line.
pub(super) type Entry = Result<Value, Problem>;

/// The entries of a body, at least one and at most `max`.
///
/// A line that is not JSON is an entry that is refused; an array that is not JSON is no batch at all.
///
/// # Errors
/// 415, 400 `malformed-json`, or 400 `validation-error` where there are too few or too many entries.
pub(super) fn entries(headers: &HeaderMap, bytes: &[u8], max: usize) -> Result<Vec<Entry>, Problem> {
    let entries = match media_type(headers, &[ARRAY, LINES])? {
        LINES => lines(bytes, max),
        _ => array(bytes)?,
    };
    if entries.is_empty() {
        return Err(refused("empty", "must have at least one record"));
    }
    if entries.len() > max {
        return Err(refused("too-long", format!("must have at most {max} records")));
    }
    Ok(entries)
}

/// The content of the whole batch, as an idempotency key stands for it.
pub(super) fn content(entries: Vec<Entry>) -> Value {
    // Of a line that is not JSON nothing is stored, so it need not be told from others.
    entries.into_iter().map(Result::unwrap_or_default).collect()
}

fn array(bytes: &[u8]) -> Result<Vec<Entry>, Problem> {
    match parse_json(bytes)? {
        Value::Array(values) => Ok(values.into_iter().map(Ok).collect()),
        _ => Err(refused("type", "must be a JSON array of records")),
    }
}

/// Reads no more lines than it takes to see that they are too many.
fn lines(bytes: &[u8], max: usize) -> Vec<Entry> {
    let budget = ValueBudget::of(bytes.len());
    bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .take(max + 1)
        .map(|line| budget.parse(line))
        .collect()
}

fn refused(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::validation([Violation::pointer("", code, detail)])
}
