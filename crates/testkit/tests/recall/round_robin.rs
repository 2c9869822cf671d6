//! A small history whose every figure is known: thirty incidents, one an hour, the newest at eleven today. Incident i
//! (from 0, the newest) is the i-th of four namespaces, four severities, four actions and three clusters in turn; every
//! third failed; and it took 10 · (i + 1) seconds.
//!
//! i mod 4 is 0, 1, 2, 3 for 8, 8, 7, 7 incidents, of which 0, 12, 24 / 9, 21 / 6, 18 / 3, 15, 27 failed: 3, 2, 2, 3.

use chrono::TimeDelta;
use serde_json::{Value, json};
use testkit::Database;

use crate::both::Both;
use crate::rates::{History, assert_close, assert_interval};

const NAMESPACES: [&str; 4] = ["default", "monitoring", "payments", "shop"];
const SEVERITIES: [&str; 4] = ["critical", "high", "medium", "low"];
const ACTIONS: [&str; 4] = ["restart_pod", "scale_deployment", "drain_node", "rollback"];
const CLUSTERS: [&str; 3] = ["prod-eu-1", "prod-us-1", "staging-1"];

async fn recorded() -> Both {
    let both = Both::new().await;
    let mut history = History::new(&both);
    for i in 0..30_usize {
        let hours = i64::try_from(i).expect("few") + 1;
        let created = Database::now() - TimeDelta::hours(hours);
        let fields = json!({
            "targetNamespace": NAMESPACES[i % 4], "severity": SEVERITIES[i % 4], "actionType": ACTIONS[i % 4],
            "clusterName": CLUSTERS[i % 3], "startedAt": created, "completedAt": created + TimeDelta::seconds(10 * hours),
        });
        let phase = if i % 3 == 0 { "Failed" } else { "Completed" };
        history.incident(&created.to_rfc3339(), phase, fields).await;
    }
    both
}

async fn body(both: &Both, path_and_query: &str) -> Value {
    let answer = both.get(&format!("/api/v1/{path_and_query}")).await;
    assert_eq!(answer.status, 200, "{path_and_query}: {}", answer.body);
    answer.body
}

/// What is told of each group, its key first.
fn counts(groups: &Value, key: &str) -> Vec<Value> {
    let groups = groups.as_array().expect("groups").iter();
    groups
        .map(|group| {
            json!([
                group[key],
                group["count"],
                group["open"],
                group["successful"],
                group["failed"]
            ])
        })
        .collect()
}

#[tokio::test]
async fn namespaces_add_up_to_all_and_have_the_health_of_their_definition() {
    let both = recorded().await;
    let namespaces = body(&both, "aggregations/namespaces").await;
    assert_eq!(
        json!([namespaces["totalIncidents"], namespaces["totalGroups"]]),
        json!([30, 4])
    );
    let groups = &namespaces["namespaces"];
    // Equal counts are told by name.
    assert_eq!(
        counts(groups, "namespace"),
        [
            json!(["default", 8, 0, 5, 3]),
            json!(["monitoring", 8, 0, 6, 2]),
            json!(["payments", 7, 0, 5, 2]),
            json!(["shop", 7, 0, 4, 3]),
        ]
    );
    // Within a namespace all incidents weigh the same and none is open: 70 times the rate, 20 and 10.
    for (index, rate, low, high, score) in [
        (0, 5.0 / 8.0, 0.305_742, 0.863_156, 73.8),
        (1, 6.0 / 8.0, 0.409_275, 0.928_521, 82.5),
        (2, 5.0 / 7.0, 0.358_934, 0.917_781, 80.0),
        (3, 4.0 / 7.0, 0.250_458, 0.841_780, 70.0),
    ] {
        assert_close(&groups[index]["successRate"], rate);
        assert_interval(&groups[index], low, high);
        assert_close(&groups[index]["health"]["resolution"], rate);
        assert_close(&groups[index]["health"]["backlog"], 0.0);
        assert_close(&groups[index]["health"]["score"], score);
        assert_eq!(groups[index]["trend"], "unknown");
    }
}

