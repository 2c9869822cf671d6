//! A hold keeps whole months, until it is released and on record for ever.

use audit_store::WriteStore;
use audit_store::hold::{Hold, HoldError, Release, Scope, list, place, release};
use audit_store::retention::{HeldMonth, RetentionPolicy, RetentionRound, apply};
use chrono::NaiveDate;
use serde_json::json;
use testkit::Database;

use crate::history::{at, dump, head, remediation, system_events, three_months, without_march, write};

fn month(month: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, month, 1).unwrap()
}

async fn round(store: &WriteStore, now: &str) -> RetentionRound {
    apply(store, RetentionPolicy::keep_months(2).unwrap(), at(now), "test")
        .await
        .unwrap()
}

async fn placed(store: &WriteStore, scope: Scope) -> Hold {
    place(store, scope, "case 7", "counsel", Database::now())
        .await
        .unwrap()
}

fn correlation_id(id: &str) -> Scope {
    Scope {
        correlation_id: Some(id.into()),
        ..Scope::default()
    }
}

#[tokio::test]
async fn a_held_month_stays_whole_and_goes_after_the_release() {
    let (_database, store) = three_months().await;
    let (before, expected) = (dump(&store).await, without_march(&store).await);
    let hold = placed(&store, correlation_id("c-old")).await;
    let first = round(&store, "2026-06-15T12:00:00Z").await;
    assert_eq!(
        first.held,
        [HeldMonth {
            month: month(3),
            held_by: vec![hold.id]
        }]
    );
    assert_eq!(dump(&store).await, before);
    release(&store, hold.id, "case closed", "judge", Database::now())
        .await
        .unwrap();
    let second = round(&store, "2026-06-15T12:00:00Z").await;
    assert_eq!(second.held, []);
    assert_eq!(
        second.dropped.iter().map(|d| d.month).collect::<Vec<_>>(),
        [month(3)]
    );
    assert_eq!(dump(&store).await, expected);
}

#[tokio::test]
async fn a_hold_keeps_what_is_recorded_after_it_was_placed() {
    let (database, store) = three_months().await;
    let hold = placed(&store, correlation_id("c-later")).await;
    let late = remediation(
        head("rr-later", "2026-02-20T00:00:00Z", "c-later"),
        "later",
        None,
        None,
    );
    write(&database, &store, &[late]).await;
    let round = round(&store, "2026-06-15T12:00:00Z").await;
    assert_eq!(
        round.held,
        [HeldMonth {
            month: month(2),
            held_by: vec![hold.id]
        }]
    );
    assert_eq!(
        round.dropped.iter().map(|d| d.month).collect::<Vec<_>>(),
        [month(1), month(3)]
    );
}

