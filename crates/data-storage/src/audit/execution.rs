//! `POST /api/v1/audit/execution`: an action on the cluster, as one step of a workflow.

use audit_store::record::{Execution, Record};
use axum::extract::State as Extract;
use axum::response::Response;
use serde_json::{Map, Value};
use service_kit::extract::JsonObject;
use service_kit::{Problem, Violation};

use crate::state::State;
use crate::validation::{
    Context, boolean, head, identifier, json_object, namespace, object_name, resource_kind, resource_name,
    text, texts, validate,
};

/// Stores one version of an action execution.
pub(crate) async fn post(
    Extract(state): Extract<State>,
    JsonObject(body): JsonObject,
) -> Result<Response, Problem> {
    super::store(&state, &body, parse).await
}

fn parse(body: &Map<String, Value>, context: &Context) -> Result<Record, Vec<Violation>> {
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
