//! Retention drops whole months, all of them and nothing else.

use std::time::{Duration, Instant};

use audit_store::reader::{IncidentFilter, Order, PageRequest, Search, Start};
use audit_store::retention::{
    DroppedMonth, DroppedRows, PlannedMonth, RetentionPlan, RetentionPolicy, RetentionRound, apply, plan,
};
use audit_store::{Reader, hold};
use chrono::NaiveDate;
use serde_json::json;
use testkit::Database;

use crate::history::{
    at, dump, execution, head, remediation, system_events, three_months, vector, without_march, workflow,
    write,
};

/// In the middle of June two months reach back to the middle of April: March is old, April is not.
fn two_months() -> RetentionPolicy {
    RetentionPolicy::keep_months(2).unwrap()
}

fn month(month: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, month, 1).unwrap()
}

fn dropped(round: &RetentionRound) -> Vec<NaiveDate> {
    round.dropped.iter().map(|dropped| dropped.month).collect()
}

/// What January to March are made of, as far as they are not empty.
fn march() -> DroppedMonth {
    DroppedMonth {
        month: month(3),
        partitions: vec![
            "audit_events_y2026m03".into(),
            "resource_action_traces_y2026m03".into(),
        ],
        rows: DroppedRows {
            audit_events: 6,
            resource_action_traces: 2,
            remediation_requests: 2,
            ai_analyses: 1,
            workflow_executions: 1,
            action_executions: 1,
            // checkout and edge without an action, legacy with wf-old
            action_histories: 3,
            resource_references: 2,
            // 1 and 4; 2 and 3 are spoken in May as well
            incident_embeddings: 2,
        },
    }
}

/// The ids that a search by the vectors of all texts finds, and the ids of the list.
async fn found(
    reader: &Reader,
    model: &audit_store::compatibility::ModelIdentity,
) -> (Vec<Vec<i64>>, Vec<i64>) {
    let mut hits = Vec::new();
    for byte in 1..=7 {
        let search = Search {
            vector: vector(byte),
            model: model.clone(),
            filter: IncidentFilter::default(),
            max_results: 10,
            min_similarity: 0.5,
            except: None,
        };
        let mut ids: Vec<i64> = reader
            .search(&search)
            .await
            .unwrap()
            .iter()
            .map(|hit| hit.incident.id)
            .collect();
        ids.sort_unstable();
        hits.push(ids);
    }
    let page = reader
        .incidents(
            &IncidentFilter::default(),
            PageRequest {
                order: Order::Ascending,
                limit: 10,
                start: Start::Offset(0),
                with_total: true,
            },
        )
        .await
        .unwrap();
    assert_eq!(Some(i64::try_from(page.incidents.len()).unwrap()), page.total);
    (hits, page.incidents.iter().map(|incident| incident.id).collect())
}

