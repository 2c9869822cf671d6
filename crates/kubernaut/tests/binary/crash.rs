//! Data Storage killed under load: what it acknowledged is there, once and whole.

use std::time::Duration;

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use service_kit::Clock;
use sqlx::AssertSqlSafe;
use testkit::Database;

use crate::ledger::faults;
use crate::load::{Acknowledged, Load};
use crate::model::minilm;
use crate::process::wait_until;
use crate::storage::Storage;

/// How often the service is killed.
const ROUNDS: u64 = 6;
/// How many records a round must bring, however slow the machine is.
const RECORDS_PER_ROUND: usize = 40;
/// Another seed than 1, for other moments.
const SEED_VARIABLE: &str = "KUBERNAUT_TEST_SEED";

fn load() -> Load {
    Load::new(Clock::system().now() - TimeDelta::hours(12))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_service_acknowledged_is_there_once() {
    let seed = std::env::var(SEED_VARIABLE).map_or(1, |seed| seed.parse().expect("a number"));
    let mut rng = StdRng::seed_from_u64(seed);
    let database = Database::with_model("kill", minilm()).await;
    let mut load = load();
    let mut rounds_with_failures = 0;
    for _ in 0..ROUNDS {
        let (before, failed_before) = (load.counts.acknowledged(), load.counts.failed());
        let mut storage = Storage::start(&database.url(), database.schema(), &[]).await;
        let recording = load.start(&storage.api);
        tokio::time::sleep(Duration::from_millis(rng.random_range(150..=700))).await;
        wait_until("progress", async || {
            recording.counts.acknowledged() >= before + RECORDS_PER_ROUND
        })
        .await;
        storage.process.kill();
        load = recording.ended().await;
        rounds_with_failures += u64::from(load.counts.failed() > failed_before);
    }
    let acknowledged = load.acknowledged();
    eprintln!(
        "{SEED_VARIABLE}={seed}: {ROUNDS} kills, {rounds_with_failures} of them met requests; {:?}",
        load.counts
    );
    let found = faults(&database.store().await, &acknowledged).await;
    assert!(found.is_empty(), "seed {seed}: {found:#?}");
    assert!(
        rounds_with_failures * 2 >= ROUNDS,
        "the kills met no requests: seed {seed}"
    );
    assert!(acknowledged.len() > 200, "{} acknowledged", acknowledged.len());
}

/// One of each kind, and the database they are in.
async fn four_records() -> (Database, Vec<Acknowledged>) {
    let database = Database::with_model("checker", minilm()).await;
    let mut storage = Storage::start(&database.url(), database.schema(), &[]).await;
    let recording = load().start(&storage.api);
    let counts = recording.counts.clone();
    wait_until("records", async || counts.acknowledged() >= 32).await;
    recording.stop();
    let acknowledged = recording.ended().await.acknowledged();
    storage.process.kill();
    (database, acknowledged)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_fails_when_something_is_lost_or_made_up() {
    let (database, mut acknowledged) = four_records().await;
    let store = database.store().await;
    assert_eq!(faults(&store, &acknowledged).await, [""; 0]);

    let true_id = std::mem::replace(&mut acknowledged[0].id, 1_000_000);
    let found = faults(&store, &acknowledged).await;
    assert_eq!(found.len(), 2, "ledger and read model: {found:#?}");
    acknowledged[0].id = true_id;

    let true_name = std::mem::replace(&mut acknowledged[0].name, "made-up".to_owned());
    let found = faults(&store, &acknowledged).await;
    assert_eq!(found.len(), 2, "ledger and read model: {found:#?}");
    acknowledged[0].name = true_name;

    let mut lost = 0;
    for (kind, table) in [
        ("remediation", "resource_action_traces"),
        ("aianalysis", "ai_analyses"),
        ("workflow", "workflow_executions"),
        ("execution", "action_executions"),
    ] {
        let delete = format!("DELETE FROM {table} WHERE last_event_id = $1");
        let one = acknowledged.iter().find(|one| one.kind == kind).unwrap();
        let deleted = sqlx::query(AssertSqlSafe(delete))
            .bind(one.id)
            .execute(store.pool())
            .await
            .unwrap();
        assert_eq!(deleted.rows_affected(), 1, "{table}");
        lost += 1;
        let found = faults(&store, &acknowledged).await;
        assert_eq!(
            found.len(),
            2 * lost,
            "what was promised and what is half: {found:#?}"
        );
        // Nobody was promised it, and it is half-written all the same.
        assert_eq!(faults(&store, &[]).await.len(), lost);
    }
}
