//! The end of a server.

use std::{io::ErrorKind, process::Command, time::Duration};

use serde_json::json;
use service_kit::{server::Ended, shutdown::Shutdown};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::wire::{Client, serve};

const SOON: Duration = Duration::from_secs(2);

#[tokio::test]
async fn readiness_goes_first_then_the_port_and_requests_in_flight_are_answered() {
    let running = serve(|config| config.readiness_delay = Duration::from_millis(300)).await;
    let mut slow = Client::connect(running.api).await;
    slow.send("GET /sleep/800 HTTP/1.1\r\nhost: kit\r\n\r\n").await;
    let mut idle = Client::connect(running.api).await;
    assert_eq!(idle.get("/readyz").await.status(), 200);
    let mut probe = Client::connect(running.metrics).await;
    sleep(Duration::from_millis(50)).await;

    running.shutdown.begin();
    // Not ready, but still serving whoever has not noticed.
    let unready = probe.get("/readyz").await;
    assert_eq!(
        (unready.status(), unready.json()),
        (503, json!({"status": "shutting down", "checks": {}}))
    );
    let mut late = Client::connect(running.api).await;
    assert_eq!(late.get("/things/7").await.status(), 200);

    sleep(Duration::from_millis(400)).await;
    let refused = TcpStream::connect(running.api).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(idle.is_closed_within(SOON).await);
    // The metrics port goes on until the end.
    assert_eq!(probe.get("/healthz").await.status(), 200);

    let reply = slow.reply().await;
    assert_eq!((reply.status(), reply.body.as_str()), (200, "slept"));
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(
        timeout(SOON, running.ended).await.unwrap().unwrap(),
        Ended::Drained
    );
    assert!(TcpStream::connect(running.metrics).await.is_err());
}

#[tokio::test]
async fn a_connection_that_never_sent_anything_holds_nothing_up() {
    let running = serve(|_| {}).await;
    let _silent = Client::connect(running.api).await;
    sleep(Duration::from_millis(50)).await;
    running.shutdown.begin();
    assert_eq!(
        timeout(SOON, running.ended).await.unwrap().unwrap(),
        Ended::Drained
    );
}

#[tokio::test]
async fn draining_ends_at_its_timeout() {
    let running = serve(|config| config.drain_timeout = Duration::from_millis(100)).await;
    let mut slow = Client::connect(running.api).await;
    slow.send("GET /sleep/1900 HTTP/1.1\r\nhost: kit\r\n\r\n").await;
    sleep(Duration::from_millis(50)).await;
    running.shutdown.begin();
    let ended = timeout(Duration::from_secs(1), running.ended)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended, Ended::TimedOut { connections: 1 });
    assert!(slow.is_closed_within(SOON).await);
}

#[tokio::test]
async fn forcing_stops_at_once_during_the_delay_and_during_the_drain() {
    for delay in [Duration::ZERO, Duration::from_secs(60)] {
        let running = serve(|config| config.readiness_delay = delay).await;
        let mut slow = Client::connect(running.api).await;
        slow.send("GET /sleep/1900 HTTP/1.1\r\nhost: kit\r\n\r\n").await;
        sleep(Duration::from_millis(50)).await;
        running.shutdown.begin();
        sleep(Duration::from_millis(50)).await;
        let started = Instant::now();
        running.shutdown.force();
        assert_eq!(
            timeout(SOON, running.ended).await.unwrap().unwrap(),
            Ended::Forced
        );
        assert!(started.elapsed() < Duration::from_millis(500));
        assert!(slow.is_closed_within(SOON).await);
    }
}

fn signal_this_process(name: &str) {
    let status = Command::new("kill")
        .args([name, &std::process::id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn the_first_signal_begins_and_the_second_forces() {
    let shutdown = Shutdown::on_signals().unwrap();
    assert!(!shutdown.is_begun());
    signal_this_process("-TERM");
    timeout(SOON, shutdown.begun()).await.unwrap();
    assert!(
        timeout(Duration::from_millis(50), shutdown.forced())
            .await
            .is_err()
    );
    signal_this_process("-INT");
    timeout(SOON, shutdown.forced()).await.unwrap();
}
