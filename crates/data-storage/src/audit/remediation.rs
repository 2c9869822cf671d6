//! `POST /api/v1/audit/remediation`: what happened to which resource, and what is being done about it.

use audit_store::record::{Environment, Priority, Record, Remediation, Severity, SignalType};
use axum::extract::State as Extract;
use axum::response::Response;
use serde_json::{Map, Value};
use service_kit::extract::JsonObject;
use service_kit::{Problem, Violation};

use crate::state::State;
use crate::validation::{
    Context, base64_text, choice, fingerprint, head, identifier, json_object, labels, namespace,
    resource_kind, resource_name, text, validate,
};

/// Stores one version of a remediation request.
pub(crate) async fn post(
    Extract(state): Extract<State>,
    JsonObject(body): JsonObject,
) -> Result<Response, Problem> {
    super::store(&state, &body, parse).await
}

fn parse(body: &Map<String, Value>, context: &Context) -> Result<Record, Vec<Violation>> {
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
