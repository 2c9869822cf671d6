//! How the service begins and ends, as its callers and the kubelet see it.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use context_api::ContextApi;
use service_kit::server::Ended;
use testkit::wire::Wire;
use testkit::{ChaosProxy, Database};

use crate::service::{Service, config, host, lock, probe, wait_until, waiting};

const LIST: &str = "/api/v1/incidents";

/// How long stopping may take once nothing holds a request up; the timeouts of the database last longer.
const SOON: Duration = Duration::from_secs(5);

/// A port that nobody listens on at this moment.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn it_says_that_it_is_starting_until_the_database_comes_and_no_connection_notices() {
    let database = Database::new("contextapi").await;
    let proxy = ChaosProxy::in_front_of(&database.reader_url()).await;
    proxy.refuse();
    let mut config = config(&database, proxy.url(&database.reader_url()));
    let (api, metrics) = (free(), free());
    config.server.api_address = api;
    config.server.metrics_address = metrics;
    config.database.acquire_timeout = Duration::from_millis(300);
    let starting = tokio::spawn(Service::start(config));
    wait_until("probes", async || probe(metrics, "/healthz").await.is_some()).await;
    for address in [api, metrics] {
        assert_eq!(probe(address, "/healthz").await, Some((200, "alive".into())));
        assert_eq!(probe(address, "/startupz").await, Some((503, "starting".into())));
        assert_eq!(probe(address, "/readyz").await, Some((503, "starting".into())));
    }
    // One connection throughout; it is an error if the service closes it.
    let mut early = Wire::new(api);
    let refused = early.get(LIST).await.unwrap();
    assert_eq!(refused.status, 503);
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(!starting.is_finished());

    proxy.pass();
    let service = starting.await.unwrap();
    assert_eq!(early.get(LIST).await.unwrap().status, 200);
    assert_eq!(probe(api, "/readyz").await, Some((200, "ready".into())));
    assert_eq!(probe(metrics, "/startupz").await, Some((200, "started".into())));
    service.shutdown.begin();
    assert_eq!(service.task.await.unwrap(), Ended::Drained);
}

#[tokio::test]
async fn a_start_waits_for_its_database_as_long_as_configured() {
    let database = Database::new("contextapi").await;
    let mut config = config(&database, "postgres://nobody:none@127.0.0.1:1/none".to_owned());
    config.database.connect_timeout = Duration::from_millis(700);
    let began = Instant::now();
    let refused = ContextApi::bind(config, Database::embedder(), host())
        .await
        .err()
        .unwrap();
    assert_eq!(
        refused.to_string(),
        "the database did not answer for 700ms, which is `database.connect_timeout`"
    );
    // No try begins that would end later, unless the refusal itself takes long.
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_millis(200) && waited < Duration::from_secs(10),
        "{waited:?}"
    );
}

#[tokio::test]
async fn it_stops_when_what_it_was_asked_is_answered_and_another_replica_goes_on() {
    let database = Database::new("contextapi").await;
    let store = database.store().await;
    let leaving = Service::on(&database, |config| {
        config.server.readiness_delay = Duration::from_millis(500);
    })
    .await;
    let other = Service::on(&database, |_| {}).await;
    let (api, metrics) = (leaving.api, leaving.metrics);
    let locked = lock(&store).await;
    let asked = tokio::spawn(async move { Wire::new(api).get(LIST).await });
    wait_until("the request", async || waiting(&store).await == 1).await;

    leaving.shutdown.begin();
    for address in [api, metrics] {
        assert_eq!(
            probe(address, "/readyz").await,
            Some((503, "shutting down".into()))
        );
        assert_eq!(probe(address, "/healthz").await, Some((200, "alive".into())));
    }
    wait_until("the port is closed", async || {
        probe(api, "/healthz").await.is_none()
    })
    .await;
    // Still watched while it waits for the last answer.
    assert_eq!(probe(metrics, "/healthz").await, Some((200, "alive".into())));
    assert!(!asked.is_finished() && !leaving.task.is_finished());

    let released = Instant::now();
    locked.rollback().await.unwrap();
    assert_eq!(asked.await.unwrap().unwrap().status, 200);
    assert_eq!(leaving.task.await.unwrap(), Ended::Drained);
    assert!(released.elapsed() < SOON, "took {:?}", released.elapsed());
    assert_eq!(probe(metrics, "/healthz").await, None);

    assert_eq!(probe(other.api, "/readyz").await, Some((200, "ready".into())));
    assert_eq!(Wire::new(other.api).get(LIST).await.unwrap().status, 200);
    other.shutdown.begin();
    assert_eq!(other.task.await.unwrap(), Ended::Drained);
}
