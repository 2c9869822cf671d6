//! Which remediation a name means.

use serde_json::{Value, json};

use crate::both::Both;
use crate::recovery::{PATH, context, remediation, workflow};

#[tokio::test]
async fn a_name_used_again_means_the_newest_instance_unless_created_at_says_which() {
    let both = Both::new().await;
    let old = both
        .incident(&remediation(
            "rr-1",
            "checkout",
            "06:00:00",
            json!({"phase": "Failed"}),
        ))
        .await;
    let new = both
        .incident(&remediation("rr-1", "checkout", "09:00:00", json!({})))
        .await;
    both.record(
        "workflow",
        &workflow("wf-old", "rr-1", "06:30:00", json!({"phase": "Failed"})),
    )
    .await;
    both.record(
        "workflow",
        &workflow("wf-new", "rr-1", "09:30:00", json!({"phase": "Failed"})),
    )
    .await;
    let told = |context: &Value| -> Vec<Value> {
        let failures = context["previousFailures"].as_array().expect("failures").iter();
        failures
            .map(|failure| json!([failure["scope"], failure["workflowRef"], failure["attemptNumber"]]))
            .collect()
    };
    let newest = context(&both, "rr-1").await;
    assert_eq!(
        (&newest["incidentId"], &newest["currentAttempt"]),
        (&json!(new), &json!(2))
    );
    assert_eq!(
        told(&newest),
        [
            json!(["remediation", "wf-new", 1]),
            json!(["resource", "wf-old", 1])
        ]
    );
    // Seen from the older one, the newer one is no past.
    let older = context(&both, "rr-1?createdAt=2026-06-15T06:00:00Z").await;
    assert_eq!(
        (&older["incidentId"], &older["currentAttempt"]),
        (&json!(old), &json!(2))
    );
    assert_eq!(told(&older), [json!(["remediation", "wf-old", 1])]);
}

#[tokio::test]
async fn a_name_in_several_namespaces_is_never_guessed() {
    let both = Both::new().await;
    let here = both
        .incident(&remediation("rr-1", "checkout", "06:00:00", json!({})))
        .await;
    let there = both
        .incident(&remediation(
            "rr-1",
            "checkout",
            "09:00:00",
            json!({"namespace": "blue"}),
        ))
        .await;
    let answer = both.get(&format!("{PATH}/rr-1")).await;
    assert_eq!(answer.status, 409);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(
        answer.body["type"],
        "https://kubernaut.ai/problems/ambiguous-name"
    );
    assert_eq!(
        answer.body["errors"],
        json!([{"parameter": "namespace", "code": "required", "detail": "must be given, such as `blue`, `kubernaut-system`"}])
    );
    assert_eq!(
        context(&both, "rr-1?namespace=kubernaut-system").await["incidentId"],
        here
    );
    assert_eq!(context(&both, "rr-1?namespace=blue").await["incidentId"], there);
    assert_eq!(
        context(&both, "rr-1?createdAt=2026-06-15T09:00:00Z").await["incidentId"],
        there
    );
}
