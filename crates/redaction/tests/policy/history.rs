//! Thousands of records as controllers send them, none of which holds a secret.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::DateTime;
use demo_history::{HistoryOptions, history};
use redaction::{Findings, contains_secret, redact_bytes, redact_json};
use serde_json::Value;

#[test]
fn a_history_without_secrets_stays_as_it_is() {
    let end = DateTime::from_timestamp(1_780_000_000, 0).unwrap();
    let records = history(&HistoryOptions::new(end));
    assert_eq!(records.len(), 18_137);
    let mut payloads = 0;
    for record in records {
        let mut findings = Findings::new();
        let mut body = record.body.clone();
        redact_json(&mut body, &mut findings);
        assert_eq!(body, record.body);
        assert!(findings.is_empty(), "{findings:?} in {body}");
        for name in ["name", "correlationId", "fingerprint"] {
            assert!(
                !body[name].as_str().is_some_and(contains_secret),
                "{name} of {body}"
            );
        }
        if let Value::String(payload) = &body["originalPayload"] {
            let payload = BASE64_STANDARD.decode(payload).unwrap();
            assert_eq!(*redact_bytes(&payload, &mut findings), *payload);
            payloads += 1;
        }
    }
    assert_eq!(payloads, 203);
}
