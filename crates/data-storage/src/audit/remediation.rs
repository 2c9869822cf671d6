//! `POST /api/v1/audit/remediation`: what happened to which resource, and what is being done about it.

use audit_store::record::{Environment, Priority, Record, RecordKind, Remediation, Severity, SignalType};
use axum::Extension;
use axum::extract::State as Extract;
use axum::response::Response;
use serde_json::{Map, Value};
use service_kit::auth::Caller;
use service_kit::boundary::Correlation;
use service_kit::extract::JsonObject;
use service_kit::{Problem, Violation};

use crate::idempotency::RequestKey;
use crate::state::State;
use crate::validation::{
    Context, base64_text, choice, fingerprint, head, identifier, json_object, labels, namespace,
    resource_kind, resource_name, text, validate,
};

/// Stores one version of a remediation request.
pub(crate) async fn post(
    Extract(state): Extract<State>,
    caller: Caller,
    Extension(correlation): Extension<Correlation>,
    key: RequestKey,
    JsonObject(body): JsonObject,
) -> Result<Response, Problem> {
    super::store(&state, &caller, &correlation, key, RecordKind::Remediation, body).await
}

pub(super) fn parse(body: &Map<String, Value>, context: &Context) -> Result<Record, Vec<Violation>> {
    validate(body, |fields| {
        let head = head(fields, context.now);
        let signal_type = fields.required("signalType", choice(SignalType::ALL, SignalType::as_str));
        let signal_name = fields.required("signalName", identifier);
        let signal_namespace = fields.optional("signalNamespace", namespace);
        let target_type = fields.required("targetType", resource_kind);
        let target_name = fields.required("targetName", resource_name);
        let target_namespace = fields.optional("targetNamespace", namespace);
        let cluster_name = fields.optional("clusterName", identifier);
        let environment = fields.optional("environment", choice(Environment::ALL, Environment::as_str));
        let severity = fields.optional("severity", choice(Severity::ALL, Severity::as_str));
        let priority = fields.optional("priority", choice(Priority::ALL, Priority::as_str));
        let fingerprint = fields.optional("fingerprint", fingerprint);
        let action_type = fields.optional("actionType", identifier);
        let action_parameters = fields.optional("actionParameters", json_object);
        let reason = fields.optional("reason", text);
        let error_message = fields.optional("errorMessage", text);
        let labels = fields.optional("labels", labels);
        let original_payload = fields.optional("originalPayload", base64_text);
        Some(Record::Remediation(Remediation {
            head: head?,
            signal_type: signal_type?,
            signal_name: signal_name?,
            signal_namespace,
            target_type: target_type?,
            target_name: target_name?,
            target_namespace,
            cluster_name: cluster_name.unwrap_or_else(|| context.default_cluster.clone()),
            environment,
            severity,
            priority,
            fingerprint,
            action_type,
            action_parameters,
            reason,
            error_message,
            labels,
            original_payload,
        }))
    })
}

#[cfg(test)]
mod tests {
    use audit_store::record::{Head, Phase};
    use serde_json::json;

    use super::super::tests::{
        Kind, base64, choice, fingerprint, identifier, json_object, labels, namespace, resource_kind,
        resource_name, text, time, violations,
    };
    use super::*;

    fn kind() -> Kind {
        Kind {
            parse,
            minimal: json!({
                "name": "rr-1", "namespace": "kubernaut-system", "phase": "Pending",
                "createdAt": "2026-03-01T11:00:00.000000Z", "correlationId": "c-1", "signalType": "prometheus",
                "signalName": "NodeNotReady", "targetType": "Node", "targetName": "worker-3"
            }),
            full: json!({
                "name": "rr-2", "namespace": "kubernaut-system", "phase": "Failed", "message": "Gave up.",
                "createdAt": "2026-03-01T11:00:00.000000Z", "startedAt": "2026-03-01T11:00:01.500000Z",
                "completedAt": "2026-03-01T11:02:00.000001Z", "correlationId": "c-2",
                "signalType": "kubernetes-event", "signalName": "BackOff", "signalNamespace": "shop",
                "targetType": "StatefulSet", "targetName": "cart", "targetNamespace": "shop",
                "clusterName": "eu-1", "environment": "production", "severity": "critical", "priority": "P0",
                "fingerprint": "00112233445566ff", "actionType": "delete_pod",
                "actionParameters": {"grace": 30, "force": [true, null]}, "reason": "Exhausted",
                "errorMessage": "it's <still> \"down\" 🔥", "labels": {"app.kubernetes.io/name": "cart", "empty": ""},
                "originalPayload": "eyJhIjoxfQ=="
            }),
        }
    }

