//! Examples of bodies and answers: one remediation, from the alert to the action.

use audit_store::record::RecordKind;
use serde_json::{Value, json};
use service_kit::Violation;
use service_kit::problem::{Occurrence, Problem};

/// When the examples are accepted.
const ACCEPTED_AT: &str = "2026-06-15T10:05:01.250000Z";

/// A key; it stands for one request, so that each kind has its own.
pub(super) fn key(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Remediation => "8e03978e-40d5-43e8-bc93-6894a57f9324",
        RecordKind::AiAnalysis => "1c8a5a0b-9f0f-4a51-8f0c-6a2f3c7d4e90",
        RecordKind::Workflow => "f2d3b6c1-7c0e-4b8e-a6a5-3f1f0a9e2b77",
        RecordKind::Execution => "5b9e0d64-2f4a-4c55-9d0b-8c7e6f5a4b31",
    }
}

/// A record with every field, and another with the required ones.
pub(super) fn records(kind: RecordKind) -> (Value, Value) {
    match kind {
        RecordKind::Remediation => (full_remediation(), remediation("rr-checkout-oom-2")),
        RecordKind::AiAnalysis => (
            json!({
                "name": "ai-checkout-oom-1", "namespace": "kubernaut-system", "phase": "Completed",
                "message": "Root cause found.", "createdAt": "2026-06-15T10:00:05Z",
                "startedAt": "2026-06-15T10:00:06Z", "completedAt": "2026-06-15T10:00:48Z",
                "correlationId": "corr-checkout-oom-1", "remediationRequestRef": "rr-checkout-oom-1",
                "signalType": "prometheus", "signalContext": {"restarts": 7, "lastExitCode": 137},
                "llmProvider": "anthropic", "llmModel": "claude", "temperature": 0.2,
                "rootCause": "The cache of the checkout service has no upper bound and reaches the memory limit.",
                "confidence": 0.93, "recommendedAction": "Raise the memory limit to 512Mi.",
                "requiresApproval": false, "investigationId": "inv-2026-06-15-1", "tokensUsed": 5120,
                "investigationTimeSeconds": 41.75,
            }),
            json!({
                "name": "ai-checkout-oom-2", "namespace": "kubernaut-system", "phase": "Processing",
                "createdAt": "2026-06-15T10:00:05Z", "correlationId": "corr-checkout-oom-2",
                "remediationRequestRef": "rr-checkout-oom-2",
            }),
        ),
        RecordKind::Workflow => (
            json!({
                "name": "wf-checkout-oom-1", "namespace": "kubernaut-system", "phase": "Completed",
                "message": "One step of one done.", "createdAt": "2026-06-15T10:01:00Z",
                "startedAt": "2026-06-15T10:01:01Z", "completedAt": "2026-06-15T10:04:30Z",
                "correlationId": "corr-checkout-oom-1", "remediationRequestRef": "rr-checkout-oom-1",
                "aiAnalysisRef": "ai-checkout-oom-1", "workflowName": "raise-memory-limit",
                "isAutoApproved": true, "requiresApproval": false, "currentStep": 1, "stepCount": 1,
                "completedCount": 1, "failedCount": 0, "skippedCount": 0,
                "stepStatuses": [{
                    "name": "patch-limit", "phase": "Completed", "startedAt": "2026-06-15T10:01:02Z",
                    "completedAt": "2026-06-15T10:04:29Z", "retryCount": 0, "message": "Rolled out.",
                }],
            }),
            json!({
                "name": "wf-checkout-oom-2", "namespace": "kubernaut-system", "phase": "Pending",
                "createdAt": "2026-06-15T10:01:00Z", "correlationId": "corr-checkout-oom-2",
                "remediationRequestRef": "rr-checkout-oom-2", "workflowName": "raise-memory-limit",
            }),
        ),
        RecordKind::Execution => (
            json!({
                "name": "ex-checkout-oom-1", "namespace": "kubernaut-system", "phase": "Completed",
                "message": "Patched.", "createdAt": "2026-06-15T10:01:02Z",
                "startedAt": "2026-06-15T10:01:03Z", "completedAt": "2026-06-15T10:04:29Z",
                "correlationId": "corr-checkout-oom-1", "workflowExecutionRef": "wf-checkout-oom-1",
                "stepName": "patch-limit", "actionType": "increase_memory_limit",
                "actionData": {"container": "checkout", "memory": "512Mi"}, "targetType": "Deployment",
                "targetName": "checkout", "targetNamespace": "shop", "clusterName": "prod-eu-1",
                "enableDryRun": true, "enableValidation": true, "enableRollback": true,
                "actionResult": "deployment.apps/checkout patched", "resourceVersion": "81207",
                "previousVersion": "81190", "dryRunResult": "deployment.apps/checkout patched (dry run)",
                "validationResult": "allowed", "validationWarnings": ["The namespace has no resource quota."],
                "isRolledBack": false,
            }),
            json!({
                "name": "ex-checkout-oom-2", "namespace": "kubernaut-system", "phase": "Pending",
                "createdAt": "2026-06-15T10:01:02Z", "correlationId": "corr-checkout-oom-2",
                "workflowExecutionRef": "wf-checkout-oom-2", "actionType": "cordon_node",
                "targetType": "Node", "targetName": "worker-3",
            }),
        ),
    }
}

