//! Incidents of which everything optional is missing.

use serde_json::{Value, json};
use testkit::records::{self, with};

use crate::both::Both;

/// What the predecessor answered with 500: a row of which everything optional is NULL, on a resource without namespace.
#[tokio::test]
async fn an_incident_without_anything_optional_is_in_every_answer() {
    let both = Both::new().await;
    let body = with(
        records::remediation("rr-1"),
        json!({"targetType": "Node", "targetName": "worker-1", "phase": "Failed"}),
    );
    let id = both.incident(&body).await;
    let stored: i64 = sqlx::query_scalar(
        "SELECT num_nulls(alert_namespace, alert_fingerprint, alert_severity, environment, priority, action_type,
             action_parameters, execution_start_time, execution_end_time, execution_duration_ms, execution_error, message,
             reason, labels, original_payload)::bigint
         FROM resource_action_traces",
    )
    .fetch_one(both.store.pool())
    .await
    .expect("a count");
    assert_eq!(stored, 15);
    let incident = json!({
        "id": id, "remediationName": "rr-1", "remediationNamespace": "kubernaut-system", "signalType": "prometheus",
        "alertName": "KubePodCrashLooping", "cluster": "default", "resource": {"kind": "Node", "name": "worker-1"},
        "phase": "Failed", "status": "failed", "correlationId": "corr-1", "recordedBy": "system:anonymous",
        "createdAt": "2026-06-15T10:00:00Z", "updatedAt": "2026-06-15T12:00:00Z",
    });
    let get = async |path: &str| {
        let answer = both.get(&format!("/api/v1/{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    };
    assert_eq!(get("incidents").await["incidents"], json!([incident]));
    let recovery = get("context/remediation/rr-1").await;
    assert_eq!(
        json!([
            recovery["incident"],
            recovery["currentAttempt"],
            recovery["contextQuality"]
        ]),
        json!([incident, 1, "partial"])
    );
    let figures = json!({
        "count": 1, "open": 0, "totalExecutions": 1, "successful": 0, "failed": 1, "sufficient": true, "successRate": 0.0,
    });
    let without_interval = |mut group: Value| {
        let fields = group.as_object_mut().expect("a group");
        for name in ["confidenceInterval", "trend", "previousExecutions", "health"] {
            fields.remove(name);
        }
        group
    };
    for (path, groups, index) in [
        ("namespaces", "namespaces", 0),
        ("actions", "actions", 0),
        ("severities", "severities", 6),
    ] {
        let answer = get(&format!("aggregations/{path}?minSamples=1")).await;
        assert_eq!(without_interval(answer[groups][index].clone()), figures, "{path}");
    }
    let trend = get("aggregations/trend?minSamples=1&timeRange=1d").await;
    assert_eq!(trend["totalIncidents"], 1);
    let rates = get("context/success-rates?groupBy=workflow,action,alert,environment&minSamples=1").await;
    assert_eq!(
        json!([
            rates["overall"]["failed"],
            rates["overall"]["durationSamples"],
            rates["totalGroups"]
        ]),
        json!([1, 0, 1])
    );
    let target = "clusterScoped=true&targetType=Node&targetName=worker-1";
    let context = get(&format!("context?{target}")).await;
    assert_eq!(
        json!([
            context["statistics"]["failedRemediations"],
            context["recentRemediations"][0]["id"]
        ]),
        json!([1, id])
    );
    let history = get(&format!("context/historical?{target}")).await;
    assert_eq!(
        json!([history["totalIncidents"], history["patterns"][0]["occurrences"]]),
        json!([1, 1])
    );
    assert_eq!(
        both.found(&json!({"description": "KubePodCrashLooping"})).await,
        [id]
    );
}