    fn minimal() -> Remediation {
        Remediation {
            head: Head {
                name: "rr-1".into(),
                namespace: "kubernaut-system".into(),
                phase: Phase::Pending,
                message: None,
                created_at: time("2026-03-01T11:00:00Z"),
                started_at: None,
                completed_at: None,
                correlation_id: "c-1".into(),
            },
            signal_type: SignalType::Prometheus,
            signal_name: "NodeNotReady".into(),
            signal_namespace: None,
            target_type: "Node".into(),
            target_name: "worker-3".into(),
            target_namespace: None,
            cluster_name: "home".into(),
            environment: None,
            severity: None,
            priority: None,
            fingerprint: None,
            action_type: None,
            action_parameters: None,
            reason: None,
            error_message: None,
            labels: None,
            original_payload: None,
        }
    }

    #[test]
    fn a_minimal_body_is_of_the_default_cluster() {
        let kind = kind();
        assert_eq!(kind.parse(&kind.minimal), Ok(Record::Remediation(minimal())));
    }

    #[test]
    fn a_full_body_fills_every_field() {
        let kind = kind();
        let full = Remediation {
            head: Head {
                name: "rr-2".into(),
                namespace: "kubernaut-system".into(),
                phase: Phase::Failed,
                message: Some("Gave up.".into()),
                created_at: time("2026-03-01T11:00:00Z"),
                started_at: Some(time("2026-03-01T11:00:01.5Z")),
                completed_at: Some(time("2026-03-01T11:02:00.000001Z")),
                correlation_id: "c-2".into(),
            },
            signal_type: SignalType::KubernetesEvent,
            signal_name: "BackOff".into(),
            signal_namespace: Some("shop".into()),
            target_type: "StatefulSet".into(),
            target_name: "cart".into(),
            target_namespace: Some("shop".into()),
            cluster_name: "eu-1".into(),
            environment: Some(Environment::Production),
            severity: Some(Severity::Critical),
            priority: Some(Priority::P0),
            fingerprint: Some("00112233445566ff".into()),
            action_type: Some("delete_pod".into()),
            action_parameters: json!({"grace": 30, "force": [true, null]}).as_object().cloned(),
            reason: Some("Exhausted".into()),
            error_message: Some("it's <still> \"down\" 🔥".into()),
            labels: Some(
                [("app.kubernetes.io/name", "cart"), ("empty", "")]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            ),
            original_payload: Some("eyJhIjoxfQ==".into()),
        };
        assert_eq!(kind.parse(&kind.full), Ok(Record::Remediation(full)));
    }

    #[test]
    fn every_field_has_its_rule() {
        kind().check_fields([
            ("signalType", choice(&["prometheus", "kubernetes-event"])),
            ("signalName", identifier()),
            ("signalNamespace", namespace()),
            ("targetType", resource_kind()),
            ("targetName", resource_name()),
            ("targetNamespace", namespace()),
            ("clusterName", identifier()),
            (
                "environment",
                choice(&["production", "staging", "development", "test"]),
            ),
            (
                "severity",
                choice(&["critical", "high", "warning", "medium", "low", "info"]),
            ),
            ("priority", choice(&["P0", "P1", "P2", "P3"])),
            ("fingerprint", fingerprint()),
            ("actionType", identifier()),
            ("actionParameters", json_object()),
            ("reason", text()),
            ("errorMessage", text()),
            ("labels", labels()),
            ("originalPayload", base64()),
        ]);
    }

