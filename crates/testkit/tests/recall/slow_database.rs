//! A database that answers, but not in time.

use std::time::{Duration, Instant};

use audit_store::{ConnectOptions, Reader};
use serde_json::json;
use testkit::chaos_proxy::Direction;
use testkit::{ChaosProxy, records};
use tokio::time;

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

#[tokio::test]
async fn a_beginning_that_is_given_up_leaves_no_transaction_on_its_connection() {
    let both = Both::new().await;
    let options = both.database.reader_options();
    let proxy = ChaosProxy::in_front_of(&options.url).await;
    let application_name = format!("given-up-{}", both.database.schema());
    let reader = Reader::connect(&ConnectOptions {
        url: proxy.url(&options.url),
        max_connections: 1,
        application_name: application_name.clone(),
        ..options
    })
    .await
    .expect("a reader");
    reader.model().await.expect("a connection");
    // One way for the question whether the connection lives, another for the beginning, which the deadline comes amid.
    proxy.delay(Direction::ToClient, Duration::from_millis(400));
    let deadline = time::Instant::now() + Duration::from_millis(600);
    let given_up = reader.until(deadline).incident(1).await;
    assert!(given_up.is_err(), "{given_up:?}");
    proxy.pass();
    reader.model().await.expect("the connection");
    let states: Vec<String> =
        sqlx::query_scalar("SELECT state FROM pg_stat_activity WHERE application_name = $1")
            .bind(&application_name)
            .fetch_all(both.store.pool())
            .await
            .expect("the sessions");
    assert_eq!(states, ["idle"]);
}
