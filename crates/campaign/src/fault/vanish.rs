//! Clients that are gone before their answer: in the head, in the body, while their record waits.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::wire::{self, Wire};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::progress;
use crate::load::body;
use crate::process::wait_until;
use crate::stack::Stack;
use crate::{Context, Outcome, now};

/// Clients that come and go, beside those that stay.
const CLIENTS: u64 = 24;
/// How long they wait at first, in microseconds.
const WAIT_MICROS: u64 = 40_000;

/// The names of the records that a client sent in part and as a whole.
#[derive(Default)]
struct Sent {
    in_part: Vec<String>,
    whole: Vec<String>,
}

pub(crate) async fn run(context: &Context) -> Outcome {
    let mut outcome = Outcome::default();
    let mut stack = Stack::new(&context.program, &[]).await;
    stack.start_service().await;
    let recording = context.load().start(stack.api());
    progress(&recording, 50).await;
    let begin = now() - TimeDelta::days(3);
    let time = context.scale.round * u32::try_from(context.scale.rounds).unwrap_or(u32::MAX);
    let api = stack.api();
    let clients: JoinSet<_> = (0..CLIENTS)
        .map(|client| come_and_go(api, context.seed, client, begin, time, context.harmless))
        .collect();
    let sent = clients.join_all().await;
    outcome.recoveries.push(progress(&recording, 50).await);
    let load = recording.finish().await;
    wait_until("an idle service", async || stack.service().in_flight().await == 0).await;
    let cancelled = stack
        .service()
        .metric("http_requests_total", "status=\"499\"")
        .await;
    stack.stop_service().await;

    let in_part: Vec<_> = sent.iter().flat_map(|sent| &sent.in_part).collect();
    let whole: Vec<_> = sent.iter().flat_map(|sent| &sent.whole).collect();
    let store = stack.store().await;
    let stored: HashSet<String> =
        sqlx::query_scalar("SELECT name FROM audit_events WHERE name LIKE 'remediation-gone-%'")
            .fetch_all(store.pool())
            .await
            .unwrap()
            .into_iter()
            .collect();
    store.close().await;
    for name in in_part.iter().filter(|name| stored.contains(**name)) {
        outcome.wrong(format!("{name} was sent in part, and is stored"));
    }
    outcome.times = (in_part.len() + whole.len()) as u64;
    outcome.count(&load.counts);
    if load.counts.failed() > 0 {
        outcome.wrong("connections of clients that stayed were broken");
    }
    outcome.must_meet("requests sent in part", in_part.len() as u64, 20);
    outcome.must_meet("requests sent whole", whole.len() as u64, 20);
    outcome.must_meet("of these stored all the same", stored.len() as u64, 1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small counter"
    )]
    outcome.must_meet("requests under way whose client left", cancelled as u64, 5);
    outcome.findings = context.check(&stack, &load).await;
    stack.stop().await;
    outcome
}

/// Sends up to a random byte, or all and then waits a little, and hangs up with an RST. A harmless client waits for its
/// answer.
async fn come_and_go(
    api: SocketAddr,
    seed: u64,
    client: u64,
    begin: DateTime<Utc>,
    time: Duration,
    harmless: bool,
) -> Sent {
    let mut rng = StdRng::seed_from_u64(seed.wrapping_add(client));
    let mut sent = Sent::default();
    let series = format!("gone-{client}");
    let began = Instant::now();
    while began.elapsed() < time {
        let record = body(
            &series,
            begin,
            "remediation",
            sent.in_part.len() + sent.whole.len(),
            0,
        );
        let name = record["name"].as_str().unwrap().to_owned();
        if harmless {
            let mut wire = Wire::new(api);
            wire.post("/api/v1/audit/remediation", &record).await.unwrap();
            sent.whole.push(name);
            continue;
        }
        let request = wire::post("/api/v1/audit/remediation", &record.to_string());
        let whole = rng.random_bool(0.5);
        let length = if whole {
            request.len()
        } else {
            rng.random_range(1..request.len())
        };
        let mut stream = TcpStream::connect(api).await.unwrap();
        stream.write_all(&request.as_bytes()[..length]).await.unwrap();
        // Mostly short, now and then as long as a record may wait under load.
        let wait = Duration::from_micros(rng.random_range(0..=WAIT_MICROS));
        tokio::time::sleep(wait * (1 << rng.random_range(0..=5))).await;
        stream.set_zero_linger().unwrap();
        drop(stream);
        let names = if whole { &mut sent.whole } else { &mut sent.in_part };
        names.push(name);
    }
    sent
}
