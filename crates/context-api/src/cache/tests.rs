//! The cache in front of a load that counts.

use std::sync::atomic::AtomicUsize;

use audit_store::reader::{Changed, Look};
use serde_json::json;
use tokio::sync::Notify;

use super::entry::Answer;
use super::key::tests::key;
use super::*;

const TTL: Duration = Duration::from_secs(10);
const NEGATIVE_TTL: Duration = Duration::from_secs(2);
const STALE_FOR: Duration = Duration::from_secs(60);

struct Fixture {
    cache: ReadCache,
    clock: Clock,
    loads: Arc<AtomicUsize>,
}

impl Fixture {
    fn new() -> Self {
        Self::renewing(Duration::ZERO)
    }

    /// One that loads answers again in their last moments.
    fn renewing(renew_before: Duration) -> Self {
        let clock = Clock::manual("2026-03-10T12:00:00Z".parse().unwrap());
        let config = CacheConfig {
            memory_max_bytes: 1_000_000,
            ttl: TTL,
            renew_before,
            negative_ttl: NEGATIVE_TTL,
            stale_for: STALE_FOR,
            ..CacheConfig::off()
        };
        Self {
            cache: ReadCache::local(&config, Scope::of_tests(), clock.clone(), Jitter::seeded(1)),
            clock,
            loads: Arc::default(),
        }
    }

    /// A load that counts itself and gives its number or a problem.
    fn load(
        &self,
        problem: Option<Problem>,
    ) -> impl Future<Output = Result<usize, Problem>> + Send + 'static {
        let loads = Arc::clone(&self.loads);
        async move {
            let number = loads.fetch_add(1, Ordering::SeqCst) + 1;
            problem.map_or(Ok(number), Err)
        }
    }

    /// What is told, and how; or the code of the problem.
    async fn ask(&self, problem: Option<Problem>) -> (String, Option<How>) {
        tell(
            self.cache
                .get(key("/"), About::Records, false, || self.load(problem))
                .await,
        )
    }

    /// Misses once, and hits so often.
    async fn ask_often(&self, hits: usize) {
        assert_eq!(self.ask(None).await, told("1", MISSED));
        for _ in 0..hits {
            assert_eq!(self.ask(None).await, told("1", HIT));
        }
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }
}

fn tell(result: Result<Served, Problem>) -> (String, Option<How>) {
    match result {
        Ok(served) => {
            let text = match &served.entry.answer {
                Answer::Found(body) => String::from_utf8(body.to_vec()).unwrap(),
                Answer::Absent(detail) => detail.clone(),
            };
            (text, Some(served.how))
        }
        Err(problem) => (problem.code().to_owned(), None),
    }
}

fn told(text: &str, how: How) -> (String, Option<How>) {
    (text.to_owned(), Some(how))
}

fn failed(code: &str) -> (String, Option<How>) {
    (code.to_owned(), None)
}

fn away() -> Option<Problem> {
    Some(Problem::unavailable("away", Duration::from_secs(1)))
}

const HIT: How = How::Hit(Tier::Memory);
const MISSED: How = How::Missed { collapsed: false };

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_misses_of_one_key_make_one_load() {
    let fixture = Fixture::new();
    let gate = Arc::new(Notify::new());
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let (cache, load, gate) = (fixture.cache.clone(), fixture.load(None), Arc::clone(&gate));
        callers.spawn(async move {
            let load = async move {
                let number = load.await;
                gate.notified().await;
                number
            };
            tell(cache.get(key("/"), About::Records, false, || load).await)
        });
    }
    while fixture.loads() == 0 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    let told = callers.join_all().await;
    assert_eq!(fixture.loads(), 1);
    assert_eq!(told.iter().filter(|(text, _)| text == "1").count(), 1_000);
    assert_eq!(told.iter().filter(|(_, how)| *how == Some(MISSED)).count(), 1);
}

#[tokio::test]
async fn a_load_goes_on_when_its_first_caller_gives_up() {
    let fixture = Fixture::new();
    let gate = Arc::new(Notify::new());
    let (load, open) = (fixture.load(None), Arc::clone(&gate));
    let gated = async move {
        open.notified().await;
        load.await
    };
    let asked = timeout(
        Duration::from_millis(20),
        fixture.cache.get(key("/"), About::Records, false, || gated),
    );
    assert!(asked.await.is_err());
    let second = fixture.ask(None);
    gate.notify_one();
    assert_eq!(second.await, told("1", How::Missed { collapsed: true }));
    assert_eq!(fixture.ask(None).await, told("1", HIT));
    assert_eq!(fixture.loads(), 1);
}

