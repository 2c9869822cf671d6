//! Every field that is written is read back, and an absent one stays absent.

use serde_json::{Value, json};
use testkit::records::{self, with};

use crate::both::Both;

/// The fields of a body under the names and in the forms they are read back in.
fn expected(body: Value, id: &Value, more: Value) -> Value {
    let mut object = with(body, more).as_object().expect("an object").clone();
    object.insert("id".to_owned(), id.clone());
    object.insert("recordedBy".to_owned(), json!("system:anonymous"));
    object.insert("updatedAt".to_owned(), json!("2026-06-15T12:00:00Z"));
    Value::Object(object)
}

#[tokio::test]
async fn every_field_of_the_four_kinds_comes_back() {
    let both = Both::new().await;
    let incident = both.incident(&records::full_remediation("rr-1")).await;
    both.record("aianalysis", &records::full_analysis("ai-1", "rr-1"))
        .await;
    both.record("workflow", &records::full_workflow("wf-1", "rr-1", "ai-1"))
        .await;
    both.record("execution", &records::full_execution("ex-1", "wf-1"))
        .await;

    let answer = both.get(&format!("/api/v1/incidents/{incident}")).await;
    assert_eq!(answer.status, 200);
    let mut detail = answer.body.as_object().expect("an object").clone();
    let analyses = detail.remove("analyses").expect("analyses");
    let workflows = detail.remove("workflows").expect("workflows");
    let executions = detail.remove("executions").expect("executions");
    let timeline = detail.remove("timeline").expect("a timeline");
    assert_eq!(
        Value::Object(detail),
        json!({
            "id": incident,
            "remediationName": "rr-1",
            "remediationNamespace": "kubernaut-system",
            "signalType": "kubernetes-event",
            "alertName": "OOMKilling",
            "signalNamespace": "shop",
            "alertFingerprint": "0123456789abcdef",
            "severity": "critical",
            "cluster": "prod-eu-1",
            "environment": "production",
            "resource": {"namespace": "shop", "kind": "StatefulSet", "name": "orders-db"},
            "actionType": "increase_memory_limit",
            "actionParameters": {"memory": "512Mi", "nested": {"list": [1, 2.5, true, null, "x"]}},
            "phase": "Failed",
            // The execution was rolled back.
            "status": "rolled-back",
            "priority": "P1",
            "message": "the container of orders-db was OOMKilled, exit code 137; \"quotes\" & <tags> stay — ünïcödé 🚑",
            "reason": "OOMKilled",
            "errorMessage": "memory quota of the namespace is used up",
            "rootCause": "the memory limit is lower than the working set after the last release",
            "workflow": "raise-memory-limit",
            "labels": {"app.kubernetes.io/name": "orders-db", "tier": "", "x": "delete_pod"},
            "correlationId": "corr-1",
            "startTime": "2026-06-15T10:00:30.123456Z",
            "endTime": "2026-06-15T10:05:00Z",
            "durationMs": 269_877,
            "recordedBy": "system:anonymous",
            "createdAt": "2026-06-15T10:00:00Z",
            "updatedAt": "2026-06-15T12:00:00Z",
            "originalPayload": "eyJhbGVydCI6ICJPT01LaWxsaW5nIn0=",
        })
    );
    let full = |body| expected(body, &json!(1), json!({}));
    assert_eq!(analyses, json!([full(records::full_analysis("ai-1", "rr-1"))]));
    assert_eq!(
        workflows,
        json!([full(records::full_workflow("wf-1", "rr-1", "ai-1"))])
    );
    assert_eq!(executions, json!([full(records::full_execution("ex-1", "wf-1"))]));
    let entry = |id: i64, kind: &str, name: &str, phase: &str, at: &str, message: &str| {
        json!({"id": id, "kind": kind, "namespace": "kubernaut-system", "name": name, "phase": phase, "at": at,
               "message": message, "actor": "system:anonymous", "receivedAt": "2026-06-15T12:00:00Z"})
    };
    let remediation = records::full_remediation("rr-1");
    let message = remediation["message"].as_str().expect("a message");
    assert_eq!(
        timeline,
        json!([
            entry(
                2,
                "aianalysis",
                "ai-1",
                "Completed",
                "2026-06-15T10:01:14Z",
                "analysis complete"
            ),
            entry(
                4,
                "execution",
                "ex-1",
                "Failed",
                "2026-06-15T10:03:59Z",
                "exceeded quota: shop-quota"
            ),
            entry(
                3,
                "workflow",
                "wf-1",
                "Failed",
                "2026-06-15T10:04:30Z",
                "step patch failed"
            ),
            with(
                entry(
                    1,
                    "remediation",
                    "rr-1",
                    "Failed",
                    "2026-06-15T10:05:00Z",
                    message
                ),
                json!({"reason": "OOMKilled"})
            ),
        ])
    );
}

#[tokio::test]
async fn what_is_absent_stays_absent_in_the_four_kinds() {
    let both = Both::new().await;
    let incident = both.incident(&records::remediation("rr-1")).await;
    both.record("aianalysis", &records::analysis("ai-1", "rr-1"))
        .await;
    both.record("workflow", &records::workflow("wf-1", "rr-1")).await;
    both.record("execution", &records::execution("ex-1", "wf-1"))
        .await;
    let answer = both.get(&format!("/api/v1/incidents/{incident}")).await;
    let mut detail = answer.body.as_object().expect("an object").clone();
    let full = |body, more| expected(body, &json!(1), more);
    assert_eq!(
        detail.remove("analyses"),
        Some(json!([full(records::analysis("ai-1", "rr-1"), json!({}))]))
    );
    assert_eq!(
        detail.remove("workflows"),
        Some(json!([full(records::workflow("wf-1", "rr-1"), json!({}))]))
    );
    assert_eq!(
        detail.remove("executions"),
        Some(json!([full(
            records::execution("ex-1", "wf-1"),
            json!({"clusterName": "default"})
        )]))
    );
    assert_eq!(
        detail
            .remove("timeline")
            .expect("a timeline")
            .as_array()
            .map(Vec::len),
        Some(4)
    );
    assert_eq!(
        Value::Object(detail),
        json!({
            "id": incident,
            "remediationName": "rr-1",
            "remediationNamespace": "kubernaut-system",
            "signalType": "prometheus",
            "alertName": "KubePodCrashLooping",
            "cluster": "default",
            "resource": {"kind": "Deployment", "name": "checkout"},
            "phase": "Pending",
            "status": "pending",
            "workflow": "restart-workload",
            "correlationId": "corr-1",
            "recordedBy": "system:anonymous",
            "createdAt": "2026-06-15T10:00:00Z",
            "updatedAt": "2026-06-15T12:00:00Z",
        })
    );
}

#[tokio::test]
async fn the_list_gives_the_same_incident_as_the_detail() {
    let both = Both::new().await;
    let incident = both.incident(&records::full_remediation("rr-1")).await;
    let detail = both.get(&format!("/api/v1/incidents/{incident}")).await.body;
    let list = both.get("/api/v1/incidents").await.body;
    assert_eq!(list["total"], 1);
    for (field, value) in list["incidents"][0].as_object().expect("an incident") {
        assert_eq!(&detail[field], value, "{field}");
    }
}
