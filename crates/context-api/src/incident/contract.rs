//! An incident in the contract.

use audit_store::record::{Environment, Phase, Priority, RecordKind, Severity, SignalType};
use serde_json::{Value, json};
use service_kit::openapi::schema::{
    Field, any_object, array, boolean, count, named, number, one_of, optional, required, sent, string, time,
};

use crate::filter;

/// The schemas of an incident and of all that is recorded about it.
pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    let state = |description, fields: Vec<Field>| sent(description, state().into_iter().chain(fields));
    vec![
        ("Incident", sent("The latest state of an incident.", incident())),
        (
            "IncidentDetail",
            sent(
                "An incident, and everything recorded about it.",
                incident().into_iter().chain(detail()),
            ),
        ),
        ("Resource", sent("A resource of a cluster.", resource())),
        (
            "Analysis",
            state("The latest state of an AI analysis.", analysis()),
        ),
        (
            "WorkflowState",
            state("The latest state of a workflow execution.", workflow()),
        ),
        (
            "ExecutionState",
            state("The latest state of an action on the cluster.", execution()),
        ),
        (
            "Event",
            sent("One version of a record, as the ledger holds it.", event()),
        ),
    ]
}

fn incident() -> Vec<Field> {
    vec![
        required("id", count(), "Id of the incident."),
        required("remediationName", string(), "Name of the remediation request."),
        required(
            "remediationNamespace",
            string(),
            "Namespace of the remediation request.",
        ),
        required("signalType", signal_type(), "Where the signal came from."),
        required(
            "alertName",
            string(),
            "Name of the alert, or reason of the event.",
        ),
        optional("signalNamespace", string(), "Namespace the signal was raised in."),
        optional("alertFingerprint", string(), "Fingerprint of the signal."),
        optional(
            "severity",
            one_of(Severity::ALL.iter().map(|value| value.as_str())),
            "Severity of the signal, highest first.",
        ),
        required("cluster", string(), "Cluster of the affected resource."),
        optional(
            "environment",
            one_of(Environment::ALL.iter().map(|value| value.as_str())),
            "Environment of the affected resource.",
        ),
        required("resource", named("Resource"), "The affected resource."),
        optional("actionType", string(), "Kind of action chosen."),
        optional("actionParameters", any_object(), "Parameters of the action."),
        required("phase", phase(), "Phase of the remediation."),
        required("status", one_of(filter::statuses()), "Status of the incident."),
        optional(
            "priority",
            one_of(Priority::ALL.iter().map(|value| value.as_str())),
            "Priority of the remediation, highest first.",
        ),
        optional("message", string(), "Human-readable state."),
        optional("reason", string(), "Machine-readable reason of the state."),
        optional("errorMessage", string(), "Error of a failed remediation."),
        optional(
            "rootCause",
            string(),
            "Root cause of the newest analysis that found one.",
        ),
        optional("workflow", string(), "Name of the newest workflow run for it."),
        optional(
            "labels",
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            "Kubernetes labels of the signal.",
        ),
        required(
            "correlationId",
            string(),
            "Id that ties records of several services together.",
        ),
        optional("startTime", time(), "When work started."),
        optional("endTime", time(), "When it ended."),
        optional("durationMs", count(), "From start to end, in whole milliseconds."),
        required("recordedBy", string(), "Writer of the state."),
        required("createdAt", time(), "When the remediation request was made."),
        required("updatedAt", time(), "When the state was accepted."),
    ]
}

fn resource() -> Vec<Field> {
    vec![
        optional(
            "namespace",
            string(),
            "Its namespace; absent for a cluster-scoped one.",
        ),
        required("kind", string(), "Its kind, in its canonical case."),
        required("name", string(), "Its name."),
    ]
}

fn detail() -> Vec<Field> {
    vec![
        optional(
            "originalPayload",
            json!({"type": "string", "contentEncoding": "base64"}),
            "The signal as received, in standard base64 with padding.",
        ),
        required(
            "analyses",
            array(named("Analysis")),
            "The analyses of the remediation request.",
        ),
        required(
            "workflows",
            array(named("WorkflowState")),
            "The workflow executions of the remediation request.",
        ),
        required(
            "executions",
            array(named("ExecutionState")),
            "The actions of the workflow executions.",
        ),
        required(
            "timeline",
            array(named("Event")),
            "Every version of every record, oldest first.",
        ),
    ]
}

