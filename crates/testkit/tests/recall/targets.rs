//! What is told of a target: how it has fared, and what it has in common with its like.

use serde_json::{Value, json};
use testkit::records::{self, with};

use crate::both::Both;

const ENVIRONMENT: &str = "/api/v1/context";
const HISTORICAL: &str = "/api/v1/context/historical";
const CHECKOUT: &str = "namespace=shop&targetType=deployment&targetName=checkout";

/// A remediation on a deployment of the namespace shop.
fn remediation(name: &str, target: &str, time: &str, more: Value) -> Value {
    let body = json!({"targetName": target, "targetNamespace": "shop", "createdAt": time});
    with(with(records::remediation(name), body), more)
}

fn took(phase: &str, start: &str, end: &str) -> Value {
    json!({"phase": phase, "startedAt": start, "completedAt": end})
}

async fn told(both: &Both, path: &str, query: &str) -> Value {
    let answer = both.get(&format!("{path}?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    answer.body
}

#[tokio::test]
async fn the_environment_context_of_a_target_is_counted_by_hand() {
    let both = Both::new().await;
    let failed = both.incident(&remediation("rr-1", "checkout", "2026-06-15T10:00:00Z", with(
        took("Failed", "2026-06-15T10:00:10Z", "2026-06-15T10:01:10Z"),
        json!({"reason": "RolloutFailed", "errorMessage": "timeout", "priority": "P1", "labels": {"app": "old"}}),
    ))).await;
    let unexplained = both
        .incident(&remediation(
            "rr-2",
            "checkout",
            "2026-06-14T10:00:00Z",
            json!({
                "phase": "Failed", "errorMessage": "dial tcp: connection refused", "priority": "P1",
            }),
        ))
        .await;
    let completed = both
        .incident(&remediation(
            "rr-3",
            "checkout",
            "2026-06-13T10:00:00Z",
            took("Completed", "2026-06-13T10:00:00Z", "2026-06-13T10:00:30.5Z"),
        ))
        .await;
    both.record(
        "workflow",
        &with(
            records::workflow("wf-3", "rr-3"),
            json!({"createdAt": "2026-06-13T10:00:01Z"}),
        ),
    )
    .await;
    // Exactly as old as the window is long.
    let staging = both
        .incident(&remediation(
            "rr-4",
            "checkout",
            "2026-06-08T12:00:00Z",
            json!({
                "phase": "Completed", "environment": "staging", "clusterName": "blue",
            }),
        ))
        .await;
    // A microsecond older.
    both.incident(&remediation(
        "rr-5",
        "checkout",
        "2026-06-08T11:59:59.999999Z",
        json!({"phase": "Failed"}),
    ))
    .await;
    let open = both
        .incident(&remediation(
            "rr-6",
            "checkout",
            "2026-06-15T11:00:00Z",
            json!({
                "priority": "P0", "labels": {"app": "checkout"},
            }),
        ))
        .await;
    // Other targets.
    let now = "2026-06-15T11:30:00Z";
    both.incident(&remediation(
        "rr-7",
        "checkout",
        now,
        json!({"phase": "Failed", "targetNamespace": "tools"}),
    ))
    .await;
    both.incident(&remediation(
        "rr-8",
        "checkout",
        now,
        json!({"phase": "Failed", "targetType": "Pod"}),
    ))
    .await;
    both.incident(&remediation("rr-9", "cart", now, json!({"phase": "Failed"})))
        .await;

    assert_eq!(
        told(&both, ENVIRONMENT, CHECKOUT).await,
        json!({
            "namespace": "shop", "targetType": "Deployment", "targetName": "checkout",
            "timeRange": "7d", "since": "2026-06-08T12:00:00Z",
            "metadata": {"labels": {"app": "checkout"}},
            "statistics": {
                "totalRemediations": 5, "successfulRemediations": 2, "failedRemediations": 2, "successRate": 0.5,
                "avgRemediationDurationSeconds": 45.25, "priorityDistribution": {"P0": 1, "P1": 2},
            },
            "commonFailures": [
                {"reason": "Network", "count": 1, "lastOccurrence": "2026-06-14T10:00:00Z"},
                {"reason": "RolloutFailed", "count": 1, "lastOccurrence": "2026-06-15T10:00:00Z"},
            ],
            "recentRemediations": [
                {"id": open, "createdAt": "2026-06-15T11:00:00Z", "phase": "Pending"},
                {"id": failed, "createdAt": "2026-06-15T10:00:00Z", "phase": "Failed", "durationSeconds": 60.0},
                {"id": unexplained, "createdAt": "2026-06-14T10:00:00Z", "phase": "Failed"},
                {"id": completed, "createdAt": "2026-06-13T10:00:00Z", "phase": "Completed",
                 "workflow": "restart-workload", "durationSeconds": 30.5},
                {"id": staging, "createdAt": "2026-06-08T12:00:00Z", "phase": "Completed"},
            ],
        })
    );
    for (more, total) in [
        ("timeRange=30d", 6),
        ("environment=staging", 1),
        ("cluster=blue", 1),
        ("environment=staging&cluster=default", 0),
    ] {
        let context = told(&both, ENVIRONMENT, &format!("{CHECKOUT}&{more}")).await;
        assert_eq!(context["statistics"]["totalRemediations"], total, "{more}");
    }
}

#[tokio::test]
async fn a_target_that_nothing_is_known_of_has_no_rate_and_a_cluster_scoped_one_no_namespace() {
    let both = Both::new().await;
    let mut node = remediation(
        "rr-1",
        "node-1",
        "2026-06-15T10:00:00Z",
        json!({"targetType": "Node", "phase": "Completed"}),
    );
    node.as_object_mut().expect("an object").remove("targetNamespace");
    both.incident(&node).await;
    assert_eq!(
        told(
            &both,
            ENVIRONMENT,
            "namespace=shop&targetType=Node&targetName=node-1"
        )
        .await,
        json!({
            "namespace": "shop", "targetType": "Node", "targetName": "node-1",
            "timeRange": "7d", "since": "2026-06-08T12:00:00Z", "metadata": {},
            "statistics": {"totalRemediations": 0, "successfulRemediations": 0, "failedRemediations": 0,
                           "priorityDistribution": {}},
            "commonFailures": [], "recentRemediations": [],
        })
    );
    let context = told(
        &both,
        ENVIRONMENT,
        "clusterScoped=true&targetType=node&targetName=node-1",
    )
    .await;
    assert_eq!(context.get("namespace"), None);
    assert_eq!(context["statistics"]["successRate"], 1.0);
    let history = told(&both, HISTORICAL, "clusterScoped=true&targetType=node").await;
    assert_eq!(history["totalIncidents"], 1);
    let history = told(&both, HISTORICAL, "namespace=shop&targetType=node").await;
    assert_eq!(
        (&history["totalIncidents"], &history["patterns"]),
        (&json!(0), &json!([]))
    );
}

#[tokio::test]
async fn the_patterns_of_a_target_and_its_like_are_counted_by_hand() {
    let both = Both::new().await;
    for (name, target, minute, phase, reason, seconds, cause, workflow) in [
        (
            "rr-1",
            "checkout",
            1,
            "Completed",
            "OOMKilled",
            Some(10),
            "leak",
            "raise",
        ),
        (
            "rr-2",
            "cart",
            2,
            "Failed",
            "OOMKilled",
            Some(20),
            "limit",
            "raise",
        ),
        (
            "rr-3",
            "cart",
            3,
            "Completed",
            "OOMKilled",
            None,
            "leak",
            "restart",
        ),
    ] {
        let mut body = remediation(
            name,
            target,
            &format!("2026-06-01T10:{minute:02}:00Z"),
            json!({"phase": phase, "reason": reason}),
        );
        if let Some(seconds) = seconds {
            let at = |second: i32| format!("2026-06-01T10:{minute:02}:{second:02}Z");
            body = with(body, took(phase, &at(0), &at(seconds)));
        }
        both.incident(&body).await;
        let time = json!({"createdAt": format!("2026-06-01T11:{minute:02}:00Z")});
        both.record(
            "aianalysis",
            &with(
                with(records::analysis(&format!("ai-{name}"), name), time.clone()),
                json!({"rootCause": cause}),
            ),
        )
        .await;
        both.record(
            "workflow",
            &with(
                with(records::workflow(&format!("wf-{name}"), name), time),
                json!({"workflowName": workflow}),
            ),
        )
        .await;
    }
    both.incident(&remediation(
        "rr-4",
        "checkout",
        "2026-06-15T10:00:00Z",
        json!({
            "phase": "Completed", "signalName": "Other", "signalType": "kubernetes-event",
        }),
    ))
    .await;
    // Under way; in another namespace; of another kind; older than 30 days.
    both.incident(&remediation(
        "rr-5",
        "checkout",
        "2026-06-15T10:00:00Z",
        json!({}),
    ))
    .await;
    both.incident(&remediation(
        "rr-6",
        "checkout",
        "2026-06-15T10:00:00Z",
        json!({"phase": "Failed", "targetNamespace": "tools"}),
    ))
    .await;
    both.incident(&remediation(
        "rr-7",
        "checkout",
        "2026-06-15T10:00:00Z",
        json!({"phase": "Failed", "targetType": "Pod"}),
    ))
    .await;
    both.incident(&remediation(
        "rr-8",
        "checkout",
        "2026-05-16T11:59:59Z",
        json!({"phase": "Failed"}),
    ))
    .await;

    let all = told(&both, HISTORICAL, "namespace=shop&targetType=Deployment").await;
    let first = json!({
        "pattern": "KubePodCrashLooping:OOMKilled", "alertName": "KubePodCrashLooping", "errorType": "OOMKilled",
        "occurrences": 3, "commonRootCause": "leak", "successfulRemediations": 2, "failedRemediations": 1,
        "successRate": 0.666_667, "commonWorkflow": "raise", "avgDurationSeconds": 15.0,
        "lastOccurrence": "2026-06-01T10:03:00Z",
    });
    assert_eq!(
        all,
        json!({
            "timeRange": "30d", "since": "2026-05-16T12:00:00Z", "totalIncidents": 5,
            "patterns": [
                first,
                {"pattern": "Other:Unknown", "alertName": "Other", "errorType": "Unknown", "occurrences": 1,
                 "successfulRemediations": 1, "failedRemediations": 0, "successRate": 1.0,
                 "lastOccurrence": "2026-06-15T10:00:00Z"},
            ],
        })
    );
    let one = told(&both, HISTORICAL, "namespace=shop&targetType=Deployment&limit=1").await;
    assert_eq!(
        (&one["patterns"], &one["totalIncidents"]),
        (&json!([first]), &json!(5))
    );
    let cart = told(
        &both,
        HISTORICAL,
        "namespace=shop&targetType=Deployment&targetName=cart",
    )
    .await;
    assert_eq!(cart["totalIncidents"], 2);
    // One of each: the first in alphabetical order.
    assert_eq!(cart["patterns"][0]["commonRootCause"], "leak");
    assert_eq!(cart["patterns"][0]["commonWorkflow"], "raise");
    assert_eq!(cart["patterns"][0]["avgDurationSeconds"], 20.0);
    let events = told(
        &both,
        HISTORICAL,
        "namespace=shop&targetType=Deployment&signalType=kubernetes-event",
    )
    .await;
    assert_eq!(
        (&events["totalIncidents"], &events["patterns"][0]["pattern"]),
        (&json!(1), &json!("Other:Unknown"))
    );
    let quarter = told(
        &both,
        HISTORICAL,
        "namespace=shop&targetType=Deployment&timeRange=90d",
    )
    .await;
    assert_eq!(quarter["totalIncidents"], 6);
}

#[tokio::test]
async fn similar_incidents_are_of_the_same_kind_and_only_told_when_asked_for() {
    let both = Both::new().await;
    let message = |text: &str| json!({"message": text, "phase": "Completed"});
    let twin = both
        .incident(&remediation(
            "rr-1",
            "checkout",
            "2026-06-14T10:00:00Z",
            with(
                message("memory ran out"),
                took("Completed", "2026-06-14T10:00:00Z", "2026-06-14T10:00:01.5Z"),
            ),
        ))
        .await;
    let other = both
        .incident(&remediation(
            "rr-2",
            "cart",
            "2026-06-14T11:00:00Z",
            with(
                message("the certificate is no longer valid"),
                json!({"targetNamespace": "tools", "signalName": "CertificateExpired"}),
            ),
        ))
        .await;
    both.incident(&remediation(
        "rr-3",
        "checkout",
        "2026-06-14T12:00:00Z",
        with(message("memory ran out"), json!({"targetType": "Pod"})),
    ))
    .await;
    // Before the window.
    both.incident(&remediation(
        "rr-4",
        "checkout",
        "2026-05-01T12:00:00Z",
        message("memory ran out"),
    ))
    .await;
    let newest = both
        .incident(&remediation(
            "rr-5",
            "checkout",
            "2026-06-15T10:00:00Z",
            message("memory ran out"),
        ))
        .await;

    let query = format!("{CHECKOUT}&includeEmbeddings=true");
    let history = told(&both, HISTORICAL, &query).await;
    assert_eq!(history["similarTo"], newest);
    assert_eq!(
        history["similarIncidents"][0],
        json!({"id": twin, "namespace": "shop", "targetName": "checkout", "createdAt": "2026-06-14T10:00:00Z",
               "phase": "Completed", "durationSeconds": 1.5, "similarityScore": 1.0})
    );
    assert_eq!(history["similarIncidents"][1]["id"], other);
    assert_eq!(history["similarIncidents"].as_array().map(Vec::len), Some(2));
    let one = told(&both, HISTORICAL, &format!("{query}&limit=1")).await;
    assert_eq!(one["similarIncidents"].as_array().map(Vec::len), Some(1));
    for quiet in [
        CHECKOUT.to_owned(),
        "namespace=void&targetType=Deployment&includeEmbeddings=true".to_owned(),
    ] {
        let history = told(&both, HISTORICAL, &quiet).await;
        assert_eq!(
            (history.get("similarTo"), history.get("similarIncidents")),
            (None, None),
            "{quiet}"
        );
    }
}

#[tokio::test]
async fn parameters_that_cannot_be_used_are_all_named() {
    let both = Both::new().await;
    let refused = [
        (
            ENVIRONMENT,
            "",
            "namespace required, targetType required, targetName required",
        ),
        (
            ENVIRONMENT,
            "namespace=a&clusterScoped=true&targetType=&targetName=x&environment=prod&timeRange=8d&limit=1",
            "namespace inconsistent, targetType empty, environment not-an-option, timeRange not-an-option, limit unknown",
        ),
        (
            HISTORICAL,
            "clusterScoped=false",
            "namespace required, targetType required",
        ),
        (
            HISTORICAL,
            "namespace=a&targetType=Pod&limit=101&includeEmbeddings=yes&cluster=b",
            "limit out-of-range, includeEmbeddings not-a-boolean, cluster unknown",
        ),
    ];
    for (path, query, expected) in refused {
        let answer = both.get(&format!("{path}?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        let named: Vec<String> = answer
            .violations()
            .into_iter()
            .map(|(name, code)| format!("{name} {code}"))
            .collect();
        assert_eq!(named.join(", "), expected, "{query}");
    }
}
