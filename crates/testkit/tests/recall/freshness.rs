//! What Data Storage has acknowledged is in an answer that was kept, as soon as a look has told of it. The clock of these
//! tests stands still, so no answer's lifetime ends.

use std::time::Duration;

use devstack::Redis;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testkit::{ChaosProxy, records};

use crate::both::Both;
use crate::cached::{Replica, how};

const LIST: &str = "/api/v1/incidents";
const RECOVERY: &str = "/api/v1/context/remediation/rr-1";
const HIT: &str = "hit; detail=memory";
const LOADED: &str = "fwd=miss; stored";

fn invalidations(tier: &str, reason: &str) -> String {
    format!("invalidations_total{{tier=\"{tier}\",reason=\"{reason}\"}}")
}

async fn watching(both: &Both) -> Replica {
    Replica::watching(both, &both.database.reader_options(), "").await
}

#[tokio::test]
async fn a_record_is_in_every_answer_after_a_look_and_without_looks_in_none() {
    let both = Both::new().await;
    let id = both.incident(&records::remediation("rr-1")).await;
    let detail = format!("/api/v1/incidents/{id}");
    let (looks, blind) = (watching(&both).await, Replica::new(&both, "").await);
    let paths = [LIST, RECOVERY, &detail, "/api/v1/aggregations/namespaces"];
    let mut before = Vec::new();
    for path in paths {
        before.push(looks.get(path).await.body);
        assert_eq!(looks.how(path).await, HIT, "{path}");
        blind.get(path).await;
    }

    // Another version of the same incident, so that every one of these answers is another.
    let mut failed = records::remediation("rr-1");
    failed["phase"] = json!("Failed");
    failed["errorMessage"] = json!("the node is gone");
    assert_eq!(both.incident(&failed).await, id);
    looks.looked().await;
    for (path, before) in paths.into_iter().zip(&before) {
        let after = looks.get(path).await;
        assert_eq!(how(&after), LOADED, "{path}");
        assert_ne!(&after.body, before, "{path}");
        assert_eq!(after.body, both.get(path).await.body, "{path}");
        assert_eq!(looks.how(path).await, HIT, "{path}");
        let unseen = blind.get(path).await;
        assert_eq!((how(&unseen).as_str(), &unseen.body), (HIT, before), "{path}");
    }
    assert_eq!(looks.metric(&invalidations("memory", "incident")), 1);
    assert_eq!(looks.metric(&invalidations("memory", "records")), 3);
}

#[tokio::test]
async fn an_incident_that_nothing_was_recorded_of_is_told_from_memory() {
    let both = Both::new().await;
    let one = both.incident(&records::remediation("rr-1")).await;
    let other = both.incident(&records::remediation("rr-2")).await;
    let looks = watching(&both).await;
    let [one, other] = [one, other].map(|id| format!("/api/v1/incidents/{id}"));
    for record in [
        ("aianalysis", records::analysis("a", "rr-1")),
        ("workflow", records::workflow("w", "rr-1")),
        ("execution", records::execution("x", "w")),
    ] {
        looks.get(&one).await;
        looks.get(&other).await;
        both.record(record.0, &record.1).await;
        looks.looked().await;
        assert_eq!(looks.how(&one).await, LOADED, "{}", record.0);
        assert_eq!(looks.how(&other).await, HIT, "{}", record.0);
    }
    let answer = looks.get(&one).await.body;
    for part in ["analyses", "workflows", "executions"] {
        assert_eq!(answer[part].as_array().map(Vec::len), Some(1), "{part}");
    }
}

#[tokio::test]
async fn absence_ends_with_the_record() {
    let both = Both::new().await;
    let next = both.incident(&records::remediation("rr-1")).await + 1;
    let path = format!("/api/v1/incidents/{next}");
    let looks = watching(&both).await;
    assert_eq!(looks.get(&path).await.status, 404);
    assert_eq!(looks.how(&path).await, HIT);
    assert_eq!(both.incident(&records::remediation("rr-2")).await, next);
    looks.looked().await;
    assert_eq!(looks.get(&path).await.status, 200);
}

