//! The database is far away.

use std::time::Duration;

use testkit::chaos_proxy::Direction;
use testkit::{ChaosProxy, Database};

use crate::load::{Load, faults};
use crate::service::{ANSWERED_WITHIN, Service, impatient, wait_until};

/// Added each way where writing still works: some ten round trips make a transaction.
const FAR: Duration = Duration::from_millis(25);
/// Added each way where no transaction can end in time.
const TOO_FAR: Duration = Duration::from_secs(2);
/// How soon records are acknowledged again when the way is short again.
const RECOVERY: Duration = Duration::from_secs(6);

fn both_ways(proxy: &ChaosProxy, delay: Duration) {
    proxy.delay(Direction::ToServer, delay);
    proxy.delay(Direction::ToClient, delay);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_database_is_slower_and_refuses_by_the_queue() {
    let database = Database::new("faults").await;
    let proxy = ChaosProxy::in_front_of(&database.url()).await;
    let url = proxy.url(&database.url());
    let service = Service::start(&url, database.schema().data(), |config| {
        config.writer.queue = 8;
        config.writer.max_batch = 8;
        config.writer.tasks = 1;
    })
    .await;
    both_ways(&proxy, FAR);
    // One batch under way, one in the queue, and as many without a place.
    let load = Load::start(service.api, 24);
    wait_until("records", async || load.acknowledged() >= 64).await;
    let waits = service.metric("commit_duration_seconds_sum", "").await
        / service.metric("commit_duration_seconds_count", "").await;
    assert!(
        waits > 2.0 * FAR.as_secs_f64() * 5.0,
        "a transaction took {waits} s"
    );
    assert!(service.metric("writes_total", "queue-full").await > 0.0);
    assert_eq!(service.metric("writes_total", "unavailable").await, 0.0);
    let seen = load.finish().await;
    assert_eq!(seen.wrong, [""; 0]);
    let store = database.store().await;
    assert_eq!(faults(&store, &seen.acknowledged).await, [""; 0]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_too_far_away_is_answered_in_time() {
    let database = Database::new("faults").await;
    let proxy = ChaosProxy::in_front_of(&database.url()).await;
    let url = proxy.url(&database.url());
    let service = Service::start(&url, database.schema().data(), impatient).await;
    let load = Load::start(service.api, 16);
    wait_until("records", async || load.acknowledged() >= 50).await;
    both_ways(&proxy, TOO_FAR);
    wait_until("refusals", async || load.seen(|seen| seen.with_status(503)) >= 32).await;
    proxy.pass();
    let before = load.acknowledged();
    let recovery = wait_until("records", async || load.acknowledged() >= before + 50).await;
    assert!(recovery < RECOVERY, "took {recovery:?}");
    let seen = load.finish().await;
    assert_eq!(seen.wrong, [""; 0]);
    assert!(seen.slowest < ANSWERED_WITHIN, "took {:?}", seen.slowest);
    let store = database.store().await;
    assert_eq!(faults(&store, &seen.acknowledged).await, [""; 0]);
    service.stop().await;
}
