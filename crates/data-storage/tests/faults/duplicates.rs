//! One record sent many times at once, and many versions of one instance, to one replica and to two.

use futures::future::join_all;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::json;
use testkit::{Database, records};

use crate::load::{faults, record};
use crate::service::{Service, count};

/// How often the same record is sent at once.
const STORM: usize = 64;
/// Instances whose versions arrive in random order.
const INSTANCES: usize = 12;

async fn two_replicas(database: &Database) -> [Service; 2] {
    [
        Service::on(database, |_| {}).await,
        Service::on(database, |_| {}).await,
    ]
}

/// Sends one record to the services in turn, and checks that it is one.
async fn storm(database: &Database, services: &[&Service], name: &str) {
    let body = record(name);
    let posts = (0..STORM).map(|index| services[index % services.len()].post("remediation", &body));
    let answers = join_all(posts).await;
    let id = answers[0].body["id"].as_i64().unwrap();
    let mut created = 0;
    for answer in &answers {
        match (answer.status.as_u16(), answer.body["replayed"].as_bool()) {
            (201, Some(false)) => created += 1,
            (200, Some(true)) => {}
            _ => panic!("{answer:?}"),
        }
        assert_eq!(answer.body["id"], id);
        assert_eq!(answer.body["incidentId"], answers[0].body["incidentId"]);
        assert_eq!(answer.body["createdAt"], answers[0].body["createdAt"]);
    }
    assert_eq!(created, 1);
    assert_eq!(
        faults(&database.store().await, &[(name.to_owned(), id)].into()).await,
        [""; 0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_one_record_is_one_row_with_one_creator() {
    let database = Database::new("faults").await;
    let [one, other] = two_replicas(&database).await;
    storm(&database, &[&one], "one-replica").await;
    storm(&database, &[&one, &other], "two-replicas").await;
    storm(&database, &[&other, &one], "two-replicas-again").await;
    assert_eq!(count(&database.store().await, "audit_events").await, 3);
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_reach_two_replicas_in_any_order_end_in_the_right_state() {
    let database = Database::new("faults").await;
    let services = two_replicas(&database).await;
    let mut rng = StdRng::seed_from_u64(7);
    let mut posts = Vec::new();
    for instance in 0..INSTANCES {
        for (step, phase) in ["Pending", "Processing", "Processing", "Completed"]
            .into_iter()
            .enumerate()
        {
            let body = records::with(
                records::remediation(&format!("rr-{instance}")),
                json!({"phase": phase, "message": format!("{phase} at step {}", ["one", "two", "three", "four"][step])}),
            );
            posts.push(body);
        }
    }
    posts.shuffle(&mut rng);
    let sends = posts
        .iter()
        .enumerate()
        .map(|(index, body)| services[index % 2].post("remediation", body));
    let answers = join_all(sends).await;
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    let store = database.store().await;
    let states: Vec<(String, String)> =
        sqlx::query_as("SELECT phase, message FROM resource_action_traces ORDER BY remediation_name")
            .fetch_all(store.pool())
            .await
            .unwrap();
    let expected = ("Completed".to_owned(), "Completed at step four".to_owned());
    assert_eq!(states, vec![expected; INSTANCES]);
    // Not only because everything arrived in order.
    let late = "audit_events late JOIN audit_events done USING (namespace, name)
                WHERE done.phase = 'Completed' AND late.phase <> 'Completed' AND late.id > done.id";
    assert!(count(&store, late).await > 0, "no version came late");
    let [one, other] = services;
    one.stop().await;
    other.stop().await;
}
