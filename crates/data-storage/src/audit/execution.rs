//! `POST /api/v1/audit/execution`: an action on the cluster, as one step of a workflow.

use audit_store::record::{Execution, Record, RecordKind};
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
    Context, boolean, head, identifier, json_object, namespace, object_name, resource_kind, resource_name,
    text, texts, validate,
};

/// Stores one version of an action execution.
pub(crate) async fn post(
    Extract(state): Extract<State>,
    caller: Caller,
    Extension(correlation): Extension<Correlation>,
    key: RequestKey,
    JsonObject(body): JsonObject,
) -> Result<Response, Problem> {
    super::store(&state, &caller, &correlation, key, RecordKind::Execution, body).await
}

pub(super) fn parse(body: &Map<String, Value>, context: &Context) -> Result<Record, Vec<Violation>> {
    validate(body, |fields| {
        let head = head(fields, context.now);
        let workflow_execution_ref = fields.required("workflowExecutionRef", object_name);
        let step_name = fields.optional("stepName", identifier);
        let action_type = fields.required("actionType", identifier);
        let action_data = fields.optional("actionData", json_object);
        let target_type = fields.required("targetType", resource_kind);
        let target_name = fields.required("targetName", resource_name);
        let target_namespace = fields.optional("targetNamespace", namespace);
        let cluster_name = fields.optional("clusterName", identifier);
        let enable_dry_run = fields.optional("enableDryRun", boolean);
        let enable_validation = fields.optional("enableValidation", boolean);
        let enable_rollback = fields.optional("enableRollback", boolean);
        let action_result = fields.optional("actionResult", text);
        let resource_version = fields.optional("resourceVersion", identifier);
        let previous_version = fields.optional("previousVersion", identifier);
        let dry_run_result = fields.optional("dryRunResult", text);
        let validation_result = fields.optional("validationResult", text);
        let validation_warnings = fields.optional("validationWarnings", texts);
        let is_rolled_back = fields.optional("isRolledBack", boolean);
        Some(Record::Execution(Execution {
            head: head?,
            workflow_execution_ref: workflow_execution_ref?,
            step_name,
            action_type: action_type?,
            action_data,
            target_type: target_type?,
            target_name: target_name?,
            target_namespace,
            cluster_name: cluster_name.unwrap_or_else(|| context.default_cluster.clone()),
            enable_dry_run,
            enable_validation,
            enable_rollback,
            action_result,
            resource_version,
            previous_version,
            dry_run_result,
            validation_result,
            validation_warnings,
            is_rolled_back,
        }))
    })
}

#[cfg(test)]
mod tests {
    use audit_store::record::{Head, Phase};
    use serde_json::json;

    use super::super::tests::{
        Kind, boolean, identifier, json_object, namespace, object_name, resource_kind, resource_name, text,
        texts, time, violations,
    };
    use super::*;

    fn kind() -> Kind {
        Kind {
            parse,
            minimal: json!({
                "name": "ex-1", "namespace": "kubernaut-system", "phase": "Pending",
                "createdAt": "2026-03-01T11:00:00.000000Z", "correlationId": "c-1", "workflowExecutionRef": "wf-1",
                "actionType": "cordon_node", "targetType": "Node", "targetName": "worker-3"
            }),
            full: json!({
                "name": "ex-2", "namespace": "kubernaut-system", "phase": "Completed", "message": "Done.",
                "createdAt": "2026-03-01T11:00:00.000000Z", "startedAt": "2026-03-01T11:00:01.000000Z",
                "completedAt": "2026-03-01T11:00:03.000000Z", "correlationId": "c-2",
                "workflowExecutionRef": "wf-2", "stepName": "restart", "actionType": "delete_pod",
                "actionData": {"grace": 0}, "targetType": "Pod", "targetName": "cart-0", "targetNamespace": "shop",
                "clusterName": "eu-1", "enableDryRun": true, "enableValidation": true, "enableRollback": false,
                "actionResult": "pod \"cart-0\" deleted", "resourceVersion": "812", "previousVersion": "811",
                "dryRunResult": "would delete", "validationResult": "allowed",
                "validationWarnings": ["<no> budget", ""], "isRolledBack": false
            }),
        }
    }

