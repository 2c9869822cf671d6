//! The way to the database fails: silently, by resets, by refusal.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::{ChaosProxy, Database};

use crate::load::{Load, faults, record};
use crate::service::{ANSWERED_WITHIN, Service, count, impatient, transactions, wait_until};

/// How long the black hole lasts: longer than a request is held.
const HOLE: Duration = Duration::from_secs(6);
/// How soon records are acknowledged again once the database can be reached.
const RECOVERY: Duration = Duration::from_secs(5);
/// Records waiting for a transaction at most.
const QUEUE: usize = 48;
/// Clients; more than there is room for in the queue and in the batches under way.
const CLIENTS: usize = 80;
/// How often connections are broken.
const BREAKS: usize = 25;

async fn behind_proxy(change: impl FnOnce(&mut data_storage::Config)) -> (Database, ChaosProxy, Service) {
    let database = Database::new("faults").await;
    let proxy = ChaosProxy::in_front_of(&database.url()).await;
    let service = Service::start(&proxy.url(&database.url()), database.schema().data(), |config| {
        impatient(config);
        change(config);
    })
    .await;
    (database, proxy, service)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_under_load_is_answered_in_time_and_loses_nothing() {
    let (database, proxy, service) = behind_proxy(|config| {
        config.writer.queue = QUEUE;
        config.writer.max_batch = 4;
    })
    .await;
    assert_eq!(service.readiness().await.0, 200);
    let load = Load::start(service.api, CLIENTS);
    wait_until("records", async || load.acknowledged() >= CLIENTS).await;

    proxy.black_hole();
    let (began, mut deepest, mut reasons) = (Instant::now(), 0.0, Vec::new());
    while began.elapsed() < HOLE {
        deepest = service.metric("queue_depth", "").await.max(deepest);
        let (status, report) = service.readiness().await;
        if status == 503 {
            reasons.push(report["checks"]["database"]["reason"].clone());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(proxy.counts().swallowed > 0);
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let queue = QUEUE as f64;
    assert!((queue / 2.0..=queue).contains(&deepest), "{deepest} were queued");
    reasons.dedup();
    assert_eq!(reasons, ["the database does not answer"]);
    let refused = load.seen(|seen| seen.with_status(503));
    assert!(refused >= CLIENTS, "only {refused} refusals");

    let before = load.acknowledged();
    proxy.pass();
    let recovery = wait_until("records", async || load.acknowledged() >= before + CLIENTS / 4).await;
    assert!(recovery < RECOVERY, "took {recovery:?}");
    wait_until("readiness", async || service.readiness().await.0 == 200).await;
    let seen = load.finish().await;
    assert_eq!(seen.wrong, [""; 0]);
    assert_eq!(seen.broken, 0);
    assert!(seen.slowest < ANSWERED_WITHIN, "took {:?}", seen.slowest);
    let store = database.store().await;
    assert_eq!(faults(&store, &seen.acknowledged).await, [""; 0]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_that_died_silently_cost_no_record() {
    let (database, proxy, service) = behind_proxy(|config| config.writer.tasks = 4).await;
    let load = Load::start(service.api, 16);
    wait_until("records", async || load.acknowledged() >= 100).await;
    let mut acknowledged = load.finish().await.acknowledged;
    let open = proxy.counts().open;
    assert!(open >= 4, "{open} connections");
    proxy.forget_connections();
    let began = Instant::now();
    for index in 0..20 {
        let name = format!("after-{index}");
        let answer = service.post("remediation", &record(&name)).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        acknowledged.insert(name, answer.body["id"].as_i64().unwrap());
    }
    assert!(began.elapsed() < RECOVERY, "took {:?}", began.elapsed());
    assert!(proxy.counts().swallowed > 0);
    let store = database.store().await;
    assert_eq!(faults(&store, &acknowledged).await, [""; 0]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_connection_died_silently_does_not_block_its_records() {
    let (database, proxy, service) = behind_proxy(|_| {}).await;
    let store = database.store().await;
    let mut lock = store.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE resource_action_traces IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    // Its ledger row is written, its state waits for the lock.
    let load = Load::start(service.api, 1);
    let waiting = "pg_locks WHERE NOT granted AND relation = 'resource_action_traces'::regclass";
    wait_until("a waiting transaction", async || {
        count(&store, waiting).await == 1
    })
    .await;
    proxy.forget_connections();
    lock.rollback().await.unwrap();
    wait_until("an abandoned transaction", async || {
        transactions(&store).await == 1
    })
    .await;
    // 2 s until the writer gives up its connection, as long for the server to give up its client.
    let recovery = wait_until("the record", async || load.acknowledged() >= 1).await;
    assert!(recovery < Duration::from_secs(2) + RECOVERY, "took {recovery:?}");
    assert!(proxy.counts().swallowed > 0);
    let seen = load.finish().await;
    assert_eq!(seen.wrong, [""; 0]);
    assert_eq!(faults(&store, &seen.acknowledged).await, [""; 0]);
    assert_eq!(transactions(&store).await, 0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_beside_the_writer_recovers_from_a_silent_death_too() {
    let (database, proxy, service) = behind_proxy(|config| {
        config.database.max_connections = 4;
        // No vector is ever there in time: only the backfill can bring it.
        config.embedding.budget = Duration::ZERO;
    })
    .await;
    assert_eq!(service.post("remediation", &record("before")).await.status, 201);
    let store = database.store().await;
    let pending = "incident_embeddings WHERE embedding IS NULL";
    wait_until("a vector", async || count(&store, pending).await == 0).await;
    // Everything that asks for texts waits: the backfill, and the look-ups of more records than there are connections.
    let mut lock = store.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE incident_embeddings IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    let load = Load::start(service.api, 8);
    let waiting = "pg_locks WHERE NOT granted AND relation = 'incident_embeddings'::regclass";
    wait_until("waiting sessions", async || count(&store, waiting).await == 4).await;
    proxy.forget_connections();
    lock.rollback().await.unwrap();
    let recovery = wait_until("records", async || load.acknowledged() >= 32).await;
    assert!(recovery < 2 * RECOVERY, "took {recovery:?}");
    assert!(proxy.counts().swallowed > 0);
    let seen = load.finish().await;
    assert_eq!(seen.wrong, [""; 0]);
    let recovery = wait_until("the vectors", async || count(&store, pending).await == 0).await;
    assert!(recovery < RECOVERY, "took {recovery:?}");
    assert_eq!(faults(&store, &seen.acknowledged).await, [""; 0]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_and_refusals_at_random_moments_lose_nothing() {
    let (database, proxy, service) = behind_proxy(|_| {}).await;
    let mut rng = StdRng::seed_from_u64(1);
    let load = Load::start(service.api, 16);
    wait_until("records", async || load.acknowledged() >= 50).await;
    for round in 0..BREAKS {
        tokio::time::sleep(Duration::from_millis(rng.random_range(5..=80))).await;
        if round % 5 == 0 {
            proxy.refuse();
        }
        proxy.reset();
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..=40))).await;
        proxy.pass();
    }
    let before = load.acknowledged();
    let recovery = wait_until("records", async || load.acknowledged() >= before + 50).await;
    assert!(recovery < RECOVERY, "took {recovery:?}");
    let broken = proxy.counts().reset;
    assert!(
        broken >= 2 * 10,
        "only {broken} connections were there to be broken"
    );
    let seen = load.finish().await;
    assert_eq!(seen.wrong, [""; 0]);
    assert_eq!(seen.broken, 0);
    let store = database.store().await;
    assert_eq!(faults(&store, &seen.acknowledged).await, [""; 0]);
    service.stop().await;
}
