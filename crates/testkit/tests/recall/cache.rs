//! Kept answers: what a client sees of them, one load for many, and a database that goes away and comes back.

use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, IF_NONE_MATCH};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testkit::{ChaosProxy, records};
use tokio::task::JoinSet;

use crate::both::Both;
use crate::cached::{Replica, STALE_FOR, TTL, header, how};

const LIST: &str = "/api/v1/incidents?alertName=KubePodCrashLooping";

#[tokio::test]
async fn an_answer_is_told_again_with_its_age_until_its_time_is_over() {
    let both = Both::new().await;
    let id = both.incident(&records::remediation("rr-1")).await;
    let replica = Replica::new(&both, "").await;
    let path = format!("/api/v1/incidents/{id}");
    let first = replica.get(&path).await;
    assert_eq!(first.status, 200);
    assert_eq!(header(&first, "cache-status"), "context-api; fwd=miss; stored");
    assert_eq!(header(&first, "age"), "0");
    assert_eq!(header(&first, "cache-control"), "private, no-cache");
    assert_eq!(header(&first, "content-type"), "application/json");
    assert_eq!(first.body, both.get(&path).await.body);

    both.clock.advance(TTL * 9 / 10);
    let again = replica.get(&path).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(how(&again), "hit; detail=memory");
    assert_eq!(header(&again, "age"), "9");

    both.clock.advance(TTL / 10);
    assert_eq!(replica.how(&path).await, "fwd=miss; stored");
    assert_eq!(replica.metric("loads_total{result=\"found\"}"), 2);
    assert_eq!(replica.metric("lookups_total{tier=\"memory\",result=\"hit\"}"), 1);
    assert_eq!(
        replica.metric("lookups_total{tier=\"memory\",result=\"miss\"}"),
        2
    );
}

#[tokio::test]
async fn a_client_that_has_the_answer_is_told_so_and_one_that_wants_it_new_gets_it() {
    let both = Both::new().await;
    let replica = Replica::new(&both, "").await;
    let first = replica.get("/api/v1/incidents").await;
    let etag = header(&first, "etag");
    let same = replica.get_with("/api/v1/incidents", IF_NONE_MATCH, &etag).await;
    assert_eq!((same.status.as_u16(), &same.body), (304, &json!(null)));
    assert_eq!(
        (header(&same, "etag"), how(&same)),
        (etag.clone(), "hit; detail=memory".into())
    );

    both.incident(&records::remediation("rr-1")).await;
    let kept = replica.get("/api/v1/incidents").await;
    assert_eq!(
        (&kept.body["total"], header(&kept, "etag")),
        (&json!(0), etag.clone())
    );
    let new = replica
        .get_with("/api/v1/incidents", CACHE_CONTROL, "no-cache")
        .await;
    assert_eq!(
        (&new.body["total"], how(&new).as_str()),
        (&json!(1), "fwd=request; stored")
    );
    assert_ne!(header(&new, "etag"), etag);
    let kept = replica.get_with("/api/v1/incidents", IF_NONE_MATCH, &etag).await;
    assert_eq!((kept.status.as_u16(), &kept.body["total"]), (200, &json!(1)));
}