fn full_remediation() -> Value {
    json!({
        "name": "rr-checkout-oom-1", "namespace": "kubernaut-system", "phase": "Completed",
        "message": "The memory limit was raised.", "createdAt": "2026-06-15T10:00:00Z",
        "startedAt": "2026-06-15T10:00:01.5Z", "completedAt": "2026-06-15T10:05:00Z",
        "correlationId": "corr-checkout-oom-1", "signalType": "prometheus",
        "signalName": "KubePodCrashLooping", "signalNamespace": "shop", "targetType": "Deployment",
        "targetName": "checkout", "targetNamespace": "shop", "clusterName": "prod-eu-1",
        "environment": "production", "severity": "critical", "priority": "P1",
        "fingerprint": "0a1b2c3d4e5f6071", "actionType": "increase_memory_limit",
        "actionParameters": {"container": "checkout", "memory": "512Mi"}, "reason": "OOMKilled",
        "errorMessage": "The first attempt timed out.",
        "labels": {"app.kubernetes.io/name": "checkout", "tier": "backend"},
        "originalPayload": "eyJzdGF0dXMiOiJmaXJpbmcifQ==",
    })
}

fn remediation(name: &str) -> Value {
    json!({
        "name": name, "namespace": "kubernaut-system", "phase": "Pending",
        "createdAt": "2026-06-15T10:00:00Z", "correlationId": "corr-checkout-oom-2",
        "signalType": "kubernetes-event", "signalName": "BackOff", "targetType": "Deployment",
        "targetName": "checkout",
    })
}

/// The answer to a record.
pub(super) fn stored(kind: RecordKind, id: i64, replayed: bool) -> Value {
    let mut stored = json!({
        "id": id, "embeddingId": id, "embeddingStatus": "stored", "createdAt": ACCEPTED_AT,
        "replayed": replayed,
    });
    if kind == RecordKind::Remediation {
        stored["incidentId"] = id.into();
    }
    stored
}

/// A batch of remediations with these names.
pub(super) fn batch(names: [&str; 2]) -> Value {
    json!(names.map(|name| json!({"kind": "remediation", "record": remediation(name)})))
}

/// A batch of which the second record ends before it begins.
pub(super) fn batch_with_a_wrong_one(names: [&str; 2]) -> Value {
    let mut batch = batch(names);
    batch[1]["record"]["completedAt"] = json!("2026-06-15T09:59:59Z");
    batch
}

/// One remediation, on a line of its own.
pub(super) fn lines(name: &str) -> Value {
    let entry = json!({"kind": "remediation", "record": remediation(name)});
    format!("{entry}\n").into()
}

/// The answer to a batch of which everything is new.
pub(super) fn batch_created() -> Value {
    let results = [11, 12].map(result);
    json!({"created": 2, "replayed": 0, "refused": 0, "results": results})
}

/// The answer to a batch of which one record is refused.
pub(super) fn batch_each() -> Value {
    let problem = Problem::validation([Violation::pointer(
        "/record/completedAt",
        "inconsistent",
        "must not be before createdAt",
    )]);
    let document: Value = serde_json::from_str(&problem.body(Occurrence::default())).unwrap_or_default();
    let refused = json!({"status": problem.status().as_u16(), "problem": document});
    json!({"created": 1, "replayed": 0, "refused": 1, "results": [result(13), refused]})
}

/// The answer to a batch of one line.
pub(super) fn batch_line() -> Value {
    json!({"created": 1, "replayed": 0, "refused": 0, "results": [result(15)]})
}

fn result(id: i64) -> Value {
    json!({"status": 201, "record": stored(RecordKind::Remediation, id, false)})
}
