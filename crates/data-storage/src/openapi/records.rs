//! The bodies of the four kinds of record.

use audit_store::record::{Environment, Phase, Priority, RecordKind, Severity, SignalType, StepPhase};
use serde_json::{Value, json};
use service_kit::openapi::schema::{
    Field, boolean, integer, named, number, one_of, optional, received, required, time,
};

use super::rules::{
    base64_text, correlation_id, fingerprint, identifier, json_object, labels, namespace, object_name,
    resource_kind, resource_name, text, texts,
};
use crate::audit::ai_analysis::MAX_INVESTIGATION_SECONDS;
use crate::audit::workflow::MAX_STEPS;
use crate::validation::rules::{MAX_DEPTH, MAX_ENTRIES, MAX_VALUES};

/// The schema of a kind of record.
pub(crate) fn schema(kind: RecordKind) -> Value {
    let (description, fields) = match kind {
        RecordKind::Remediation => ("One version of a remediation request.", remediation()),
        RecordKind::AiAnalysis => ("One version of an AI analysis.", ai_analysis()),
        RecordKind::Workflow => ("One version of a workflow execution.", workflow()),
        RecordKind::Execution => ("One version of an action on the cluster.", execution()),
    };
    received(description, head().into_iter().chain(fields))
}

fn head() -> Vec<Field> {
    vec![
        required(
            "name",
            object_name(),
            "Name of the recorded custom resource: an RFC 1123 subdomain.",
        ),
        required(
            "namespace",
            namespace(),
            "Namespace of the recorded custom resource: an RFC 1123 label.",
        ),
        required(
            "phase",
            one_of(Phase::ALL.iter().map(|phase| phase.as_str())),
            "Phase of this version.",
        ),
        optional("message", text(), &free_text("Human-readable state")),
        required(
            "createdAt",
            time(),
            "When the custom resource was made, between the years 1970 and 9998 in UTC and at most 5 minutes ahead; part \
             of the identity of the instance. Kept to the microsecond.",
        ),
        optional(
            "startedAt",
            time(),
            "When work on it started; not before `createdAt`.",
        ),
        optional(
            "completedAt",
            time(),
            "When it reached a terminal phase; not before `startedAt`, nor before `createdAt`.",
        ),
        required(
            "correlationId",
            correlation_id(),
            "Id that ties records of several services together.",
        ),
    ]
}

fn remediation() -> Vec<Field> {
    vec![
        required("signalType", signal_type(), "Where the signal came from."),
        required(
            "signalName",
            identifier(),
            "Name of the alert, or reason of the event.",
        ),
        optional(
            "signalNamespace",
            namespace(),
            "Namespace the signal was raised in; absent for a cluster-wide signal.",
        ),
        required(
            "targetType",
            resource_kind(),
            "Kind of the affected resource; kept in its canonical case.",
        ),
        required("targetName", resource_name(), "Name of the affected resource."),
        optional(
            "targetNamespace",
            namespace(),
            "Namespace of the affected resource; absent for a cluster-scoped one.",
        ),
        optional(
            "clusterName",
            identifier(),
            "Cluster of the affected resource; the configured default if absent.",
        ),
        optional(
            "environment",
            one_of(Environment::ALL.iter().map(|value| value.as_str())),
            "Environment of the affected resource.",
        ),
        optional(
            "severity",
            one_of(Severity::ALL.iter().map(|value| value.as_str())),
            "Severity of the signal, highest first.",
        ),
        optional(
            "priority",
            one_of(Priority::ALL.iter().map(|value| value.as_str())),
            "Priority of the remediation, highest first.",
        ),
        optional(
            "fingerprint",
            fingerprint(),
            "Fingerprint of the signal: Alertmanager's has 16 hexadecimal digits, a SHA-256 has 64.",
        ),
        optional("actionType", identifier(), "Kind of action chosen."),
        optional(
            "actionParameters",
            json_object(),
            &own_object("Parameters of the action"),
        ),
        optional(
            "reason",
            text(),
            &free_text("Machine-readable reason of the state"),
        ),
        optional(
            "errorMessage",
            text(),
            &free_text("Error of a failed remediation"),
        ),
        optional(
            "labels",
            labels(),
            "Kubernetes labels of the signal; a prefix of a key has at most 253 characters.",
        ),
        optional(
            "originalPayload",
            base64_text(),
            "The signal as received, in standard base64 with padding.",
        ),
    ]
}