#[tokio::test]
async fn a_load_that_panics_fails_who_waits_and_nobody_after() {
    let fixture = Fixture::new();
    let panics = async { if true { panic!("on purpose") } else { Ok(json!(1)) } };
    let result = fixture
        .cache
        .get(key("/"), About::Records, false, || panics)
        .await;
    assert_eq!(tell(result), failed("internal-error"));
    assert_eq!(fixture.ask(None).await, told("1", MISSED));
}

#[tokio::test]
async fn an_answer_is_told_again_for_its_lifetime_and_not_after() {
    let fixture = Fixture::new();
    assert_eq!(fixture.ask(None).await, told("1", MISSED));
    fixture.clock.advance(TTL * 9 / 10);
    assert_eq!(fixture.ask(None).await, told("1", HIT));
    fixture.clock.advance(TTL / 10);
    assert_eq!(fixture.ask(None).await, told("2", MISSED));
}

/// A moment in which every answer is told still, and soon none is.
const LAST_MOMENT: Duration = Duration::from_millis(8_999);
const RENEW_BEFORE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn an_answer_that_is_asked_for_often_is_renewed_before_its_time_and_nobody_waits() {
    let fixture = Fixture::renewing(RENEW_BEFORE);
    fixture.ask_often(2).await;
    // In the last two of nine to ten seconds.
    fixture.clock.advance(Duration::from_millis(6_999));
    assert_eq!(fixture.ask(None).await, told("1", HIT));
    tokio::task::yield_now().await;
    assert_eq!(fixture.loads(), 1, "it has more than two seconds left");
    fixture.clock.advance(LAST_MOMENT - Duration::from_millis(6_999));
    assert_eq!(fixture.ask(None).await, told("1", HIT));
    tokio::task::yield_now().await;
    assert_eq!(fixture.ask(None).await, told("2", HIT));
    fixture.clock.advance(LAST_MOMENT);
    assert_eq!(fixture.ask(None).await, told("2", HIT), "a whole life begins");
    assert_eq!(fixture.loads(), 2);
}

#[tokio::test]
async fn an_answer_that_is_asked_for_now_and_then_is_not_renewed() {
    let fixture = Fixture::renewing(RENEW_BEFORE);
    fixture.ask_often(1).await;
    fixture.clock.advance(LAST_MOMENT);
    assert_eq!(fixture.ask(None).await, told("1", HIT));
    tokio::task::yield_now().await;
    assert_eq!(fixture.loads(), 1);
    // Nor is any, unless it is configured.
    let fixture = Fixture::new();
    fixture.ask_often(5).await;
    fixture.clock.advance(LAST_MOMENT);
    assert_eq!(fixture.ask(None).await, told("1", HIT));
    tokio::task::yield_now().await;
    assert_eq!(fixture.loads(), 1);
}

#[tokio::test]
async fn of_a_short_life_the_first_half_is_not_spent_on_renewals() {
    let fixture = Fixture::renewing(Duration::from_secs(3_600));
    fixture.ask_often(5).await;
    fixture.clock.advance(TTL * 9 / 20);
    assert_eq!(fixture.ask(None).await, told("1", HIT));
    tokio::task::yield_now().await;
    assert_eq!(fixture.loads(), 1);
    fixture.clock.advance(TTL / 20);
    assert_eq!(fixture.ask(None).await, told("1", HIT));
    tokio::task::yield_now().await;
    assert_eq!(fixture.loads(), 2);
}

#[tokio::test]
async fn a_renewal_that_fails_costs_the_answer_nothing() {
    let fixture = Fixture::renewing(RENEW_BEFORE);
    fixture.ask_often(2).await;
    fixture.clock.advance(LAST_MOMENT);
    assert_eq!(fixture.ask(away()).await, told("1", HIT));
    tokio::task::yield_now().await;
    assert_eq!(fixture.loads(), 2);
    // The database is known to be away: it is left alone until the answer's time is over.
    assert_eq!(fixture.ask(None).await, told("1", HIT));
    tokio::task::yield_now().await;
    assert_eq!(fixture.loads(), 2);
    fixture.clock.advance(TTL - LAST_MOMENT);
    assert_eq!(fixture.ask(None).await, told("3", MISSED));
}

#[tokio::test]
async fn a_change_that_is_found_during_a_renewal_outdates_both_answers() {
    let fixture = Fixture::renewing(RENEW_BEFORE);
    fixture.ask_often(2).await;
    fixture.clock.advance(LAST_MOMENT);
    let (load, gate) = (fixture.load(None), Arc::new(Notify::new()));
    let opened = Arc::clone(&gate);
    let slow = async move {
        let number = load.await;
        opened.notified().await;
        number
    };
    let kept = fixture.cache.get(key("/"), About::Records, false, || slow).await;
    assert_eq!(tell(kept), told("1", HIT));
    tokio::task::yield_now().await;
    assert_eq!(fixture.loads(), 2, "the renewal has read what there was");

    fixture.cache.shared.changes.found(&Look {
        horizon: 2,
        end: 2,
        changed: Changed::Records { incidents: vec![7] },
    });
    let (after, ()) = tokio::join!(fixture.ask(None), async { gate.notify_one() });
    assert_eq!(after, told("3", MISSED));
}

