//! Walking the list by cursor: everything once, whatever is recorded meanwhile. What it costs is in `plans`.

use std::collections::HashSet;

use chrono::TimeDelta;
use serde_json::{Value, json};
use testkit::Database;
use testkit::records::{self, with};

use crate::both::{Both, ids};

/// Walks a list to its end, and gives the ids and the totals of each page.
async fn walk(both: &Both, query: &str) -> Vec<(Vec<i64>, Value)> {
    let mut pages = Vec::new();
    let mut next = String::new();
    loop {
        let answer = both.get(&format!("/api/v1/incidents?{query}{next}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        assert_eq!(answer.body.get("offset").is_some(), next.is_empty());
        assert!(pages.len() < 100, "{query}: the walk does not end");
        pages.push((ids(&answer.body["incidents"]), answer.body["total"].clone()));
        match answer.body.get("nextCursor") {
            Some(cursor) => next = format!("&cursor={}", cursor.as_str().expect("a text")),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn a_walk_gives_incidents_of_one_time_once_in_either_order_with_exact_totals() {
    let both = Both::new().await;
    let mut all = Vec::new();
    for index in 0..7 {
        all.push(both.incident(&records::remediation(&format!("rr-{index}"))).await);
    }
    all.sort_unstable();
    let page = |ids: &[i64], total: Value| (ids.to_vec(), total);
    assert_eq!(
        walk(&both, "limit=3&order=asc").await,
        [
            page(&all[..3], json!(7)),
            page(&all[3..6], json!(7)),
            page(&all[6..], json!(7)),
        ]
    );
    all.reverse();
    // The last page is full: that nothing is behind it is known all the same.
    assert_eq!(
        walk(&both, "limit=6&includeTotal=false").await,
        [page(&all[..6], Value::Null), page(&all[6..], Value::Null)]
    );
    assert_eq!(
        walk(&both, "limit=7&namespace=nowhere").await,
        [page(&[], json!(0))]
    );
    assert_eq!(walk(&both, "limit=7").await, [page(&all, json!(7))]);
}

#[tokio::test]
async fn a_walk_by_cursor_is_not_moved_by_what_is_recorded_meanwhile() {
    let both = Both::new().await;
    let at = |minute: i64| Database::now() - TimeDelta::hours(5) + TimeDelta::minutes(minute);
    let mut before = Vec::new();
    for index in 0..20 {
        let body = with(
            records::remediation(&format!("rr-{index}")),
            json!({"createdAt": at(index / 4).to_rfc3339()}),
        );
        before.push(both.incident(&body).await);
    }
    for order in ["asc", "desc"] {
        // A writer that goes on all the while, with times before, among and after those of the walk.
        let writing = async {
            let mut written = HashSet::new();
            for index in 0..40 {
                let body = with(
                    records::remediation(&format!("rr-{order}-{index}")),
                    json!({"createdAt": at(index % 8 - 2).to_rfc3339()}),
                );
                written.insert(both.incident(&body).await);
            }
            written
        };
        let query = format!("limit=3&order={order}&since=24h&includeTotal=false");
        let (written, pages) = tokio::join!(writing, walk(&both, &query));
        assert_eq!(written.len(), 40);
        let walked: Vec<i64> = pages.into_iter().flat_map(|(page, _)| page).collect();
        let distinct: HashSet<i64> = walked.iter().copied().collect();
        assert_eq!(distinct.len(), walked.len(), "{order}: an incident came twice");
        let missed: Vec<_> = before.iter().filter(|id| !distinct.contains(id)).collect();
        assert_eq!(missed, [&0_i64; 0], "{order}: an incident was left out");
        // The next walk must find these too.
        before.extend(written);
    }
}

#[tokio::test]
async fn an_insertion_between_two_pages_repeats_an_incident_by_offset_and_none_by_cursor() {
    let both = Both::new().await;
    let older = both.incident(&records::remediation("rr-1")).await;
    let newer = both.incident(&records::remediation("rr-2")).await;
    let first = both.get("/api/v1/incidents?limit=1").await.body;
    assert_eq!(ids(&first["incidents"]), [newer]);
    both.incident(&records::remediation("rr-3")).await;
    assert_eq!(both.list("limit=1&offset=1").await.0, [newer]);
    let cursor = first["nextCursor"].as_str().expect("a cursor");
    assert_eq!(
        both.list(&format!("limit=1&cursor={cursor}")).await,
        (vec![older], 3)
    );
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused_by_name() {
    let both = Both::new().await;
    both.incident(&records::remediation("rr-1")).await;
    both.incident(&records::remediation("rr-2")).await;
    let first = both.get("/api/v1/incidents?limit=1&kind=deployment").await.body;
    let cursor = first["nextCursor"].as_str().expect("a cursor");
    for (query, code) in [
        (format!("cursor={cursor}"), "other-filters"),
        (
            format!("cursor={cursor}&kind=Deployment&order=asc"),
            "other-order",
        ),
        (
            format!("cursor=B{}&kind=Deployment", &cursor[1..]),
            "not-a-cursor",
        ),
    ] {
        let answer = both.get(&format!("/api/v1/incidents?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        let told = &answer.body["errors"][0];
        assert_eq!(
            (&told["parameter"], &told["code"]),
            (&json!("cursor"), &json!(code))
        );
    }
}
