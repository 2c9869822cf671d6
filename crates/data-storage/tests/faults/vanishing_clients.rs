//! Clients that are gone before their answer: in the head, in the body, while their record waits.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::{Database, wire};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::load::{faults, record};
use crate::service::{Service, count, transactions, wait_until};

/// Clients at once.
const CLIENTS: u64 = 24;
/// For how long they come and go.
const TIME: Duration = Duration::from_secs(2);

/// The names of the records that a client sent in part and as a whole.
#[derive(Default)]
struct Sent {
    in_part: Vec<String>,
    whole: Vec<String>,
}

/// Sends up to a random byte, or all and then waits a little, and hangs up with an RST.
async fn come_and_go(api: std::net::SocketAddr, client: u64) -> Sent {
    let mut rng = StdRng::seed_from_u64(client);
    let mut sent = Sent::default();
    let began = Instant::now();
    while began.elapsed() < TIME {
        let name = format!("rr-{client}-{}", sent.in_part.len() + sent.whole.len());
        let request = wire::post("/api/v1/audit/remediation", &record(&name).to_string());
        let whole = rng.random_bool(0.5);
        let length = if whole {
            request.len()
        } else {
            rng.random_range(1..request.len())
        };
        let mut stream = TcpStream::connect(api).await.unwrap();
        stream.write_all(&request.as_bytes()[..length]).await.unwrap();
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..=60_000))).await;
        stream.set_zero_linger().unwrap();
        drop(stream);
        if whole { &mut sent.whole } else { &mut sent.in_part }.push(name);
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_up_leave_nothing_half_done() {
    let database = Database::new("faults").await;
    let service = Service::on(&database, |_| {}).await;
    let clients: JoinSet<_> = (0..CLIENTS)
        .map(|client| come_and_go(service.api, client))
        .collect();
    let sent = clients.join_all().await;
    wait_until("an idle service", async || {
        service.metric("http_requests_in_flight", "").await == 0.0
            && service.metric("queue_depth", "").await == 0.0
    })
    .await;
    let cancelled = service.metric("http_requests_total", "status=\"499\"").await;
    assert!(cancelled > 20.0, "only {cancelled} requests were under way");

    let store = database.store().await;
    wait_until("the last transaction", async || transactions(&store).await == 0).await;
    // A record under way when its client left is stored a moment later.
    let written = service.metric("writes_total", "result=\"created\"").await;
    let stored: HashSet<String> = sqlx::query_scalar("SELECT name FROM audit_events")
        .fetch_all(store.pool())
        .await
        .unwrap()
        .into_iter()
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let counted = stored.len() as f64;
    assert_eq!(counted, written, "what was written is what the service counted");
    let in_part: Vec<_> = sent.iter().flat_map(|sent| &sent.in_part).collect();
    let whole: Vec<_> = sent.iter().flat_map(|sent| &sent.whole).collect();
    assert!(in_part.len() > 100 && whole.len() > 100);
    assert!(in_part.iter().all(|name| !stored.contains(*name)));
    assert!(
        stored.len() > 50,
        "only {} of {} are stored",
        stored.len(),
        whole.len()
    );
    assert_eq!(faults(&store, &[].into()).await, [""; 0]);

    // Every connection of the pool still serves.
    let load = crate::load::Load::start(service.api, 32);
    wait_until("records", async || load.acknowledged() >= 200).await;
    let seen = load.finish().await;
    assert_eq!(seen.with_status(503), 0);
    assert_eq!(seen.wrong, [""; 0]);
    assert_eq!(faults(&store, &seen.acknowledged).await, [""; 0]);
    assert_eq!(
        count(&store, "incident_embeddings WHERE embedding IS NULL").await,
        0
    );
    service.stop().await;
}
