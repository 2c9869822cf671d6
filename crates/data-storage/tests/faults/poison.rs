//! A record that passes validation and is refused by the database.

use futures::future::join_all;
use testkit::{Database, records};

use crate::service::{Service, count, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_records_at_once_the_one_that_the_database_refuses_fails_alone() {
    let database = Database::new("faults").await;
    let store = database.store().await;
    // An operator's own rule, of which validation knows nothing.
    sqlx::query("ALTER TABLE ai_analyses ADD CONSTRAINT not_this_one CHECK (name <> 'ai-63')")
        .execute(store.pool())
        .await
        .unwrap();
    let service = Service::on(&database, |config| config.writer.tasks = 1).await;
    let bodies: Vec<_> = (0..100)
        .map(|index| records::analysis(&format!("ai-{index}"), "rr-1"))
        .collect();
    // The first one holds the writer up until the others stand in the queue, to be one batch.
    let mut lock = store.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE audit_events IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    let release = async {
        wait_until("a full queue", async || {
            service.metric("queue_depth", "").await >= 64.0
        })
        .await;
        lock.rollback().await.unwrap();
    };
    let posts = join_all(bodies.iter().map(|body| service.post("aianalysis", body)));
    let (answers, ()) = futures::join!(posts, release);
    for (index, answer) in answers.iter().enumerate() {
        let expected = if index == 63 { 422 } else { 201 };
        assert_eq!(answer.status, expected, "{index}: {:?}", answer.body);
    }
    assert_eq!(count(&store, "audit_events").await, 99);
    assert_eq!(count(&store, "ai_analyses WHERE name <> 'ai-63'").await, 99);
    service.stop().await;
}