#[tokio::test]
async fn a_load_that_began_before_a_change_is_not_told_to_who_asks_after_it() {
    let both = Both::new().await;
    both.incident(&records::remediation("rr-1")).await;
    let looks = watching(&both).await;
    let schema = both.database.schema().data().to_owned();
    let mut owner = PgConnection::connect(&both.database.url())
        .await
        .expect("a connection");
    // The first load has its snapshot, then waits; the count of a list waits for nothing before it.
    let mut lock = owner.begin().await.expect("a transaction");
    let statement = format!("LOCK TABLE {schema}.resource_references IN ACCESS EXCLUSIVE MODE");
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut *lock)
        .await
        .expect("a lock");
    let router = looks.router.clone();
    let slow = tokio::spawn(async move { testkit::request::get(&router, LIST).await });
    waits_for(&both, &format!("{schema}.resource_references")).await;
    // Straight into the ledger, since a whole record would wait as well.
    sqlx::raw_sql(AssertSqlSafe(format!(
        "INSERT INTO {schema}.audit_events (record_kind, namespace, name, event_time, phase, correlation_id, actor,
                                            payload, payload_sha256, redaction_policy, received_at)
         VALUES ('workflow', 'n', 'w', now(), 'Pending', 'c', 'w', '{{}}', sha256(''), 0, now())"
    )))
    .execute(both.store.pool())
    .await
    .expect("a row");
    looks.looked().await;
    let router = looks.router.clone();
    let asks = tokio::spawn(async move { testkit::request::get(&router, LIST).await });
    looks
        .until("lookups_total{tier=\"memory\",result=\"miss\"}", 2)
        .await;
    // It has joined the load under way, or will find it.
    tokio::time::sleep(Duration::from_millis(50)).await;
    lock.rollback().await.expect("the end of the lock");
    assert_eq!(how(&slow.await.expect("an answer")), LOADED);
    assert_eq!(asks.await.expect("an answer").status, 200);
    assert_eq!(looks.metric("loads_total{result=\"found\"}"), 2);
}

async fn waits_for(both: &Both, relation: &str) {
    let mut observer = PgConnection::connect(&both.database.url())
        .await
        .expect("a connection");
    for _ in 0..500 {
        let waiting = sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = to_regclass($1)",
        )
        .bind(relation)
        .fetch_one(&mut observer)
        .await
        .expect("a count");
        if waiting > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody waits for {relation}");
}

#[tokio::test]
async fn an_older_transaction_that_commits_after_a_newer_one_is_told() {
    let both = Both::new().await;
    let looks = watching(&both).await;
    let schema = both.database.schema().data().to_owned();
    let mut owner = PgConnection::connect(&both.database.url())
        .await
        .expect("a connection");
    let mut older = owner.begin().await.expect("a transaction");
    sqlx::raw_sql(AssertSqlSafe(format!(
        "INSERT INTO {schema}.audit_events (record_kind, namespace, name, event_time, phase, correlation_id, actor,
                                            payload, payload_sha256, redaction_policy, received_at)
         VALUES ('workflow', 'n', 'w', now(), 'Pending', 'c', 'w', '{{}}', sha256(''), 0, now())"
    )))
    .execute(&mut *older)
    .await
    .expect("a row");
    both.incident(&records::remediation("rr-1")).await;
    looks.looked().await;
    assert_eq!(looks.get(LIST).await.body["total"], 1);
    looks.looked().await;
    assert_eq!(looks.how(LIST).await, HIT);
    older.commit().await.expect("a commit");
    looks.looked().await;
    assert_eq!(looks.how(LIST).await, LOADED);
}

