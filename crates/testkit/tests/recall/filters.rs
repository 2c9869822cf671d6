//! Each filter lets through what it names and nothing else, in the list and in the search.

use serde_json::{Value, json};
use testkit::records::{self, with};

use crate::both::Both;

/// A filter in both forms, with the field of a remediation that passes it and one that does not.
fn filters() -> Vec<(&'static str, &'static str, Value, Value)> {
    vec![
        (
            "namespace",
            "shop",
            json!({"targetNamespace": "shop"}),
            json!({"targetNamespace": "shop2"}),
        ),
        (
            "cluster",
            "prod-eu-1",
            json!({"clusterName": "prod-eu-1"}),
            json!({"clusterName": "prod-eu-2"}),
        ),
        (
            "environment",
            "staging",
            json!({"environment": "staging"}),
            json!({"environment": "production"}),
        ),
        (
            "severity",
            "critical",
            json!({"severity": "critical"}),
            json!({"severity": "warning"}),
        ),
        (
            "alertName",
            "TargetDown",
            json!({"signalName": "TargetDown"}),
            json!({"signalName": "TargetDown2"}),
        ),
        (
            "fingerprint",
            "0123456789abcdef",
            json!({"fingerprint": "0123456789abcdef"}),
            json!({"fingerprint": "0123456789abcdee"}),
        ),
        (
            "actionType",
            "delete_pod",
            json!({"actionType": "delete_pod"}),
            json!({"actionType": "restart_pod"}),
        ),
        (
            "kind",
            "daemonset",
            json!({"targetType": "DaemonSet"}),
            json!({"targetType": "Deployment"}),
        ),
        (
            "name",
            "api",
            json!({"targetName": "api"}),
            json!({"targetName": "api-2"}),
        ),
        (
            "phase",
            "Completed",
            json!({"phase": "Completed"}),
            json!({"phase": "Processing"}),
        ),
        (
            "status",
            "executing",
            json!({"phase": "Processing"}),
            json!({"phase": "Pending"}),
        ),
        (
            "correlationId",
            "c-42",
            json!({"correlationId": "c-42"}),
            json!({"correlationId": "c-4"}),
        ),
        (
            "since",
            "2026-06-10T00:00:00Z",
            json!({"createdAt": "2026-06-10T00:00:00Z"}),
            json!({"createdAt": "2026-06-09T23:59:59.999999Z"}),
        ),
        (
            "until",
            "2026-06-10T00:00:00Z",
            json!({"createdAt": "2026-06-09T23:59:59.999999Z"}),
            json!({"createdAt": "2026-06-10T00:00:00Z"}),
        ),
    ]
}

#[tokio::test]
async fn every_filter_of_the_list_and_of_the_search_is_exact() {
    let both = Both::new().await;
    for (index, (parameter, value, passing, failing)) in filters().into_iter().enumerate() {
        // A label of its own keeps the incidents of one filter apart from those of the others.
        let base = |name: &str| {
            let time = if parameter == "since" || parameter == "until" {
                json!({})
            } else {
                json!({"createdAt": "2026-06-12T10:00:00Z"})
            };
            with(
                with(records::remediation(&format!("rr-{index}-{name}")), time),
                json!({"message": "something broke"}),
            )
        };
        let passes = both.incident(&with(base("passes"), passing)).await;
        let fails = both.incident(&with(base("fails"), failing)).await;
        let (list, total) = both.list(&format!("{parameter}={value}&limit=100")).await;
        assert!(list.contains(&passes), "{parameter} loses what passes");
        assert!(!list.contains(&fails), "{parameter} lets the other through");
        assert_eq!(i64::try_from(list.len()).expect("few"), total, "{parameter}");
        let found = both
            .found(&json!({"description": "something broke", "maxResults": 100, parameter: value}))
            .await;
        let (mut sorted_list, mut sorted_found) = (list, found);
        sorted_list.sort_unstable();
        sorted_found.sort_unstable();
        assert_eq!(
            sorted_found, sorted_list,
            "{parameter}: the search finds every incident that passes, and no other"
        );
    }
}

#[tokio::test]
async fn the_workflow_filter_finds_incidents_by_any_of_their_workflows() {
    let both = Both::new().await;
    let mine = both.incident(&records::remediation("rr-1")).await;
    both.incident(&records::remediation("rr-2")).await;
    both.record(
        "workflow",
        &with(
            records::workflow("wf-1", "rr-1"),
            json!({"workflowName": "first-try"}),
        ),
    )
    .await;
    both.record(
        "workflow",
        &with(
            records::workflow("wf-2", "rr-1"),
            json!({"workflowName": "second-try", "createdAt": "2026-06-15T10:04:00Z"}),
        ),
    )
    .await;
    for workflow in ["first-try", "second-try"] {
        assert_eq!(
            both.list(&format!("workflow={workflow}")).await,
            (vec![mine], 1),
            "{workflow}"
        );
    }
    assert_eq!(both.list("workflow=third-try").await, (vec![], 0));
}

#[tokio::test]
async fn filters_go_together() {
    let both = Both::new().await;
    let body = |name: &str, severity: &str, namespace: &str| {
        with(
            records::remediation(name),
            json!({"severity": severity, "targetNamespace": namespace}),
        )
    };
    both.incident(&body("rr-1", "critical", "shop")).await;
    let both_pass = both.incident(&body("rr-2", "critical", "search")).await;
    both.incident(&body("rr-3", "info", "search")).await;
    assert_eq!(
        both.list("severity=critical&namespace=search").await,
        (vec![both_pass], 1)
    );
    assert_eq!(both.list("severity=low&namespace=search").await, (vec![], 0));
}
