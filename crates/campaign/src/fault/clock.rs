//! The clock of the service set forward and back, by an hour and by a day, amid the load.
//!
//! Only the service's wall clock: `testkit::preload` adds to what the system tells it. Its monotonic clock, and the
//! clock of PostgreSQL, go on as they are.

use chrono::TimeDelta;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use testkit::preload::SteppedClock;

use super::progress;
use crate::load::Promise;
use crate::stack::Stack;
use crate::{Context, Outcome, now};

const HOUR: i64 = 3_600;
/// In seconds.
const STEPS: [i64; 6] = [HOUR, -HOUR, 24 * HOUR, -24 * HOUR, 1, 0];
/// Records that have to come with each clock.
const RECORDS: usize = 50;

pub(crate) async fn run(context: &Context) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = StdRng::seed_from_u64(context.seed);
    let mut stack = Stack::new(&context.program, &[]).await;
    let clock = SteppedClock::new(stack.directory());
    stack.environment = clock.environment();
    stack.start_service().await;
    let recording = context.load().start(stack.api());
    progress(&recording, RECORDS).await;
    // What is under way when the clock is set came with the one before.
    let under_way = context.scale.clients * context.scale.batch;
    for _ in 0..context.scale.rounds {
        if context.is_late() {
            break;
        }
        let mut steps = STEPS;
        steps.shuffle(&mut rng);
        for step in steps {
            if !context.harmless {
                clock.set(step);
            }
            outcome
                .recoveries
                .push(progress(&recording, under_way + RECORDS).await);
            tokio::time::sleep(context.scale.round / 6).await;
            outcome.times += 1;
        }
    }
    let load = recording.finish().await;
    stack.stop_service().await;
    outcome.count(&load.counts);
    if load.counts.failed() > 0 || load.counts.refused() > 0 {
        outcome.wrong("a step of the clock cost a request");
    }
    let store = stack.store().await;
    outcome.must_happen(context.scale.rounds * STEPS.len() as u64);
    for (what, least, most) in [
        ("versions received an hour ahead", 0.5, 2.0),
        ("versions received an hour behind", -2.0, -0.5),
        ("versions received a day ahead", 23.0, 25.0),
        ("versions received a day behind", -25.0, -23.0),
    ] {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM audit_events
             WHERE extract(epoch FROM received_at - now()) / 3600 BETWEEN $1 AND $2",
        )
        .bind(least)
        .bind(most)
        .fetch_one(store.pool())
        .await
        .unwrap();
        outcome.must_meet(what, count.unsigned_abs(), RECORDS as u64);
    }
    store.close().await;
    let promises: Vec<Promise> = load.acknowledged().cloned().collect();
    let latest = now() + TimeDelta::days(2);
    outcome.findings = context
        .check_promises(&stack, promises, &load.undecided(), latest)
        .await;
    stack.stop().await;
    outcome
}
