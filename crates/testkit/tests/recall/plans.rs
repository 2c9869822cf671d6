//! What a page of the list costs: PostgreSQL's own plans of the very statements the reader runs, with what they read.

mod cases;
mod cost;
mod one_incident;

use std::collections::BTreeSet;

use audit_store::reader::{IncidentFilter, Order, Position};
use chrono::{DateTime, Utc};

use self::cases::{Case, cases};
use self::cost::cost;
use crate::volumes;

const ORDERS: [Order; 2] = [Order::Descending, Order::Ascending];

/// The page of a filter, of incidents from `from` up to `to`.
fn expected(case: &Case, order: Order, from: i64, to: i64) -> Vec<i64> {
    let passing = |n: &i64| (case.passes)(*n);
    match order {
        Order::Descending => (from..=to).filter(passing).take(10).collect(),
        Order::Ascending => (from..=to).rev().filter(passing).take(10).collect(),
    }
}

#[tokio::test]
async fn a_page_of_any_filter_is_found_by_index_and_reads_no_more_of_four_times_as_many() {
    let _alone = volumes::alone().await;
    for volume in [volumes::small().await, volumes::large().await] {
        let reader = volume.reader().await;
        for case in cases() {
            for order in ORDERS {
                let what = format!("{} {order:?} of {}", case.name, volume.incidents);
                let cost = cost(&reader, &case.filter, order, None).await;
                assert_eq!(cost.ids(), expected(&case, order, 1, volume.incidents), "{what}");
                assert!(
                    cost.incidents <= case.most,
                    "{what} reads {} incidents",
                    cost.incidents
                );
                // All resources and their histories, 1 500 rows, are sometimes read through to be joined.
                assert!(
                    cost.rows <= case.most + 2_000.0,
                    "{what} reads {} rows",
                    cost.rows
                );
                assert!(cost.buffers <= 4_000, "{what} reads {} pages", cost.buffers);
                // A month of a small volume is read as soon as its index.
                if volume.incidents == 20_000 {
                    assert_eq!(cost.sequential, [""; 0], "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn behind_a_cursor_a_page_costs_the_same_at_any_depth() {
    let _alone = volumes::alone().await;
    let volume = volumes::large().await;
    let reader = volume.reader().await;
    for case in cases() {
        for order in ORDERS {
            let places = if case.name == "nothing" {
                vec![
                    20,
                    volume.incidents / 2,
                    volume.incidents - 2_000,
                    volume.incidents - 20,
                ]
            } else {
                vec![volume.incidents / 2]
            };
            for place in places {
                let what = format!("{} {order:?} behind {place}", case.name);
                let behind = Position {
                    created_at: volume.created_at(place),
                    id: place,
                };
                let cost = cost(&reader, &case.filter, order, Some(behind)).await;
                let (from, to) = match order {
                    Order::Descending => (place + 1, volume.incidents),
                    Order::Ascending => (1, place - 1),
                };
                assert_eq!(cost.ids(), expected(&case, order, from, to), "{what}");
                assert!(
                    cost.incidents <= case.most,
                    "{what} reads {} incidents",
                    cost.incidents
                );
                assert_eq!(cost.sequential, [""; 0], "{what}");
            }
        }
    }
}

#[tokio::test]
async fn with_a_bound_of_time_only_the_months_within_it_are_looked_into() {
    let _alone = volumes::alone().await;
    let volume = volumes::large().await;
    let reader = volume.reader().await;
    let at = |text: &str| -> DateTime<Utc> { text.parse().expect("a time") };
    for (since, until, months) in [
        (
            "2026-03-01T00:00:00Z",
            Some("2026-04-01T00:00:00Z"),
            vec!["2026m03"],
        ),
        (
            "2026-03-15T00:00:00Z",
            Some("2026-03-15T06:00:00Z"),
            vec!["2026m03"],
        ),
        (
            "2025-12-31T23:00:00Z",
            Some("2026-02-01T00:00:00.000001Z"),
            vec!["2025m12", "2026m01", "2026m02"],
        ),
        (
            "2026-06-10T00:00:00Z",
            None,
            vec!["2026m06", "2026m07", "default"],
        ),
    ] {
        let (since, until) = (at(since), until.map(at));
        let within = |n: i64| {
            let created = volume.created_at(n);
            created >= since && until.is_none_or(|until| created < until)
        };
        let (Some(from), Some(to)) = (
            (1..=volume.incidents).find(|n| within(*n)),
            (1..=volume.incidents).rev().find(|n| within(*n)),
        ) else {
            panic!("no incident within {since} and {until:?}");
        };
        // Every filter in the first window, and no filter in every one.
        for case in cases() {
            for order in ORDERS {
                if case.name != "nothing"
                    && (until, order) != (Some(at("2026-04-01T00:00:00Z")), Order::Descending)
                {
                    continue;
                }
                let what = format!("{} {order:?} from {since}", case.name);
                let filter = IncidentFilter {
                    since: Some(since),
                    until,
                    ..case.filter.clone()
                };
                let cost = cost(&reader, &filter, order, None).await;
                assert_eq!(cost.ids(), expected(&case, order, from, to), "{what}");
                let looked: BTreeSet<String> = months
                    .iter()
                    .map(|month| format!("resource_action_traces_y{month}").replace("_ydefault", "_default"))
                    .collect();
                assert!(
                    cost.partitions.is_subset(&looked),
                    "{what}: {:?}",
                    cost.partitions
                );
                if case.name == "nothing" {
                    assert_eq!(cost.partitions, looked, "{what}");
                }
            }
        }
    }
    // A cursor is such a bound itself: nothing newer than it is read, or nothing older.
    let behind = Position {
        created_at: at("2025-05-20T00:00:00Z"),
        id: 1,
    };
    let cost = cost(
        &reader,
        &IncidentFilter::default(),
        Order::Descending,
        Some(behind),
    )
    .await;
    assert_eq!(
        cost.partitions.into_iter().collect::<Vec<_>>(),
        [
            "resource_action_traces_default",
            "resource_action_traces_y2025m05"
        ]
    );
}
