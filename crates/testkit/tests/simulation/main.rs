//! Both services against a model of what is documented.
//!
//! Random histories (`history`, of the records in `draft`) of requests, replays, faults, restarts and time are run on
//! the real routers, a real PostgreSQL and proxies that break connections (`services`). A model in memory, a hundred
//! times simpler than the services, says what each answer must be: `model` for Data Storage, `picture` and `figures`
//! for Context API. `run` compares them step by step, and in the end everything: incidents, lists, the ledger, `fsck`
//! and its rebuild. `hunt` runs many histories and makes one that fails as small as possible.
//!
//! A failure prints the smallest history found and the command that repeats it. `SIMULATION_SEED`,
//! `SIMULATION_CASES` and `SIMULATION_STEPS` choose what is run.

#![expect(clippy::expect_used, reason = "test support")]

mod compare;
mod draft;
mod figures;
mod history;
mod hunt;
mod model;
mod picture;
mod run;
mod services;
mod tally;

use history::{Form, Request, Step};
use hunt::{Hunt, World, fresh_seed, setting};
use model::{Checked, Rule};
use run::Run;
use services::Services;
use tally::Tally;

/// Histories of the chosen seed, and of one that nobody chose.
const CASES: u64 = 12;
/// Steps of a history.
const STEPS: usize = 40;

/// Runs as the environment says.
fn hunt(world: &World, seed: u64, cases: u64) -> Tally {
    let hunt = Hunt {
        seed: setting("SIMULATION_SEED").unwrap_or(seed),
        cases: setting("SIMULATION_CASES").unwrap_or(cases),
        steps: setting("SIMULATION_STEPS")
            .map_or(STEPS, |steps| usize::try_from(steps).expect("a number of steps")),
    };
    let began = std::time::Instant::now();
    match world.hunt(hunt, Rule::GreatestPhase) {
        Ok(tally) => {
            println!("{hunt:?} in {:?}", began.elapsed());
            for (what, count) in tally.counts() {
                println!("{count:8} {what}");
            }
            tally
        }
        Err(found) => panic!("{found}"),
    }
}

#[test]
fn the_services_do_what_the_model_says() {
    let world = World::new();
    let tally = hunt(&world, 1, CASES);
    if ["SIMULATION_SEED", "SIMULATION_CASES", "SIMULATION_STEPS"]
        .iter()
        .all(|name| setting(name).is_none())
    {
        // What these histories are for happens in them.
        for (what, count) in tally.counts() {
            assert_ne!(count, 0, "no {what}");
        }
        hunt(&world, fresh_seed(), CASES / 3);
    }
}

/// What the suite is worth: a model that is wrong in one word is told from the services, by the least history that
/// tells them apart.
#[test]
fn a_wrong_rule_is_found_and_its_history_is_made_small() {
    let world = World::new();
    let hunt = Hunt {
        // The first of which this is known; others are tried if histories are made up differently one day.
        seed: 13,
        cases: 100,
        steps: 20,
    };
    let found = world
        .hunt(hunt, Rule::LastArrival)
        .expect_err("the rule is wrong");
    println!("{found}");
    // Two versions of one record in the wrong order; of a child, the parent too.
    assert!(matches!(found.history.len(), 2 | 3), "{found}");
}

/// One of each kind, in order, as the ledger spells them.
fn family() -> Vec<Step> {
    (0..draft::KINDS.len())
        .map(|kind| Step::Write {
            request: Request {
                form: Form::Single,
                drafts: vec![draft::Draft::plain(kind)],
                key: None,
            },
            replica: 0,
            trouble: None,
        })
        .collect()
}

/// Stores a family, damages the database, and looks what is said of it.
async fn damaged(services: &mut Services, statements: &str) -> Checked {
    let mut run = Run::begin(services, Rule::GreatestPhase).await;
    for step in family() {
        run.step(&step).await.expect("nothing is wrong yet");
    }
    run.tamper(statements).await;
    run.conclude().await
}

#[test]
fn what_is_lost_doubled_or_changed_is_noticed() {
    let world = World::new();
    world.with(async |services| {
        assert_eq!(damaged(services, "SELECT 1").await, Ok(()));
        let doubled =
            "INSERT INTO audit_events (record_kind, namespace, name, event_time, payload_sha256, phase,
                           correlation_id, actor, payload, redaction_policy, received_at)
                       SELECT record_kind, namespace, name, event_time, sha256('2'), phase,
                           correlation_id, actor, payload, redaction_policy, received_at
                       FROM audit_events WHERE record_kind = 'workflow'";
        for (statements, said) in [
            ("UPDATE resource_action_traces SET reason = 'x'", "at `/reason`"),
            (
                "UPDATE action_executions SET action_type = 'x'",
                "at `/executions/0/actionType`",
            ),
            ("DELETE FROM ai_analyses", "at `/analyses`"),
            (
                "DELETE FROM audit_events WHERE record_kind = 'aianalysis'",
                "at `/timeline`",
            ),
            (doubled, "at `/timeline`"),
            ("UPDATE audit_events SET correlation_id = 'x'", "fsck finds"),
            ("UPDATE action_histories SET status = 'Failed'", "fsck finds"),
            (
                "UPDATE audit_events SET payload = payload || '{\"x\": 1}'",
                "version ",
            ),
        ] {
            let problem = damaged(services, statements).await.expect_err(statements);
            assert!(problem.contains(said), "{statements}: {problem}");
        }
    });
}
