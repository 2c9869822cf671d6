//! The campaign of faults, short: every fault happens to the real binary for seconds, and then the same without the fault,
//! which must miss what shows that it happened. `docs/reliability.md` tells of the long one.
//!
//! Another seed than 1 gives other moments: `KUBERNAUT_TEST_SEED`.

#![expect(clippy::expect_used, reason = "test support: a failure is the test's failure")]

use std::path::Path;
use std::time::Duration;

use campaign::check::{Findings, compare, fsck};
use campaign::load::{Load, LoadOptions, Mix, Promise, Unknown};
use campaign::process::wait_until;
use campaign::stack::Stack;
use campaign::{Context, Fault, Sabotage, Scale, plant, table};
use chrono::TimeDelta;
use service_kit::Clock;

const PROGRAM: &str = env!("CARGO_BIN_EXE_kubernaut");
const SEED_VARIABLE: &str = "KUBERNAUT_TEST_SEED";

fn context(harmless: bool) -> Context {
    Context {
        program: PROGRAM.into(),
        seed: std::env::var(SEED_VARIABLE).map_or(1, |seed| seed.parse().expect("a number")),
        scale: Scale::SHORT,
        sabotage: None,
        harmless,
        deadline: None,
        talkative: false,
    }
}

/// Lets a fault happen, and demands that every promise was kept and that the fault met something; then that it does not
/// count without what happens: exactly these are missed.
async fn kept(fault: Fault, missed: &[&str]) {
    let context_of_fault = context(false);
    let seed = context_of_fault.seed;
    let outcome = fault.run(&context_of_fault).await;
    eprintln!(
        "{SEED_VARIABLE}={seed}\n{}",
        table(std::slice::from_ref(&outcome))
    );
    assert_eq!(outcome.complaints(), [""; 0], "seed {seed}");

    let outcome = fault.run(&context(true)).await;
    eprintln!("harmless\n{}", table(std::slice::from_ref(&outcome)));
    assert_eq!(
        (
            &outcome.failure,
            outcome.wrong.len(),
            outcome.findings.faults().len()
        ),
        (&None, 0, 0),
        "{:?}",
        outcome.complaints()
    );
    let named = |unmet: &String| unmet.split(": ").next().unwrap_or_default().to_owned();
    let mut named: Vec<String> = outcome.unmet.iter().map(named).collect();
    // A text may be waiting at any moment.
    named.retain(|what| what != "texts without a vector at the end of the faults");
    assert_eq!(named, missed, "without anything that happens");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_service_and_database_lose_nothing() {
    kept(
        Fault::Kills,
        &[
            "times it happened",
            "kills of Data Storage",
            "kills of PostgreSQL",
            "recoveries of PostgreSQL from a crash",
            "kills with requests under way",
            "requests under way at a kill",
            "requests broken off",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_stored_or_refused_and_nothing_between() {
    kept(Fault::Burst, &["records refused"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_vanish_leave_nothing_half_done() {
    kept(
        Fault::Vanish,
        &["requests sent in part", "requests under way whose client left"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_network_to_the_database_loses_nothing() {
    kept(
        Fault::Network,
        &[
            "messages delayed",
            "refusals by delay",
            "connections reset",
            "connections cut amid a message",
            "answers to a COMMIT lost",
            "refusals while no connection was to be had",
            "connections forgotten",
            "connections in a black hole",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_without_a_database_or_redis_is_true() {
    kept(
        Fault::Recall,
        &[
            "stale answers from a black hole",
            "stale answers without a database",
            "refusals of what nobody asked before",
            "answers of the database that were slow",
            "answers of the database cut off",
            "waits for a Redis in a black hole",
            "answers of Redis that were slow",
            "connections to Redis reset",
            "answers of Redis cut off",
            "connections to a Redis that was gone",
        ],
    )
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn full_disks_lose_nothing() {
    kept(
        Fault::Disk,
        &[
            "refusals for want of room",
            "refusals without a log",
            "panics of PostgreSQL",
            "lines of PostgreSQL about a full disk",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_provider_of_vectors_costs_no_record() {
    kept(
        Fault::Embedder,
        &[
            "slow",
            "silent",
            "down, 500",
            "busy, 429",
            "closed",
            "no JSON",
            "other dimensions",
            "one vector less",
            "one index for all",
            "NaN",
            "components beyond 32 bits",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upkeep_of_the_database_costs_no_record() {
    kept(
        Fault::Upkeep,
        &[
            "VACUUM (ANALYZE)",
            "REINDEX SCHEMA CONCURRENTLY kubernaut",
            "VACUUM (FREEZE, INDEX_CLEANUP ON)",
            "ANALYZE",
            "CHECKPOINT",
        ],
    )
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn steps_of_the_clock_cost_no_record() {
    kept(
        Fault::Clock,
        &[
            "versions received an hour ahead",
            "versions received an hour behind",
            "versions received a day ahead",
            "versions received a day behind",
        ],
    )
    .await;
}

/// A database with a load in it, and what was acknowledged.
async fn recorded() -> (Stack, Vec<Promise>) {
    let mut stack = Stack::new(Path::new(PROGRAM), &[]).await;
    stack.start_service().await;
    let options = LoadOptions {
        clients: 4,
        begin: Clock::system().now() - TimeDelta::days(3),
        mix: Mix::Everything { batch: 8 },
        seed: 1,
    };
    let recording = Load::new(&options).start(stack.api());
    let counts = recording.counts.clone();
    wait_until("records", async || counts.acknowledged() >= 200).await;
    let load = recording.finish().await;
    stack.stop_service().await;
    assert_eq!(load.counts.wrong_answers(), [""; 0]);
    assert!(load.counts.replayed() > 0);
    (stack, load.acknowledged().cloned().collect())
}

async fn examined(stack: &Stack, promises: &[Promise]) -> Findings {
    let store = stack.store().await;
    let mut findings = compare(&store, promises, &[]).await;
    fsck(
        &stack.connect(),
        Clock::system().now() + Duration::from_secs(60),
        &mut findings,
    )
    .await;
    findings
}

/// Lost, doubled, half-written, found by fsck.
fn counts(findings: &Findings) -> [usize; 4] {
    [
        &findings.lost,
        &findings.doubled,
        &findings.half_written,
        &findings.fsck,
    ]
    .map(|places| places.count)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_that_is_planted_is_found_and_named() {
    let (stack, promises) = recorded().await;
    let sound = examined(&stack, &promises).await;
    assert_eq!(sound.faults(), [""; 0]);
    assert_eq!(sound.versions, promises.len());

    let store = stack.store().await;
    let mut found = promises.clone();
    plant(Sabotage::Invented, &store, &mut found).await;
    assert_eq!(counts(&examined(&stack, &found).await), [1, 0, 0, 0]);

    found.clone_from(&promises);
    found[0].id += 1_000_000;
    assert_eq!(
        counts(&examined(&stack, &found).await),
        [1, 0, 0, 0],
        "another id"
    );

    let there = Unknown {
        kind: promises[0].kind,
        name: promises[0].name.clone(),
        phase: promises[0].phase,
    };
    let missing = Unknown {
        name: "missing".to_owned(),
        ..there.clone()
    };
    let batches = [vec![there.clone(), missing.clone()], vec![there], vec![missing]];
    let findings = compare(&store, &promises, &batches).await;
    assert_eq!(
        counts(&findings),
        [0, 0, 1, 0],
        "half an atomic batch: {findings:?}"
    );

    // A ledger that nobody was told of is half-written all the same.
    let mut found = promises.clone();
    plant(Sabotage::HalfWritten, &store, &mut found).await;
    let findings = examined(&stack, &[]).await;
    assert_eq!(counts(&findings)[..3], [0, 0, 1]);
    assert!(findings.fsck.count > 0, "{findings:?}");

    // Of the same version, whose state is gone already.
    let (stack, promises) = {
        store.close().await;
        stack.stop().await;
        recorded().await
    };
    let store = stack.store().await;
    let mut found = promises.clone();
    plant(Sabotage::Doubled, &store, &mut found).await;
    let findings = examined(&stack, &found).await;
    // The state is that of the version before: the later one counts.
    assert_eq!(counts(&findings)[..3], [0, 1, 1]);
    assert!(findings.fsck.count > 0, "{findings:?}");
    store.close().await;
    stack.stop().await;

    let (stack, promises) = recorded().await;
    let store = stack.store().await;
    let mut found = promises.clone();
    plant(Sabotage::Lost, &store, &mut found).await;
    assert_eq!(counts(&examined(&stack, &found).await), [1, 0, 0, 0]);
    store.close().await;
    stack.stop().await;
}
