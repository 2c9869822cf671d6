//! The header `Idempotency-Key`: a caller's name for a request, so that it can be sent again without a doubt.
//!
//! The header is that of draft-ietf-httpapi-idempotency-key-header-07. Many clients send the key bare instead of as a
//! structured-field string; both are understood, and mean the same.

use std::time::Duration;

use audit_store::writer::IdempotencyKey;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use redaction::Findings;
use serde_json::Value;
use service_kit::problem::ProblemKind;
use service_kit::{Problem, Violation};
use sha2::{Digest, Sha256};

use crate::ingest;

/// Most characters of a key.
const MAX_CHARS: usize = 255;

/// 422: the key stands for another request.
pub(crate) const KEY_REUSED: ProblemKind = ProblemKind::new(
    "idempotency-key-reused",
    "The idempotency key stands for another request",
    StatusCode::UNPROCESSABLE_ENTITY,
);

/// The key of a request, if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestKey(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for RequestKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::read(&parts.headers).map_err(|(code, detail)| {
            Problem::new(ProblemKind::INVALID_PARAMETER)
                .with_detail("The headers listed in `errors` cannot be used.")
                .with_violations([Violation::header("Idempotency-Key", code, detail)])
        })
    }
}

impl RequestKey {
    fn read(headers: &HeaderMap) -> Result<Self, (&'static str, &'static str)> {
        let mut values = headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else {
            return Ok(Self(None));
        };
        if values.next().is_some() {
            return Err(("repeated", "must be given once"));
        }
        let malformed = (
            "format",
            "must be 1 to 255 visible ASCII characters, quoted or not",
        );
        let text = value.to_str().map_err(|_| malformed)?.trim();
        let key = match text.strip_prefix('"') {
            Some(rest) => rest
                .strip_suffix('"')
                .filter(|inner| !inner.contains(['"', '\\']))
                .ok_or(malformed)?,
            None => text,
        };
        let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if key.is_empty() || key.len() > MAX_CHARS || !visible {
            return Err(malformed);
        }
        Ok(Self(Some(key.to_owned())))
    }

    /// The key with the request that it stands for; `request` says which endpoint and mode. Secrets of the body are not
    /// hashed: a hash of one would let it be guessed.
    pub(crate) fn of(
        self,
        request: &str,
        mut body: Value,
        caller: &str,
        now: DateTime<Utc>,
        kept_for: Duration,
    ) -> Option<IdempotencyKey> {
        let key = self.0?;
        redact(&mut body);
        let mut hash = Sha256::new();
        hash.update(request);
        hash.update([0]);
        // Objects are sorted maps, so the order of keys does not matter.
        hash.update(body.to_string());
        Some(IdempotencyKey {
            caller: caller.to_owned(),
            key,
            request_sha256: hash.finalize().into(),
            given_at: now,
            expires_at: now + kept_for,
        })
    }
}

/// Takes the secrets out of a record, or out of each of a batch's.
fn redact(body: &mut Value) {
    // They are counted where the records are stored.
    let mut uncounted = Findings::new();
    match body {
        Value::Object(fields) => ingest::redact::redact(fields, &mut uncounted),
        Value::Array(entries) => {
            for entry in entries {
                if let Some(Value::Object(record)) = entry.get_mut("record") {
                    ingest::redact::redact(record, &mut uncounted);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(values: &[&'static str]) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("idempotency-key", HeaderValue::from_static(value));
        }
        RequestKey::read(&headers)
            .map(|RequestKey(key)| key)
            .map_err(|(code, _)| code)
    }

    #[test]
    fn a_key_is_read_quoted_or_bare() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["\"8e03978e-40d5\""]), Ok(Some("8e03978e-40d5".to_owned())));
        assert_eq!(read(&[" 8e03978e-40d5 "]), Ok(Some("8e03978e-40d5".to_owned())));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for value in [
            "",
            "\"\"",
            "\"open",
            "two words",
            "\"a\"b\"",
            "\"a\\\\b\"",
            "a\tb",
        ] {
            assert_eq!(read(&[value]), Err("format"), "{value}");
        }
        assert_eq!(read(&["a", "a"]), Err("repeated"));
        let long: &'static str = Box::leak("k".repeat(256).into_boxed_str());
        assert_eq!(read(&[long]), Err("format"));
        assert_eq!(read(&[&long[1..]]), Ok(Some("k".repeat(255))));
    }
}
