//! More records than can be stored.

use std::collections::HashMap;

use testkit::Database;
use testkit::wire::Wire;
use tokio::task::JoinSet;

use crate::load::{faults, record};
use crate::service::{Service, count};

/// Connections of the burst.
const CONNECTIONS: usize = 50;
/// Records that each sends one after the other. [`BURST_VARIABLE`] sets another number: 500 make the burst of 25,000.
const RECORDS_EACH: usize = 40;
const BURST_VARIABLE: &str = "KUBERNAUT_TEST_BURST";

/// What became of the records of one connection, by name: the id, or the status of the refusal.
async fn burst(
    api: std::net::SocketAddr,
    connection: usize,
    records: usize,
) -> Vec<(String, Result<i64, u16>)> {
    let mut wire = Wire::new(api);
    let mut answers = Vec::with_capacity(records);
    for index in 0..records {
        let name = format!("rr-{connection}-{index}");
        let answer = wire
            .post("/api/v1/audit/remediation", &record(&name))
            .await
            .unwrap();
        let outcome = match answer.status.as_u16() {
            201 => Ok(answer.body["id"].as_i64().unwrap()),
            status => {
                assert!(matches!(status, 429 | 503), "{answer:?}");
                assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
                Err(status)
            }
        };
        answers.push((name, outcome));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_stored_or_refused_and_nothing_between() {
    let each = std::env::var(BURST_VARIABLE).map_or(RECORDS_EACH, |each| each.parse().expect("a number"));
    let database = Database::new("faults").await;
    // A queue and batches that fifty at once do not fit into.
    let service = Service::on(&database, |config| {
        config.writer.queue = 16;
        config.writer.max_batch = 16;
        config.writer.tasks = 1;
    })
    .await;
    let began = std::time::Instant::now();
    let connections: JoinSet<_> = (0..CONNECTIONS)
        .map(|connection| burst(service.api, connection, each))
        .collect();
    let answers: Vec<_> = connections.join_all().await.into_iter().flatten().collect();
    assert_eq!(answers.len(), CONNECTIONS * each, "everybody was answered");
    let acknowledged: HashMap<String, i64> = answers
        .iter()
        .filter_map(|(name, outcome)| Some((name.clone(), outcome.ok()?)))
        .collect();
    eprintln!(
        "{} of {} records stored in {:?}",
        acknowledged.len(),
        answers.len(),
        began.elapsed()
    );
    assert!(acknowledged.len() < answers.len(), "nothing was refused");
    let store = database.store().await;
    assert_eq!(faults(&store, &acknowledged).await, [""; 0]);
    // A refusal for want of room is a promise too: what was refused is not there.
    let stored = count(&store, "audit_events").await;
    assert_eq!(stored, i64::try_from(acknowledged.len()).unwrap());
    service.stop().await;
}
