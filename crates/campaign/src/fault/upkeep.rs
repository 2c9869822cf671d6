//! What an administrator does to a database that is at work: VACUUM, ANALYZE, REINDEX CONCURRENTLY, a checkpoint.

use std::time::{Duration, Instant};

use audit_store::WriteStore;
use sqlx::AssertSqlSafe;

use super::progress;
use crate::stack::Stack;
use crate::{Context, Outcome};

struct Chore {
    statement: &'static str,
    /// A number that is another one when it was done.
    trace: &'static str,
}

const VACUUMED: &str = "SELECT sum(vacuum_count)::bigint FROM pg_stat_user_tables";

const CHORES: [Chore; 5] = [
    Chore {
        statement: "VACUUM (ANALYZE)",
        trace: VACUUMED,
    },
    Chore {
        statement: "REINDEX SCHEMA CONCURRENTLY kubernaut",
        trace: "SELECT sum(relfilenode::bigint)::bigint FROM pg_class
                WHERE relkind = 'i' AND relnamespace = 'kubernaut'::regnamespace",
    },
    Chore {
        statement: "VACUUM (FREEZE, INDEX_CLEANUP ON)",
        trace: VACUUMED,
    },
    Chore {
        statement: "ANALYZE",
        trace: "SELECT sum(analyze_count)::bigint FROM pg_stat_user_tables",
    },
    Chore {
        statement: "CHECKPOINT",
        trace: "SELECT (checkpoint_lsn - '0/0')::bigint FROM pg_control_checkpoint()",
    },
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
    let (mut done, mut acknowledged) = ([0; CHORES.len()], 0);
    for _ in 0..context.scale.rounds {
        let round = Instant::now();
        // All of them, and again until the time is over.
        while !context.is_late() {
            for (Chore { statement, trace }, done) in CHORES.iter().zip(&mut done) {
                let (before, earlier) = (number(&store, trace).await, recording.counts.acknowledged());
                let began = Instant::now();
                if context.harmless {
                    tokio::time::sleep(INSTEAD).await;
                } else if let Err(error) = sqlx::raw_sql(AssertSqlSafe(*statement))
                    .execute(store.pool())
                    .await
                {
                    // It is the chore that gives way, and an index that it left behind is found by fsck.
                    outcome.met(&format!("{statement} gave way: {error}"), 1);
                }
                let meanwhile = recording.counts.acknowledged() - earlier;
                *done += u64::from(number(&store, trace).await != before);
                acknowledged += meanwhile as u64;
                outcome.times += 1;
                context.tell(|| {
                    format!(
                        "upkeep: {statement}: {meanwhile} records in {:?}",
                        began.elapsed()
                    )
                });
            }
            if round.elapsed() >= context.scale.round {
                break;
            }
        }
    }
    outcome.must_happen(context.scale.rounds * CHORES.len() as u64);
    for (chore, done) in CHORES.iter().zip(done) {
        outcome.must_meet(chore.statement, done, 1);
    }
    outcome.must_meet("records acknowledged meanwhile", acknowledged, outcome.times);
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

async fn number(store: &WriteStore, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement)
        .fetch_one(store.pool())
        .await
        .unwrap()
}
