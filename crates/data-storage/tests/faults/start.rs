//! A service whose database is not there yet.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use serde_json::Value;
use testkit::wire::Wire;
use testkit::{ChaosProxy, Database, records};

use crate::service::{Service, wait_until};

/// A port that nobody listens on at this moment.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn probe(address: SocketAddr, path: &str) -> Option<(u16, Value)> {
    let answer = Wire::new(address).get(path).await.ok()?;
    Some((answer.status.as_u16(), answer.body["status"].clone()))
}

#[tokio::test]
async fn it_says_that_it_is_starting_until_the_database_comes() {
    let database = Database::new("faults").await;
    let proxy = ChaosProxy::in_front_of(&database.url()).await;
    proxy.refuse();
    let (api, metrics) = (free(), free());
    let (url, schema) = (proxy.url(&database.url()), database.schema().data().to_owned());
    let starting = tokio::spawn(async move {
        Service::start(&url, &schema, |config| {
            config.server.api_address = api;
            config.server.metrics_address = metrics;
            config.database.acquire_timeout = Duration::from_millis(300);
        })
        .await
    });
    wait_until("probes", async || probe(metrics, "/healthz").await.is_some()).await;
    for address in [api, metrics] {
        assert_eq!(probe(address, "/healthz").await, Some((200, "alive".into())));
        assert_eq!(probe(address, "/startupz").await, Some((503, "starting".into())));
        assert_eq!(probe(address, "/readyz").await, Some((503, "starting".into())));
    }
    let refused = Wire::new(api)
        .post("/api/v1/audit/remediation", &records::remediation("rr-1"))
        .await
        .unwrap();
    assert_eq!(refused.status, 503);
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(!starting.is_finished());

    proxy.pass();
    let service = starting.await.unwrap();
    wait_until("readiness", async || {
        probe(api, "/readyz").await == Some((200, "ready".into()))
    })
    .await;
    assert_eq!(probe(metrics, "/startupz").await, Some((200, "started".into())));
    let stored = service.post("remediation", &records::remediation("rr-1")).await;
    assert_eq!(stored.status, 201);
    service.stop().await;
}
