//! The network between Data Storage and PostgreSQL on its bad days.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::ChaosProxy;
use testkit::chaos_proxy::Direction;

use super::{ANSWERED_WITHIN, IMPATIENT, progress};
use crate::process::wait_until;
use crate::stack::Stack;
use crate::{Context, Outcome};

/// Settings of the writer, which go with the others.
const WRITER: [(&str, &str); 2] = [
    ("WRITER__RETRY_FOR", "1500ms"),
    ("EMBEDDING__BACKFILL_INTERVAL", "100ms"),
];
/// Added each way.
const FAR: Duration = Duration::from_millis(25);
/// Added each way where no transaction can end in time.
const TOO_FAR: Duration = Duration::from_secs(2);
/// Between two cuts.
const PAUSE: std::ops::RangeInclusive<u64> = 5..=60;
/// How far away the byte is at which a connection is cut.
const BYTES: std::ops::RangeInclusive<u64> = 1..=20_000;
const DIRECTIONS: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Far,
    TooFar,
    Resets,
    Cuts,
    LostCommits,
    Refusals,
    Forgotten,
    BlackHole,
}

const ALL: [Weather; 8] = [
    Weather::Far,
    Weather::TooFar,
    Weather::Resets,
    Weather::Cuts,
    Weather::LostCommits,
    Weather::Refusals,
    Weather::Forgotten,
    Weather::BlackHole,
];

pub(crate) async fn run(context: &Context) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = StdRng::seed_from_u64(context.seed);
    let settings = if context.harmless {
        Vec::new()
    } else {
        [IMPATIENT, WRITER].concat()
    };
    let mut stack = Stack::new(&context.program, &settings).await;
    let proxy = ChaosProxy::in_front_of(&stack.url()).await;
    stack.through = Some(proxy.url(&stack.url()));
    stack.start_service().await;
    let recording = context.load().start(stack.api());
    progress(&recording, 50).await;
    'rounds: for _ in 0..context.scale.rounds {
        for weather in ALL {
            if context.is_late() {
                break 'rounds;
            }
            let (before, refused) = (proxy.counts(), recording.counts.refused());
            if context.harmless {
                tokio::time::sleep(context.scale.round).await;
            } else {
                weathered(weather, &proxy, &mut rng, context.scale.round).await;
                if matches!(weather, Weather::TooFar | Weather::Refusals) {
                    // A record is tried for a while before it is refused.
                    wait_until("a refusal", async || recording.counts.refused() > refused).await;
                }
            }
            let (after, refused_after) = (proxy.counts(), recording.counts.refused());
            proxy.pass();
            outcome.recoveries.push(progress(&recording, 20).await);
            outcome.times += 1;
            let (what, count) = match weather {
                Weather::Far => ("messages delayed", after.delayed - before.delayed),
                Weather::TooFar => ("refusals by delay", (refused_after - refused) as u64),
                Weather::Resets => ("connections reset", after.reset - before.reset),
                Weather::Cuts => ("connections cut amid a message", after.cut - before.cut),
                Weather::LostCommits => ("answers to a COMMIT lost", after.cut - before.cut),
                Weather::Refusals => (
                    "refusals while no connection was to be had",
                    (refused_after - refused) as u64,
                ),
                Weather::Forgotten => ("connections forgotten", after.swallowed - before.swallowed),
                Weather::BlackHole => ("connections in a black hole", after.swallowed - before.swallowed),
            };
            outcome.must_meet(what, count, 1);
        }
        context.tell(|| {
            format!(
                "network: {} of {} acknowledged",
                outcome.times,
                recording.counts.acknowledged()
            )
        });
    }
    let load = recording.finish().await;
    stack.stop_service().await;
    outcome.count(&load.counts);
    outcome.must_happen(context.scale.rounds * ALL.len() as u64);
    if load.counts.failed() > 0 {
        outcome.wrong("connections of clients were broken");
    }
    if load.counts.slowest() > ANSWERED_WITHIN {
        outcome.wrong(format!("an answer took {:?}", load.counts.slowest()));
    }
    outcome.findings = context.check(&stack, &load).await;
    stack.stop().await;
    outcome
}

/// Lets something happen for a time.
async fn weathered(weather: Weather, proxy: &ChaosProxy, rng: &mut StdRng, time: Duration) {
    let delay = |delay| DIRECTIONS.map(|direction| proxy.delay(direction, delay));
    match weather {
        Weather::Far => drop(delay(FAR)),
        Weather::TooFar => drop(delay(TOO_FAR)),
        Weather::Refusals => {
            proxy.refuse();
            proxy.reset();
        }
        Weather::Forgotten => proxy.forget_connections(),
        Weather::BlackHole => proxy.black_hole(),
        Weather::Resets | Weather::Cuts | Weather::LostCommits => {}
    }
    let began = Instant::now();
    while began.elapsed() < time {
        match weather {
            Weather::Resets => proxy.reset(),
            Weather::Cuts => {
                let direction = DIRECTIONS[rng.random_range(0..DIRECTIONS.len())];
                proxy.cut_after(direction, rng.random_range(BYTES));
            }
            // The end of the statement is part of its message.
            Weather::LostCommits => proxy.lose_answer_to("COMMIT\0"),
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(PAUSE))).await;
    }
}
