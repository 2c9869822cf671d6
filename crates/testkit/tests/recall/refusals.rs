//! Context API answers bad questions with problems that name the parameter, and never with a 500.

use serde_json::json;
use testkit::records;
use testkit::request::post_bytes;

use crate::both::Both;

#[tokio::test]
async fn bad_parameters_are_all_named_at_once() {
    let both = Both::new().await;
    let answer = both
        .get("/api/v1/incidents?limit=0&offset=-1&severity=huge&color=red&phase=completed&order=up")
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.body["type"],
        "https://kubernaut.ai/problems/invalid-parameter"
    );
    let mut parameters: Vec<String> = answer
        .violations()
        .into_iter()
        .map(|(parameter, _)| parameter)
        .collect();
    parameters.sort();
    assert_eq!(
        parameters,
        ["color", "limit", "offset", "order", "phase", "severity"]
    );
}

#[tokio::test]
async fn each_bad_value_is_a_400_and_not_a_500() {
    let both = Both::new().await;
    let queries = [
        "limit=101",
        "limit=ten",
        "limit=1&limit=2",
        "offset=1000001",
        "offset=x",
        "since=yesterday",
        "until=2026-13-01T00:00:00Z",
        "since=2026-06-15T00:00:00Z&until=2026-06-14T00:00:00Z",
        "namespace=%00",
        "namespace=%FF",
        "fingerprint=XYZ",
        "status=done",
        "environment=prod",
        "kind=",
        "name=%ZZ",
    ];
    for query in queries {
        let answer = both.get(&format!("/api/v1/incidents?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
        assert_eq!(
            answer.headers["content-type"], "application/problem+json",
            "{query}"
        );
        assert!(!answer.violations().is_empty(), "{query}");
    }
}

#[tokio::test]
async fn an_incident_that_is_not_there_is_a_404_and_no_number_is_a_400() {
    let both = Both::new().await;
    let answer = both.get("/api/v1/incidents/4711").await;
    assert_eq!(
        (answer.status.as_u16(), answer.body["type"].as_str()),
        (404, Some("https://kubernaut.ai/problems/not-found"))
    );
    for id in ["x", "1.5", "99999999999999999999", "-"] {
        assert_eq!(
            both.get(&format!("/api/v1/incidents/{id}")).await.status,
            400,
            "{id}"
        );
    }
}

#[tokio::test]
async fn bad_questions_of_the_search_are_refused_with_pointers() {
    let both = Both::new().await;
    let cases = [
        (json!({}), vec!["/description"]),
        (json!({"description": "x", "incidentId": 1}), vec!["/incidentId"]),
        (
            json!({"description": "memory", "maxResults": 0, "minSimilarity": 2, "severity": "huge", "color": 1}),
            vec!["/color", "/maxResults", "/minSimilarity", "/severity"],
        ),
        (json!({"description": "… – !"}), vec!["/description"]),
        (
            json!({"description": "12 345 6.7", "minSimilarity": 0.5}),
            vec!["/minSimilarity"],
        ),
    ];
    for (body, expected) in cases {
        let answer = both.search(&body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        let mut pointers: Vec<String> = answer
            .violations()
            .into_iter()
            .map(|(pointer, _)| pointer)
            .collect();
        pointers.sort();
        for pointer in expected {
            assert!(
                pointers.iter().any(|found| found == pointer || found.is_empty()),
                "{body}: {pointers:?}"
            );
        }
    }
    assert_eq!(both.search(&json!({"incidentId": 4711})).await.status, 404);
    let answer = post_bytes(&both.context_api, "/api/v1/context/match", "text/plain", "x").await;
    assert_eq!(answer.status, 415);
}

#[tokio::test]
async fn a_record_of_nul_bytes_or_strange_text_never_breaks_a_read() {
    let both = Both::new().await;
    let body = records::with(
        records::remediation("rr-1"),
        json!({"message": "' OR 1=1; DROP TABLE audit_events; -- \u{202e}\u{1F469}\u{200d}\u{1F680} \\x00 %s {}"}),
    );
    let incident = both.incident(&body).await;
    let detail = both.get(&format!("/api/v1/incidents/{incident}")).await.body;
    assert_eq!(detail["message"], body["message"]);
}