#[tokio::test]
async fn a_dropped_month_goes_with_all_it_had_and_nothing_else_is_touched() {
    let (database, store) = three_months().await;
    let reader = database.reader().await;
    let model = database.model();
    let (hits, listed) = found(&reader, model).await;
    let [old, edge, new] = listed[..] else {
        panic!("{listed:?}")
    };
    // Text 1 was the first version's of rr-old, which now has text 2.
    assert_eq!(
        hits,
        [
            vec![edge],
            vec![old],
            vec![old, new],
            vec![old],
            vec![edge],
            vec![new],
            vec![new]
        ]
    );
    let detail = reader.incident(new).await.unwrap();
    let expected = without_march(&store).await;

    let round = apply(&store, two_months(), Database::now(), "data-storage")
        .await
        .unwrap();
    assert_eq!(dropped(&round), [month(1), month(2), month(3)]);
    assert_eq!(round.dropped[2], march());
    assert_eq!(round.dropped[0].rows, DroppedRows::default());
    assert_eq!(
        (round.held.len(), round.busy.len(), round.elsewhere),
        (0, 0, false)
    );

    assert_eq!(dump(&store).await, expected);
    assert_eq!(
        found(&reader, model).await,
        (
            vec![vec![], vec![], vec![new], vec![], vec![], vec![new], vec![new]],
            vec![new]
        )
    );
    assert_eq!(reader.incident(new).await.unwrap(), detail);
    assert_eq!(reader.incident(old).await.unwrap(), None);

    let events = system_events(&store).await;
    assert_eq!(events.len(), 3);
    assert_eq!(
        events[2],
        (
            "retention".to_owned(),
            "audit_events_y2026m03".to_owned(),
            "data-storage".to_owned(),
            json!({
                "event": "dropped",
                "partitions": ["audit_events_y2026m03", "resource_action_traces_y2026m03"],
                "from": "2026-03-01T00:00:00Z",
                "to": "2026-04-01T00:00:00Z",
                "keepMonths": 2,
                "rows": {
                    "audit_events": 6, "resource_action_traces": 2, "remediation_requests": 2, "ai_analyses": 1,
                    "workflow_executions": 1, "action_executions": 1, "action_histories": 3,
                    "resource_references": 2, "incident_embeddings": 2
                }
            })
        )
    );
    // A reader of the ledger sees records only.
    let seen: Vec<String> = sqlx::query_scalar("SELECT DISTINCT record_kind FROM events ORDER BY 1")
        .fetch_all(reader.pool())
        .await
        .unwrap();
    assert_eq!(seen, ["aianalysis", "execution", "remediation", "workflow"]);

    // Again there is nothing to do.
    assert_eq!(
        apply(&store, two_months(), Database::now(), "data-storage")
            .await
            .unwrap(),
        RetentionRound::default()
    );
    assert_eq!(system_events(&store).await.len(), 3);
}

#[tokio::test]
async fn a_month_is_dropped_once_its_last_moment_is_old_and_not_before() {
    let (_database, store) = three_months().await;
    let before = dump(&store).await;
    // February is gone as soon as March has lasted as long; March goes with the first moment of June.
    let round = apply(&store, two_months(), at("2026-05-31T23:59:59Z"), "test")
        .await
        .unwrap();
    assert_eq!(dropped(&round), [month(1), month(2)]);
    assert_eq!(dump(&store).await, before);
    let round = apply(&store, two_months(), at("2026-06-01T00:00:00Z"), "test")
        .await
        .unwrap();
    assert_eq!(dropped(&round), [month(3)]);
}

#[tokio::test]
async fn a_plan_changes_nothing_and_tells_what_would_be_dropped() {
    let (_database, store) = three_months().await;
    let before = dump(&store).await;
    let scope = hold::Scope {
        cluster: Some("prod".into()),
        ..hold::Scope::default()
    };
    let hold = hold::place(&store, scope, "case 7", "counsel", Database::now())
        .await
        .unwrap();
    let planned = |month: NaiveDate, ledger_rows: i64, held_by: Vec<i64>| PlannedMonth {
        month,
        ledger_rows,
        held_by,
    };
    assert_eq!(
        plan(&store, two_months(), Database::now()).await.unwrap(),
        RetentionPlan {
            months: vec![
                planned(month(1), 0, vec![]),
                planned(month(2), 0, vec![]),
                planned(month(3), 6, vec![hold.id])
            ],
            expired_default_rows: 0
        }
    );
    assert_eq!(dump(&store).await, before);
}

#[tokio::test]
async fn two_replicas_at_once_drop_a_month_once() {
    let (database, store) = three_months().await;
    let other = database.store().await;
    let expected = without_march(&store).await;
    let (first, second) = tokio::join!(
        apply(&store, two_months(), Database::now(), "one"),
        apply(&other, two_months(), Database::now(), "other")
    );
    let mut months = [dropped(&first.unwrap()), dropped(&second.unwrap())].concat();
    months.extend(dropped(
        &apply(&store, two_months(), Database::now(), "one").await.unwrap(),
    ));
    months.sort();
    assert_eq!(months, [month(1), month(2), month(3)]);
    assert_eq!(system_events(&store).await.len(), 3);
    assert_eq!(dump(&store).await, expected);
}

