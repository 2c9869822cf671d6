//! What an administrator does to a database that is at work: VACUUM, ANALYZE, REINDEX CONCURRENTLY, a checkpoint.

use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;

use super::progress;
use crate::stack::Stack;
use crate::{Context, Outcome};

const CHORES: [&str; 5] = [
    "VACUUM (ANALYZE)",
    "REINDEX SCHEMA CONCURRENTLY kubernaut",
    "VACUUM (FREEZE, INDEX_CLEANUP ON)",
    "ANALYZE",
    "CHECKPOINT",
];

/// What passes instead of a chore where nothing is to happen.
const INSTEAD: Duration = Duration::from_millis(100);

pub(crate) async fn run(context: &Context) -> Outcome {
    let mut outcome = Outcome::default();
    let mut stack = Stack::new(&context.program, &[]).await;
    stack.start_service().await;
    let recording = context.load().start(stack.api());
    progress(&recording, 200).await;
    let store = stack.store().await;
    for _ in 0..context.scale.rounds {
        let round = Instant::now();
        // All of them, and again until the time is over.
        while !context.is_late() {
            for chore in CHORES {
                if context.harmless {
                    tokio::time::sleep(INSTEAD).await;
                    outcome.times += 1;
                    continue;
                }
                let before = recording.counts.acknowledged();
                let began = Instant::now();
                let done = sqlx::raw_sql(AssertSqlSafe(chore)).execute(store.pool()).await;
                let meanwhile = recording.counts.acknowledged() - before;
                match done {
                    Ok(_) => outcome.met(chore, 1),
                    // It is the chore that gives way, and an index that it left behind is found by fsck.
                    Err(error) => outcome.met(&format!("{chore} gave way: {error}"), 1),
                }
                outcome.met("records acknowledged meanwhile", meanwhile as u64);
                outcome.times += 1;
                context.tell(|| format!("upkeep: {chore}: {meanwhile} records in {:?}", began.elapsed()));
            }
            if round.elapsed() >= context.scale.round {
                break;
            }
        }
    }
    outcome.must_happen(context.scale.rounds * CHORES.len() as u64);
    for chore in CHORES {
        let count = outcome.met.get(chore).copied().unwrap_or(0);
        outcome.must_meet(&format!("{chore} that ended"), count, 1);
    }
    let meanwhile = outcome
        .met
        .get("records acknowledged meanwhile")
        .copied()
        .unwrap_or(0);
    outcome.must_meet("records during a chore", meanwhile, outcome.times);
    outcome.recoveries.push(progress(&recording, 20).await);
    let load = recording.finish().await;
    store.close().await;
    stack.stop_service().await;
    outcome.count(&load.counts);
    if load.counts.failed() > 0 || load.counts.refused() > 0 {
        outcome.wrong("upkeep cost a request");
    }
    outcome.findings = context.check(&stack, &load).await;
    stack.stop().await;
    outcome
}
