//! The rules that Data Storage checks, checked here on their own so that no record of the history is refused.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::text;
use crate::{DemoRecord, RecordKind};

const COMMON: &[&str] = &[
    "name",
    "namespace",
    "phase",
    "message",
    "createdAt",
    "startedAt",
    "completedAt",
    "correlationId",
];

/// The fields of a kind beside the common ones; the flag says whether every record of the history has it.
fn fields(kind: RecordKind) -> &'static [(&'static str, bool)] {
    match kind {
        RecordKind::Remediation => &[
            ("signalType", true),
            ("signalName", true),
            ("signalNamespace", false),
            ("targetType", true),
            ("targetName", true),
            ("targetNamespace", false),
            ("environment", true),
            ("priority", true),
            ("fingerprint", true),
            ("reason", true),
            ("labels", true),
            ("originalPayload", false),
            ("severity", true),
            ("clusterName", true),
            ("actionType", false),
            ("actionParameters", false),
            ("errorMessage", false),
        ],
        RecordKind::AiAnalysis => &[
            ("remediationRequestRef", true),
            ("signalType", true),
            ("signalContext", true),
            ("llmProvider", true),
            ("llmModel", true),
            ("temperature", true),
            ("rootCause", false),
            ("confidence", false),
            ("recommendedAction", false),
            ("requiresApproval", false),
            ("investigationId", true),
            ("tokensUsed", false),
            ("investigationTimeSeconds", false),
        ],
        RecordKind::Workflow => &[
            ("remediationRequestRef", true),
            ("aiAnalysisRef", true),
            ("workflowName", true),
            ("isAutoApproved", true),
            ("requiresApproval", true),
            ("currentStep", true),
            ("stepCount", true),
            ("completedCount", true),
            ("failedCount", true),
            ("skippedCount", true),
            ("stepStatuses", true),
        ],
        RecordKind::Execution => &[
            ("workflowExecutionRef", true),
            ("stepName", true),
            ("actionType", true),
            ("actionData", true),
            ("targetType", true),
            ("targetName", true),
            ("targetNamespace", false),
            ("clusterName", true),
            ("enableDryRun", true),
            ("enableValidation", true),
            ("enableRollback", true),
            ("actionResult", true),
            ("resourceVersion", true),
            ("previousVersion", true),
            ("dryRunResult", false),
            ("validationResult", true),
            ("validationWarnings", true),
            ("isRolledBack", true),
        ],
    }
}

/// Panics at the first record that breaks a rule.
pub(super) fn check(records: &[DemoRecord], end: DateTime<Utc>) {
    let mut names: BTreeMap<RecordKind, BTreeSet<&str>> = BTreeMap::new();
    let mut instances: BTreeMap<(RecordKind, &str), (&str, &str)> = BTreeMap::new();
    for record in records {
        let DemoRecord { kind, at, body } = record;
        assert!(*at <= end, "reported in the future: {body}");
        names.entry(*kind).or_default().insert(text(body, "name"));
        check_fields(*kind, body);
        check_common(body, *at);
        match kind {
            RecordKind::Remediation => check_remediation(body),
            RecordKind::AiAnalysis => check_analysis(body),
            RecordKind::Workflow => check_workflow(body),
            RecordKind::Execution => check_target(body),
        }
        check_versions(&mut instances, *kind, body);
    }
    // Parents exist; that of an execution may be a workflow that the end of the history cuts off.
    for record in records
        .iter()
        .filter(|record| record.kind != RecordKind::Remediation)
    {
        for (field, parent) in [
            ("remediationRequestRef", RecordKind::Remediation),
            ("aiAnalysisRef", RecordKind::AiAnalysis),
            ("workflowExecutionRef", RecordKind::Workflow),
        ] {
            if let Some(name) = record.body[field].as_str() {
                assert!(names[&parent].contains(name), "{field} {name} does not exist");
            }
        }
    }
}

/// Versions of one instance are never the same name with another creation, and their phases only move forward.
fn check_versions<'a>(
    instances: &mut BTreeMap<(RecordKind, &'a str), (&'a str, &'a str)>,
    kind: RecordKind,
    body: &'a Value,
) {
    let rank = |phase: &str| {
        ["Pending", "Processing", "Completed"]
            .iter()
            .position(|p| *p == phase)
            .unwrap_or(2)
    };
    let version = (text(body, "createdAt"), text(body, "phase"));
    if let Some(before) = instances.insert((kind, text(body, "name")), version) {
        assert_eq!(before.0, version.0, "another instance of the same name: {body}");
        assert!(rank(before.1) <= rank(version.1), "{before:?} before {body}");
    }
}

fn check_fields(kind: RecordKind, body: &Value) {
    let object = body.as_object().expect("a body is an object");
    for (field, value) in object {
        assert!(!value.is_null(), "{field} is null: {body}");
        let known = COMMON.contains(&field.as_str()) || fields(kind).iter().any(|(name, _)| name == field);
        assert!(known, "unknown field {field}: {body}");
    }
    for (field, _) in fields(kind).iter().filter(|(_, always)| *always) {
        assert!(object.contains_key(*field), "{field} is missing: {body}");
    }
}

fn is_label(text: &str, limit: usize, extra: &str) -> bool {
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty()
        && text.len() <= limit
        && text.starts_with(ends)
        && text.ends_with(ends)
        && text.chars().all(|c| ends(c) || c == '-' || extra.contains(c))
}