    #[test]
    fn null_is_absent_and_unknown_fields_are_refused() {
        kind().check_absence();
        kind().check_unknown_fields();
    }

    #[test]
    fn times_are_in_order_and_not_ahead() {
        kind().check_times();
    }

    #[test]
    fn an_empty_body_lacks_every_required_field() {
        let required = |pointer| (pointer, "required", "is required");
        assert_eq!(
            kind().parse(&json!({})).unwrap_err(),
            violations(
                [
                    "/name",
                    "/namespace",
                    "/phase",
                    "/createdAt",
                    "/correlationId",
                    "/signalType",
                    "/signalName",
                    "/targetType",
                    "/targetName",
                ]
                .map(required)
            )
        );
    }

    #[test]
    fn all_violations_are_reported_in_one_answer() {
        let nul = "must not contain U+0000";
        assert_eq!(
            kind()
                .with(&json!({
                    "namespace": "Kubernaut", "startedAt": "2026-03-01T10:00:00Z", "correlationId": null,
                    "signalType": 7, "signalName": "", "targetName": "a/b", "severity": "CRITICAL",
                    "actionParameters": {"a": ["\u{0}", "\u{0}"], "b": "\u{0}"},
                    "labels": {"-": "ok", "a": "not ok", "b": 1, "c": "\u{0}"}, "originalPayload": "?", "extra": {}
                }))
                .unwrap_err(),
            violations([
                (
                    "/namespace",
                    "format",
                    "must be an RFC 1123 label: 1 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit"
                ),
                ("/correlationId", "required", "is required"),
                ("/startedAt", "inconsistent", "must not be before createdAt"),
                ("/signalType", "type", "must be a string"),
                ("/signalName", "empty", "must not be empty"),
                (
                    "/targetName",
                    "format",
                    "must be a path segment: not . or .., without / and %"
                ),
                (
                    "/severity",
                    "not-an-option",
                    "must be one of critical, high, warning, medium, low, info"
                ),
                ("/actionParameters/a/0", "nul", nul),
                ("/actionParameters/b", "nul", nul),
                ("/labels/c", "nul", nul),
                ("/labels/-", "format", "has a key that is no Kubernetes label key"),
                (
                    "/labels/a",
                    "format",
                    "must be a Kubernetes label value: at most 63 of A-Z, a-z, 0-9, -, _ and ., starting and ending with a letter or digit"
                ),
                ("/labels/b", "type", "must be a string"),
                (
                    "/originalPayload",
                    "format",
                    "must be standard base64 with padding"
                ),
                ("/extra", "unknown-field", "is not a field of this record"),
            ])
        );
    }

    #[test]
    fn a_known_kind_gets_its_canonical_case() {
        for (sent, stored) in [
            ("NODE", "Node"),
            ("persistentvolumeclaim", "PersistentVolumeClaim"),
            ("kafkaTopic", "kafkaTopic"),
        ] {
            assert_eq!(
                kind().with(&json!({"targetType": sent})),
                Ok(Record::Remediation(Remediation {
                    target_type: stored.into(),
                    ..minimal()
                }))
            );
        }
    }

    #[test]
    fn times_are_stored_in_utc_to_the_microsecond() {
        for (sent, stored) in [
            ("2026-03-01T16:30:00+05:30", "2026-03-01T11:00:00.000000Z"),
            ("2026-02-28T23:00:00.1-12:00", "2026-03-01T11:00:00.100000Z"),
            ("2026-03-01T11:00:00.123456789Z", "2026-03-01T11:00:00.123456Z"),
            ("2026-03-01t11:00:00.5z", "2026-03-01T11:00:00.500000Z"),
            ("2026-03-01 11:00:00+00:00", "2026-03-01T11:00:00.000000Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
        ] {
            let record = kind().with(&json!({"createdAt": sent})).unwrap();
            assert_eq!(record.payload().unwrap().value["createdAt"], stored, "{sent}");
        }
    }
}
