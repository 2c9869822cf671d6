//! Texts whose vectors come later.

use audit_store::pending;
use audit_store::writer::{EmbeddingStatus, NewRecord, RecordText, write_batch};
use testkit::Database;

use crate::records::workflow;

fn record(name: &str, byte: u8, vector: Option<Vec<f32>>) -> NewRecord {
    let mut record = workflow(name);
    record.text = Some(RecordText {
        text: format!("text {byte}"),
        sha256: [byte; 32],
        vector,
    });
    record
}

#[tokio::test]
async fn a_pending_text_is_claimed_by_one_worker_and_filled() {
    let database = Database::new("store").await;
    let (store, model) = (database.store().await, database.model().name.clone());
    let receipts = write_batch(
        &store,
        &model,
        &[record("wf-1", 1, None), record("wf-2", 2, None)],
    )
    .await
    .unwrap();
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt.embedding_status == EmbeddingStatus::Pending)
    );
    assert_eq!(pending::count(&store).await.unwrap(), 2);

    let first = pending::claim(&store, &model, 0, 1).await.unwrap();
    let second = pending::claim(&store, &model, 0, 10).await.unwrap();
    assert_eq!(
        first
            .texts
            .iter()
            .map(|text| text.text.as_str())
            .collect::<Vec<_>>(),
        ["text 1"]
    );
    assert_eq!(
        second
            .texts
            .iter()
            .map(|text| text.text.as_str())
            .collect::<Vec<_>>(),
        ["text 2"]
    );
    let vector = vec![0.125; database.model().dimension];
    let id = first.texts[0].id;
    first.fill(vec![(id, vector.clone())]).await.unwrap();
    drop(second);
    assert_eq!(
        pending::vector_of(&store, &model, &[1; 32]).await.unwrap(),
        Some(vector)
    );
    // The second worker gave its text back.
    assert_eq!(
        pending::claim(&store, &model, 0, 10).await.unwrap().texts.len(),
        1
    );
    assert_eq!(pending::count(&store).await.unwrap(), 1);
}

#[tokio::test]
async fn a_replay_tells_that_the_vector_is_there_by_now() {
    let database = Database::new("store").await;
    let (store, model) = (database.store().await, database.model().name.clone());
    write_batch(&store, &model, &[record("wf-1", 1, None)])
        .await
        .unwrap();
    let batch = pending::claim(&store, &model, 0, 10).await.unwrap();
    let id = batch.texts[0].id;
    batch
        .fill(vec![(id, vec![0.125; database.model().dimension])])
        .await
        .unwrap();
    let receipts = write_batch(&store, &model, &[record("wf-1", 1, None)])
        .await
        .unwrap();
    assert_eq!(
        (receipts[0].replayed, receipts[0].embedding_status),
        (true, EmbeddingStatus::Stored)
    );
}
