//! The recovery context: what failed before, what it hangs together with, and what has helped.

use serde_json::{Value, json};
use testkit::records::{self, with};

use crate::both::Both;

pub(crate) const PATH: &str = "/api/v1/context/remediation";

/// A remediation of the alert `KubePodCrashLooping` on a deployment of the namespace shop, correlated with nothing.
pub(crate) fn remediation(name: &str, target: &str, time: &str, more: Value) -> Value {
    with(
        with(
            records::remediation(name),
            json!({"targetName": target, "targetNamespace": "shop", "createdAt": format!("2026-06-15T{time}Z"),
                   "correlationId": format!("corr-{name}")}),
        ),
        more,
    )
}

pub(crate) fn workflow(name: &str, remediation: &str, time: &str, more: Value) -> Value {
    with(
        with(
            records::workflow(name, remediation),
            json!({"createdAt": format!("2026-06-15T{time}Z")}),
        ),
        more,
    )
}

pub(crate) fn execution(name: &str, workflow: &str, time: &str, more: Value) -> Value {
    with(
        with(
            records::execution(name, workflow),
            json!({"createdAt": format!("2026-06-15T{time}Z")}),
        ),
        more,
    )
}

pub(crate) async fn context(both: &Both, path: &str) -> Value {
    let answer = both.get(&format!("{PATH}/{path}")).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

#[tokio::test]
async fn three_failed_attempts_are_told_in_order_whatever_the_order_of_arrival() {
    let both = Both::new().await;
    // Children first, and the last attempt before the first.
    let step =
        |phase: &str, name: &str, message: &str| json!({"name": name, "phase": phase, "message": message});
    both.record("execution", &execution("ex-2", "wf-2", "10:11:00", json!({
        "phase": "Failed", "stepName": "verify", "actionType": "verify_health", "actionResult": "Liveness probe failed: timeout",
    }))).await;
    both.record(
        "workflow",
        &workflow("wf-3", "rr-1", "10:20:00", json!({"phase": "Failed"})),
    )
    .await;
    both.record("workflow", &workflow("wf-1", "rr-1", "10:02:00", json!({
        "phase": "Failed", "workflowName": "raise-memory-limit", "stepCount": 3, "currentStep": 3, "message": "a step failed",
        "stepStatuses": [step("Completed", "validate", "fits"), step("Failed", "patch", "refused"), step("Skipped", "verify", "")],
        "startedAt": "2026-06-15T10:02:00Z", "completedAt": "2026-06-15T10:03:30.5Z",
    }))).await;
    both.record(
        "workflow",
        &workflow(
            "wf-2",
            "rr-1",
            "10:10:00",
            json!({
                "phase": "Failed", "stepCount": 3, "currentStep": 3,
            }),
        ),
    )
    .await;
    // The step was tried twice; another step's execution failed later.
    both.record("execution", &execution("ex-1a", "wf-1", "10:02:10", json!({
        "phase": "Failed", "stepName": "patch", "actionType": "increase_memory_limit", "message": "connection refused",
    }))).await;
    both.record("execution", &execution("ex-1c", "wf-1", "10:03:20", json!({
        "phase": "Failed", "stepName": "cleanup", "actionType": "collect_diagnostics", "message": "not found",
    }))).await;
    both.record(
        "execution",
        &execution(
            "ex-1b",
            "wf-1",
            "10:02:50",
            json!({
                "phase": "Failed", "stepName": "patch", "actionType": "increase_memory_limit",
                "message": "pods is forbidden: exceeded quota: shop-quota",
            }),
        ),
    )
    .await;
    let incident = both.incident(&remediation("rr-1", "checkout", "10:00:00", json!({
        "phase": "Failed", "actionType": "restart_pod", "errorMessage": "gave up: context deadline exceeded", "reason": "RetriesExhausted",
    }))).await;
    let detail = both.get(&format!("/api/v1/incidents/{incident}")).await.body;
    let execution_id = |name: &str| {
        let executions = detail["executions"].as_array().expect("executions");
        executions
            .iter()
            .find(|execution| execution["name"] == name)
            .expect("the execution")["id"]
            .clone()
    };
    let workflow_id = |name: &str| {
        let workflows = detail["workflows"].as_array().expect("workflows");
        workflows
            .iter()
            .find(|workflow| workflow["name"] == name)
            .expect("the workflow")["id"]
            .clone()
    };

    let context = context(&both, "rr-1").await;
    assert_eq!(context["remediationRequestId"], "rr-1");
    assert_eq!(context["namespace"], "kubernaut-system");
    assert_eq!(context["incidentId"], incident);
    assert_eq!(context["incident"]["id"], incident);
    assert_eq!(context["currentAttempt"], 4);
    assert_eq!(context["lookBackDays"], 90);
    assert_eq!(
        context["previousFailures"],
        json!([
            {"scope": "remediation", "incidentId": incident, "workflowId": workflow_id("wf-1"), "executionId": execution_id("ex-1b"),
             "workflowRef": "wf-1", "workflowName": "raise-memory-limit", "attemptNumber": 1, "failedStep": 1,
             "failedStepName": "patch", "action": "increase_memory_limit", "errorType": "Quota",
             "failureReason": "pods is forbidden: exceeded quota: shop-quota", "durationSeconds": 90.5,
             "timestamp": "2026-06-15T10:03:30.500Z"},
            {"scope": "remediation", "incidentId": incident, "workflowId": workflow_id("wf-2"), "executionId": execution_id("ex-2"),
             "workflowRef": "wf-2", "workflowName": "restart-workload", "attemptNumber": 2, "failedStep": 2,
             "failedStepName": "verify", "action": "verify_health", "errorType": "Probe",
             "failureReason": "Liveness probe failed: timeout", "timestamp": "2026-06-15T10:10:00Z"},
            // Only the last attempt may be told by what is said of the whole.
            {"scope": "remediation", "incidentId": incident, "workflowId": workflow_id("wf-3"),
             "workflowRef": "wf-3", "workflowName": "restart-workload", "attemptNumber": 3, "action": "restart_pod",
             "errorType": "Timeout", "failureReason": "gave up: context deadline exceeded",
             "timestamp": "2026-06-15T10:20:00Z"},
        ])
    );
    // The third attempt tells no step, and there is no history.
    assert_eq!(context["contextQuality"], "partial");
    for list in ["relatedAlerts", "historicalPatterns", "successfulStrategies"] {
        assert_eq!(context[list], json!([]), "{list}");
    }
}

#[tokio::test]
async fn what_is_said_of_a_failed_remediation_tells_of_its_last_attempt_only() {
    let both = Both::new().await;
    let body = json!({"phase": "Failed", "errorMessage": "gave up: timeout"});
    both.incident(&remediation("rr-1", "checkout", "10:00:00", body))
        .await;
    for (name, time) in [("wf-2", "10:02:00"), ("wf-1", "10:01:00")] {
        let body = workflow(name, "rr-1", time, json!({"phase": "Failed"}));
        both.record("workflow", &body).await;
    }
    let context = context(&both, "rr-1").await;
    let told = |place: usize| {
        let failure = &context["previousFailures"][place];
        json!([
            failure["workflowRef"],
            failure["errorType"],
            failure.get("failureReason")
        ])
    };
    assert_eq!(told(0), json!(["wf-1", "Unknown", null]));
    assert_eq!(told(1), json!(["wf-2", "Timeout", "gave up: timeout"]));
}

#[tokio::test]
async fn the_current_attempt_is_the_newest_workflow_unless_that_has_failed() {
    let both = Both::new().await;
    both.incident(&remediation("rr-1", "checkout", "10:00:00", json!({})))
        .await;
    assert_eq!(context(&both, "rr-1").await["currentAttempt"], 1);
    for (name, time, phase, current) in [
        ("wf-1", "10:01:00", "Processing", 1),
        ("wf-2", "10:02:00", "Failed", 3),
        ("wf-3", "10:03:00", "Completed", 3),
    ] {
        both.record("workflow", &workflow(name, "rr-1", time, json!({"phase": phase})))
            .await;
        assert_eq!(context(&both, "rr-1").await["currentAttempt"], current, "{name}");
    }
}

#[tokio::test]
async fn history_relations_and_strategies_are_counted_by_hand() {
    let both = Both::new().await;
    let failed = json!({"phase": "Failed"});
    let took = |phase: &str, reason: &str, time: &str, seconds: u32| {
        json!({"phase": phase, "reason": reason, "startedAt": format!("2026-06-15T{time}:00Z"),
               "completedAt": format!("2026-06-15T{time}:{seconds:02}Z")})
    };
    let subject = both.incident(&remediation("rr-1", "checkout", "10:00:00", json!({
        "phase": "Failed", "correlationId": "c", "fingerprint": "aaaabbbbccccdddd", "actionType": "restart_pod",
    }))).await;
    both.record(
        "workflow",
        &workflow(
            "wf-1",
            "rr-1",
            "10:02:00",
            with(
                failed.clone(),
                json!({
                    "stepCount": 1, "currentStep": 1, "message": "ImagePullBackOff",
                }),
            ),
        ),
    )
    .await;
    // The same resource two hours earlier; failed before there was a workflow.
    let earlier = both
        .incident(&remediation(
            "rr-0",
            "checkout",
            "08:00:00",
            with(
                took("Failed", "Started", "08:01", 30),
                json!({"errorMessage": "dial tcp: connection refused"}),
            ),
        ))
        .await;
    // The same name in another namespace is another resource.
    both.incident(&remediation(
        "rr-z",
        "checkout",
        "08:00:00",
        with(
            failed.clone(),
            json!({
                "targetNamespace": "tools", "targetType": "ReplicaSet",
            }),
        ),
    ))
    .await;
    let same_fingerprint = both
        .incident(&remediation(
            "rr-a",
            "cart",
            "09:00:00",
            with(
                took("Completed", "OOMKilled", "09:01", 40),
                json!({"fingerprint": "aaaabbbbccccdddd"}),
            ),
        ))
        .await;
    both.record(
        "workflow",
        &workflow("wf-a", "rr-a", "09:01:00", json!({"phase": "Completed"})),
    )
    .await;
    both.incident(&remediation(
        "rr-b",
        "cart",
        "07:00:00",
        with(
            took("Completed", "x", "07:01", 20),
            json!({"message": "the container was OOMKilled", "actionType": "scale_deployment"}),
        ),
    ))
    .await;
    // Both the correlation id and the fingerprint: told once, with the stronger reason.
    let same_correlation = both
        .incident(&remediation(
            "rr-c",
            "cart",
            "11:00:00",
            with(
                failed.clone(),
                json!({
                    "correlationId": "c", "fingerprint": "aaaabbbbccccdddd",
                }),
            ),
        ))
        .await;
    both.record("workflow", &workflow("wf-c", "rr-c", "11:01:00", failed.clone()))
        .await;
    // A workflow that Completed for an incident that Failed did not help.
    both.incident(&remediation("rr-d", "cart", "06:00:00", failed.clone()))
        .await;
    both.record(
        "workflow",
        &workflow(
            "wf-d",
            "rr-d",
            "06:01:00",
            json!({"phase": "Completed", "workflowName": "useless"}),
        ),
    )
    .await;
    // Not counted: another alert, another kind, under way, older than 90 days.
    let other_alert = both
        .incident(&remediation(
            "rr-e",
            "checkout",
            "10:30:00",
            json!({
                "phase": "Completed", "signalName": "Other", "actionType": "scale_deployment",
            }),
        ))
        .await;
    both.incident(&remediation(
        "rr-f",
        "cart",
        "09:00:00",
        json!({
            "phase": "Completed", "targetType": "Pod", "actionType": "scale_deployment",
        }),
    ))
    .await;
    both.incident(&remediation(
        "rr-g",
        "cart",
        "09:00:00",
        json!({"actionType": "scale_deployment"}),
    ))
    .await;
    both.incident(&remediation(
        "rr-h",
        "cart",
        "09:00:00",
        json!({
            "phase": "Completed", "actionType": "scale_deployment", "createdAt": "2026-03-17T11:59:59Z",
            "correlationId": "c",
        }),
    ))
    .await;

    let context = context(&both, "rr-1").await;
    assert_eq!(context["contextQuality"], "complete");
    let failures = context["previousFailures"].as_array().expect("failures");
    assert_eq!(failures.len(), 2);
    assert_eq!(
        (&failures[0]["incidentId"], &failures[0]["errorType"]),
        (&json!(subject), &json!("ImagePull"))
    );
    assert_eq!(
        failures[1],
        json!({"scope": "resource", "incidentId": earlier, "errorType": "Network",
               "failureReason": "dial tcp: connection refused", "durationSeconds": 30.0,
               "timestamp": "2026-06-15T08:01:30Z"})
    );
    assert_eq!(
        context["relatedAlerts"],
        json!([
            {"incidentId": same_correlation, "alertName": "KubePodCrashLooping", "alertFingerprint": "aaaabbbbccccdddd",
             "correlation": "correlation-id", "timestamp": "2026-06-15T11:00:00Z"},
            {"incidentId": other_alert, "alertName": "Other", "correlation": "resource", "timestamp": "2026-06-15T10:30:00Z"},
            {"incidentId": same_fingerprint, "alertName": "KubePodCrashLooping", "alertFingerprint": "aaaabbbbccccdddd",
             "correlation": "fingerprint", "timestamp": "2026-06-15T09:00:00Z"},
        ])
    );
    let alert = "KubePodCrashLooping";
    assert_eq!(
        context["historicalPatterns"],
        json!([
            {"pattern": "KubePodCrashLooping:OOMKilled", "alertName": alert, "errorType": "OOMKilled", "occurrences": 2,
             "successRate": 1.0, "confidenceInterval": {"low": 0.34238, "high": 1.0, "level": 0.95}, "averageRecoveryTimeSeconds": 30.0},
            // rr-c and rr-d.
            {"pattern": "KubePodCrashLooping:Unknown", "alertName": alert, "errorType": "Unknown", "occurrences": 2,
             "successRate": 0.0, "confidenceInterval": {"low": 0.0, "high": 0.65762, "level": 0.95}},
            {"pattern": "KubePodCrashLooping:Network", "alertName": alert, "errorType": "Network", "occurrences": 1,
             "successRate": 0.0, "confidenceInterval": {"low": 0.0, "high": 0.793_451, "level": 0.95}},
        ])
    );
    let source = "wilson-lower-bound-95";
    assert_eq!(
        context["successfulStrategies"],
        json!([
            {"strategy": "scale_deployment", "kind": "action", "successCount": 1, "attempts": 1,
             "description": "1 of 1 attempts succeeded for the same alert on the same kind of resource.",
             "lastUsed": "2026-06-15T07:00:00Z", "confidence": 0.206_549, "confidenceSource": source},
            {"strategy": "restart-workload", "kind": "workflow", "successCount": 1, "attempts": 2,
             "description": "1 of 2 attempts succeeded for the same alert on the same kind of resource.",
             "lastUsed": "2026-06-15T11:01:00Z", "confidence": 0.094_531, "confidenceSource": source},
        ])
    );
}

#[tokio::test]
async fn a_cluster_scoped_target_has_a_past_and_a_remediation_of_nothing_else_is_minimal() {
    let both = Both::new().await;
    let node = |name: &str, time: &str, more: Value| {
        let mut body = remediation(name, "node-1", time, json!({"targetType": "Node"}));
        body.as_object_mut().expect("an object").remove("targetNamespace");
        with(body, more)
    };
    both.incident(&node("rr-1", "09:00:00", json!({}))).await;
    let alone = context(&both, "rr-1").await;
    assert_eq!(
        (&alone["contextQuality"], &alone["previousFailures"]),
        (&json!("minimal"), &json!([]))
    );
    let earlier = both
        .incident(&node(
            "rr-0",
            "08:00:00",
            json!({"phase": "Failed", "message": "kubelet: x509 expired"}),
        ))
        .await;
    // A resource of that name and kind within a namespace is another one.
    both.incident(&node(
        "rr-x",
        "08:30:00",
        json!({"phase": "Failed", "targetNamespace": "shop", "signalName": "Other"}),
    ))
    .await;
    let context = context(&both, "rr-1").await;
    assert_eq!(context["contextQuality"], "partial");
    assert_eq!(
        context["previousFailures"],
        json!([{"scope": "resource", "incidentId": earlier, "errorType": "Certificate",
                "failureReason": "kubelet: x509 expired", "timestamp": "2026-06-15T08:00:00Z"}])
    );
    // Created exactly an hour before.
    assert_eq!(context["relatedAlerts"][0]["incidentId"], earlier);
    assert_eq!(context["relatedAlerts"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn unknown_names_are_404_and_unknown_parameters_400() {
    let both = Both::new().await;
    both.incident(&remediation("rr-1", "checkout", "06:00:00", json!({})))
        .await;
    for (path, detail) in [
        ("rr-2", "There is no remediation request `rr-2`."),
        (
            "rr-1?namespace=blue",
            "There is no remediation request `rr-1` in namespace `blue`.",
        ),
        (
            "rr-1?createdAt=2026-06-15T06:00:01Z",
            "There is no remediation request `rr-1` created at 2026-06-15T06:00:01Z.",
        ),
    ] {
        let answer = both.get(&format!("{PATH}/{path}")).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["detail"]),
            (404, &json!(detail)),
            "{path}"
        );
    }
    let answer = both
        .get(&format!("{PATH}/rr-1?namespace=&createdAt=now&limit=1"))
        .await;
    assert_eq!(answer.status, 400);
    let named: Vec<_> = answer.violations();
    let expected = [
        ("namespace", "empty"),
        ("createdAt", "not-a-timestamp"),
        ("limit", "unknown"),
    ];
    assert_eq!(
        named,
        expected.map(|(name, code)| (name.to_owned(), code.to_owned()))
    );
}
