//! An incident on the wire.

mod contract;

pub(crate) use contract::{detail_example, example, schemas};

use audit_store::reader::Incident;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

/// The latest state of an incident: camelCase, what is absent left out, times RFC 3339 in UTC, durations in
/// milliseconds. The fields are those of [`Incident`], the resource's three in an object of their own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IncidentBody {
    id: i64,
    remediation_name: String,
    remediation_namespace: String,
    signal_type: String,
    alert_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal_namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert_fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<String>,
    cluster: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    resource: Resource,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_parameters: Option<Value>,
    phase: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Value>,
    correlation_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<i64>,
    recorded_by: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// The affected resource; without a namespace if it is cluster-scoped.
#[derive(Debug, Serialize)]
struct Resource {
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    kind: String,
    name: String,
}

impl From<Incident> for IncidentBody {
    fn from(incident: Incident) -> Self {
        Self {
            id: incident.id,
            remediation_name: incident.remediation_name,
            remediation_namespace: incident.remediation_namespace,
            signal_type: incident.signal_type,
            alert_name: incident.alert_name,
            signal_namespace: incident.signal_namespace,
            alert_fingerprint: incident.alert_fingerprint,
            severity: incident.severity,
            cluster: incident.cluster,
            environment: incident.environment,
            resource: Resource {
                namespace: incident.resource_namespace,
                kind: incident.resource_kind,
                name: incident.resource_name,
            },
            action_type: incident.action_type,
            action_parameters: incident.action_parameters,
            phase: incident.phase,
            status: incident.status,
            priority: incident.priority,
            message: incident.message,
            reason: incident.reason,
            error_message: incident.error_message,
            root_cause: incident.root_cause,
            workflow: incident.workflow,
            labels: incident.labels,
            correlation_id: incident.correlation_id,
            start_time: incident.start_time,
            end_time: incident.end_time,
            duration_ms: incident.duration_ms,
            recorded_by: incident.recorded_by,
            created_at: incident.created_at,
            updated_at: incident.updated_at,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// An incident with nothing but what every incident has.
    pub(crate) fn least(id: i64) -> Incident {
        Incident {
            id,
            remediation_name: "rr-1".into(),
            remediation_namespace: "kubernaut-system".into(),
            signal_type: "prometheus".into(),
            alert_name: "KubeNodeNotReady".into(),
            signal_namespace: None,
            alert_fingerprint: None,
            severity: None,
            cluster: "eu-1".into(),
            environment: None,
            resource_namespace: None,
            resource_kind: "Node".into(),
            resource_name: "n1".into(),
            action_type: None,
            action_parameters: None,
            phase: "Pending".into(),
            status: "pending".into(),
            priority: None,
            message: None,
            reason: None,
            error_message: None,
            root_cause: None,
            workflow: None,
            labels: None,
            correlation_id: "c-1".into(),
            start_time: None,
            end_time: None,
            duration_ms: None,
            recorded_by: "controller".into(),
            created_at: "2026-03-10T12:00:00Z".parse().unwrap(),
            updated_at: "2026-03-10T12:00:00.25Z".parse().unwrap(),
        }
    }

    /// What [`least`] looks like on the wire.
    pub(crate) fn least_on_the_wire(id: i64) -> Value {
        json!({
            "id": id, "remediationName": "rr-1", "remediationNamespace": "kubernaut-system",
            "signalType": "prometheus", "alertName": "KubeNodeNotReady", "cluster": "eu-1",
            "resource": {"kind": "Node", "name": "n1"}, "phase": "Pending", "status": "pending",
            "correlationId": "c-1", "recordedBy": "controller",
            "createdAt": "2026-03-10T12:00:00Z", "updatedAt": "2026-03-10T12:00:00.250Z",
        })
    }

    #[test]
    fn what_is_absent_is_left_out() {
        assert_eq!(json!(IncidentBody::from(least(7))), least_on_the_wire(7));
    }

    #[test]
    fn what_is_there_is_told() {
        let incident = Incident {
            signal_namespace: Some("monitoring".into()),
            alert_fingerprint: Some("0123456789abcdef".into()),
            severity: Some("critical".into()),
            environment: Some("production".into()),
            resource_namespace: Some("payments".into()),
            resource_kind: "Deployment".into(),
            resource_name: "api".into(),
            action_type: Some("restart_pod".into()),
            action_parameters: Some(json!({"grace": 30})),
            phase: "Failed".into(),
            status: "rolled-back".into(),
            priority: Some("P0".into()),
            message: Some("m".into()),
            reason: Some("r".into()),
            error_message: Some("e".into()),
            root_cause: Some("c".into()),
            workflow: Some("restart".into()),
            labels: Some(json!({"app": "api"})),
            start_time: Some("2026-03-10T12:00:01Z".parse().unwrap()),
            end_time: Some("2026-03-10T12:00:02.5Z".parse().unwrap()),
            duration_ms: Some(1_500),
            ..least(7)
        };
        assert_eq!(
            json!(IncidentBody::from(incident)),
            json!({
                "id": 7, "remediationName": "rr-1", "remediationNamespace": "kubernaut-system",
                "signalType": "prometheus", "alertName": "KubeNodeNotReady", "signalNamespace": "monitoring",
                "alertFingerprint": "0123456789abcdef", "severity": "critical", "cluster": "eu-1",
                "environment": "production",
                "resource": {"namespace": "payments", "kind": "Deployment", "name": "api"},
                "actionType": "restart_pod", "actionParameters": {"grace": 30}, "phase": "Failed",
                "status": "rolled-back", "priority": "P0", "message": "m", "reason": "r", "errorMessage": "e",
                "rootCause": "c", "workflow": "restart", "labels": {"app": "api"}, "correlationId": "c-1",
                "startTime": "2026-03-10T12:00:01Z", "endTime": "2026-03-10T12:00:02.500Z", "durationMs": 1_500,
                "recordedBy": "controller",
                "createdAt": "2026-03-10T12:00:00Z", "updatedAt": "2026-03-10T12:00:00.250Z",
            })
        );
    }
}
