//! Success rates: hand-computed figures of terminal incidents, in a window and against the one before.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use testkit::records::{self, with};

use crate::both::Both;

const PATH: &str = "/api/v1/context/success-rates";

/// A number that is told with six digits after the point, the last of them rounded.
#[track_caller]
pub(crate) fn assert_close(value: &Value, expected: f64) {
    let number = value.as_f64().expect("a number");
    assert!(
        (number - expected).abs() <= 5.000_001e-7,
        "{number} is not {expected}"
    );
}

#[track_caller]
pub(crate) fn assert_interval(figures: &Value, low: f64, high: f64) {
    assert_close(&figures["confidenceInterval"]["low"], low);
    assert_close(&figures["confidenceInterval"]["high"], high);
    assert_eq!(figures["confidenceInterval"]["level"], 0.95);
}

/// Records incidents with names of their own.
pub(crate) struct History<'a> {
    both: &'a Both,
    next: u32,
}

impl<'a> History<'a> {
    pub(crate) fn new(both: &'a Both) -> Self {
        Self { both, next: 0 }
    }

    /// Records an incident and gives its name.
    pub(crate) async fn incident(&mut self, created_at: &str, phase: &str, fields: Value) -> String {
        self.next += 1;
        let name = format!("rr-{}", self.next);
        let body = with(
            records::remediation(&name),
            json!({"createdAt": created_at, "phase": phase}),
        );
        self.both.incident(&with(body, fields)).await;
        name
    }

    /// Records a run of a workflow for an incident.
    async fn run(&mut self, remediation: &str, workflow: &str, created_at: &str) {
        self.next += 1;
        let body = with(
            records::workflow(&format!("wf-{}", self.next), remediation),
            json!({"workflowName": workflow, "createdAt": created_at}),
        );
        self.both.record("workflow", &body).await;
    }
}

/// Start and end of a duration.
fn lasted(created_at: &str, seconds: i64) -> Value {
    let start: DateTime<Utc> = created_at.parse().expect("a time");
    json!({"startedAt": start, "completedAt": start + TimeDelta::seconds(seconds)})
}

/// Thirty days up to now begin at 2026-05-16T12:00:00Z, the thirty days before them at 2026-04-16T12:00:00Z.
async fn by_workflow(both: &Both) {
    let mut history = History::new(both);
    let first = "2026-05-16T12:00:00Z";
    for tens in 1..=9 {
        let name = history
            .incident(first, "Completed", lasted(first, tens * 10))
            .await;
        history.run(&name, "restart-workload", first).await;
    }
    let newest = "2026-06-15T11:59:59.999999Z";
    let name = history.incident(newest, "Failed", json!({})).await;
    history.run(&name, "restart-workload", newest).await;
    let last_before = "2026-05-16T11:59:59.999999Z";
    for failed in [false, true, true, true, true, true, true, true, true, true] {
        let phase = if failed { "Failed" } else { "Completed" };
        let name = history
            .incident(last_before, phase, lasted(last_before, 1_000))
            .await;
        history.run(&name, "restart-workload", last_before).await;
    }
    for time in ["2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z"] {
        let name = history.incident(time, "Completed", json!({})).await;
        history.run(&name, "restart-workload", time).await;
        history
            .run(&name, "raise-memory-limit", "2026-06-03T00:00:00Z")
            .await;
    }
    for time in ["2026-06-01T00:00:00Z", "2026-05-01T00:00:00Z"] {
        for _ in 0..5 {
            history.incident(time, "Failed", json!({})).await;
        }
    }
    // Neither open incidents nor those outside of both windows count.
    for (time, phase) in [
        ("2026-06-01T00:00:00Z", "Pending"),
        ("2026-06-01T00:00:00Z", "Processing"),
        ("2026-06-15T12:00:00Z", "Completed"),
        ("2026-04-16T11:59:59.999999Z", "Completed"),
    ] {
        history.incident(time, phase, json!({})).await;
    }
}

