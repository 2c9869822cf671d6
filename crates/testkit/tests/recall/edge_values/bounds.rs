//! Numbers, words of a vocabulary, and times.

use serde_json::json;

use super::{ENDPOINTS, known, parameters, violation};
use crate::both::Both;

#[tokio::test]
async fn a_number_is_within_its_bounds_or_refused_by_name() {
    let both = Both::new().await;
    let mut checked = Vec::new();
    for endpoint in &ENDPOINTS {
        for (name, schema) in parameters(endpoint, |schema| schema["type"] == "integer") {
            let [least, most] = ["minimum", "maximum"].map(|bound| schema[bound].as_i64().expect("a bound"));
            for number in [least, most] {
                let path = endpoint.asked_with(&name, &number.to_string());
                assert_eq!(both.get(&path).await.status, 200, "{path}");
            }
            for (text, code) in [
                ((least - 1).to_string(), "out-of-range"),
                ((most + 1).to_string(), "out-of-range"),
                ("-1".to_owned(), "out-of-range"),
                (i64::MAX.to_string(), "out-of-range"),
                (i64::MIN.to_string(), "out-of-range"),
                ("99999999999999999999999999".to_owned(), "out-of-range"),
                ("1.5".to_owned(), "not-an-integer"),
                ("1e2".to_owned(), "not-an-integer"),
                ("0x10".to_owned(), "not-an-integer"),
                ("%2B1".to_owned(), "not-an-integer"),
                ("%201".to_owned(), "not-an-integer"),
                ("NaN".to_owned(), "not-an-integer"),
                ("%D9%A1".to_owned(), "not-an-integer"),
                ("1;DROP".to_owned(), "not-an-integer"),
            ] {
                let path = endpoint.asked_with(&name, &text);
                let answer = both.get(&path).await;
                assert_eq!(answer.status, 400, "{path}");
                assert_eq!(answer.violations(), violation(&name, code), "{path}");
            }
            checked.push(format!("{} {name}", endpoint.path.replace("/api/v1/", "")));
        }
    }
    assert_eq!(
        checked,
        [
            "incidents limit",
            "incidents offset",
            "aggregations/namespaces minSamples",
            "aggregations/namespaces limit",
            "aggregations/actions minSamples",
            "aggregations/actions limit",
            "aggregations/severities minSamples",
            "aggregations/trend minSamples",
            "context/success-rates minSamples",
            "context/success-rates limit",
            "context/historical limit",
        ]
    );
}

#[tokio::test]
async fn a_word_of_a_vocabulary_has_one_spelling() {
    let both = Both::new().await;
    known(&both).await;
    for endpoint in &ENDPOINTS {
        for (name, schema) in parameters(endpoint, |schema| schema["enum"].is_array()) {
            for word in schema["enum"].as_array().expect("words") {
                let word = word.as_str().expect("a word");
                let path = endpoint.asked_with(&name, word);
                assert_eq!(both.get(&path).await.status, 200, "{path}");
                let other = if word.to_uppercase() == word {
                    word.to_lowercase()
                } else {
                    word.to_uppercase()
                };
                for wrong in [other, format!("{word}%20"), format!("{word}'--")] {
                    let path = endpoint.asked_with(&name, &wrong);
                    let answer = both.get(&path).await;
                    assert_eq!(answer.status, 400, "{path}");
                    let violations = answer.violations();
                    assert_eq!((violations.len(), &violations[0].0), (1, &name), "{path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_time_range_has_a_beginning_before_its_end() {
    let both = Both::new().await;
    let id = known(&both).await;
    let timed = ENDPOINTS
        .iter()
        .filter(|endpoint| endpoint.finds.iter().any(|(name, _)| *name == "alertName"));
    for endpoint in timed {
        for (since, until, status) in [
            // The incident was created at ten.
            ("2026-06-15T10:00:00Z", "2026-06-15T10:00:00.000001Z", 200),
            ("2026-06-15T10:00:00Z", "2026-06-15T10:00:00Z", 400),
            ("2026-06-15T10:00:00.000001Z", "2026-06-15T10:00:00Z", 400),
            ("2026-06-16T00:00:00Z", "2026-06-14T00:00:00Z", 400),
            ("1h", "2h", 400),
        ] {
            let path = format!("{}&since={since}", endpoint.asked_with("until", until));
            let answer = both.get(&path).await;
            assert_eq!(answer.status, status, "{path}");
            if status == 200 {
                assert_eq!((endpoint.found)(&answer), json!(1), "{path}");
            } else {
                assert_eq!(
                    answer.violations(),
                    violation("since", "not-before-until"),
                    "{path}"
                );
            }
        }
    }
    // Beyond the calendar of the database, of the wire, and of neither.
    for time in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
        assert_eq!(
            both.list(&format!("since={time}")).await.1,
            i64::from(time < "2026"),
            "{time}"
        );
    }
    for time in [
        "10000-01-01T00:00:00Z",
        "-4713-01-01T00:00:00Z",
        "infinity",
        "2026-02-30T00:00:00Z",
        "2026-06-15",
    ] {
        assert_eq!(
            both.get(&format!("/api/v1/incidents?since={time}")).await.status,
            400,
            "{time}"
        );
    }
    assert_eq!(both.list("since=3650d").await, (vec![id], 1));
    assert_eq!(both.get("/api/v1/incidents?since=3651d").await.status, 400);
}