#[tokio::test]
async fn absence_is_kept_for_a_moment_and_refusals_are_not() {
    let both = Both::new().await;
    let replica = Replica::new(&both, "").await;
    let absent = replica.get("/api/v1/incidents/7").await;
    assert_eq!(
        (absent.status.as_u16(), how(&absent).as_str()),
        (404, "fwd=miss; stored")
    );
    let again = replica.get("/api/v1/incidents/7").await;
    assert_eq!(
        (again.status.as_u16(), how(&again).as_str()),
        (404, "hit; detail=memory")
    );
    assert_eq!(again.body["detail"], "There is no incident 7.");
    assert_eq!(again.body["instance"], "/api/v1/incidents/7");
    both.clock.advance(Duration::from_secs(1));
    assert_eq!(replica.how("/api/v1/incidents/7").await, "fwd=miss; stored");
    let refused = replica.get("/api/v1/incidents?limit=0").await;
    assert_eq!((refused.status.as_u16(), how(&refused).as_str()), (400, ""));
    assert_eq!(replica.metric("loads_total{result=\"absent\"}"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_misses_of_one_key_are_one_query_in_each_replica() {
    let both = Both::new().await;
    both.incident(&records::remediation("rr-1")).await;
    let replicas = [Replica::new(&both, "").await, Replica::new(&both, "").await];

    // Whoever reads now waits, and can be counted.
    let mut owner = PgConnection::connect(&both.database.url())
        .await
        .expect("a connection");
    let schema = both.database.schema().data().to_owned();
    let mut lock = owner.begin().await.expect("a transaction");
    let statement = format!("LOCK TABLE {schema}.resource_action_traces IN ACCESS EXCLUSIVE MODE");
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut *lock)
        .await
        .expect("a lock");
    let mut callers = JoinSet::new();
    for replica in &replicas {
        for _ in 0..1_000 {
            let router = replica.router.clone();
            callers.spawn(async move { testkit::request::get(&router, LIST).await });
        }
    }
    for replica in &replicas {
        replica
            .until("lookups_total{tier=\"memory\",result=\"miss\"}", 1_000)
            .await;
    }
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = to_regclass($1)";
    let mut observer = PgConnection::connect(&both.database.url())
        .await
        .expect("a connection");
    let mut queries = 0;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        queries = sqlx::query_scalar::<_, i64>(waiting)
            .bind(format!("{schema}.resource_action_traces"))
            .fetch_one(&mut observer)
            .await
            .expect("a count");
    }
    assert_eq!(queries, 2);
    lock.rollback().await.expect("the end of the lock");
    let answers = callers.join_all().await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 200 && answer.body["total"] == 1)
    );
    let loaded = answers
        .iter()
        .filter(|answer| how(answer) == "fwd=miss; stored")
        .count();
    assert_eq!((answers.len(), loaded), (2_000, 2));
}

#[tokio::test]
async fn while_the_database_is_away_old_answers_are_told_with_their_age() {
    let both = Both::new().await;
    both.incident(&records::remediation("rr-1")).await;
    let options = both.database.reader_options();
    let proxy = ChaosProxy::in_front_of(&options.url).await;
    let options = audit_store::ConnectOptions {
        url: proxy.url(&options.url),
        acquire_timeout: Duration::from_millis(500),
        ..options
    };
    let replica = Replica::on(&both, &options, "").await;
    assert_eq!(replica.get(LIST).await.body["total"], 1);

    proxy.refuse();
    proxy.reset();
    both.clock.advance(Duration::from_secs(60));
    let stale = replica.get(LIST).await;
    assert_eq!((stale.status.as_u16(), &stale.body["total"]), (200, &json!(1)));
    assert_eq!(
        (how(&stale).as_str(), header(&stale, "age").as_str()),
        ("hit; detail=stale", "60")
    );
    assert!(
        header(&stale, "cache-status").starts_with("context-api; hit; ttl=-5"),
        "{stale:?}"
    );
    assert!(proxy.counts().reset > 0);
    assert_eq!(replica.metric("stale_served_total"), 1);

    // What was never asked for, what a client wants new, and what is too old are failures.
    let unknown = replica.get("/api/v1/incidents").await;
    assert_eq!(
        (unknown.status.as_u16(), how(&unknown).as_str()),
        (503, "fwd=miss")
    );
    let demanded = replica.get_with(LIST, CACHE_CONTROL, "no-cache").await;
    assert_eq!(
        (demanded.status.as_u16(), how(&demanded).as_str()),
        (503, "fwd=request")
    );
    both.clock.advance(STALE_FOR - Duration::from_secs(60) + TTL);
    assert_eq!(replica.get(LIST).await.status, 503);

    proxy.pass();
    both.incident(&records::remediation("rr-2")).await;
    let back = replica.get(LIST).await;
    assert_eq!(
        (&back.body["total"], header(&back, "age").as_str()),
        (&json!(2), "0")
    );
    assert_eq!(replica.how(LIST).await, "hit; detail=memory");
}
