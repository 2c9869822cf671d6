//! Context API while the network to PostgreSQL or to Redis, or Redis itself, fails: what it tells is true, old answers
//! say how old they are, and what it cannot tell it refuses in time.

mod trouble;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use audit_store::SchemaName;
use devstack::Redis;
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use testkit::ChaosProxy;
use testkit::chaos_proxy::Direction;
use testkit::wire::Wire;
use tokio::task::JoinSet;

use self::trouble::Trouble;
use super::{IMPATIENT, progress};
use crate::process::wait_until;
use crate::service::Recall;
use crate::stack::Stack;
use crate::{Context, Outcome};

const READERS: usize = 8;
/// How long an answer may take: half a second for a connection, one for a statement, and the machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
const SHORT_LIVED: [(&str, &str); 2] = [
    // So that the database is asked all the time.
    ("CACHE__TTL", "200ms"),
    ("CACHE__NEGATIVE_TTL", "200ms"),
];
/// How long an answer of a database is on its way that is far away.
const FAR: Duration = Duration::from_millis(25);
/// The same of a Redis that is slow.
const SLOW: Duration = Duration::from_millis(300);
/// How many bytes pass before an answer is cut off.
const AMID: std::ops::RangeInclusive<u64> = 1..=2_000;
/// Characters of a wrong answer that are shown.
const SHOWN: usize = 300;
const PAUSE: Duration = Duration::from_millis(5);

/// What readers were told.
#[derive(Default)]
struct Told {
    answers: AtomicU64,
    stale: AtomicU64,
    refused: AtomicU64,
    stop: AtomicBool,
    /// For what is wrong.
    during: Mutex<Option<Trouble>>,
    wrong: Mutex<BTreeMap<String, u64>>,
}

impl Told {
    fn wrong(&self, what: impl fmt::Display) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let during = *self.during.lock().unwrap_or_else(PoisonError::into_inner);
        let during = during.map_or("no trouble", Trouble::name);
        *wrong.entry(format!("{during}: {what}")).or_default() += 1;
    }

    fn during(&self, trouble: Option<Trouble>) {
        *self.during.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::SeqCst)
    }
}

pub(crate) async fn run(context: &Context) -> Outcome {
    let mut outcome = Outcome::default();
    let mut stack = Stack::new(&context.program, &[]).await;
    stack.start_service().await;
    let recording = context.load().start(stack.api());
    progress(&recording, 300).await;
    let load = recording.finish().await;
    outcome.count(&load.counts);
    // From here on the truth stands still.
    stack.stop_service().await;

    let mut redis = tokio::task::spawn_blocking(|| Redis::start().expect("a Redis"))
        .await
        .unwrap();
    let reader_url = stack.reader_url();
    let database = ChaosProxy::in_front_of(&reader_url).await;
    let cache = ChaosProxy::in_front_of(&redis.url()).await;
    let redis_url = cache.url(&redis.url());
    let mut settings = SHORT_LIVED.to_vec();
    if !context.harmless {
        settings.extend(IMPATIENT);
    }
    settings.push(("CACHE__REDIS_URL", &redis_url));
    let mut recall = Recall::start(
        stack.program(),
        &database.url(&reader_url),
        &SchemaName::default(),
        &settings,
    )
    .await;
    let truth = Arc::new(truth(&recall).await);
    let told = Arc::<Told>::default();
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let (wire, truth, told) = (Wire::new(recall.address), Arc::clone(&truth), Arc::clone(&told));
        readers.spawn(read(wire, reader, truth, told));
    }
    let mut rng = StdRng::seed_from_u64(context.seed);
    'rounds: for _ in 0..context.scale.rounds {
        for trouble in trouble::ALL {
            if context.is_late() {
                break 'rounds;
            }
            // The answers to all questions are known and were just told.
            right_answers(&told).await;
            told.during(Some(trouble));
            let (stale, refused) = (Told::get(&told.stale), Told::get(&told.refused));
            let (of_database, of_cache) = (database.counts(), cache.counts());
            let met = || match trouble {
                Trouble::DatabaseInABlackHole | Trouble::DatabaseRefuses => Told::get(&told.stale) - stale,
                Trouble::NewQuestionsWithoutADatabase => Told::get(&told.refused) - refused,
                Trouble::DatabaseFarAway => database.counts().delayed - of_database.delayed,
                Trouble::DatabaseCutOff => database.counts().cut - of_database.cut,
                Trouble::RedisInABlackHole => cache.counts().swallowed - of_cache.swallowed,
                Trouble::RedisSlow => cache.counts().delayed - of_cache.delayed,
                Trouble::RedisReset => cache.counts().reset - of_cache.reset,
                Trouble::RedisCutOff => cache.counts().cut - of_cache.cut,
                Trouble::RedisKilled => cache.counts().unreachable - of_cache.unreachable,
            };
            if !context.harmless {
                match trouble {
                    Trouble::DatabaseInABlackHole | Trouble::NewQuestionsWithoutADatabase => {
                        database.black_hole();
                    }
                    Trouble::DatabaseRefuses => {
                        database.refuse();
                        database.reset();
                    }
                    Trouble::DatabaseFarAway => database.delay(Direction::ToClient, FAR),
                    Trouble::RedisInABlackHole => cache.black_hole(),
                    Trouble::RedisSlow => cache.delay(Direction::ToClient, SLOW),
                    Trouble::RedisKilled => {
                        redis = tokio::task::spawn_blocking(move || {
                            redis.stop();
                            redis
                        })
                        .await
                        .unwrap();
                    }
                    // Below, until one is met: after the trouble before, there may be no connection for a moment.
                    Trouble::DatabaseCutOff | Trouble::RedisReset | Trouble::RedisCutOff => {}
                }
                wait_until(trouble.evidence(), async || {
                    match trouble {
                        Trouble::DatabaseCutOff => {
                            database.cut_after(Direction::ToClient, rng.random_range(AMID));
                        }
                        Trouble::RedisReset => cache.reset(),
                        Trouble::RedisCutOff => cache.cut_after(Direction::ToClient, rng.random_range(AMID)),
                        _ => {}
                    }
                    met() > 0
                })
                .await;
            }
            tokio::time::sleep(context.scale.round).await;
            outcome.must_meet(trouble.evidence(), met(), 1);
            outcome.times += 1;
            database.pass();
            cache.pass();
            if trouble == Trouble::RedisKilled && !context.harmless {
                redis = tokio::task::spawn_blocking(move || {
                    redis.start_again().expect("a Redis");
                    redis
                })
                .await
                .unwrap();
            }
            outcome.recoveries.push(right_answers(&told).await);
            told.during(None);
        }
    }
    told.stop.store(true, Ordering::SeqCst);
    readers.join_all().await;
    recall.process.stop(Signal::SIGTERM).await;
    outcome.must_happen(context.scale.rounds * trouble::ALL.len() as u64);
    outcome.met("answers to readers", Told::get(&told.answers));
    outcome.met("stale answers", Told::get(&told.stale));
    outcome.met("readers refused", Told::get(&told.refused));
    let wrong = std::mem::take(&mut *told.wrong.lock().unwrap_or_else(PoisonError::into_inner));
    for (what, count) in wrong {
        outcome.wrong(format!("{what}: {count} times"));
    }
    outcome.findings = context.check(&stack, &load).await;
    stack.stop().await;
    outcome
}