fn ai_analysis() -> Vec<Field> {
    vec![
        remediation_request_ref(),
        optional("signalType", signal_type(), "Type of the analysed signal."),
        optional(
            "signalContext",
            json_object(),
            &own_object("Context given to the analysis"),
        ),
        optional("llmProvider", identifier(), "Provider of the language model."),
        optional("llmModel", identifier(), "Language model."),
        optional("temperature", number(0.0, 2.0), "Sampling temperature."),
        optional("rootCause", text(), &free_text("Root cause found")),
        optional("confidence", number(0.0, 1.0), "Confidence in the root cause."),
        optional("recommendedAction", text(), &free_text("Action recommended")),
        requires_approval("Whether a person must approve the action."),
        optional("investigationId", identifier(), "Id of the investigation."),
        optional(
            "tokensUsed",
            integer(1, i64::MAX),
            "Tokens used by the language model.",
        ),
        optional(
            "investigationTimeSeconds",
            number(0.0, MAX_INVESTIGATION_SECONDS),
            "Duration of the investigation in seconds.",
        ),
    ]
}

fn workflow() -> Vec<Field> {
    vec![
        remediation_request_ref(),
        optional(
            "aiAnalysisRef",
            object_name(),
            "Name of the analysis that chose the workflow, in the same namespace.",
        ),
        required("workflowName", identifier(), "Name of the workflow definition."),
        optional("isAutoApproved", boolean(), "Whether it was approved by policy."),
        requires_approval("Whether a person must approve it."),
        optional(
            "currentStep",
            integer(0, MAX_STEPS),
            "Number of the step reached, 0 before the first; needs `stepCount` and is not above it.",
        ),
        optional(
            "stepCount",
            integer(1, MAX_STEPS),
            "Number of steps; not less than `completedCount`, `failedCount` and `skippedCount` together.",
        ),
        optional(
            "completedCount",
            integer(0, MAX_STEPS),
            "Steps completed; needs `stepCount`.",
        ),
        optional(
            "failedCount",
            integer(0, MAX_STEPS),
            "Steps failed; needs `stepCount`.",
        ),
        optional(
            "skippedCount",
            integer(0, MAX_STEPS),
            "Steps skipped; needs `stepCount`.",
        ),
        optional(
            "stepStatuses",
            json!({"type": "array", "maxItems": MAX_ENTRIES, "items": named("StepStatus")}),
            "State of each step; not more of them than `stepCount`, where that is given.",
        ),
    ]
}

/// The schema of a step of a workflow.
pub(super) fn step_status() -> Value {
    received(
        "State of one step of a workflow.",
        [
            required("name", identifier(), "Name of the step."),
            required(
                "phase",
                one_of(StepPhase::ALL.iter().map(|phase| phase.as_str())),
                "Its phase.",
            ),
            optional("startedAt", time(), "When it started."),
            optional("completedAt", time(), "When it ended; not before `startedAt`."),
            optional(
                "retryCount",
                integer(0, i64::from(i32::MAX)),
                "How often it was tried again.",
            ),
            optional("message", text(), &free_text("Human-readable state")),
        ],
    )
}

fn execution() -> Vec<Field> {
    vec![
        required(
            "workflowExecutionRef",
            object_name(),
            "Name of the workflow execution, in the same namespace.",
        ),
        optional("stepName", identifier(), "Step of the workflow."),
        required("actionType", identifier(), "Kind of action."),
        optional("actionData", json_object(), &own_object("Input of the action")),
        required(
            "targetType",
            resource_kind(),
            "Kind of the resource acted on; kept in its canonical case.",
        ),
        required("targetName", resource_name(), "Name of the resource acted on."),
        optional(
            "targetNamespace",
            namespace(),
            "Namespace of the resource acted on; absent for a cluster-scoped one.",
        ),
        optional(
            "clusterName",
            identifier(),
            "Cluster of the resource acted on; the configured default if absent.",
        ),
        optional("enableDryRun", boolean(), "Whether a dry run was asked for."),
        optional("enableValidation", boolean(), "Whether validation was asked for."),
        optional(
            "enableRollback",
            boolean(),
            "Whether a failure is to be rolled back.",
        ),
        optional("actionResult", text(), &free_text("Result of the action")),
        optional(
            "resourceVersion",
            identifier(),
            "resourceVersion of the target after the action.",
        ),
        optional(
            "previousVersion",
            identifier(),
            "resourceVersion of the target before the action.",
        ),
        optional("dryRunResult", text(), &free_text("Result of the dry run")),
        optional("validationResult", text(), &free_text("Result of the validation")),
        optional(
            "validationWarnings",
            texts(),
            &free_text("Warnings of the validation, each"),
        ),
        optional("isRolledBack", boolean(), "Whether the action was rolled back."),
    ]
}

fn signal_type() -> Value {
    one_of(SignalType::ALL.iter().map(|value| value.as_str()))
}

fn remediation_request_ref() -> Field {
    required(
        "remediationRequestRef",
        object_name(),
        "Name of the remediation request, in the same namespace.",
    )
}

fn requires_approval(description: &str) -> Field {
    optional("requiresApproval", boolean(), description)
}

fn free_text(what: &str) -> String {
    format!("{what}: at most 10240 bytes of UTF-8.")
}

fn own_object(what: &str) -> String {
    format!(
        "{what}: any JSON object, nested at most {MAX_DEPTH} deep, with at most {MAX_VALUES} values in all."
    )
}