#[tokio::test]
async fn the_lifetime_counts_from_the_beginning_of_the_load() {
    let fixture = Fixture::new();
    let (clock, load) = (fixture.clock.clone(), fixture.load(None));
    let slow = async move {
        clock.advance(TTL - Duration::from_secs(1));
        load.await
    };
    let served = fixture
        .cache
        .get(key("/"), About::Records, false, || slow)
        .await
        .unwrap();
    assert_eq!(served.entry.age(fixture.clock.now()), 9);
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.ask(None).await, told("2", MISSED));
}

#[tokio::test]
async fn a_stale_answer_is_told_only_while_the_database_is_away() {
    let fixture = Fixture::new();
    assert_eq!(fixture.ask(away()).await, failed("service-unavailable"));
    assert_eq!(fixture.ask(None).await, told("2", MISSED));
    fixture.clock.advance(TTL);
    assert_eq!(fixture.ask(away()).await, told("2", How::Stale));
    let bug = Some(Problem::internal("bug"));
    assert_eq!(fixture.ask(bug).await, failed("internal-error"));
    let refused = fixture
        .cache
        .get(key("/"), About::Records, true, || fixture.load(away()))
        .await;
    assert_eq!(tell(refused), failed("service-unavailable"));
    assert_eq!(fixture.ask(None).await, told("6", MISSED));
    fixture.clock.advance(TTL + STALE_FOR);
    assert_eq!(fixture.ask(away()).await, failed("service-unavailable"));
}

#[tokio::test]
async fn nobody_waits_for_a_database_that_is_known_to_be_away_and_hangs() {
    let fixture = Fixture::new();
    assert_eq!(fixture.ask(None).await, told("1", MISSED));
    fixture.clock.advance(TTL);
    assert_eq!(fixture.ask(away()).await, told("1", How::Stale));
    let hangs = std::future::pending::<Result<usize, Problem>>();
    let asked = timeout(
        Duration::from_secs(5),
        fixture.cache.get(key("/"), About::Records, false, || hangs),
    );
    assert_eq!(tell(asked.await.unwrap()), told("1", How::Stale));
}

#[tokio::test]
async fn absence_is_kept_for_its_own_time_and_never_stale() {
    let fixture = Fixture::new();
    let absent = || Some(Problem::not_found("There is no incident 7."));
    let text = "There is no incident 7.";
    assert_eq!(fixture.ask(absent()).await, told(text, MISSED));
    fixture.clock.advance(NEGATIVE_TTL * 9 / 10);
    assert_eq!(fixture.ask(None).await, told(text, HIT));
    fixture.clock.advance(NEGATIVE_TTL / 10);
    assert_eq!(fixture.ask(away()).await, failed("service-unavailable"));
    assert_eq!(fixture.ask(None).await, told("3", MISSED));
}

#[tokio::test]
async fn a_client_that_wants_no_kept_answer_renews_it_for_all() {
    let fixture = Fixture::new();
    assert_eq!(fixture.ask(None).await, told("1", MISSED));
    let renewed = fixture
        .cache
        .get(key("/"), About::Records, true, || fixture.load(None))
        .await;
    assert_eq!(tell(renewed), told("2", How::Bypassed));
    assert_eq!(fixture.ask(None).await, told("2", HIT));
}

#[tokio::test]
async fn a_cache_that_is_off_keeps_nothing() {
    let clock = Clock::manual("2026-03-10T12:00:00Z".parse().unwrap());
    let off = ReadCache::local(&CacheConfig::off(), Scope::of_tests(), clock, Jitter::seeded(1));
    for number in 1..=3 {
        let load = async move { Ok(number) };
        let served = off.get(key("/"), About::Records, false, || load).await;
        assert_eq!(tell(served), told(&number.to_string(), MISSED));
    }
}

#[tokio::test]
async fn an_address_that_leads_to_no_redis_is_refused_without_its_password() {
    let clock = Clock::manual("2026-03-10T12:00:00Z".parse().unwrap());
    for url in [
        "rediss://:hunter2@host:6379/",
        "redis://:hunter2@host:port/",
        "http://:hunter2@host/",
        "hunter2",
    ] {
        let config = CacheConfig {
            redis_url: service_kit::config::Secret::new(url),
            ..CacheConfig::off()
        };
        let refused = ReadCache::build(&config, Scope::of_tests(), clock.clone(), Jitter::seeded(1));
        let error = refused.unwrap_err().to_string();
        assert!(
            error.starts_with("`cache.redis_url` is no address") && !error.contains("hunter2"),
            "{error}"
        );
    }
}
