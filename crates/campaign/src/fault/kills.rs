//! Data Storage and PostgreSQL killed at random moments: as often the one as the other, now and then both at once.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::progress;
use crate::load::Recording;
use crate::stack::Stack;
use crate::{Context, Outcome, check, now};

/// When a process is killed after everything works again.
const MOMENT: std::ops::RangeInclusive<u64> = 20..=600;
/// How often progress is told.
const TOLD_EVERY: u64 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Service,
    Database,
    Both,
}

impl Victim {
    fn draw(rng: &mut StdRng) -> Self {
        match rng.random_range(0..100) {
            0..45 => Self::Service,
            45..90 => Self::Database,
            _ => Self::Both,
        }
    }

    fn processes(self) -> u64 {
        if self == Self::Both { 2 } else { 1 }
    }
}

pub(crate) async fn run(context: &Context) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = StdRng::seed_from_u64(context.seed);
    // Room for the connections of killed services, whose backends take a moment to notice.
    let mut stack = Stack::with_postgres(&context.program, &[], |options, _| {
        options
            .settings
            .push(("shared_buffers".to_owned(), "256MB".to_owned()));
    })
    .await;
    let first_start = stack.start_service().await;
    context.tell(|| format!("kills: the service started in {:.2} s", first_start.as_secs_f64()));
    let began = Instant::now();
    let mut recording = context.load().start(stack.api());
    let scale = context.scale;
    let mut next_check = scale.check_every;
    let (mut in_flight, mut with_requests, mut service, mut database) = (0, 0, 0, 0);
    let mut drawn = 0;
    while drawn < scale.kills && !context.is_late() {
        progress(&recording, 1).await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(MOMENT))).await;
        let victim = Victim::draw(&mut rng);
        drawn += victim.processes();
        if context.harmless {
            continue;
        }
        let under_way = recording.counts.in_flight() as u64;
        in_flight += under_way;
        with_requests += u64::from(under_way > 0) * victim.processes();
        let killed = Instant::now();
        if victim != Victim::Service {
            stack.kill_postgres().await;
            database += 1;
        }
        if victim != Victim::Database {
            stack.kill_service();
            service += 1;
        }
        outcome.times += victim.processes();
        let checks = victim == Victim::Service && outcome.times >= next_check;
        if checks {
            next_check = outcome.times + scale.check_every;
            recording = paused(context, &stack, recording, &mut outcome).await;
        }
        if victim != Victim::Service {
            stack.start_postgres().await;
        }
        if victim != Victim::Database {
            stack.start_service().await;
            recording.move_to(stack.api());
        }
        progress(&recording, 1).await;
        if !checks {
            outcome.recoveries.push(killed.elapsed());
        }
        if outcome.times % TOLD_EVERY == 0 {
            context.tell(|| told(&outcome, &recording, began.elapsed()));
        }
    }
    // The rest of the records, without further kills.
    while recording.counts.acknowledged() < scale.records && !context.is_late() {
        progress(&recording, 1).await;
    }
    let load = recording.finish().await;
    let took = began.elapsed();
    context.tell(|| {
        format!(
            "kills: the last check, of {} versions",
            load.counts.acknowledged()
        )
    });
    stack.stop_service().await;
    outcome.count(&load.counts);
    outcome.must_happen(scale.kills);
    let acknowledged = outcome.acknowledged as u64;
    outcome.must_meet("versions acknowledged", acknowledged, scale.records as u64);
    // One kill is of one of them.
    let of_each = u64::from(scale.kills > 1);
    outcome.must_meet("kills of Data Storage", service, of_each);
    outcome.must_meet("kills of PostgreSQL", database, of_each);
    outcome.must_meet(
        "recoveries of PostgreSQL from a crash",
        stack.recoveries,
        database.max(of_each),
    );
    outcome.must_meet("kills with requests under way", with_requests, scale.kills);
    outcome.must_meet("requests under way at a kill", in_flight, scale.kills);
    let broken = load.counts.failed() as u64;
    outcome.must_meet("requests broken off", broken, service.max(of_each));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate for people"
    )]
    {
        let rate = load.counts.acknowledged() as f64 / took.as_secs_f64();
        outcome.met("versions acknowledged a second", rate as u64);
        outcome.met(
            "kills an hour",
            (outcome.times as f64 * 3600.0 / took.as_secs_f64()) as u64,
        );
    }
    // What was found on the way is not forgotten.
    let found = std::mem::take(&mut outcome.findings);
    outcome.findings = context.check(&stack, &load).await;
    outcome.wrong.extend(found.faults());
    stack.stop().await;
    outcome
}

/// Checks while the service is dead, before anything that it left undecided is sent again.
async fn paused(context: &Context, stack: &Stack, recording: Recording, outcome: &mut Outcome) -> Recording {
    let load = recording.finish().await;
    let undecided = load.undecided();
    outcome.met("atomic batches undecided at a check", undecided.len() as u64);
    let checked = Instant::now();
    let store = stack.store().await;
    let mut findings = check::compare(&store, load.acknowledged(), &undecided).await;
    store.close().await;
    check::fsck(&stack.connect(), now(), &mut findings).await;
    context.tell(|| {
        format!(
            "kills: {} versions checked in {:.1} s after {} kills: {:?}",
            findings.versions,
            checked.elapsed().as_secs_f64(),
            outcome.times,
            findings.faults()
        )
    });
    outcome.met("checks between the kills", 1);
    if !findings.faults().is_empty() {
        outcome.findings = findings;
    }
    // Nobody listens there: where the next one listens is told later.
    load.start((Ipv4Addr::LOCALHOST, 1).into())
}

fn told(outcome: &Outcome, recording: &Recording, elapsed: Duration) -> String {
    let counts = &recording.counts;
    format!(
        "kills: {} in {:.0} s, {} acknowledged, {} answers lost and found again, {} refused, {} wrong",
        outcome.times,
        elapsed.as_secs_f64(),
        counts.acknowledged(),
        counts.settled(),
        counts.refused(),
        counts.wrong()
    )
}
