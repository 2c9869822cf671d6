//! What holds of any input.

use proptest::prelude::*;
use redaction::{Findings, contains_secret, redact_bytes, redact_json, redact_text};
use serde_json::{Map, Value};

use crate::corpus::cases;
use crate::credentials::{STANDALONE, credential};

fn redacted(text: &str) -> String {
    redact_text(text, &mut Findings::new()).into_owned()
}

/// Pieces that rules look for, and what stands around them, so that random texts come near to secrets.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "password",
            "token",
            "secret",
            "api key",
            "DB_PASSWORD",
            "--password",
            "Authorization: ",
            "Bearer ",
            "Basic ",
            "Cookie: ",
            "://u:",
            "@",
            "=",
            ": ",
            ":",
            "\"",
            "\\\"",
            "\\",
            "\\n",
            "'",
            "`",
            "{",
            "}",
            "[",
            "]",
            "<",
            ">",
            "</",
            ",",
            ";",
            "&",
            "|\n  ",
            "\n",
            " ",
            "  ",
            "***",
            "*",
            "~2",
            "$(",
            "${",
            "mysql -p",
            "-----BEGIN PRIVATE KEY-----",
            "-----END PRIVATE KEY-----",
            "kind: Secret\n",
            "data:\n",
            "name: ",
            "value: ",
            "abc123",
            "hunter2",
            "word",
            "not found",
            "identified by ",
            "machine a login b password ",
            "é",
            "🚑",
            "\u{2028}",
            "K",
            "ſecret",
            "\\u0026",
            "eyJ",
            ".",
            "-",
            "ghp_",
            "null",
            "xxx",
            "curl -u a:",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,6}",
        "\\PC{0,4}",
        prop::sample::select(STANDALONE.to_vec()).prop_map(credential),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..24).prop_map(|pieces| pieces.concat())
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u32..2_000_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    let key = prop_oneof![
        prop::sample::select(vec![
            "password",
            "token",
            "tokens",
            "secret",
            "kind",
            "data",
            "stringData",
            "name",
            "value",
            "key",
            "auth",
            "Authorization",
            "cookie",
            "items",
            "credentials",
            "old",
        ])
        .prop_map(str::to_owned),
        text(),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
            Just(serde_json::json!({"kind": "Secret", "data": {"a": "Yg=="}})),
        ]
    })
}

/// Entries and items, without texts.
fn shape(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(",")),
        Value::Object(entries) => {
            // Names may change, and with them the order.
            let mut shapes: Vec<_> = entries.values().map(shape).collect();
            shapes.sort_unstable();
            format!("{{{}}}", shapes.join(","))
        }
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(_) | Value::String(_) => "_".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn redacted_text_is_a_fixed_point_and_never_longer(text in text()) {
        let once = redacted(&text);
        prop_assert!(once.len() <= text.len(), "{once}");
        prop_assert!(once.chars().count() <= text.chars().count());
        prop_assert_eq!(redacted(&once), once);
    }

    #[test]
    fn any_text_goes_through(text in any::<String>()) {
        let once = redacted(&text);
        prop_assert_eq!(redacted(&once), once);
        let _ = contains_secret(&text);
    }

    #[test]
    fn any_bytes_go_through(bytes in any::<Vec<u8>>()) {
        let once = redact_bytes(&bytes, &mut Findings::new()).into_owned();
        prop_assert!(once.len() <= bytes.len());
        prop_assert_eq!(std::str::from_utf8(&once).is_ok(), std::str::from_utf8(&bytes).is_ok());
    }

    #[test]
    fn what_goes_is_replaced_by_stars_and_the_rest_stays_in_order(text in text()) {
        let once = redacted(&text);
        // Everything but stars is a subsequence of the input.
        let mut input = text.chars();
        for c in once.chars().filter(|&c| c != '*') {
            prop_assert!(input.any(|other| other == c), "{c:?} of {once:?}");
        }
    }

    #[test]
    fn text_without_any_trigger_stays(text in "[b-df-jlmqvwz0-9 .,;:=\"'{}\\[\\]\n-]{0,200}") {
        let mut findings = Findings::new();
        prop_assert_eq!(redact_text(&text, &mut findings), text.as_str());
        prop_assert!(findings.is_empty());
    }

    #[test]
    fn findings_say_whether_anything_changed(text in text()) {
        let mut findings = Findings::new();
        let once = redact_text(&text, &mut findings);
        prop_assert_eq!(findings.is_empty(), once == text.as_str());
    }

    #[test]
    fn a_planted_credential_disappears(
        head in "[a-z0-9 .,;:=\"'{}\\[\\]\n-]{0,80}[ \"'=(]",
        tail in "([ \"'),]\\PC{0,80})?",
        name in prop::sample::select(STANDALONE.to_vec()),
    ) {
        let secret = credential(name);
        let once = redacted(&format!("{head}{secret}{tail}"));
        prop_assert!(!once.contains(&secret), "{once}");
    }

    #[test]
    fn a_planted_assignment_disappears(
        head in "[a-z0-9 .\n]{0,80}[ \n]",
        key in prop::sample::select(vec!["password", "DB_PASSWORD", "client_secret", "apiKey", "auth-token"]),
        form in prop::sample::select(vec!["K=V", "K: V", "--K V", "\"K\":\"V\"", "\\\"K\\\": \\\"V\\\"", "K = 'V'", "?K=V&x=1", "<K>V</K>"]),
        secret in "[A-Za-z]{2}[0-9]{3}[A-Za-z0-9!#%^_+/-]{4,20}[A-Za-z0-9]",
        tail in "( [a-z ]{0,40})?",
    ) {
        let assignment = form.replace('K', key).replace('V', &secret);
        let once = redacted(&format!("{head}{assignment}{tail}"));
        prop_assert!(!once.contains(&secret), "{once}");
    }

    #[test]
    fn redacted_json_keeps_its_shape_is_a_fixed_point_and_never_longer(value in json()) {
        let mut once = value.clone();
        redact_json(&mut once, &mut Findings::new());
        prop_assert_eq!(shape(&once), shape(&value));
        prop_assert!(once.to_string().len() <= value.to_string().len(), "{once}");
        let mut twice = once.clone();
        redact_json(&mut twice, &mut Findings::new());
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn a_document_and_its_value_are_redacted_alike(value in json()) {
        let document = value.to_string();
        let once = redacted(&document);
        if document.starts_with(['{', '[']) {
            let mut redacted_value = value;
            redact_json(&mut redacted_value, &mut Findings::new());
            prop_assert_eq!(serde_json::from_str::<Value>(&once).unwrap(), redacted_value);
        }
    }
}

#[test]
fn every_case_cut_off_anywhere_is_a_fixed_point() {
    for case in cases(include_str!("corpus/secrets.txt")) {
        for end in (0..case.input.len()).filter(|&end| case.input.is_char_boundary(end)) {
            let once = redacted(&case.input[..end]);
            assert_eq!(redacted(&once), once);
        }
    }
}
