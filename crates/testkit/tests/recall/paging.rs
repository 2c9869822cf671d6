//! Pages of the list: exact totals, a deterministic order, no incident twice and none left out.

use serde_json::json;
use testkit::records::{self, with};

use crate::both::Both;

#[tokio::test]
async fn pages_cover_incidents_of_one_time_exactly_once() {
    let both = Both::new().await;
    let mut ids = Vec::new();
    for index in 0..25 {
        ids.push(both.incident(&records::remediation(&format!("rr-{index}"))).await);
    }
    ids.sort_unstable();
    let mut ascending = Vec::new();
    let mut descending = Vec::new();
    for offset in (0..30).step_by(10) {
        let (page, total) = both.list(&format!("limit=10&offset={offset}&order=asc")).await;
        assert_eq!(total, 25);
        ascending.extend(page);
        descending.extend(both.list(&format!("limit=10&offset={offset}")).await.0);
    }
    assert_eq!(ascending, ids);
    ids.reverse();
    assert_eq!(descending, ids);
}

#[tokio::test]
async fn the_newest_come_first_and_the_default_limit_is_ten() {
    let both = Both::new().await;
    for day in 1..=12 {
        let body = with(
            records::remediation(&format!("rr-{day}")),
            json!({"createdAt": format!("2026-06-{day:02}T00:00:00Z")}),
        );
        both.incident(&body).await;
    }
    let answer = both.get("/api/v1/incidents").await.body;
    let days: Vec<_> = answer["incidents"]
        .as_array()
        .expect("incidents")
        .iter()
        .map(|incident| incident["remediationName"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(
        days,
        (3..=12).rev().map(|day| format!("rr-{day}")).collect::<Vec<_>>()
    );
    assert_eq!(
        (&answer["total"], &answer["limit"], &answer["offset"]),
        (&json!(12), &json!(10), &json!(0))
    );
}

#[tokio::test]
async fn a_page_behind_the_end_is_empty_and_knows_the_total() {
    let both = Both::new().await;
    both.incident(&records::remediation("rr-1")).await;
    assert_eq!(both.list("offset=1000").await, (vec![], 1));
    assert_eq!(both.list("namespace=nowhere").await, (vec![], 0));
}

#[tokio::test]
async fn a_time_span_counts_back_from_now() {
    let both = Both::new().await;
    let recent = both
        .incident(&with(
            records::remediation("rr-1"),
            json!({"createdAt": "2026-06-14T12:00:00Z"}),
        ))
        .await;
    both.incident(&with(
        records::remediation("rr-2"),
        json!({"createdAt": "2026-06-14T11:59:59Z"}),
    ))
    .await;
    assert_eq!(both.list("since=24h").await, (vec![recent], 1));
    both.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(both.list("since=24h").await, (vec![], 0));
}

#[tokio::test]
async fn the_total_is_of_the_same_moment_as_the_page() {
    let both = Both::new().await;
    let done = std::sync::atomic::AtomicBool::new(false);
    let writing = async {
        for index in 0..90 {
            both.incident(&records::remediation(&format!("rr-{index}"))).await;
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let reading = async {
        let mut totals = Vec::new();
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            let (page, total) = both.list("limit=100").await;
            assert_eq!(i64::try_from(page.len()).expect("few"), total);
            totals.push(total);
        }
        totals.dedup();
        totals.len()
    };
    let ((), seen) = tokio::join!(writing, reading);
    // Otherwise nothing was written between two looks.
    assert!(seen >= 10, "{seen} different totals");
    assert_eq!(both.list("limit=100").await.1, 90);
}