fn time(body: &Value, field: &str) -> Option<DateTime<Utc>> {
    let text = body.get(field)?.as_str().expect("a time is a string");
    assert!(text.ends_with('Z'), "not UTC: {text}");
    Some(
        DateTime::parse_from_rfc3339(text)
            .expect("a time is RFC 3339")
            .to_utc(),
    )
}

fn check_common(body: &Value, at: DateTime<Utc>) {
    assert!(is_label(text(body, "name"), 253, "."), "name: {body}");
    assert!(is_label(text(body, "namespace"), 63, ""), "namespace: {body}");
    let phase = text(body, "phase");
    assert!(
        ["Pending", "Processing", "Completed", "Failed"].contains(&phase),
        "phase: {body}"
    );
    assert!(text(body, "message").len() <= 10 * 1_024);
    let correlation = text(body, "correlationId");
    assert!((1..=128).contains(&correlation.len()));
    assert!(
        correlation
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c))
    );
    let created = time(body, "createdAt").expect("every record has a creation");
    let started = time(body, "startedAt").unwrap_or(created);
    let completed = time(body, "completedAt").unwrap_or(started);
    assert!(
        created <= started && started <= completed && completed <= at,
        "times: {at} {body}"
    );
    let over = ["Completed", "Failed"].contains(&phase);
    assert_eq!(over, body.get("completedAt").is_some(), "completedAt: {body}");
    assert!(
        phase != "Processing" || body.get("startedAt").is_some(),
        "startedAt: {body}"
    );
}

fn check_target(body: &Value) {
    assert!(is_label(text(body, "targetName"), 253, "."), "target: {body}");
    let namespace = body.get("targetNamespace").and_then(Value::as_str);
    assert_eq!(
        text(body, "targetType") == "Node",
        namespace.is_none(),
        "target: {body}"
    );
    assert!(
        namespace.is_none_or(|namespace| is_label(namespace, 63, "")),
        "target: {body}"
    );
}

fn check_remediation(body: &Value) {
    check_target(body);
    assert!(["prometheus", "kubernetes-event"].contains(&text(body, "signalType")));
    assert!(["production", "staging", "development", "test"].contains(&text(body, "environment")));
    assert!(["P0", "P1", "P2", "P3"].contains(&text(body, "priority")));
    let severity = text(body, "severity");
    assert!(["critical", "high", "warning", "medium", "low", "info"].contains(&severity));
    let fingerprint = text(body, "fingerprint");
    assert_eq!(fingerprint.len(), 64);
    assert!(fingerprint.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')));
    assert_eq!(
        text(body, "phase") == "Failed",
        body.get("errorMessage").is_some(),
        "error: {body}"
    );
    for (key, value) in body["labels"].as_object().expect("labels are an object") {
        let name = key.rsplit('/').next().expect("a split has parts");
        for text in [name, value.as_str().expect("a label is a string")] {
            let ends = |c: char| c.is_ascii_alphanumeric();
            assert!(!text.is_empty() && text.len() <= 63 && text.starts_with(ends) && text.ends_with(ends));
            assert!(
                text.chars().all(|c| ends(c) || "-_.".contains(c)),
                "label {key}: {body}"
            );
        }
    }
    if let Some(payload) = body.get("originalPayload").and_then(Value::as_str) {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(payload)
            .expect("it is base64");
        serde_json::from_slice::<Value>(&bytes).expect("it is JSON");
    }
}

fn check_analysis(body: &Value) {
    assert!((0.0..=2.0).contains(&body["temperature"].as_f64().expect("a number")));
    if text(body, "phase") == "Completed" {
        assert!((0.0..=1.0).contains(&body["confidence"].as_f64().expect("a number")));
        assert!(!text(body, "rootCause").is_empty() && !text(body, "recommendedAction").is_empty());
    }
    if body.get("completedAt").is_some() {
        assert!(body["tokensUsed"].as_i64().expect("a number") > 0);
        assert!(body["investigationTimeSeconds"].as_i64().expect("a number") > 0);
    }
}

fn check_workflow(body: &Value) {
    let number = |field: &str| body[field].as_u64().expect("a whole number") as usize;
    let count = number("stepCount");
    let (completed, failed, skipped) = (
        number("completedCount"),
        number("failedCount"),
        number("skippedCount"),
    );
    assert!(
        count >= 1 && number("currentStep") <= count && completed + failed + skipped <= count,
        "{body}"
    );
    let steps = body["stepStatuses"].as_array().expect("an array");
    assert_eq!(steps.len(), count);
    let of = |phase: &str| steps.iter().filter(|step| step["phase"] == phase).count();
    assert_eq!(
        (of("Completed"), of("Failed"), of("Skipped")),
        (completed, failed, skipped),
        "{body}"
    );
    match text(body, "phase") {
        "Completed" => assert_eq!(completed, count),
        "Failed" => assert!(failed == 1 || skipped == count),
        _ => assert_eq!(completed + failed + skipped, 0),
    }
    for step in steps {
        if let (Some(began), Some(ended)) = (time(step, "startedAt"), time(step, "completedAt")) {
            let started = time(body, "startedAt").expect("a workflow with steps has started");
            assert!(started <= began && began <= ended, "{body}");
            assert!(
                time(body, "completedAt").is_none_or(|over| ended <= over),
                "{body}"
            );
        }
    }
}