#[tokio::test]
async fn incidents_without_a_partition_of_their_own_go_with_their_month() {
    let (database, store) = three_months().await;
    sqlx::query("DROP TABLE resource_action_traces_y2026m02")
        .execute(store.pool())
        .await
        .unwrap();
    let before = without_march(&store).await;
    write(
        &database,
        &store,
        &[remediation(
            head("rr-feb", "2026-02-10T00:00:00Z", "c-feb"),
            "feb",
            None,
            Some(8),
        )],
    )
    .await;
    let round = apply(&store, two_months(), Database::now(), "test")
        .await
        .unwrap();
    assert_eq!(round.dropped[1].partitions, ["audit_events_y2026m02"]);
    assert_eq!(
        round.dropped[1].rows,
        DroppedRows {
            audit_events: 1,
            resource_action_traces: 1,
            remediation_requests: 1,
            action_histories: 1,
            resource_references: 1,
            incident_embeddings: 1,
            ..DroppedRows::default()
        }
    );
    assert_eq!(dump(&store).await, before);
}

#[tokio::test]
async fn rows_in_the_default_partition_stay_and_are_counted() {
    let (database, store) = three_months().await;
    // No partition was made for so long ago; the workflow's history and its text are old, too.
    write(
        &database,
        &store,
        &[
            remediation(
                head("rr-2020", "2020-01-10T00:00:00Z", "c-2020"),
                "legacy",
                None,
                Some(2),
            ),
            execution(
                head("ex-2020", "2020-01-10T00:00:00Z", "c-2020"),
                "wf-2020",
                "legacy",
                Some(9),
            ),
        ],
    )
    .await;
    let kept = |rows: Vec<String>| -> Vec<String> {
        rows.into_iter()
            .filter(|row| {
                row.contains("2020")
                    || row.contains("legacy")
                    || row.contains("text 2")
                    || row.contains("text 9")
            })
            .collect()
    };
    let mut expected = kept(dump(&store).await);
    // Of what March shares with 2020, the history of wf-old is March's own.
    expected.retain(|row| !row.contains("-old"));
    let round = apply(&store, two_months(), Database::now(), "test")
        .await
        .unwrap();
    assert_eq!(round.expired_default_rows, 2);
    assert_eq!(round.dropped[2].rows.incident_embeddings, 2);
    assert_eq!(round.dropped[2].rows.resource_references, 1);
    assert_eq!(kept(dump(&store).await), expected);
}

#[tokio::test]
async fn a_history_whose_newest_instance_is_dropped_takes_the_status_of_the_newest_that_is_left() {
    let (database, store) = three_months().await;
    let mut failed = head("rr-feb", "2026-02-10T00:00:00Z", "c-feb");
    failed.phase = audit_store::record::Phase::Failed;
    write(
        &database,
        &store,
        &[
            remediation(failed, "cart", Some("restart_pod"), None),
            remediation(
                head("rr-mar", "2026-03-10T00:00:00Z", "c-mar"),
                "cart",
                Some("restart_pod"),
                None,
            ),
        ],
    )
    .await;
    let scope = hold::Scope {
        correlation_id: Some("c-feb".into()),
        ..hold::Scope::default()
    };
    hold::place(&store, scope, "case 7", "counsel", Database::now())
        .await
        .unwrap();
    let history = "SELECT h.status, h.status_instance, h.status_time, h.status_event_id = e.id
         FROM action_histories h JOIN resource_references r ON r.id = h.resource_id
         LEFT JOIN audit_events e ON e.name = 'rr-feb'
         WHERE r.name = 'cart'";
    let of_cart = async || {
        sqlx::query_as::<_, (String, String, chrono::DateTime<chrono::Utc>, bool)>(history)
            .fetch_all(store.pool())
            .await
            .unwrap()
    };
    assert_eq!(of_cart().await[0].0, "Pending");
    let round = apply(&store, two_months(), Database::now(), "test")
        .await
        .unwrap();
    assert_eq!(dropped(&round), [month(1), month(3)], "{round:?}");
    assert_eq!(
        of_cart().await,
        [(
            "Failed".to_owned(),
            "kubernaut-system/rr-feb".to_owned(),
            at("2026-02-10T00:00:00Z"),
            true
        )]
    );
}