#[tokio::test]
async fn every_kind_of_scope_holds_the_months_it_speaks_of_and_the_families_in_them() {
    let (_database, store) = three_months().await;
    let namespace = |namespace: &str, name: Option<&str>| Scope {
        namespace: Some(namespace.into()),
        name: name.map(Into::into),
        ..Scope::default()
    };
    let cases = [
        // The analysis of rr-edge was made in April.
        (namespace("kubernaut-system", Some("rr-edge")), vec![3, 4]),
        (namespace("kubernaut-system", Some("rr-old")), vec![3]),
        (namespace("other", Some("rr-old")), vec![]),
        (namespace("kubernaut-system", None), vec![3, 4]),
        // The namespace of the resources; April holds an analysis of one of them.
        (namespace("shop", None), vec![3, 4]),
        (namespace("nowhere", None), vec![]),
        (
            Scope {
                cluster: Some("prod".into()),
                ..Scope::default()
            },
            vec![3, 4],
        ),
        (
            Scope {
                cluster: Some("prod".into()),
                correlation_id: Some("c-old".into()),
                ..Scope::default()
            },
            vec![3],
        ),
        (
            Scope {
                cluster: Some("staging".into()),
                ..Scope::default()
            },
            vec![],
        ),
        (
            Scope {
                since: Some(at("2026-03-10T10:00:00Z")),
                until: Some(at("2026-03-10T10:00:01Z")),
                ..Scope::default()
            },
            vec![3],
        ),
        (
            Scope {
                until: Some(at("2026-03-10T10:00:00Z")),
                ..Scope::default()
            },
            vec![],
        ),
        (Scope::default(), vec![3, 4]),
    ];
    let policy = RetentionPolicy::keep_months(2).unwrap();
    for (scope, expected) in cases {
        let hold = placed(&store, scope.clone()).await;
        let plan = audit_store::retention::plan(&store, policy, at("2026-07-15T00:00:00Z"))
            .await
            .unwrap();
        let held: Vec<NaiveDate> = plan
            .months
            .iter()
            .filter(|month| month.held_by == [hold.id])
            .map(|month| month.month)
            .collect();
        let expected: Vec<NaiveDate> = expected.into_iter().map(month).collect();
        assert_eq!(held, expected, "{scope}");
        release(&store, hold.id, "next", "test", Database::now())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn placing_and_releasing_are_on_record_and_in_the_ledger() {
    let (_database, store) = three_months().await;
    let scope = Scope {
        namespace: Some("shop".into()),
        ..Scope::default()
    };
    let (placed_at, released_at) = (at("2026-06-01T00:00:00Z"), at("2026-06-02T00:00:00Z"));
    let mut hold = place(&store, scope.clone(), "case 7", "counsel", placed_at)
        .await
        .unwrap();
    let other = placed(&store, correlation_id("c")).await;
    let after = release(&store, hold.id, "case closed", "judge", released_at)
        .await
        .unwrap();
    hold.release = Some(Release {
        reason: "case closed".into(),
        released_by: "judge".into(),
        released_at,
    });
    assert_eq!(after, hold);
    assert_eq!(list(&store, false).await.unwrap(), std::slice::from_ref(&other));
    assert_eq!(list(&store, true).await.unwrap(), [hold.clone(), other]);
    let events = system_events(&store).await;
    let name = format!("hold-{}", hold.id);
    assert_eq!(events.len(), 3);
    assert_eq!(
        events[0],
        (
            "hold".to_owned(),
            name.clone(),
            "counsel".to_owned(),
            json!({"event": "placed", "hold": hold.id, "scope": {"namespace": "shop"}, "reason": "case 7"})
        )
    );
    assert_eq!(
        events[2],
        (
            "hold".to_owned(),
            name,
            "judge".to_owned(),
            json!({"event": "released", "hold": hold.id, "scope": {"namespace": "shop"}, "reason": "case closed"})
        )
    );

    let error = release(&store, hold.id, "again", "judge", released_at)
        .await
        .unwrap_err();
    assert!(matches!(error, HoldError::AlreadyReleased { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!(
            "hold {} was released by judge at 2026-06-02T00:00:00+00:00",
            hold.id
        )
    );
    let error = release(&store, 4711, "none", "judge", released_at)
        .await
        .unwrap_err();
    assert!(matches!(error, HoldError::NotFound(4711)), "{error}");
    // What was refused left nothing.
    assert_eq!(system_events(&store).await.len(), 3);
}

#[tokio::test]
async fn the_history_of_holds_is_append_only() {
    let (_database, store) = three_months().await;
    let hold = placed(&store, correlation_id("c")).await;
    release(&store, hold.id, "over", "judge", Database::now())
        .await
        .unwrap();
    for statement in [
        "UPDATE legal_holds SET reason = 'another'",
        "DELETE FROM legal_hold_releases",
        "UPDATE legal_hold_releases SET released_by = 'nobody'",
        "TRUNCATE legal_holds, legal_hold_releases",
        "TRUNCATE legal_hold_releases",
    ] {
        let error = sqlx::query(statement).execute(store.pool()).await.unwrap_err();
        let code = error.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(code, "23001", "{statement}: {error}");
    }
    assert_eq!(list(&store, true).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_hold_waits_for_a_month_that_is_being_dropped() {
    let (database, store) = three_months().await;
    // What retention locks before it asks the holds.
    let mut retention = database.store().await.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE legal_holds, legal_hold_releases IN SHARE MODE")
        .execute(&mut *retention)
        .await
        .unwrap();
    let task = tokio::spawn({
        let store = store.clone();
        async move { placed(&store, correlation_id("c-old")).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!task.is_finished());
    retention.rollback().await.unwrap();
    task.await.unwrap();
    assert_eq!(list(&store, false).await.unwrap().len(), 1);
}