#[tokio::test]
async fn a_namespace_of_mixed_severities_is_as_healthy_as_its_weights_say() {
    let both = Both::new().await;
    let mut history = History::new(&both);
    // Successful 8 + 4 + 1, failed 2 + 1, open 8 of 24.
    for (phase, severity) in [
        ("Completed", "critical"),
        ("Completed", "high"),
        ("Completed", "info"),
        ("Failed", "medium"),
        ("Failed", "low"),
        ("Processing", "critical"),
    ] {
        let fields = json!({"targetNamespace": "shop", "severity": severity});
        history.incident("2026-06-15T11:00:00Z", phase, fields).await;
    }
    let answer = body(&both, "aggregations/namespaces?namespace=shop").await;
    let health = &answer["namespaces"][0]["health"];
    assert_close(&health["resolution"], 13.0 / 16.0);
    assert_close(&health["backlog"], 8.0 / 24.0);
    // 70 · 13/16 + 20 · 2/3 + 10 = 80.208…
    assert_close(&health["score"], 80.2);
    assert_eq!(
        body(&both, "aggregations/namespaces?namespace=nowhere").await["namespaces"],
        json!([])
    );
}

#[tokio::test]
async fn severities_add_up_to_all_and_those_that_do_not_occur_are_told() {
    let both = recorded().await;
    let severities = body(&both, "aggregations/severities").await;
    assert_eq!(
        counts(&severities["severities"], "severity"),
        [
            json!(["critical", 8, 0, 5, 3]),
            json!(["high", 8, 0, 6, 2]),
            json!(["warning", 0, 0, 0, 0]),
            json!(["medium", 7, 0, 5, 2]),
            json!(["low", 7, 0, 4, 3]),
            json!(["info", 0, 0, 0, 0]),
        ]
    );
    let shop = body(&both, "aggregations/severities?namespace=shop&minSamples=8").await;
    assert_eq!(
        shop["severities"][4],
        json!({"severity": "low", "count": 7, "open": 0, "totalExecutions": 7, "successful": 4, "failed": 3,
               "sufficient": false})
    );
    assert_eq!(shop["severities"][0]["count"], 0);
}