#[tokio::test]
async fn a_text_that_a_transaction_under_way_has_found_is_not_deleted_under_it() {
    let (database, store) = three_months().await;
    let mut writer = database.store().await.pool().begin().await.unwrap();
    // What the writer does first: the text is there, so its id is taken.
    let id: i64 = {
        sqlx::query(
            "INSERT INTO incident_embeddings (model, text_sha256, text, created_at) VALUES ($1, $2, 'text 4', now())
             ON CONFLICT (model, text_sha256) DO NOTHING",
        )
        .bind(&database.model().name)
        .bind([4_u8; 32].as_slice())
        .execute(&mut *writer)
        .await
        .unwrap();
        sqlx::query_scalar("SELECT id FROM incident_embeddings WHERE text = 'text 4'")
            .fetch_one(&mut *writer)
            .await
            .unwrap()
    };
    let task = tokio::spawn({
        let store = store.clone();
        async move {
            apply(&store, two_months(), Database::now(), "test")
                .await
                .unwrap()
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!task.is_finished(), "retention did not wait for the writer");
    sqlx::query(
        "INSERT INTO audit_events (record_kind, namespace, name, event_time, phase, correlation_id, actor, payload,
             payload_sha256, redaction_policy, embedding_id, received_at)
         VALUES ('workflow', 'n', 'w', '2026-06-10T00:00:00Z', 'Pending', 'c', 'a', '{}', sha256(''), 0, $1, now())",
    )
    .bind(id)
    .execute(&mut *writer)
    .await
    .unwrap();
    writer.commit().await.unwrap();
    let round = task.await.unwrap();
    assert_eq!(dropped(&round), [month(1), month(2), month(3)]);
    assert_eq!(round.dropped[2].rows.incident_embeddings, 1);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM incident_embeddings WHERE id = $1")
        .bind(id)
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn a_round_cut_off_in_the_middle_leaves_everything_as_it_was_and_traffic_goes_on_meanwhile() {
    let (database, store) = three_months().await;
    let april = RetentionPolicy::keep_months(2).unwrap();
    apply(&store, april, at("2026-05-15T00:00:00Z"), "test")
        .await
        .unwrap();
    let before = dump(&store).await;
    // A reader keeps the ledger's partitions from being dropped.
    let elsewhere = database.store().await;
    let mut reader = elsewhere.pool().begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM audit_events")
        .execute(&mut *reader)
        .await
        .unwrap();
    let task = tokio::spawn({
        let store = database.store().await;
        async move { apply(&store, two_months(), Database::now(), "test").await }
    });
    // Until it has deleted what only the month had, and waits.
    let waits = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE relation = 'ai_analyses'::regclass AND mode = 'RowExclusiveLock')";
    let deadline = Instant::now() + Duration::from_secs(20);
    while !sqlx::query_scalar::<_, bool>(waits)
        .fetch_one(store.pool())
        .await
        .unwrap()
    {
        assert!(
            Instant::now() < deadline && !task.is_finished(),
            "retention does not wait"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // No hold can be placed between the question whether there is one and the end.
    let holds: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_locks WHERE relation = 'legal_holds'::regclass AND mode = 'ShareLock' AND granted",
    )
    .fetch_one(store.pool())
    .await
    .unwrap();
    assert_eq!(holds, 1);
    let started = Instant::now();
    for index in 0..20 {
        let name = format!("wf-{index}");
        write(
            &database,
            &store,
            &[workflow(head(&name, "2026-06-10T00:00:00Z", "c-live"), "rr-live")],
        )
        .await;
    }
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert!(!task.is_finished());
    task.abort();
    drop(task.await);
    reader.rollback().await.unwrap();

    let mut after = dump(&store).await;
    after.retain(|row| !row.contains("c-live"));
    assert_eq!(after, before);
    assert_eq!(system_events(&store).await.len(), 2);
    // And a later round does it all.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let round = apply(&store, two_months(), Database::now(), "test")
            .await
            .unwrap();
        if dropped(&round) == [month(3)] {
            assert_eq!(round.dropped[0], march());
            break;
        }
        assert!(Instant::now() < deadline, "{round:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
