//! The disks of PostgreSQL are full: of its tables, of its write-ahead log.
//!
//! No file system is filled: `testkit::preload` tells the server that its files cannot grow. What PostgreSQL and the
//! service make of that is their own.

use std::time::{Duration, Instant};

use testkit::preload::{Disk, FullDisks};

use super::progress;
use crate::load::Recording;
use crate::process::wait_until;
use crate::stack::Stack;
use crate::{Context, Outcome};

/// So that the time without a database is seen.
const SETTINGS: [(&str, &str); 2] = [
    ("WRITER__RETRY_FOR", "1s"),
    ("DATABASE__ACQUIRE_TIMEOUT", "300ms"),
];
/// How long PostgreSQL may take to give up by itself.
const GIVES_UP_WITHIN: Duration = Duration::from_secs(2);

pub(crate) async fn run(context: &Context) -> Outcome {
    let mut outcome = Outcome::default();
    let mut disks = None;
    let mut stack = Stack::with_postgres(&context.program, &SETTINGS, |options, directory| {
        let full = FullDisks::new(directory);
        options.environment = full.environment();
        disks = Some(full);
    })
    .await;
    let disks = disks.expect("made above");
    stack.start_service().await;
    let recording = context.load().start(stack.api());
    for _ in 0..context.scale.rounds {
        if context.is_late() {
            break;
        }
        progress(&recording, 50).await;
        tables(context, &mut outcome, &disks, &recording).await;
        progress(&recording, 50).await;
        log(context, &mut outcome, &disks, &recording, &mut stack).await;
        outcome.times += 2;
        context.tell(|| {
            format!(
                "disk: {} of {} acknowledged",
                outcome.times,
                recording.counts.acknowledged()
            )
        });
    }
    let load = recording.finish().await;
    stack.stop_service().await;
    outcome.count(&load.counts);
    if load.counts.failed() > 0 {
        outcome.wrong("connections of clients were broken");
    }
    let said = stack.postgres_said();
    let refusals = said.matches("No space left on device").count() as u64;
    outcome.must_happen(context.scale.rounds * 2);
    outcome.must_meet("lines of PostgreSQL about a full disk", refusals, outcome.times);
    outcome.findings = context.check(&stack, &load).await;
    stack.stop().await;
    outcome
}

async fn tables(context: &Context, outcome: &mut Outcome, disks: &FullDisks, recording: &Recording) {
    let counts = &recording.counts;
    let before = counts.refused_for("storage-full");
    if !context.harmless {
        disks.fill(Disk::Data);
        wait_until("refusals for want of room", async || {
            counts.refused_for("storage-full") >= before + context.scale.clients
        })
        .await;
    }
    tokio::time::sleep(context.scale.round).await;
    disks.make_room(Disk::Data);
    outcome.recoveries.push(progress(recording, 20).await);
    let refused = counts.refused_for("storage-full") - before;
    outcome.must_meet(
        "refusals for want of room",
        refused as u64,
        context.scale.clients as u64,
    );
}

async fn log(
    context: &Context,
    outcome: &mut Outcome,
    disks: &FullDisks,
    recording: &Recording,
    stack: &mut Stack,
) {
    let counts = &recording.counts;
    let before = counts.refused();
    let panics = stack.postgres_said().matches("PANIC").count();
    if context.harmless {
        tokio::time::sleep(context.scale.round).await;
    } else {
        disks.fill(Disk::Wal);
        // The rest of the present segment would take a while to fill.
        let store = stack.store().await;
        let _ = sqlx::query("SELECT pg_switch_wal()").execute(store.pool()).await;
        drop(store);
        wait_until("refusals without a log", async || {
            counts.refused() >= before + context.scale.clients
        })
        .await;
    }
    let refused = counts.refused() - before;
    outcome.must_meet(
        "refusals without a log",
        refused as u64,
        context.scale.clients as u64,
    );
    let panicked = stack.postgres_said().matches("PANIC").count() - panics;
    outcome.must_meet("panics of PostgreSQL", panicked as u64, 1);
    disks.make_room(Disk::Wal);
    let room = Instant::now();
    // PostgreSQL gives up if its recovery finds no room either; somebody starts it again then.
    while room.elapsed() < GIVES_UP_WITHIN {
        if stack.postgres_ended() {
            stack.start_postgres().await;
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    progress(recording, 20).await;
    outcome.recoveries.push(room.elapsed());
}