#[tokio::test]
async fn whoever_looks_survives_a_lost_connection_and_tells_nothing_old_after_it() {
    let both = Both::new().await;
    both.incident(&records::remediation("rr-1")).await;
    let options = both.database.reader_options();
    let proxy = ChaosProxy::in_front_of(&options.url).await;
    let options = audit_store::ConnectOptions {
        url: proxy.url(&options.url),
        acquire_timeout: Duration::from_millis(500),
        ..options
    };
    let looks = Replica::watching(&both, &options, "").await;
    assert_eq!(looks.get(LIST).await.body["total"], 1);

    proxy.refuse();
    proxy.reset();
    let failures = "look_failures_total";
    while looks.metric(failures) < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    both.incident(&records::remediation("rr-2")).await;
    // Nobody can know; the lifetime is the bound.
    let kept = looks.get(LIST).await;
    assert_eq!((how(&kept).as_str(), &kept.body["total"]), (HIT, &json!(1)));
    let age = looks.look_age();
    assert!(age > 0.02, "{age}");

    proxy.pass();
    looks.looked().await;
    let back = looks.get(LIST).await;
    assert_eq!((how(&back).as_str(), &back.body["total"]), (LOADED, &json!(2)));
    assert_eq!(looks.metric(&invalidations("memory", "anything")), 1);
    both.incident(&records::remediation("rr-3")).await;
    looks.looked().await;
    assert_eq!(looks.get(LIST).await.body["total"], 3);
}

#[tokio::test]
async fn an_answer_that_a_change_outdated_is_still_told_while_the_database_is_away() {
    let both = Both::new().await;
    both.incident(&records::remediation("rr-1")).await;
    let options = both.database.reader_options();
    let proxy = ChaosProxy::in_front_of(&options.url).await;
    let options = audit_store::ConnectOptions {
        url: proxy.url(&options.url),
        acquire_timeout: Duration::from_millis(500),
        ..options
    };
    let looks = Replica::watching(&both, &options, "").await;
    looks.get(LIST).await;
    both.incident(&records::remediation("rr-2")).await;
    looks.looked().await;
    proxy.refuse();
    proxy.reset();
    let stale = looks.get(LIST).await;
    assert_eq!(
        (how(&stale).as_str(), &stale.body["total"]),
        ("hit; detail=stale", &json!(1))
    );
}

#[tokio::test]
async fn another_replica_brings_no_old_answer_back_through_redis() {
    let both = Both::new().await;
    let redis = tokio::task::spawn_blocking(|| Redis::start().expect("a Redis"))
        .await
        .expect("a Redis");
    let options = both.database.reader_options();
    let replica = async || {
        let replica = Replica::watching(&both, &options, &redis.url()).await;
        replica.until("redis_connected", 1).await;
        replica
    };
    let (one, two) = (replica().await, replica().await);
    // What `one` loads serves `two`, as soon as `one` has looked later than all that `two` knows of: a transaction of
    // somebody else's may hold that up.
    let mut shared = None;
    for limit in 1..=100 {
        let path = format!("{LIST}?limit={limit}");
        let written = one.metric("redis_written_total");
        one.get(&path).await;
        one.until("redis_written_total", written + 1).await;
        if two.how(&path).await == "hit; detail=redis" {
            shared = Some(path);
            break;
        }
        one.looked().await;
    }
    let path = shared.expect("a shared answer");

    both.incident(&records::remediation("rr-1")).await;
    two.looked().await;
    // Redis has the old answer, with minutes to live.
    let answer = two.get(&path).await;
    assert_eq!(
        (how(&answer).as_str(), &answer.body["total"]),
        (LOADED, &json!(1))
    );
    assert!(two.metric(&invalidations("redis", "records")) >= 1);
    let three = replica().await;
    let answer = three.get(&path).await;
    assert_eq!(answer.body["total"], 1);
    one.looked().await;
    assert_eq!(one.get(&path).await.body["total"], 1);
}