/// What the states of all records have in common.
fn state() -> Vec<Field> {
    vec![
        required("id", count(), "Surrogate key."),
        required("name", string(), "Name of the custom resource."),
        required("namespace", string(), "Namespace of the custom resource."),
        required("phase", phase(), "Phase."),
        optional("message", string(), "Human-readable state."),
        required("createdAt", time(), "When the custom resource was made."),
        optional("startedAt", time(), "When work on it started."),
        optional("completedAt", time(), "When it reached a terminal phase."),
        required(
            "correlationId",
            string(),
            "Id that ties records of several services together.",
        ),
        required("recordedBy", string(), "Writer of the state."),
        required("updatedAt", time(), "When the state was accepted."),
    ]
}

fn analysis() -> Vec<Field> {
    vec![
        required(
            "remediationRequestRef",
            string(),
            "Name of the remediation request.",
        ),
        optional("signalType", signal_type(), "Type of the analysed signal."),
        optional("signalContext", any_object(), "Context given to the analysis."),
        optional("llmProvider", string(), "Provider of the language model."),
        optional("llmModel", string(), "Language model."),
        optional("temperature", number(0.0, 2.0), "Sampling temperature."),
        optional("rootCause", string(), "Root cause found."),
        optional("confidence", number(0.0, 1.0), "Confidence in the root cause."),
        optional("recommendedAction", string(), "Action recommended."),
        optional(
            "requiresApproval",
            boolean(),
            "Whether a person must approve the action.",
        ),
        optional("investigationId", string(), "Id of the investigation."),
        optional("tokensUsed", count(), "Tokens used by the language model."),
        optional(
            "investigationTimeSeconds",
            json!({"type": "number", "minimum": 0}),
            "Duration of the investigation in seconds.",
        ),
    ]
}

fn workflow() -> Vec<Field> {
    vec![
        required(
            "remediationRequestRef",
            string(),
            "Name of the remediation request.",
        ),
        optional(
            "aiAnalysisRef",
            string(),
            "Name of the analysis that chose the workflow.",
        ),
        required("workflowName", string(), "Name of the workflow definition."),
        optional("isAutoApproved", boolean(), "Whether it was approved by policy."),
        optional("requiresApproval", boolean(), "Whether a person must approve it."),
        optional(
            "currentStep",
            count(),
            "Number of the step reached, 0 before the first.",
        ),
        optional("stepCount", count(), "Number of steps."),
        optional("completedCount", count(), "Steps completed."),
        optional("failedCount", count(), "Steps failed."),
        optional("skippedCount", count(), "Steps skipped."),
        optional(
            "stepStatuses",
            array(any_object()),
            "State of each step, as Data Storage received it.",
        ),
    ]
}

fn execution() -> Vec<Field> {
    vec![
        required(
            "workflowExecutionRef",
            string(),
            "Name of the workflow execution.",
        ),
        optional("stepName", string(), "Step of the workflow."),
        required("actionType", string(), "Kind of action."),
        optional("actionData", any_object(), "Input of the action."),
        required("clusterName", string(), "Cluster of the resource acted on."),
        required("targetType", string(), "Kind of the resource acted on."),
        required("targetName", string(), "Name of the resource acted on."),
        optional("targetNamespace", string(), "Namespace of the resource acted on."),
        optional("enableDryRun", boolean(), "Whether a dry run was asked for."),
        optional("enableValidation", boolean(), "Whether validation was asked for."),
        optional(
            "enableRollback",
            boolean(),
            "Whether a failure is to be rolled back.",
        ),
        optional("actionResult", string(), "Result of the action."),
        optional(
            "resourceVersion",
            string(),
            "resourceVersion of the target after the action.",
        ),
        optional(
            "previousVersion",
            string(),
            "resourceVersion of the target before the action.",
        ),
        optional("dryRunResult", string(), "Result of the dry run."),
        optional("validationResult", string(), "Result of the validation."),
        optional(
            "validationWarnings",
            array(string()),
            "Warnings of the validation.",
        ),
        optional("isRolledBack", boolean(), "Whether the action was rolled back."),
    ]
}

