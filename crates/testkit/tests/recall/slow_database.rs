//! A database that answers, but not in time.

use std::time::{Duration, Instant};

use audit_store::ConnectOptions;
use serde_json::json;
use testkit::records;

use crate::both::Both;
use crate::cached::Replica;

#[tokio::test]
async fn a_query_that_takes_too_long_is_cut_off_and_holds_no_connection() {
    let both = Both::new().await;
    both.incident(&records::remediation("rr-1")).await;
    let options = ConnectOptions {
        max_connections: 1,
        statement_timeout: Duration::from_millis(300),
        ..both.database.reader_options()
    };
    let replica = Replica::on(&both, &options, "").await;
    let mut lock = both.store.pool().begin().await.expect("a transaction");
    sqlx::query("LOCK TABLE resource_action_traces IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .expect("a lock");
    for path in [
        "/api/v1/incidents",
        "/api/v1/incidents/1",
        "/api/v1/aggregations/namespaces",
    ] {
        let began = Instant::now();
        let answer = replica.get(path).await;
        assert_eq!(
            (
                answer.status.as_u16(),
                &answer.body["type"],
                &answer.body["detail"]
            ),
            (
                504,
                &json!("https://kubernaut.ai/problems/gateway-timeout"),
                &json!("The database took too long. Narrower filters help.")
            ),
            "{path}"
        );
        let took = began.elapsed();
        assert!(
            took >= Duration::from_millis(300) && took < Duration::from_secs(3),
            "{path} took {took:?}"
        );
    }
    assert_eq!(replica.metric("loads_total{result=\"failed\"}"), 3);
    // The one connection is free for what does not wait.
    let elsewhere = replica
        .get("/api/v1/aggregations/trend?timezone=Nowhere/Land")
        .await;
    assert_eq!(elsewhere.status, 400, "{}", elsewhere.body);
    lock.rollback().await.expect("the end of the lock");
    assert_eq!(replica.get("/api/v1/incidents").await.body["total"], 1);
}
