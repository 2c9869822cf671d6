//! Two replicas on one database, replaced one after the other under load: nobody notices.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use nix::sys::signal::Signal;
use serde_json::json;
use service_kit::Clock;
use testkit::wire::Wire;
use testkit::{Database, records};
use tokio::task::JoinSet;

use crate::model::minilm;
use crate::process::faults;
use crate::process::storage;
use campaign::load::Promise;
use campaign::process::wait_until;

/// How often each of the two is replaced.
const ROUNDS: usize = 2;
/// Clients of both.
const CLIENTS: usize = 8;
/// Records that the other one must take while one is away, and both afterwards.
const RECORDS: usize = 24;
/// How often it is asked who is ready.
const PROBE: Duration = Duration::from_millis(50);
/// For how long a replica that was told to stop still takes requests; many probes, on a machine however busy.
const READINESS_DELAY: &str = "1500ms";

/// Who gets requests, as a load balancer knows it.
#[derive(Default)]
struct Balancer {
    ready: Mutex<Vec<SocketAddr>>,
    turn: AtomicUsize,
    stop: AtomicBool,
    acknowledged: Mutex<Vec<Promise>>,
    answered_by: Mutex<HashMap<SocketAddr, usize>>,
    /// Requests that got no answer, or another than 201.
    cut: Mutex<Vec<String>>,
}

impl Balancer {
    /// Asks a replica whether it is ready, until it is gone.
    async fn watch(self: Arc<Self>, replica: SocketAddr) {
        let mut wire = Wire::new(replica);
        let mut was_ready = false;
        loop {
            let answer = wire.get("/readyz").await;
            let gone = answer.is_err();
            let is_ready = answer.is_ok_and(|answer| answer.status == 200);
            if is_ready != was_ready {
                let mut ready = self.ready.lock().unwrap();
                ready.retain(|other| *other != replica);
                if is_ready {
                    ready.push(replica);
                }
                was_ready = is_ready;
            }
            if gone || self.stop.load(Ordering::SeqCst) {
                return;
            }
            tokio::time::sleep(PROBE).await;
        }
    }

    fn next(&self) -> Option<SocketAddr> {
        let ready = self.ready.lock().unwrap();
        let turn = self.turn.fetch_add(1, Ordering::SeqCst);
        (!ready.is_empty()).then(|| ready[turn % ready.len()])
    }

    async fn record(self: Arc<Self>, client: usize, begin: DateTime<Utc>) {
        let mut wires: HashMap<SocketAddr, Wire> = HashMap::new();
        let mut made = 0;
        while !self.stop.load(Ordering::SeqCst) {
            let Some(replica) = self.next() else {
                self.cut.lock().unwrap().push("nobody was ready".to_owned());
                tokio::time::sleep(PROBE).await;
                continue;
            };
            let name = format!("remediation-{client}-{made}");
            let created_at = begin + TimeDelta::seconds(made);
            made += 1;
            let body = records::with(records::remediation(&name), json!({"createdAt": created_at}));
            let wire = wires.entry(replica).or_insert_with(|| Wire::new(replica));
            let answer = match wire.post("/api/v1/audit/remediation", &body).await {
                Ok(answer) if answer.status == 201 => answer.body,
                other => {
                    self.cut
                        .lock()
                        .unwrap()
                        .push(format!("{replica} {name}: {other:?}"));
                    continue;
                }
            };
            *self.answered_by.lock().unwrap().entry(replica).or_default() += 1;
            self.acknowledged.lock().unwrap().push(Promise {
                kind: "remediation",
                name,
                created_at,
                phase: "Pending",
                id: answer["id"].as_i64().unwrap(),
                incident: answer["incidentId"].as_i64(),
            });
        }
    }

    fn answered_by(&self, replica: SocketAddr) -> usize {
        self.answered_by
            .lock()
            .unwrap()
            .get(&replica)
            .copied()
            .unwrap_or(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_replaced_under_load_and_no_request_is_cut() {
    let database = Database::with_model("rolling", minilm()).await;
    let balancer = Arc::<Balancer>::default();
    let mut tasks = JoinSet::new();
    let start = async || {
        let settings = [("SERVER__READINESS_DELAY", READINESS_DELAY)];
        storage(&database.url(), database.schema(), &settings).await
    };
    let mut replicas = [start().await, start().await];
    for replica in &replicas {
        tasks.spawn(Arc::clone(&balancer).watch(replica.address()));
    }
    wait_until("two replicas", async || balancer.ready.lock().unwrap().len() == 2).await;
    let begin = (Clock::system().now() - TimeDelta::hours(12)).trunc_subsecs(0);
    for client in 0..CLIENTS {
        tasks.spawn(Arc::clone(&balancer).record(client, begin));
    }
    for round in 0..2 * ROUNDS {
        let (old, other) = (round % 2, replicas[(round + 1) % 2].address());
        let leaving = replicas[old].address();
        // Both are at work.
        for replica in [leaving, other] {
            wait_until("records", async || balancer.answered_by(replica) >= RECORDS).await;
        }
        replicas[old].process.signal(Signal::SIGTERM);
        let before = balancer.answered_by(other);
        let status = replicas[old].process.ended().await;
        assert_eq!(status.code(), Some(0), "{}", replicas[old].process.said());
        wait_until("records", async || {
            balancer.answered_by(other) >= before + RECORDS
        })
        .await;
        replicas[old] = start().await;
        tasks.spawn(Arc::clone(&balancer).watch(replicas[old].address()));
    }
    for replica in &replicas {
        let replica = replica.address();
        wait_until("records", async || balancer.answered_by(replica) >= RECORDS).await;
    }
    balancer.stop.store(true, Ordering::SeqCst);
    tasks.join_all().await;
    assert_eq!(*balancer.cut.lock().unwrap(), [""; 0]);
    let acknowledged = balancer.acknowledged.lock().unwrap().clone();
    eprintln!("{} replicas stopped, {} records", 2 * ROUNDS, acknowledged.len());
    assert_eq!(faults(&database, &acknowledged).await, [""; 0]);
    let store = database.store().await;
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_events")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(stored, i64::try_from(acknowledged.len()).unwrap());
}
