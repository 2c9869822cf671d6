//! Data Storage asked to stop under load: what it was asked before, it answers.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::Database;
use tokio::net::TcpStream;

use crate::model::minilm;
use crate::process::storage;
use crate::process::{faults, load};
use campaign::load::Counts;
use campaign::process::wait_until;
use campaign::service::Storage;

/// How many record at once.
const CLIENTS: usize = 8;
/// How long stopping may take once nothing holds the requests up.
const SOON: Duration = Duration::from_secs(5);
/// How long stopping may take that waits for nothing; the lock and the timeouts of the database last longer.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Waits until every client waits for an answer that does not come.
async fn all_wait(storage: &Storage, counts: &Counts) {
    wait_until("all requests wait", async || {
        let before = counts.acknowledged();
        let waiting = storage.in_flight().await == CLIENTS;
        tokio::time::sleep(Duration::from_millis(50)).await;
        waiting && counts.acknowledged() == before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_are_answered_before_the_end() {
    let database = Database::with_model("drain", minilm()).await;
    let store = database.store().await;
    let mut storage = storage(&database.url(), database.schema(), &[]).await;
    let recording = load(CLIENTS).start_until_broken(storage.address());
    let counts = recording.counts.clone();
    wait_until("records", async || counts.acknowledged() >= 50).await;

    // Now nothing commits any more, until every client waits for an answer.
    let mut lock = store.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE audit_events IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    all_wait(&storage, &counts).await;
    let before = counts.acknowledged();
    storage.process.signal(Signal::SIGTERM);
    let address = storage.api.strip_prefix("http://").unwrap();
    wait_until("the port is closed", async || {
        TcpStream::connect(address).await.is_err()
    })
    .await;
    assert_eq!(storage.in_flight().await, CLIENTS, "requests were dropped");

    let released = Instant::now();
    lock.rollback().await.unwrap();
    assert_eq!(storage.process.ended().await.code(), Some(0));
    assert!(released.elapsed() < SOON, "took {:?}", released.elapsed());
    let load = recording.ended().await;
    assert_eq!(
        load.counts.acknowledged(),
        before + CLIENTS,
        "each got its answer, and nobody another"
    );
    assert_eq!(load.counts.refused(), 0);
    assert_eq!(faults(&database, load.acknowledged()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_it_stops_soon_and_loses_nothing() {
    let database = Database::with_model("stop", minilm()).await;
    let mut storage = storage(&database.url(), database.schema(), &[]).await;
    let recording = load(CLIENTS).start_until_broken(storage.address());
    let counts = recording.counts.clone();
    wait_until("records", async || counts.acknowledged() >= 200).await;
    let signalled = Instant::now();
    storage.process.stop(Signal::SIGTERM).await;
    assert!(signalled.elapsed() < SOON, "took {:?}", signalled.elapsed());
    let load = recording.ended().await;
    assert_eq!(load.counts.refused(), 0, "a request was answered with 503");
    assert_eq!(
        load.counts.failed() + load.counts.unreachable(),
        CLIENTS,
        "everybody was at work until the end"
    );
    let found = faults(&database, load.acknowledged()).await;
    assert_eq!(found, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once() {
    let database = Database::with_model("second_signal", minilm()).await;
    let store = database.store().await;
    let mut storage = storage(&database.url(), database.schema(), &[]).await;
    let recording = load(CLIENTS).start_until_broken(storage.address());
    let counts = recording.counts.clone();
    wait_until("records", async || counts.acknowledged() >= 50).await;
    // Nothing commits any more, so that it would wait.
    let mut lock = store.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE audit_events IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    all_wait(&storage, &counts).await;
    storage.process.signal(Signal::SIGTERM);
    let address = storage.api.strip_prefix("http://").unwrap();
    wait_until("the port is closed", async || {
        TcpStream::connect(address).await.is_err()
    })
    .await;
    assert_eq!(storage.in_flight().await, CLIENTS, "it does not wait for them");
    let signalled = Instant::now();
    storage.process.stop(Signal::SIGTERM).await;
    assert!(signalled.elapsed() < AT_ONCE, "took {:?}", signalled.elapsed());
    lock.rollback().await.unwrap();
    let load = recording.ended().await;
    assert_eq!(load.counts.failed(), CLIENTS, "nobody got an answer");
    assert_eq!(faults(&database, load.acknowledged()).await, [""; 0]);
}
