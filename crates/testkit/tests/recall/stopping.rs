//! Context API asked to stop: it says so at once, answers what it was asked before, and ends.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use context_api::{Config, ContextApi};
use serde_json::json;
use service_kit::metrics::BuildInfo;
use service_kit::server::Ended;
use service_kit::shutdown::Shutdown;
use service_kit::telemetry::TraceMetrics;
use service_kit::{Clock, Host};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testkit::request::Answer;
use testkit::wire::Wire;
use testkit::{Database, records};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::both::Both;

struct Running {
    api: SocketAddr,
    metrics: SocketAddr,
    shutdown: Shutdown,
    ended: JoinHandle<Ended>,
}

async fn serve(both: &Both) -> Running {
    let variable = |key: &str, value: String| {
        (
            OsString::from(format!("CONTEXT_API__{key}")),
            OsString::from(value),
        )
    };
    let config = Config::load(
        None,
        [
            variable("SERVER__API_ADDRESS", "127.0.0.1:0".to_owned()),
            variable("SERVER__METRICS_ADDRESS", "127.0.0.1:0".to_owned()),
            variable("SERVER__READINESS_DELAY", "500ms".to_owned()),
            variable("DATABASE__URL", both.database.reader_url()),
            variable("DATABASE__SCHEMA", both.database.schema().data().to_owned()),
        ],
    )
    .expect("a configuration");
    let shutdown = Shutdown::new();
    let host = Host {
        clock: Clock::system(),
        build: BuildInfo {
            version: "0".to_owned(),
            revision: "test".to_owned(),
        },
        traces: TraceMetrics::default(),
        shutdown: shutdown.clone(),
    };
    let service = ContextApi::bind(config, Database::embedder(), host)
        .await
        .expect("a service");
    let (api, metrics) = (service.api_address(), service.metrics_address());
    let ended = tokio::spawn(service.serve());
    let began = Instant::now();
    while get(metrics, "/readyz").await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "not ready");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Running {
        api,
        metrics,
        shutdown,
        ended,
    }
}

async fn get(address: SocketAddr, path: &str) -> Answer {
    Wire::new(address).get(path).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_under_way_is_answered_however_often_it_is_asked_to_stop() {
    let both = Both::new().await;
    both.incident(&records::remediation("rr-1")).await;
    let running = serve(&both).await;
    assert_eq!(get(running.metrics, "/readyz").await.status, 200);

    // The database answers no question about incidents until the lock is gone.
    let mut owner = PgConnection::connect(&both.database.url())
        .await
        .expect("a connection");
    let table = format!("{}.resource_action_traces", both.database.schema().data());
    let mut lock = owner.begin().await.expect("a transaction");
    sqlx::raw_sql(AssertSqlSafe(format!(
        "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"
    )))
    .execute(&mut *lock)
    .await
    .expect("a lock");
    let api = running.api;
    let under_way = tokio::spawn(async move { get(api, "/api/v1/incidents").await });
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = to_regclass($1)";
    while sqlx::query_scalar::<_, i64>(waiting)
        .bind(&table)
        .fetch_one(both.store.pool())
        .await
        .expect("a count")
        == 0
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let stopped = Instant::now();
    for _ in 0..3 {
        let shutdown = running.shutdown.clone();
        tokio::spawn(async move { shutdown.begin() });
    }
    // Probes of the last second share an answer, but not this one.
    let readiness = loop {
        let answer = get(running.metrics, "/readyz").await;
        if answer.status == 503 {
            break answer;
        }
        assert!(stopped.elapsed() < Duration::from_millis(400), "still ready");
    };
    assert_eq!(readiness.body, json!({"status": "shutting down", "checks": {}}));
    assert_eq!(get(running.metrics, "/healthz").await.status, 200);
    // Until those who route requests have noticed, it answers new ones too.
    assert_eq!(get(running.api, "/openapi.json").await.status, 200);
    while TcpStream::connect(running.api).await.is_ok() {
        assert!(stopped.elapsed() < Duration::from_secs(10), "it still listens");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(stopped.elapsed() >= Duration::from_millis(500));
    assert!(!under_way.is_finished() && !running.ended.is_finished());

    lock.rollback().await.expect("the end of the lock");
    let answer = under_way.await.expect("an answer");
    assert_eq!((answer.status.as_u16(), &answer.body["total"]), (200, &json!(1)));
    let ended = tokio::time::timeout(Duration::from_secs(5), running.ended).await;
    assert_eq!(ended.expect("an end in time").expect("an end"), Ended::Drained);
    assert!(TcpStream::connect(running.metrics).await.is_err());
}