fn event() -> Vec<Field> {
    vec![
        required("id", count(), "Ledger id."),
        required(
            "kind",
            one_of(RecordKind::ALL.iter().map(|kind| kind.as_str())),
            "The kind of record.",
        ),
        required("namespace", string(), "Namespace of the custom resource."),
        required("name", string(), "Name of the custom resource."),
        required("phase", phase(), "Phase of this version."),
        required("at", time(), "When the phase was reached."),
        optional("message", string(), "Human-readable state."),
        optional("reason", string(), "Machine-readable reason of the state."),
        required("actor", string(), "Writer."),
        required("receivedAt", time(), "When this version was accepted."),
    ]
}

fn phase() -> Value {
    one_of(Phase::ALL.iter().map(|phase| phase.as_str()))
}

fn signal_type() -> Value {
    one_of(SignalType::ALL.iter().map(|value| value.as_str()))
}

/// An incident that was remediated.
pub(crate) fn example() -> Value {
    json!({
        "id": 1, "remediationName": "rr-checkout-oom-1", "remediationNamespace": "kubernaut-system",
        "signalType": "prometheus", "alertName": "KubePodCrashLooping", "signalNamespace": "shop",
        "alertFingerprint": "0a1b2c3d4e5f6071", "severity": "critical", "cluster": "prod-eu-1",
        "environment": "production",
        "resource": {"namespace": "shop", "kind": "Deployment", "name": "checkout"},
        "actionType": "increase_memory_limit", "actionParameters": {"container": "checkout", "memory": "512Mi"},
        "phase": "Completed", "status": "completed", "priority": "P1", "message": "The memory limit was raised.",
        "reason": "OOMKilled",
        "rootCause": "The cache of the checkout service has no upper bound and reaches the memory limit.",
        "workflow": "raise-memory-limit",
        "labels": {"app.kubernetes.io/name": "checkout", "tier": "backend"},
        "correlationId": "corr-checkout-oom-1", "startTime": "2026-06-15T10:00:01.500Z",
        "endTime": "2026-06-15T10:05:00Z", "durationMs": 298_500,
        "recordedBy": "system:serviceaccount:kubernaut-system:remediation-orchestrator",
        "createdAt": "2026-06-15T10:00:00Z", "updatedAt": "2026-06-15T10:05:01.250Z",
    })
}

/// An incident that was remediated, with one record about it beside its own.
pub(crate) fn detail_example() -> Value {
    let mut detail = example();
    detail["originalPayload"] = json!("eyJzdGF0dXMiOiJmaXJpbmcifQ==");
    detail["analyses"] = json!([{
        "id": 1, "name": "ai-checkout-oom-1", "namespace": "kubernaut-system",
        "remediationRequestRef": "rr-checkout-oom-1", "confidence": 0.93,
        "rootCause": "The cache of the checkout service has no upper bound and reaches the memory limit.",
        "phase": "Completed", "createdAt": "2026-06-15T10:00:05Z", "correlationId": "corr-checkout-oom-1",
        "recordedBy": "system:serviceaccount:kubernaut-system:ai-analysis", "updatedAt": "2026-06-15T10:00:49Z",
    }]);
    detail["workflows"] = json!([]);
    detail["executions"] = json!([]);
    detail["timeline"] = json!([{
        "id": 1, "kind": "remediation", "namespace": "kubernaut-system", "name": "rr-checkout-oom-1",
        "phase": "Completed", "at": "2026-06-15T10:05:00Z", "message": "The memory limit was raised.",
        "reason": "OOMKilled", "actor": "system:serviceaccount:kubernaut-system:remediation-orchestrator",
        "receivedAt": "2026-06-15T10:05:01.250Z",
    }]);
    detail
}