    fn minimal() -> Execution {
        Execution {
            head: Head {
                name: "ex-1".into(),
                namespace: "kubernaut-system".into(),
                phase: Phase::Pending,
                message: None,
                created_at: time("2026-03-01T11:00:00Z"),
                started_at: None,
                completed_at: None,
                correlation_id: "c-1".into(),
            },
            workflow_execution_ref: "wf-1".into(),
            step_name: None,
            action_type: "cordon_node".into(),
            action_data: None,
            target_type: "Node".into(),
            target_name: "worker-3".into(),
            target_namespace: None,
            cluster_name: "home".into(),
            enable_dry_run: None,
            enable_validation: None,
            enable_rollback: None,
            action_result: None,
            resource_version: None,
            previous_version: None,
            dry_run_result: None,
            validation_result: None,
            validation_warnings: None,
            is_rolled_back: None,
        }
    }

    #[test]
    fn a_minimal_body_is_of_the_default_cluster() {
        let kind = kind();
        assert_eq!(kind.parse(&kind.minimal), Ok(Record::Execution(minimal())));
    }

    #[test]
    fn a_full_body_fills_every_field() {
        let kind = kind();
        let full = Execution {
            head: Head {
                name: "ex-2".into(),
                namespace: "kubernaut-system".into(),
                phase: Phase::Completed,
                message: Some("Done.".into()),
                created_at: time("2026-03-01T11:00:00Z"),
                started_at: Some(time("2026-03-01T11:00:01Z")),
                completed_at: Some(time("2026-03-01T11:00:03Z")),
                correlation_id: "c-2".into(),
            },
            workflow_execution_ref: "wf-2".into(),
            step_name: Some("restart".into()),
            action_type: "delete_pod".into(),
            action_data: json!({"grace": 0}).as_object().cloned(),
            target_type: "Pod".into(),
            target_name: "cart-0".into(),
            target_namespace: Some("shop".into()),
            cluster_name: "eu-1".into(),
            enable_dry_run: Some(true),
            enable_validation: Some(true),
            enable_rollback: Some(false),
            action_result: Some("pod \"cart-0\" deleted".into()),
            resource_version: Some("812".into()),
            previous_version: Some("811".into()),
            dry_run_result: Some("would delete".into()),
            validation_result: Some("allowed".into()),
            validation_warnings: Some(vec!["<no> budget".into(), String::new()]),
            is_rolled_back: Some(false),
        };
        assert_eq!(kind.parse(&kind.full), Ok(Record::Execution(full)));
    }

    #[test]
    fn every_field_has_its_rule() {
        kind().check_fields([
            ("workflowExecutionRef", object_name()),
            ("stepName", identifier()),
            ("actionType", identifier()),
            ("actionData", json_object()),
            ("targetType", resource_kind()),
            ("targetName", resource_name()),
            ("targetNamespace", namespace()),
            ("clusterName", identifier()),
            ("enableDryRun", boolean()),
            ("enableValidation", boolean()),
            ("enableRollback", boolean()),
            ("actionResult", text()),
            ("resourceVersion", identifier()),
            ("previousVersion", identifier()),
            ("dryRunResult", text()),
            ("validationResult", text()),
            ("validationWarnings", texts()),
            ("isRolledBack", boolean()),
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
                    "/workflowExecutionRef",
                    "/actionType",
                    "/targetType",
                    "/targetName",
                ]
                .map(required)
            )
        );
    }

    #[test]
    fn all_violations_are_reported_in_one_answer() {
        assert_eq!(
            kind()
                .with(&json!({
                    "phase": "Skipped", "message": 1, "completedAt": "2026-03-01T10:59:59.999999Z",
                    "actionType": " ", "targetType": "apps/Deployment", "clusterName": "a\nb", "enableDryRun": 1,
                    "validationWarnings": ["ok", 2, "\u{0}", {}], "target": "Pod"
                }))
                .unwrap_err(),
            violations([
                (
                    "/phase",
                    "not-an-option",
                    "must be one of Pending, Processing, Completed, Failed"
                ),
                ("/message", "type", "must be a string"),
                ("/completedAt", "inconsistent", "must not be before createdAt"),
                ("/actionType", "empty", "must not be empty"),
                (
                    "/targetType",
                    "format",
                    "must be a Kubernetes kind: 1 to 63 letters and digits starting with a letter"
                ),
                ("/clusterName", "format", "must not contain control characters"),
                ("/enableDryRun", "type", "must be true or false"),
                ("/validationWarnings/2", "nul", "must not contain U+0000"),
                ("/validationWarnings/1", "type", "must be a string"),
                ("/validationWarnings/3", "type", "must be a string"),
                ("/target", "unknown-field", "is not a field of this record"),
            ])
        );
    }

    #[test]
    fn a_known_kind_gets_its_canonical_case() {
        assert_eq!(
            kind().with(&json!({"targetType": "daemonset"})),
            Ok(Record::Execution(Execution {
                target_type: "DaemonSet".into(),
                ..minimal()
            }))
        );
    }
}