#[tokio::test]
async fn rates_intervals_percentiles_and_trends_are_those_computed_by_hand() {
    let both = Both::new().await;
    by_workflow(&both).await;
    let answer = both.get(PATH).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.body;
    assert_eq!(
        body["window"],
        json!({
            "since": "2026-05-16T12:00:00Z", "until": "2026-06-15T12:00:00Z",
            "previousSince": "2026-04-16T12:00:00Z",
        })
    );
    assert_eq!(
        (
            &body["groupBy"],
            &body["minSamples"],
            &body["totalGroups"],
            &body["limit"]
        ),
        (&json!(["workflow"]), &json!(5), &json!(3), &json!(50))
    );

    let overall = &body["overall"];
    assert_eq!(
        (
            &overall["totalExecutions"],
            &overall["successful"],
            &overall["failed"],
            &overall["sufficient"],
            &overall["durationSamples"],
            &overall["previousExecutions"],
            &overall["trend"],
        ),
        (
            &json!(17),
            &json!(11),
            &json!(6),
            &json!(true),
            &json!(9),
            &json!(15),
            &json!("improving")
        )
    );
    assert_close(&overall["successRate"], 11.0 / 17.0);
    assert_interval(overall, 0.413_003_634_852_187, 0.826_902_796_027_563);
    assert_close(&overall["previousSuccessRate"], 1.0 / 15.0);

    let groups = body["groups"].as_array().expect("groups");
    let counts: Vec<_> = groups
        .iter()
        .map(|group| {
            json!([
                group["workflow"],
                group["successful"],
                group["failed"],
                group["trend"],
                group["previousExecutions"],
            ])
        })
        .collect();
    assert_eq!(
        counts,
        [
            json!(["restart-workload", 9, 1, "improving", 10]),
            json!([null, 0, 5, "steady", 5]),
            json!(["raise-memory-limit", 2, 0, "unknown", 0]),
        ]
    );
    // 10, 20, … 90 seconds: the failed one has no duration.
    assert_interval(&groups[0], 0.595_849_973_204_762, 0.982_123_786_904_927);
    assert_close(&groups[0]["successRate"], 0.9);
    assert_close(&groups[0]["previousSuccessRate"], 0.1);
    assert_eq!(groups[0]["durationSamples"], 9);
    assert_close(&groups[0]["avgDurationSeconds"], 50.0);
    assert_close(&groups[0]["p50DurationSeconds"], 50.0);
    assert_close(&groups[0]["p95DurationSeconds"], 86.0);
    assert_close(&groups[0]["p99DurationSeconds"], 89.2);
    assert_eq!(groups[0]["lastExecution"], "2026-06-15T11:59:59.999999Z");
    assert_interval(&groups[1], 0.0, 0.434_482_464_783_175);
    assert!(groups[1].get("workflow").is_none());
    // Too few to judge, but not left out.
    assert_eq!(
        groups[2],
        json!({
            "workflow": "raise-memory-limit", "totalExecutions": 2, "successful": 2, "failed": 0, "sufficient": false,
            "durationSamples": 0, "lastExecution": "2026-06-02T00:00:00Z", "trend": "unknown",
            "previousExecutions": 0,
        })
    );

    let first = both.get(&format!("{PATH}?limit=1")).await.body;
    assert_eq!(first["groups"], json!([groups[0]]));
    assert_eq!((&first["totalGroups"], &first["overall"]), (&json!(3), overall));
}

#[tokio::test]
async fn groups_have_the_keys_asked_for_and_filters_hold() {
    let both = Both::new().await;
    let mut history = History::new(&both);
    let time = "2026-06-10T00:00:00Z";
    for (phase, fields) in [
        (
            "Completed",
            json!({"actionType": "restart_pod", "environment": "production", "signalName": "A", "severity": "low"}),
        ),
        (
            "Failed",
            json!({"actionType": "restart_pod", "environment": "production", "signalName": "B"}),
        ),
        (
            "Failed",
            json!({"actionType": "restart_pod", "environment": "staging", "signalName": "A"}),
        ),
        ("Completed", json!({"signalName": "B"})),
    ] {
        history.incident(time, phase, fields).await;
    }
    let groups = async |query: &str| -> Vec<Value> {
        let answer = both.get(&format!("{PATH}?minSamples=1&{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let groups = answer.body["groups"].as_array().expect("groups").clone();
        let key = |group: &Value, key: &str| group.get(key).cloned().unwrap_or_default();
        groups
            .iter()
            .map(|group| {
                json!([
                    key(group, "workflow"),
                    key(group, "actionType"),
                    key(group, "alertName"),
                    key(group, "environment"),
                    group["successful"],
                    group["failed"],
                    group["successRate"],
                ])
            })
            .collect()
    };
    assert_eq!(
        groups("groupBy=action").await,
        [
            json!([null, "restart_pod", null, null, 1, 2, 0.333_333]),
            json!([null, null, null, null, 1, 0, 1.0]),
        ]
    );
    assert_eq!(
        groups("groupBy=alert").await,
        [
            json!([null, null, "A", null, 1, 1, 0.5]),
            json!([null, null, "B", null, 1, 1, 0.5]),
        ]
    );
    assert_eq!(
        groups("groupBy=environment,action").await,
        [
            json!([null, "restart_pod", null, "production", 1, 1, 0.5]),
            json!([null, "restart_pod", null, "staging", 0, 1, 0.0]),
            json!([null, null, null, null, 1, 0, 1.0]),
        ]
    );
    assert_eq!(
        groups("groupBy=alert&environment=production&severity=low").await,
        [json!([null, null, "A", null, 1, 0, 1.0])]
    );
    assert_eq!(groups("timeRange=1d").await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_empty_database_has_no_rate() {
    let both = Both::new().await;
    let body = both.get(PATH).await.body;
    assert_eq!(
        body["overall"],
        json!({
            "totalExecutions": 0, "successful": 0, "failed": 0, "sufficient": false, "durationSamples": 0,
            "trend": "unknown", "previousExecutions": 0,
        })
    );
    assert_eq!((&body["groups"], &body["totalGroups"]), (&json!([]), &json!(0)));
}