#[tokio::test]
async fn the_actions_that_fail_most_come_first() {
    let both = recorded().await;
    let actions = body(&both, "aggregations/actions").await;
    assert_eq!(
        counts(&actions["actions"], "actionType"),
        [
            json!(["restart_pod", 8, 0, 5, 3]),
            json!(["rollback", 7, 0, 4, 3]),
            json!(["scale_deployment", 8, 0, 6, 2]),
            json!(["drain_node", 7, 0, 5, 2]),
        ]
    );
    // Three of them compared by their rates.
    let rates = body(&both, "context/success-rates?groupBy=action&limit=3").await;
    let groups = rates["groups"].as_array().expect("groups");
    let told: Vec<_> = groups
        .iter()
        .map(|group| {
            json!([
                group["actionType"],
                group["totalExecutions"],
                group["successRate"]
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["restart_pod", 8, 0.625]),
            json!(["scale_deployment", 8, 0.75]),
            json!(["drain_node", 7, 0.714_286]),
        ]
    );
    assert_eq!(rates["totalGroups"], 4);
}

#[tokio::test]
async fn the_rate_of_all_is_of_those_that_the_filters_let_through() {
    let both = recorded().await;
    let overall = body(&both, "context/success-rates").await["overall"].clone();
    assert_eq!(
        json!([
            overall["totalExecutions"],
            overall["successful"],
            overall["failed"],
            overall["durationSamples"]
        ]),
        json!([30, 20, 10, 30])
    );
    assert_close(&overall["successRate"], 2.0 / 3.0);
    assert_interval(&overall, 0.487_801, 0.807_695);
    // 10, 20, … 300 seconds.
    assert_close(&overall["avgDurationSeconds"], 155.0);
    assert_close(&overall["p50DurationSeconds"], 155.0);
    assert_close(&overall["p95DurationSeconds"], 285.5);
    assert_close(&overall["p99DurationSeconds"], 297.1);
    for (query, successful, failed) in [
        // Every third incident is of the first cluster, and every third failed.
        ("cluster=prod-eu-1", 0, 10),
        ("cluster=prod-us-1", 10, 0),
        ("cluster=staging-1", 10, 0),
        ("severity=critical", 5, 3),
        ("severity=critical&cluster=prod-eu-1", 0, 3),
        ("severity=critical&cluster=staging-1&namespace=default", 2, 0),
        ("severity=critical&namespace=shop", 0, 0),
        ("actionType=drain_node&phase=Failed", 0, 2),
        ("timeRange=1h", 0, 1),
        ("timeRange=2h", 1, 1),
        ("timeRange=12h", 8, 4),
        ("since=2026-06-14T06:00:00Z&until=2026-06-14T07:00:00Z", 1, 0),
    ] {
        let overall = body(&both, &format!("context/success-rates?{query}")).await["overall"].clone();
        assert_eq!(
            json!([overall["successful"], overall["failed"]]),
            json!([successful, failed]),
            "{query}"
        );
    }
    // No figure without samples, and none that is no number.
    let nothing =
        body(&both, "context/success-rates?severity=critical&namespace=shop").await["overall"].clone();
    assert_eq!(
        nothing,
        json!({"totalExecutions": 0, "successful": 0, "failed": 0, "sufficient": false, "durationSamples": 0,
               "trend": "unknown", "previousExecutions": 0})
    );
}

#[tokio::test]
async fn the_trend_has_every_day_and_hour_with_its_number() {
    let both = recorded().await;
    // Twelve today, from midnight to eleven; eighteen yesterday, from six on.
    let days = body(&both, "aggregations/trend?timeRange=3d").await;
    let told: Vec<_> = days["buckets"]
        .as_array()
        .expect("buckets")
        .iter()
        .map(|bucket| {
            json!([
                bucket["start"],
                bucket["count"],
                bucket["successful"],
                bucket["failed"]
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["2026-06-12T00:00:00Z", 0, 0, 0]),
            json!(["2026-06-13T00:00:00Z", 0, 0, 0]),
            json!(["2026-06-14T00:00:00Z", 18, 12, 6]),
            json!(["2026-06-15T00:00:00Z", 12, 8, 4]),
        ]
    );
    let hours = body(&both, "aggregations/trend?timeRange=4h&bucket=hour").await;
    let told: Vec<_> = hours["buckets"]
        .as_array()
        .expect("buckets")
        .iter()
        .map(|bucket| json!([bucket["start"], bucket["successful"], bucket["failed"]]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["2026-06-15T08:00:00Z", 0, 1]),
            json!(["2026-06-15T09:00:00Z", 1, 0]),
            json!(["2026-06-15T10:00:00Z", 1, 0]),
            json!(["2026-06-15T11:00:00Z", 0, 1]),
        ]
    );
}

#[tokio::test]
async fn the_list_filters_and_pages_with_exact_totals() {
    let both = recorded().await;
    // Ids are given in the order of recording: the newest has 1.
    for (query, ids, total) in [
        ("limit=3", vec![1, 2, 3], 30),
        ("limit=3&offset=5", vec![6, 7, 8], 30),
        ("limit=5&offset=28", vec![29, 30], 30),
        ("namespace=default&limit=3", vec![1, 5, 9], 8),
        ("severity=high&limit=3&offset=6", vec![26, 30], 8),
        ("namespace=shop&severity=low&phase=Failed", vec![4, 16, 28], 3),
        ("cluster=prod-us-1&actionType=drain_node", vec![11, 23], 2),
        ("cluster=prod-us-1&actionType=rollback&order=asc", vec![20, 8], 2),
        ("namespace=shop&severity=high", vec![], 0),
        ("since=2h", vec![1, 2], 2),
        ("until=28h", vec![29, 30], 2),
    ] {
        assert_eq!(both.list(query).await, (ids, total), "{query}");
    }
}
