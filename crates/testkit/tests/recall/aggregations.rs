//! Incidents counted by namespace, severity and action; and what no aggregation may do.

use audit_store::reader::{BucketUnit, IncidentFilter, RateKey, Windows};
use audit_store::{Reader, StoreError};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use testkit::request::Answer;

use crate::both::Both;
use crate::rates::{History, assert_close, assert_interval};

const PATHS: [&str; 5] = [
    "context/success-rates",
    "aggregations/namespaces",
    "aggregations/severities",
    "aggregations/actions",
    "aggregations/trend",
];

async fn get(both: &Both, path_and_query: &str) -> Answer {
    both.get(&format!("/api/v1/{path_and_query}")).await
}

const TIME: &str = "2026-06-10T00:00:00Z";

#[tokio::test]
async fn namespaces_have_counts_rates_and_health_and_cluster_scoped_resources_are_a_group() {
    let both = Both::new().await;
    let mut history = History::new(&both);
    // In shop, successful: critical 8 + low 1 + no severity 2; failed: high 4 + warning 2; open: info 1 + medium 2.
    for (phase, severity) in [
        ("Completed", json!({"severity": "critical"})),
        ("Completed", json!({"severity": "low"})),
        ("Completed", json!({})),
        ("Failed", json!({"severity": "high"})),
        ("Failed", json!({"severity": "warning"})),
        ("Pending", json!({"severity": "info"})),
        ("Processing", json!({"severity": "medium"})),
    ] {
        let fields = testkit::records::with(json!({"targetNamespace": "shop"}), severity);
        history.incident(TIME, phase, fields).await;
    }
    for _ in 0..20 {
        let fields = json!({"targetNamespace": "shop"});
        history
            .incident("2026-05-01T00:00:00Z", "Completed", fields)
            .await;
    }
    let node = json!({"targetType": "Node", "targetName": "node-1"});
    history.incident(TIME, "Failed", node).await;
    // Nothing in the window.
    let fields = json!({"targetNamespace": "quiet"});
    history.incident("2026-05-01T00:00:00Z", "Failed", fields).await;

    let answer = get(&both, "aggregations/namespaces").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.body;
    assert_eq!(
        (&body["totalIncidents"], &body["totalGroups"]),
        (&json!(8), &json!(2))
    );
    let shop = &body["namespaces"][0];
    assert_eq!(
        json!([
            shop["namespace"],
            shop["count"],
            shop["open"],
            shop["successful"],
            shop["failed"],
            shop["trend"],
            shop["previousExecutions"],
            shop["previousSuccessRate"],
        ]),
        json!(["shop", 7, 2, 3, 2, "steady", 20, 1.0])
    );
    assert_close(&shop["successRate"], 0.6);
    assert_interval(shop, 0.230_724_281_276_013, 0.882_379_225_767_352);
    assert_close(&shop["health"]["resolution"], 11.0 / 17.0);
    assert_close(&shop["health"]["backlog"], 3.0 / 20.0);
    // 70 · 11/17 + 20 · 17/20 + 10 = 72.294…
    assert_close(&shop["health"]["score"], 72.3);
    assert_eq!(
        body["namespaces"][1],
        json!({
            "count": 1, "open": 0, "totalExecutions": 1, "successful": 0, "failed": 1, "sufficient": false,
            "trend": "unknown", "previousExecutions": 0,
        })
    );
    assert_eq!(body["namespaces"].as_array().map(Vec::len), Some(2));

    // Two more failures, and its interval ends below the one before, which begins at 20/(20 + z²) = 0.8389.
    for _ in 0..2 {
        let fields = json!({"targetNamespace": "shop", "severity": "low"});
        history.incident(TIME, "Failed", fields).await;
    }
    let body = get(&both, "aggregations/namespaces?limit=1").await.body;
    let shop = &body["namespaces"][0];
    assert_eq!(
        json!([shop["trend"], body["totalIncidents"], body["totalGroups"]]),
        json!(["worsening", 10, 2])
    );
    // 70 · 11/19 + 20 · 19/22 = 57.799…
    assert_close(&shop["health"]["score"], 57.8);
}

