//! Beside a busy writer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use audit_store::WriteStore;
use audit_store::fsck::rebuild;
use audit_store::record::Phase;
use audit_store::writer::write_batch;
use chrono::TimeDelta;
use testkit::Database;

use super::{findings, history, number, options, report, tamper};

/// Writes batches of versions of a few instances until told to stop, and counts what was acknowledged.
async fn write(
    store: &WriteStore,
    model: &audit_store::compatibility::ModelIdentity,
    writer: u64,
    stop: &AtomicBool,
    acknowledged: &AtomicU64,
) {
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let batch: Vec<_> = (0..8)
            .map(|index| {
                // Writers meet on instances and resources; rounds on the same ones are newer versions.
                let phase = Phase::ALL[(round + index) % 4];
                let mut head = history::head(
                    &format!("rr-{}", (round * 3 + index) % 20),
                    phase,
                    Database::now() - TimeDelta::minutes(1),
                );
                head.message = Some(format!("writer {writer}, round {round}, {index}"));
                history::new(
                    history::remediation(head, &format!("app-{}", index % 3), None),
                    Some((&format!("text {}", round % 10), Some(round % 10))),
                )
            })
            .collect();
        match write_batch(store, model, &batch).await {
            Ok(receipts) => {
                let new = receipts.iter().filter(|receipt| !receipt.replayed).count();
                acknowledged.fetch_add(new as u64, Ordering::Relaxed);
            }
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    }
}

/// Runs something beside two writers, and answers how many events they have acknowledged.
async fn beside_writers(database: &Database, what: impl AsyncFnOnce(&AtomicU64)) -> u64 {
    let (store, model) = (database.store().await, database.model().clone());
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let work = async {
        what(&acknowledged).await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(
        write(&store, &model, 1, &stop, &acknowledged),
        write(&store, &model, 2, &stop, &acknowledged),
        work
    );
    acknowledged.into_inner()
}

async fn until(acknowledged: &AtomicU64, count: u64) {
    while acknowledged.load(Ordering::Relaxed) < count {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_beside_writers_finds_nothing() {
    let database = Database::new("fsck").await;
    let written = beside_writers(&database, async |acknowledged| {
        let mut seen = 0;
        for round in 1..=6 {
            until(acknowledged, seen + 50).await;
            let report = report(&database).await;
            assert_eq!(super::found(&report), Vec::<String>::new(), "round {round}");
            assert!(report.events > seen, "writers make no progress");
            seen = report.events;
        }
    })
    .await;
    assert_eq!(report(&database).await.events, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_beside_writers_loses_nothing_and_mends_everything() {
    let database = Database::new("fsck").await;
    let store = database.store().await;
    let written = beside_writers(&database, async |acknowledged| {
        for round in 1..=4 {
            until(acknowledged, round * 100).await;
            tamper(
                &store,
                "LOCK TABLE resource_action_traces IN SHARE ROW EXCLUSIVE MODE;
                 DELETE FROM resource_action_traces WHERE id % 2 = 0;
                 UPDATE resource_action_traces SET message = 'made up', last_event_id = 1 WHERE id % 3 = 0",
            )
            .await;
            rebuild(&database.writer_options(), &options(), &mut |_| {})
                .await
                .unwrap();
            assert_eq!(findings(&database).await, Vec::<String>::new(), "round {round}");
        }
    })
    .await;
    assert_eq!(findings(&database).await, Vec::<String>::new());
    let ledger = number(&store, "SELECT count(*) FROM audit_events").await;
    assert_eq!(u64::try_from(ledger).unwrap(), written);
    assert_eq!(
        number(&store, "SELECT count(*) FROM resource_action_traces").await,
        20
    );
}

/// Waits until somebody waits for a lock on a table.
async fn until_somebody_waits_for(store: &WriteStore, table: &str, count: i64) {
    let query = format!("SELECT count(*) FROM pg_locks WHERE relation = '{table}'::regclass AND NOT granted");
    while number(store, &query).await < count {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_rebuild_waits_for_a_writer_that_has_its_ids_and_has_not_committed() {
    let database = Database::new("fsck").await;
    let (store, model) = (database.store().await, database.model().clone());
    history::write(&store, &database).await;
    // The writer is stopped between the ledger and the read model.
    let mut obstacle = store.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE resource_references IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *obstacle)
        .await
        .unwrap();
    let head = history::head("rr-late", Phase::Pending, Database::now());
    let batch = [history::new(history::remediation(head, "late", None), None)];
    let writing = write_batch(&store, &model, &batch);
    let (connect, settings) = (database.writer_options(), options());
    let rebuilding = async {
        until_somebody_waits_for(&store, "resource_references", 1).await;
        rebuild(&connect, &settings, &mut |_| {}).await
    };
    let releasing = async {
        until_somebody_waits_for(&store, "audit_events", 1).await;
        obstacle.rollback().await.unwrap();
    };
    // Both wait for each other to wait, which one whose lock timed out before the other came never does.
    let all = async { tokio::join!(writing, rebuilding, releasing) };
    let (written, rebuilt, ()) = tokio::time::timeout(std::time::Duration::from_secs(60), all)
        .await
        .expect("a machine that is not starved");
    written.unwrap();
    assert_eq!(rebuilt.unwrap().events, 13);
    assert_eq!(findings(&database).await, Vec::<String>::new());
}
