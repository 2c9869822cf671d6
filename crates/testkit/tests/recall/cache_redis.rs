//! Answers that replicas share through a real Redis, and every way in which it fails.

use std::time::Duration;

use devstack::Redis;
use redis::AsyncTypedCommands;
use service_kit::shutdown::Shutdown;
use testkit::chaos_proxy::Direction;
use testkit::{ChaosProxy, records, request};

use crate::both::Both;
use crate::cached::{Replica, TTL, header, how};

const LIST: &str = "/api/v1/incidents?alertName=KubePodCrashLooping";
const WRITTEN: &str = "redis_written_total";
const CONNECTED: &str = "redis_connected";

async fn server() -> Redis {
    tokio::task::spawn_blocking(|| Redis::start().expect("a Redis"))
        .await
        .expect("a Redis")
}

async fn client(redis: &Redis) -> redis::aio::MultiplexedConnection {
    redis::Client::open(redis.url())
        .expect("a URL")
        .get_multiplexed_async_connection()
        .await
        .expect("a connection")
}

/// What the probe says at this moment, with 200.
async fn readiness(both: &Both, replica: &Replica) -> String {
    let model = both.database.model().clone();
    let checks = context_api::checks(&both.reader, model, &replica.cache);
    let probes = checks.build(Shutdown::new()).router();
    let answer = request::get(&probes, "/readyz").await;
    assert_eq!(answer.status, 200);
    answer.body["status"].as_str().expect("a status").to_owned()
}

fn looked(result: &str) -> String {
    format!("lookups_total{{tier=\"redis\",result=\"{result}\"}}")
}

async fn connected(both: &Both, url: &str) -> Replica {
    let replica = Replica::new(both, url).await;
    replica.until(CONNECTED, 1).await;
    replica
}

#[tokio::test]
async fn replicas_share_answers_and_the_way_through_redis_makes_none_younger() {
    let both = Both::new().await;
    both.incident(&records::remediation("rr-1")).await;
    let redis = server().await;
    let (one, two) = (
        connected(&both, &redis.url()).await,
        connected(&both, &redis.url()).await,
    );
    let first = one.get(LIST).await;
    assert_eq!(how(&first), "fwd=miss; stored");
    one.until(WRITTEN, 1).await;

    both.clock.advance(TTL * 8 / 10);
    let shared = two.get(LIST).await;
    assert_eq!(
        (how(&shared).as_str(), header(&shared, "age").as_str()),
        ("hit; detail=redis", "8")
    );
    assert_eq!(
        (&shared.body, header(&shared, "etag")),
        (&first.body, header(&first, "etag"))
    );
    assert_eq!(two.how(LIST).await, "hit; detail=memory");
    assert_eq!(two.metric("loads_total{result=\"found\"}"), 0);

    both.clock.advance(TTL * 2 / 10);
    assert_eq!(two.how(LIST).await, "fwd=miss; stored");
    assert_eq!((two.metric(&looked("hit")), two.metric(&looked("miss"))), (1, 1));
    two.until(WRITTEN, 1).await;

    let mut client = client(&redis).await;
    let names = client.keys("*").await.expect("names");
    assert_eq!(names.len(), 1);
    // Redis forgets it too: 10 s and 5 min.
    let left = client.pttl(&names[0]).await.expect("a lifetime");
    assert!(format!("{left:?}").contains("30"), "{left:?}");
    client.flushall().await.expect("an empty Redis");
    both.clock.advance(TTL);
    assert_eq!(one.how(LIST).await, "fwd=miss; stored");
}