/// Waits for as many answers that are not stale as there are readers and questions.
async fn right_answers(told: &Told) -> Duration {
    let fresh = || Told::get(&told.answers) - Told::get(&told.stale);
    let before = fresh();
    wait_until("fresh answers", async || fresh() >= before + 4 * READERS as u64).await
}

/// What is asked again and again, with the answer.
async fn truth(recall: &Recall) -> Vec<(String, Value)> {
    let mut wire = Wire::new(recall.address);
    let list = "/api/v1/incidents?limit=20".to_owned();
    let page = wire.get(&list).await.unwrap();
    assert_eq!(page.status, 200, "{:?}", page.body);
    let incidents = page.body["incidents"].as_array().expect("incidents").clone();
    assert!(!incidents.is_empty(), "{:?}", page.body);
    let mut truth = vec![(list, comparable(page.body))];
    for incident in incidents.iter().take(8) {
        let path = format!("/api/v1/incidents/{}", incident["id"]);
        let answer = wire.get(&path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
        truth.push((path, answer.body));
    }
    truth
}

/// Without what is another's in every answer: a cursor holds the time at which it was made.
fn comparable(mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.remove("nextCursor");
    }
    body
}

fn shortened(body: &Value) -> String {
    body.to_string().chars().take(SHOWN).collect()
}

/// Asks without end, now and then something that nobody asked before.
async fn read(mut wire: Wire, reader: usize, truth: Arc<Vec<(String, Value)>>, told: Arc<Told>) {
    let mut asked = 0;
    while !told.stop.load(Ordering::SeqCst) {
        asked += 1;
        let (path, body) = &truth[(reader + asked) % truth.len()];
        let new = asked % 10 == 0;
        let path = if new {
            format!("/api/v1/incidents?correlationId=reader-{reader}-{asked}")
        } else {
            path.clone()
        };
        let began = Instant::now();
        let answer = wire.get(&path).await;
        if began.elapsed() > ANSWERED_WITHIN {
            told.wrong(format!("an answer took {} s", began.elapsed().as_secs()));
        }
        match answer {
            Ok(answer) if answer.status == 200 => {
                told.answers.fetch_add(1, Ordering::SeqCst);
                let how = answer
                    .headers
                    .get("cache-status")
                    .and_then(|how| how.to_str().ok())
                    .unwrap_or_default();
                if how.contains("detail=stale") {
                    told.stale.fetch_add(1, Ordering::SeqCst);
                    if !answer.headers.contains_key("age") {
                        told.wrong(format!("{path}: a stale answer without its age"));
                    }
                }
                let is_true = if new {
                    answer.body["total"] == 0
                } else {
                    comparable(answer.body.clone()) == *body
                };
                if !is_true {
                    told.wrong(format!("{path}: {}", shortened(&answer.body)));
                }
            }
            Ok(answer)
                if matches!(answer.status.as_u16(), 503 | 504)
                    && (answer.status == 504 || answer.headers.contains_key("retry-after")) =>
            {
                told.refused.fetch_add(1, Ordering::SeqCst);
            }
            Ok(answer) => told.wrong(format!("{path}: {} {}", answer.status, answer.body)),
            Err(error) => told.wrong(format!("{path}: {error}")),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