#[tokio::test]
async fn every_severity_is_told_and_signals_without_one_are_a_group() {
    let both = Both::new().await;
    let severities = async |query: &str| -> Vec<Value> {
        let answer = get(&both, &format!("aggregations/severities?minSamples=1{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let groups = answer.body["severities"].as_array().expect("groups").clone();
        groups
            .iter()
            .map(|group| {
                json!([
                    group.get("severity"),
                    group["count"],
                    group["open"],
                    group.get("successRate")
                ])
            })
            .collect()
    };
    let named = ["critical", "high", "warning", "medium", "low", "info"];
    assert_eq!(
        severities("").await,
        named.map(|severity| json!([severity, 0, 0, null]))
    );
    let mut history = History::new(&both);
    for (phase, fields) in [
        ("Completed", json!({"severity": "critical"})),
        ("Failed", json!({"severity": "critical"})),
        ("Pending", json!({"severity": "info"})),
        ("Completed", json!({})),
        ("Completed", json!({"targetNamespace": "shop"})),
    ] {
        history.incident(TIME, phase, fields).await;
    }
    assert_eq!(
        severities("").await,
        [
            json!(["critical", 2, 0, 0.5]),
            json!(["high", 0, 0, null]),
            json!(["warning", 0, 0, null]),
            json!(["medium", 0, 0, null]),
            json!(["low", 0, 0, null]),
            json!(["info", 1, 1, null]),
            json!([null, 2, 0, 1.0]),
        ]
    );
    assert_eq!(severities("&namespace=shop").await[6], json!([null, 1, 0, 1.0]));
}

#[tokio::test]
async fn the_action_that_fails_most_comes_first_and_says_how() {
    let both = Both::new().await;
    let mut history = History::new(&both);
    let failed = |action: &str, reason: &str, error: &str| json!({"actionType": action, "reason": reason, "errorMessage": error});
    for fields in [
        failed("scale_deployment", "Quota", "exceeded quota"),
        failed("scale_deployment", "Timeout", "timed out"),
        failed("scale_deployment", "Timeout", "exceeded quota"),
        failed("restart_pod", "Zeta", "b"),
        failed("restart_pod", "Alpha", "a"),
        json!({}),
    ] {
        history.incident(TIME, "Failed", fields).await;
    }
    for _ in 0..4 {
        let fields = json!({"actionType": "restart_pod", "reason": "Done"});
        history.incident(TIME, "Completed", fields).await;
    }
    let fields = json!({"actionType": "restart_pod"});
    history.incident(TIME, "Pending", fields).await;
    let body = get(&both, "aggregations/actions").await.body;
    assert_eq!(
        (&body["totalIncidents"], &body["totalGroups"]),
        (&json!(11), &json!(3))
    );
    assert_eq!(
        body["actions"][0],
        json!({
            "actionType": "scale_deployment", "count": 3, "open": 0, "totalExecutions": 3, "successful": 0, "failed": 3,
            "sufficient": false, "mostFrequentReason": {"reason": "Timeout", "count": 2},
            "mostFrequentError": {"errorMessage": "exceeded quota", "count": 2},
        })
    );
    let restart = &body["actions"][1];
    assert_eq!(
        json!([
            restart["actionType"],
            restart["count"],
            restart["open"],
            restart["successful"],
            restart["failed"],
            restart["mostFrequentReason"],
            restart["mostFrequentError"],
        ]),
        json!([
            "restart_pod", 7, 1, 4, 2,
            {"reason": "Alpha", "count": 1}, {"errorMessage": "a", "count": 1},
        ])
    );
    assert_interval(restart, 0.299_993_315_138_392, 0.903_228_588_894_220);
    assert_eq!(
        body["actions"][2],
        json!({
            "count": 1, "open": 0, "totalExecutions": 1, "successful": 0, "failed": 1, "sufficient": false,
        })
    );
    let one = get(&both, "aggregations/actions?limit=1").await.body;
    assert_eq!(one["actions"], json!([body["actions"][0]]));
    assert_eq!(one["totalGroups"], 3);
}

#[tokio::test]
async fn an_empty_database_has_no_groups() {
    let both = Both::new().await;
    for group in ["namespaces", "actions"] {
        let body = get(&both, &format!("aggregations/{group}")).await.body;
        assert_eq!(
            json!([body[group], body["totalGroups"], body["totalIncidents"]]),
            json!([[], 0, 0])
        );
    }
    let body = get(&both, "aggregations/trend?timeRange=2h&bucket=hour")
        .await
        .body;
    assert_eq!(body["totalIncidents"], 0);
    assert_eq!(body["buckets"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn bad_parameters_are_named_everywhere() {
    let both = Both::new().await;
    for path in PATHS {
        let answer = get(
            &both,
            &format!("{path}?namespace=%00&timeRange=1y&minSamples=none&colour=red"),
        )
        .await;
        assert_eq!(answer.status, 400, "{path}");
        let violations = [
            ("namespace", "nul"),
            ("timeRange", "not-a-duration"),
            ("minSamples", "not-an-integer"),
            ("colour", "unknown"),
        ];
        assert_eq!(
            answer.violations(),
            violations.map(|(parameter, code)| (parameter.to_owned(), code.to_owned())),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_window_at_the_ends_of_time_is_answered_or_refused_where_it_could_not_be_told() {
    let both = Both::new().await;
    for path in PATHS {
        for (end, range, status) in [
            ("0001-01-02T00:00:00Z", "1s", 200),
            ("9998-12-31T23:59:59.999999Z", "999d", 200),
            ("0000-01-01T00:00:00Z", "1s", 400),
            ("0001-01-02T00:00:00Z", "999d", 400),
            ("9999-12-31T23:59:59.999999Z", "1s", 400),
        ] {
            let answer = get(&both, &format!("{path}?until={end}&timeRange={range}")).await;
            assert_eq!(answer.status, status, "{path} {end} {range}: {}", answer.body);
        }
    }
}

fn day(text: &str) -> DateTime<Utc> {
    format!("{text}T00:00:00Z").parse().expect("a day")
}

/// Every aggregation over June, or over June and the window before it.
async fn aggregations(reader: &Reader, since: DateTime<Utc>) -> Vec<(&'static str, Option<StoreError>)> {
    let windows = Windows {
        previous_since: since,
        since,
        until: day("2026-06-15"),
    };
    let filter = IncidentFilter::default();
    vec![
        (
            "success rates",
            reader
                .success_rates(&filter, &windows, &[RateKey::Workflow], 10)
                .await
                .err(),
        ),
        ("namespaces", reader.namespaces(&filter, &windows, 10).await.err()),
        ("severities", reader.severities(&filter, &windows).await.err()),
        ("actions", reader.actions(&filter, &windows, 10).await.err()),
        (
            "trend",
            reader
                .trend(&filter, &windows, BucketUnit::Day, "UTC")
                .await
                .err(),
        ),
    ]
}

/// A partition that a plan does not have is not locked either.
#[tokio::test]
async fn a_window_does_not_touch_the_partitions_of_other_months() {
    let both = Both::new().await;
    let reader = both.reader_with("-c lock_timeout=200").await;
    let mut transaction = both.store.pool().begin().await.expect("a transaction");
    for partition in ["y2026m05", "y2026m07", "default"] {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "LOCK TABLE resource_action_traces_{partition} IN ACCESS EXCLUSIVE MODE"
        )))
        .execute(&mut *transaction)
        .await
        .expect("a lock");
    }
    for (name, error) in aggregations(&reader, day("2026-06-02")).await {
        assert!(error.is_none(), "{name} waits for another month: {error:?}");
    }
    for (name, error) in aggregations(&reader, day("2026-05-31")).await {
        assert!(error.is_some(), "{name} does without the month it asks for");
    }
    transaction.rollback().await.expect("an end");
}
