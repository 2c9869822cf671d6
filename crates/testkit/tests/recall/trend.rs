//! Incidents over time: no bucket missing, and days as long as the calendar has them.

use serde_json::{Value, json};

use crate::both::Both;
use crate::rates::History;

/// Start, end and number of incidents of each bucket.
async fn buckets(both: &Both, query: &str) -> Vec<Value> {
    let answer = both.get(&format!("/api/v1/aggregations/trend?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    answer.body["buckets"]
        .as_array()
        .expect("buckets")
        .iter()
        .map(|bucket| json!([bucket["start"], bucket["end"], bucket["count"]]))
        .collect()
}

#[tokio::test]
async fn days_without_incidents_are_told_and_those_outside_of_the_window_are_not_counted() {
    let both = Both::new().await;
    let mut history = History::new(&both);
    for (time, phase) in [
        // Before the window, but in its first day.
        ("2026-06-12T05:59:59.999999Z", "Completed"),
        ("2026-06-12T06:00:00Z", "Completed"),
        ("2026-06-12T23:59:59.999999Z", "Failed"),
        ("2026-06-14T00:00:00Z", "Pending"),
        ("2026-06-14T05:59:59.999999Z", "Completed"),
        // In the last day, but after the window.
        ("2026-06-14T06:00:00Z", "Completed"),
    ] {
        history.incident(time, phase, json!({})).await;
    }
    let answer = both
        .get("/api/v1/aggregations/trend?since=2026-06-12T06:00:00Z&until=2026-06-14T06:00:00Z&minSamples=2")
        .await
        .body;
    let empty = json!({"totalExecutions": 0, "successful": 0, "failed": 0, "sufficient": false});
    let mut middle = empty;
    middle["start"] = json!("2026-06-13T00:00:00Z");
    middle["end"] = json!("2026-06-14T00:00:00Z");
    middle["count"] = json!(0);
    middle["open"] = json!(0);
    assert_eq!(answer["buckets"][1], middle);
    assert_eq!(
        answer["buckets"][2],
        json!({
            "start": "2026-06-14T00:00:00Z", "end": "2026-06-15T00:00:00Z", "count": 2, "open": 1,
            "totalExecutions": 1, "successful": 1, "failed": 0, "sufficient": false,
        })
    );
    let first = &answer["buckets"][0];
    assert_eq!(
        (&first["count"], &first["open"], &first["successRate"]),
        (&json!(2), &json!(0), &json!(0.5))
    );
    assert_eq!(answer["buckets"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        (&answer["totalIncidents"], &answer["bucket"], &answer["timezone"]),
        (&json!(4), &json!("day"), &json!("UTC"))
    );
}

#[tokio::test]
async fn a_day_on_which_the_clocks_change_has_23_or_25_hours() {
    let both = Both::new().await;
    let mut history = History::new(&both);
    for time in [
        "2026-03-28T22:59:59.999999Z",
        "2026-03-28T23:00:00Z",
        "2026-03-29T21:59:59.999999Z",
        "2026-03-29T22:00:00Z",
        "2025-10-26T22:59:59.999999Z",
        "2025-11-02T04:30:00Z",
    ] {
        history.incident(time, "Failed", json!({})).await;
    }
    assert_eq!(
        buckets(
            &both,
            "timezone=Europe/Berlin&since=2026-03-27T23:00:00Z&until=2026-03-30T22:00:00Z"
        )
        .await,
        [
            json!(["2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", 1]),
            json!(["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 2]),
            json!(["2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z", 1]),
        ]
    );
    assert_eq!(
        buckets(
            &both,
            "timezone=Europe/Berlin&since=2025-10-25T22:00:00Z&until=2025-10-27T23:00:00Z"
        )
        .await,
        [
            json!(["2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z", 1]),
            json!(["2025-10-26T23:00:00Z", "2025-10-27T23:00:00Z", 0]),
        ]
    );
    // Midnight comes twice; the day begins with the first.
    assert_eq!(
        buckets(
            &both,
            "timezone=America/Havana&since=2025-11-01T04:00:00Z&until=2025-11-03T05:00:00Z"
        )
        .await,
        [
            json!(["2025-11-01T04:00:00Z", "2025-11-02T04:00:00Z", 0]),
            json!(["2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z", 1]),
        ]
    );
    // There is no midnight; the next day begins at midnight all the same.
    assert_eq!(
        buckets(
            &both,
            "timezone=America/Santiago&since=2025-09-06T04:00:00Z&until=2025-09-09T03:00:00Z"
        )
        .await,
        [
            json!(["2025-09-06T04:00:00Z", "2025-09-07T04:00:00Z", 0]),
            json!(["2025-09-07T04:00:00Z", "2025-09-08T03:00:00Z", 0]),
            json!(["2025-09-08T03:00:00Z", "2025-09-09T03:00:00Z", 0]),
        ]
    );
}

#[tokio::test]
async fn hours_have_sixty_minutes_and_weeks_begin_on_monday() {
    let both = Both::new().await;
    let mut history = History::new(&both);
    for time in [
        "2025-10-26T00:59:59.999999Z",
        "2025-10-26T01:00:00Z",
        "2026-06-14T23:59:59.999999Z",
    ] {
        history.incident(time, "Completed", json!({})).await;
    }
    // Two o'clock comes twice in Berlin.
    assert_eq!(
        buckets(
            &both,
            "bucket=hour&timezone=Europe/Berlin&since=2025-10-26T00:30:00Z&until=2025-10-26T02:30:00Z"
        )
        .await,
        [
            json!(["2025-10-26T00:00:00Z", "2025-10-26T01:00:00Z", 1]),
            json!(["2025-10-26T01:00:00Z", "2025-10-26T02:00:00Z", 1]),
            json!(["2025-10-26T02:00:00Z", "2025-10-26T03:00:00Z", 0]),
        ]
    );
    assert_eq!(
        buckets(
            &both,
            "bucket=hour&timezone=Asia/Kolkata&since=2026-06-14T00:00:00Z&until=2026-06-14T00:45:00Z"
        )
        .await,
        [
            json!(["2026-06-13T23:30:00Z", "2026-06-14T00:30:00Z", 0]),
            json!(["2026-06-14T00:30:00Z", "2026-06-14T01:30:00Z", 0]),
        ]
    );
    assert_eq!(
        buckets(&both, "bucket=week&since=2026-06-10T00:00:00Z").await,
        [
            json!(["2026-06-08T00:00:00Z", "2026-06-15T00:00:00Z", 1]),
            json!(["2026-06-15T00:00:00Z", "2026-06-22T00:00:00Z", 0]),
        ]
    );
}

#[tokio::test]
async fn a_time_zone_that_postgresql_would_guess_at_is_refused() {
    let both = Both::new().await;
    for name in ["Mars/Olympus", "Foo/Bar%2B5", "Europe/berlin"] {
        let answer = both
            .get(&format!("/api/v1/aggregations/trend?timezone={name}"))
            .await;
        assert_eq!(answer.status, 400, "{name}");
        assert_eq!(
            answer.violations(),
            [("timezone".to_owned(), "not-a-time-zone".to_owned())],
            "{name}"
        );
    }
}
