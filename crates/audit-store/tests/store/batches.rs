//! A batch is one transaction, and a poisoned record fails alone.

use audit_store::writer::{EmbeddingStatus, Group, NewRecord, RecordText, write_batch, write_groups};
use audit_store::{ConnectOptions, StoreError, WriteStore};
use testkit::Database;

use crate::records::analysis;

async fn count(store: &WriteStore, table: &'static str) -> i64 {
    let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(query).fetch_one(store.pool()).await.unwrap()
}

#[tokio::test]
async fn a_batch_with_a_poisoned_record_stores_nothing() {
    let database = Database::new("store").await;
    let store = database.store().await;
    // Validation refuses such a confidence; the database does so too.
    let batch = [analysis("ai-1", 0.5), analysis("ai-2", 7.0)];
    let error = write_batch(&store, database.model(), &batch).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Rejected { constraint: Some(name), .. } if name == "ai_analyses_confidence_range"),
        "{error:?}"
    );
    assert_eq!(
        (
            count(&store, "audit_events").await,
            count(&store, "ai_analyses").await
        ),
        (0, 0)
    );
}

/// Each record in a group of its own.
fn alone(records: Vec<NewRecord>) -> Vec<Group> {
    records
        .into_iter()
        .map(|record| Group {
            records: vec![record],
            key: None,
        })
        .collect()
}

#[tokio::test]
async fn a_group_with_a_poisoned_record_is_refused_as_a_whole_and_no_other() {
    let database = Database::new("store").await;
    let store = database.store().await;
    let group = |names: [&str; 2], confidence| Group {
        records: vec![analysis(names[0], 0.5), analysis(names[1], confidence)],
        key: None,
    };
    let groups = [
        group(["ai-1", "ai-2"], 0.5),
        group(["ai-3", "ai-4"], 7.0),
        group(["ai-5", "ai-6"], 0.5),
    ];
    let results = write_groups(&store, database.model(), &groups).await;
    let stored: Vec<Option<usize>> = results
        .iter()
        .map(|result| result.as_ref().ok().map(Vec::len))
        .collect();
    assert_eq!(stored, [Some(2), None, Some(2)]);
    assert_eq!(count(&store, "audit_events").await, 4);
}

#[tokio::test]
async fn of_a_hundred_records_one_poisoned_fails_alone() {
    let database = Database::new("store").await;
    let store = database.store().await;
    let batch: Vec<NewRecord> = (0..100)
        .map(|index| analysis(&format!("ai-{index}"), if index == 63 { 7.0 } else { 0.5 }))
        .collect();
    let results = write_groups(&store, database.model(), &alone(batch)).await;
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result.is_ok(), index != 63, "record {index}: {result:?}");
    }
    assert!(matches!(results[63], Err(StoreError::Rejected { .. })));
    assert_eq!(
        (
            count(&store, "audit_events").await,
            count(&store, "ai_analyses").await
        ),
        (99, 99)
    );
}

#[tokio::test]
async fn the_same_record_twice_in_one_batch_is_one_row_and_one_replay() {
    let database = Database::new("store").await;
    let store = database.store().await;
    let batch = [
        analysis("ai-1", 0.5),
        analysis("ai-2", 0.5),
        analysis("ai-1", 0.5),
    ];
    let receipts = write_batch(&store, database.model(), &batch).await.unwrap();
    assert_eq!(
        receipts
            .iter()
            .map(|receipt| receipt.replayed)
            .collect::<Vec<_>>(),
        [false, false, true]
    );
    assert_eq!(receipts[0].event_id, receipts[2].event_id);
    assert_eq!(count(&store, "audit_events").await, 2);
}

#[tokio::test]
async fn a_vector_of_another_dimension_fails_its_record_alone() {
    let database = Database::new("store").await;
    let store = database.store().await;
    let text = |byte: u8, dimension: usize| {
        Some(RecordText {
            text: format!("text {byte}"),
            sha256: [byte; 32],
            vector: Some(vec![0.5; dimension]),
        })
    };
    let mut batch = vec![analysis("ai-1", 0.5), analysis("ai-2", 0.5)];
    batch[0].text = text(1, database.model().dimension);
    batch[1].text = text(2, 3);
    let results = write_groups(&store, database.model(), &alone(batch)).await;
    let stored = &results[0].as_ref().unwrap()[0];
    assert_eq!(stored.embedding_status, EmbeddingStatus::Stored);
    assert!(
        matches!(results[1], Err(StoreError::Rejected { .. })),
        "{:?}",
        results[1]
    );
}

#[tokio::test]
async fn a_table_of_texts_that_is_locked_for_too_long_costs_a_batch_and_not_its_connection() {
    let database = Database::new("store").await;
    let store = WriteStore::connect(&ConnectOptions {
        max_connections: 1,
        ..database.writer_options()
    })
    .await
    .unwrap();
    let other = database.store().await;
    let mut obstacle = other.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE incident_embeddings IN EXCLUSIVE MODE")
        .execute(&mut *obstacle)
        .await
        .unwrap();
    let mut record = analysis("ai-1", 0.5);
    record.text = Some(RecordText {
        text: "out of memory".to_owned(),
        sha256: [1; 32],
        vector: None,
    });
    let batch = [record];
    let error = write_batch(&store, database.model(), &batch).await.unwrap_err();
    assert!(matches!(error, StoreError::Contention(_)), "{error:?}");
    obstacle.rollback().await.unwrap();
    // The only connection there is works again at once.
    let receipts = write_batch(&store, database.model(), &batch).await.unwrap();
    assert!(!receipts[0].replayed);
    assert_eq!(count(&store, "audit_events").await, 1);
}
