//! Records without their secrets.

use std::borrow::Cow;

use audit_store::record::Record;
use audit_store::writer::NewRecord;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use redaction::{Findings, POLICY_VERSION, redact_bytes, redact_map};
use serde_json::{Map, Value};

/// The field whose base64 may hide a text.
const ENCODED: &str = "originalPayload";

/// The record as it may be stored: without secrets, its hash taken of what is left. What was taken out is counted.
///
/// # Errors
/// `serde_json`'s error where a record has no JSON form; a validated one always has.
pub(super) fn prepare(
    record: Record,
    actor: String,
    received_at: DateTime<Utc>,
    findings: &mut Findings,
) -> Result<NewRecord, serde_json::Error> {
    let kind = record.kind();
    let mut payload = record.payload()?;
    let before = findings.total();
    if let Value::Object(fields) = &mut payload.value {
        redact(fields, findings);
    }
    let mut new = if findings.total() == before {
        NewRecord::with_payload(record, payload, actor, received_at)
    } else {
        NewRecord::new(Record::from_payload(kind, payload.value)?, actor, received_at)?
    };
    new.redaction_policy = POLICY_VERSION;
    Ok(new)
}

/// Takes the secrets out of the fields of a record, also out of those that are encoded.
pub(crate) fn redact(fields: &mut Map<String, Value>, findings: &mut Findings) {
    // Kept apart from the rest: in base64 anything can look like a secret, and must still be base64 afterwards.
    let encoded = fields.remove(ENCODED);
    redact_map(fields, findings);
    if let Some(mut encoded) = encoded {
        if let Value::String(text) = &mut encoded
            && let Ok(bytes) = STANDARD.decode(text.as_bytes())
            && let Cow::Owned(clean) = redact_bytes(&bytes, findings)
        {
            *text = STANDARD.encode(clean);
        }
        fields.insert(ENCODED.to_owned(), encoded);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redacted(fields: Value) -> Value {
        let Value::Object(mut fields) = fields else {
            panic!("an object")
        };
        redact(&mut fields, &mut Findings::new());
        Value::Object(fields)
    }

    #[test]
    fn a_secret_inside_base64_goes_and_the_rest_stays() {
        let payload = |password: &str| STANDARD.encode(format!(r#"{{"alert":"x","password":"{password}"}}"#));
        assert_eq!(
            redacted(json!({ENCODED: payload("correct-horse")})),
            json!({ENCODED: payload("***")})
        );
        // A byte that is no UTF-8 hides nothing.
        let around =
            |secret: &str| STANDARD.encode([b"\xff password=", secret.as_bytes(), b" \xe9t\xe9"].concat());
        assert_eq!(
            redacted(json!({ENCODED: around("correct-horse")})),
            json!({ENCODED: around("***")})
        );
        // What looks like a secret once it is encoded stays decodable.
        let key = STANDARD.encode(
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----",
        );
        let Value::String(clean) = redacted(json!({ENCODED: key}))[ENCODED].clone() else {
            panic!("a string")
        };
        let clean = String::from_utf8(STANDARD.decode(clean).unwrap()).unwrap();
        assert!(!clean.contains("MIIEvQ") && clean.contains("***"), "{clean}");
        let binary = STANDARD.encode([0xff, 0xfe, 0, 1]);
        assert_eq!(redacted(json!({ENCODED: binary})), json!({ENCODED: binary}));
    }
}
