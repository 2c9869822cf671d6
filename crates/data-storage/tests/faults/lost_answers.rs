//! What was asked for happened, and who asked never hears of it.

use futures::future::join_all;
use testkit::wire::Wire;
use testkit::{ChaosProxy, Database};

use crate::load::{faults, record};
use crate::service::{Service, count, impatient};
use testkit::chaos_proxy::Direction;

const PATH: &str = "/api/v1/audit/remediation";

/// A service that is reached by way of a proxy.
async fn before_proxy() -> (Database, Service, ChaosProxy) {
    let database = Database::new("faults").await;
    let service = Service::on(&database, impatient).await;
    let proxy = ChaosProxy::start(service.api.to_string()).await;
    (database, service, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_commit_makes_no_second_row() {
    let database = Database::new("faults").await;
    let proxy = ChaosProxy::in_front_of(&database.url()).await;
    let url = proxy.url(&database.url());
    let service = Service::start(&url, database.schema().data(), impatient).await;
    let store = database.store().await;
    // The end of the statement is part of its message.
    proxy.lose_answer_to("COMMIT\0");
    let answer = service.post("remediation", &record("alone")).await;
    assert_eq!(proxy.counts().cut, 1);
    // The writer found its own row when it tried again.
    assert_eq!(
        (answer.status.as_u16(), &answer.body["replayed"]),
        (200, &true.into())
    );
    let id = answer.body["id"].as_i64().unwrap();
    assert_eq!(faults(&store, &[("alone".to_owned(), id)].into()).await, [""; 0]);

    proxy.lose_answer_to("COMMIT\0");
    let names: Vec<_> = (0..50).map(|index| format!("together-{index}")).collect();
    let bodies: Vec<_> = names.iter().map(|name| record(name)).collect();
    let answers = join_all(bodies.iter().map(|body| service.post("remediation", body))).await;
    assert_eq!(proxy.counts().cut, 2);
    let mut acknowledged: std::collections::HashMap<_, _> = [("alone".to_owned(), id)].into();
    let mut replayed = 0;
    for (name, answer) in names.into_iter().zip(answers) {
        assert!(
            matches!(answer.status.as_u16(), 200 | 201),
            "{name}: {:?}",
            answer.body
        );
        replayed += usize::from(answer.status == 200);
        acknowledged.insert(name, answer.body["id"].as_i64().unwrap());
    }
    assert!(replayed >= 1, "the lost answer was somebody's");
    assert_eq!(faults(&store, &acknowledged).await, [""; 0]);
    assert_eq!(count(&store, "audit_events").await, 51);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_response_is_found_by_asking_again() {
    let (database, service, proxy) = before_proxy().await;
    let mut wire = Wire::new(proxy.address());
    proxy.lose_answer_to(format!("POST {PATH}"));
    let body = record("rr-1");
    wire.post(PATH, &body).await.unwrap_err();
    assert_eq!((proxy.counts().cut, proxy.counts().bytes_to_client), (1, 0));
    let store = database.store().await;
    let id: i64 = sqlx::query_scalar("SELECT id FROM audit_events")
        .fetch_one(store.pool())
        .await
        .unwrap();
    let answer = wire.post(PATH, &body).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.body["id"].as_i64()),
        (200, Some(id))
    );
    assert_eq!(faults(&store, &[("rr-1".to_owned(), id)].into()).await, [""; 0]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_response_is_no_response() {
    let (database, service, proxy) = before_proxy().await;
    let mut wire = Wire::new(proxy.address());
    proxy.cut_after(Direction::ToClient, 40);
    let body = record("rr-1");
    wire.post(PATH, &body).await.unwrap_err();
    assert_eq!((proxy.counts().cut, proxy.counts().bytes_to_client), (1, 40));
    let answer = wire.post(PATH, &body).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(count(&database.store().await, "audit_events").await, 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_is_no_request() {
    let (database, service, proxy) = before_proxy().await;
    let mut wire = Wire::new(proxy.address());
    // Within the body, which is longer than this.
    proxy.cut_after(Direction::ToServer, 250);
    let body = record("rr-1");
    assert!(body.to_string().len() > 250);
    wire.post(PATH, &body).await.unwrap_err();
    assert_eq!(proxy.counts().cut, 1);
    assert_eq!(count(&database.store().await, "audit_events").await, 0);
    assert_eq!(wire.post(PATH, &body).await.unwrap().status, 201);
    service.stop().await;
}
