//! JSON as values and as documents: both go the same way, so every case is asserted for both.

use redaction::{Findings, redact_json, redact_map, redact_text};
use serde_json::{Value, json};

use crate::corpus::{Case, cases};

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn assert_json(cases: &[Case]) {
    let mut wrong = Vec::new();
    for case in cases {
        let mut redacted = value(&case.input);
        redact_json(&mut redacted, &mut Findings::new());
        if redacted != value(&case.output) {
            wrong.push(format!("value:    {}\nexpected: {}\n", redacted, case.output));
        }
        let document = redact_text(&case.input, &mut Findings::new());
        if document != case.output {
            wrong.push(format!("document: {document}\nexpected: {}\n", case.output));
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn secrets_in_json_become_stars_in_values_and_in_documents() {
    let cases = cases(include_str!("corpus/json.txt"));
    assert_eq!(cases.len(), 29);
    assert_json(&cases);
}

#[test]
fn json_that_only_names_secrets_stays() {
    let cases = cases(include_str!("corpus/json_lookalikes.txt"));
    assert_eq!(cases.len(), 25);
    assert_json(&cases);
}

#[test]
fn a_map_is_redacted_like_the_value_around_it() {
    let Value::Object(mut map) = json!({"password": "hunter2", "user": "app"}) else {
        unreachable!("it is an object");
    };
    let mut findings = Findings::new();
    redact_map(&mut map, &mut findings);
    assert_eq!(Value::Object(map), json!({"password": "***", "user": "app"}));
    assert_eq!(findings.by_rule().collect::<Vec<_>>(), [("json_key", 1)]);
}

#[test]
fn numbers_come_through_exactly_beside_a_secret() {
    let mut redacted =
        value(r#"{"password":"hunter2","n":[18446744073709551615,-1,0.1,1e300,5e-324,12.50]}"#);
    redact_json(&mut redacted, &mut Findings::new());
    assert_eq!(
        redacted,
        value(r#"{"password":"***","n":[18446744073709551615,-1,0.1,1e300,5e-324,12.5]}"#)
    );
}

#[test]
fn a_document_deeper_than_serde_json_reads_is_redacted_as_text() {
    let text = format!(
        "{}{}{}",
        "[".repeat(300),
        r#"{"password":"hunter2"}"#,
        "]".repeat(300)
    );
    let redacted = redact_text(&text, &mut Findings::new());
    assert_eq!(redacted, text.replace("hunter2", "***"));
}