#[tokio::test]
async fn a_value_that_is_damaged_or_older_or_anothers_is_overwritten() {
    let both = Both::new().await;
    let redis = server().await;
    let one = connected(&both, &redis.url()).await;
    one.get(LIST).await;
    one.until(WRITTEN, 1).await;
    let mut client = client(&redis).await;
    let name = client.keys("*").await.expect("names").remove(0);
    let sound: Vec<u8> = redis::cmd("GET")
        .arg(&name)
        .query_async(&mut client)
        .await
        .expect("a value");
    let (mut flipped, mut older) = (sound.clone(), sound.clone());
    flipped[40] ^= 1;
    older[4] = 0;
    let cut = sound[..sound.len() - 1].to_vec();
    for bad in [flipped, older, cut, Vec::new(), b"null".to_vec()] {
        let () = redis::cmd("SET")
            .arg(&name)
            .arg(&bad)
            .query_async(&mut client)
            .await
            .expect("a write");
        let other = connected(&both, &redis.url()).await;
        let answer = other.get(LIST).await;
        assert_eq!(
            (answer.status.as_u16(), how(&answer).as_str()),
            (200, "fwd=miss; stored")
        );
        assert_eq!(other.metric(&looked("invalid")), 1);
        other.until(WRITTEN, 1).await;
        let next = connected(&both, &redis.url()).await;
        assert_eq!(next.how(LIST).await, "hit; detail=redis");
    }
    // A name under which there is no value at all is an error of Redis, and no reason to leave it.
    let () = redis::cmd("DEL")
        .arg(&name)
        .query_async(&mut client)
        .await
        .expect("a deletion");
    let () = redis::cmd("RPUSH")
        .arg(&name)
        .arg(1)
        .query_async(&mut client)
        .await
        .expect("a list");
    let other = connected(&both, &redis.url()).await;
    assert_eq!(other.how(LIST).await, "fwd=miss; stored");
    assert_eq!(other.metric(&looked("error")), 1);
    other.until(WRITTEN, 1).await;
    assert_eq!(other.metric(CONNECTED), 1);
}

#[tokio::test]
async fn redis_may_be_away_at_the_start_come_go_and_come_back() {
    let both = Both::new().await;
    let mut redis = server().await;
    redis.stop();
    let one = Replica::new(&both, &redis.url()).await;
    assert_eq!(one.how(LIST).await, "fwd=miss; stored");
    assert_eq!(one.how(LIST).await, "hit; detail=memory");
    assert_eq!(one.metric(&looked("away")), 2, "the lookup and the write");
    assert_eq!(readiness(&both, &one).await, "degraded");

    let mut redis = tokio::task::spawn_blocking(move || redis.start_again().map(|()| redis))
        .await
        .expect("a thread")
        .expect("a Redis");
    one.until(CONNECTED, 1).await;
    assert_eq!(readiness(&both, &one).await, "ready");
    both.clock.advance(TTL);
    one.get(LIST).await;
    one.until(WRITTEN, 1).await;
    let two = connected(&both, &redis.url()).await;
    assert_eq!(two.how(LIST).await, "hit; detail=redis");

    redis.stop();
    both.clock.advance(TTL);
    let answer = two.get(LIST).await;
    assert_eq!(
        (answer.status.as_u16(), how(&answer).as_str()),
        (200, "fwd=miss; stored")
    );
    two.until(CONNECTED, 0).await;
    let redis = tokio::task::spawn_blocking(move || redis.start_again().map(|()| redis))
        .await
        .expect("a thread")
        .expect("a Redis");
    two.until(CONNECTED, 1).await;
    both.clock.advance(TTL);
    two.get(LIST).await;
    two.until(WRITTEN, 1).await;
    drop(redis);
}

#[tokio::test]
async fn a_redis_that_hangs_or_is_slow_costs_its_limit_once() {
    let both = Both::new().await;
    let redis = server().await;
    let proxy = ChaosProxy::in_front_of(&redis.url()).await;
    let one = connected(&both, &proxy.url(&redis.url())).await;
    one.get("/api/v1/incidents").await;
    one.until(WRITTEN, 1).await;

    proxy.black_hole();
    for limit in 1..=20 {
        let answer = one.get(&format!("/api/v1/incidents?limit={limit}")).await;
        assert_eq!(answer.status, 200);
    }
    assert!(proxy.counts().swallowed > 0);
    one.until(CONNECTED, 0).await;
    assert_eq!(one.metric(&looked("timeout")), 1);
    assert_eq!(
        one.metric(&looked("away")),
        39,
        "20 lookups and 20 writes, less one"
    );

    // Slower than the limit: it answers, and is not used.
    proxy.pass();
    one.until(CONNECTED, 1).await;
    proxy.delay(Direction::ToClient, Duration::from_millis(200));
    both.clock.advance(TTL);
    assert_eq!(one.get("/api/v1/incidents").await.status, 200);
    assert_eq!(one.metric(&looked("timeout")), 2);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(one.metric(CONNECTED), 0);

    proxy.pass();
    one.until(CONNECTED, 1).await;
    // Connections that a firewall forgot.
    proxy.forget_connections();
    both.clock.advance(TTL);
    assert_eq!(one.get("/api/v1/incidents").await.status, 200);
    assert_eq!(one.metric(&looked("timeout")), 3);
    one.until(CONNECTED, 1).await;
    both.clock.advance(TTL);
    let written = one.metric(WRITTEN);
    one.get("/api/v1/incidents").await;
    one.until(WRITTEN, written + 1).await;
}
