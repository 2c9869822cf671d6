//! Bodies of the four kinds of record: with only the required fields, and with every field.

use serde_json::{Value, json};

/// A remediation request with only the required fields.
#[must_use]
pub fn remediation(name: &str) -> Value {
    json!({
        "name": name,
        "namespace": "kubernaut-system",
        "signalType": "prometheus",
        "signalName": "KubePodCrashLooping",
        "targetType": "Deployment",
        "targetName": "checkout",
        "phase": "Pending",
        "createdAt": "2026-06-15T10:00:00Z",
        "correlationId": "corr-1",
    })
}

/// An AI analysis with only the required fields.
#[must_use]
pub fn analysis(name: &str, remediation: &str) -> Value {
    json!({
        "name": name,
        "namespace": "kubernaut-system",
        "remediationRequestRef": remediation,
        "phase": "Pending",
        "createdAt": "2026-06-15T10:01:00Z",
        "correlationId": "corr-1",
    })
}

/// A workflow execution with only the required fields.
#[must_use]
pub fn workflow(name: &str, remediation: &str) -> Value {
    json!({
        "name": name,
        "namespace": "kubernaut-system",
        "remediationRequestRef": remediation,
        "workflowName": "restart-workload",
        "phase": "Pending",
        "createdAt": "2026-06-15T10:02:00Z",
        "correlationId": "corr-1",
    })
}

/// An action execution with only the required fields.
#[must_use]
pub fn execution(name: &str, workflow: &str) -> Value {
    json!({
        "name": name,
        "namespace": "kubernaut-system",
        "workflowExecutionRef": workflow,
        "actionType": "restart_pod",
        "targetType": "Deployment",
        "targetName": "checkout",
        "phase": "Pending",
        "createdAt": "2026-06-15T10:03:00Z",
        "correlationId": "corr-1",
    })
}

/// A body with the fields of another object over its own.
#[must_use]
pub fn with(mut body: Value, fields: Value) -> Value {
    if let (Value::Object(body), Value::Object(fields)) = (&mut body, fields) {
        body.extend(fields);
    }
    body
}

/// A remediation request with every field.
#[must_use]
pub fn full_remediation(name: &str) -> Value {
    with(
        remediation(name),
        json!({
            "signalType": "kubernetes-event",
            "signalName": "OOMKilling",
            "signalNamespace": "shop",
            "targetType": "StatefulSet",
            "targetName": "orders-db",
            "targetNamespace": "shop",
            "clusterName": "prod-eu-1",
            "environment": "production",
            "severity": "critical",
            "priority": "P1",
            "fingerprint": "0123456789abcdef",
            "actionType": "increase_memory_limit",
            "actionParameters": {"memory": "512Mi", "nested": {"list": [1, 2.5, true, null, "x"]}},
            "phase": "Failed",
            "message": "the container of orders-db was OOMKilled, exit code 137; \"quotes\" & <tags> stay — ünïcödé 🚑",
            "reason": "OOMKilled",
            "errorMessage": "memory quota of the namespace is used up",
            "startedAt": "2026-06-15T10:00:30.123456Z",
            "completedAt": "2026-06-15T10:05:00Z",
            "labels": {"app.kubernetes.io/name": "orders-db", "tier": "", "x": "delete_pod"},
            "originalPayload": "eyJhbGVydCI6ICJPT01LaWxsaW5nIn0=",
        }),
    )
}

/// An AI analysis with every field.
#[must_use]
pub fn full_analysis(name: &str, remediation: &str) -> Value {
    with(
        analysis(name, remediation),
        json!({
            "signalType": "kubernetes-event",
            "signalContext": {"restarts": 7, "limits": {"memory": "256Mi"}},
            "llmProvider": "local",
            "llmModel": "llama-4",
            "temperature": 0.25,
            "rootCause": "the memory limit is lower than the working set after the last release",
            "confidence": 0.875,
            "recommendedAction": "increase_memory_limit",
            "requiresApproval": false,
            "investigationId": "inv-42",
            "tokensUsed": 4321,
            "investigationTimeSeconds": 12.5,
            "phase": "Completed",
            "message": "analysis complete",
            "startedAt": "2026-06-15T10:01:01Z",
            "completedAt": "2026-06-15T10:01:14Z",
        }),
    )
}

/// A workflow execution with every field.
#[must_use]
pub fn full_workflow(name: &str, remediation: &str, analysis: &str) -> Value {
    with(
        workflow(name, remediation),
        json!({
            "aiAnalysisRef": analysis,
            "workflowName": "raise-memory-limit",
            "isAutoApproved": true,
            "requiresApproval": false,
            "currentStep": 2,
            "stepCount": 3,
            "completedCount": 1,
            "failedCount": 1,
            "skippedCount": 1,
            "stepStatuses": [
                {"name": "validate", "phase": "Completed", "startedAt": "2026-06-15T10:02:10.000000Z",
                 "completedAt": "2026-06-15T10:02:20.000000Z", "retryCount": 0, "message": "the new limit fits the quota"},
                {"name": "patch", "phase": "Failed", "startedAt": "2026-06-15T10:02:20.000000Z",
                 "completedAt": "2026-06-15T10:04:00.000000Z", "retryCount": 2, "message": "exceeded quota"},
                {"name": "verify", "phase": "Skipped"},
            ],
            "phase": "Failed",
            "message": "step patch failed",
            "startedAt": "2026-06-15T10:02:05Z",
            "completedAt": "2026-06-15T10:04:30Z",
        }),
    )
}

/// An action execution with every field.
#[must_use]
pub fn full_execution(name: &str, workflow: &str) -> Value {
    with(
        execution(name, workflow),
        json!({
            "stepName": "patch",
            "actionType": "increase_memory_limit",
            "actionData": {"memory": "512Mi"},
            "targetType": "StatefulSet",
            "targetName": "orders-db",
            "targetNamespace": "shop",
            "clusterName": "prod-eu-1",
            "enableDryRun": true,
            "enableValidation": true,
            "enableRollback": true,
            "actionResult": "admission refused the change",
            "resourceVersion": "1002",
            "previousVersion": "1001",
            "dryRunResult": "would change 1 object",
            "validationResult": "passed with warnings",
            "validationWarnings": ["limit is above the namespace default", "no PodDisruptionBudget"],
            "isRolledBack": true,
            "phase": "Failed",
            "message": "exceeded quota: shop-quota",
            "startedAt": "2026-06-15T10:03:01Z",
            "completedAt": "2026-06-15T10:03:59Z",
        }),
    )
}
