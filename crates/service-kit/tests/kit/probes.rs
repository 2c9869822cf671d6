//! Probes over real sockets, from the moment the ports are taken.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use serde_json::{Value, json};
use service_kit::{
    auth::Authenticator,
    health::{CheckFailure, Health},
    server::{Ended, Server, ServerConfig},
    shutdown::Shutdown,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Status, head and body of the answer to a GET on a connection of its own.
async fn fetch(address: SocketAddr, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

async fn report(address: SocketAddr, path: &str) -> (u16, Value) {
    let (status, _, body) = fetch(address, path).await;
    (status, serde_json::from_str(&body).unwrap())
}

fn without_checks(status: &str) -> Value {
    json!({"status": status, "checks": {}})
}

fn api(health: &Health) -> Router {
    Router::new()
        .route("/api/thing", get(|| async { "thing" }))
        .merge(health.router())
}

#[tokio::test]
async fn probes_are_served_from_the_moment_the_ports_are_taken() {
    let mut config = ServerConfig::ephemeral();
    // Long enough to look at what a probe says meanwhile; the test does not wait for its end.
    config.readiness_delay = Duration::from_secs(600);
    let shutdown = Shutdown::new();
    let mut server = Server::bind(config, &Authenticator::disabled()).unwrap();
    let (health, starting) = Health::starting(shutdown.clone());
    server.serve_probes(&health.router());
    let ports = [server.api_address(), server.metrics_address()];

    for port in ports {
        assert_eq!(report(port, "/healthz").await, (200, json!({"status": "alive"})));
        assert_eq!(report(port, "/startupz").await, (503, without_checks("starting")));
        assert_eq!(report(port, "/readyz").await, (503, without_checks("starting")));
        let (status, head, body) = fetch(port, "/api/thing").await;
        assert_eq!(status, 503);
        assert!(head.contains("\r\nretry-after: 1"), "{head}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["type"], "https://kubernaut.ai/problems/service-unavailable");
        assert_eq!(body["detail"], "The service is starting.");
    }

    let database = Arc::new(AtomicBool::new(false));
    let there = Arc::clone(&database);
    let checks = Health::builder()
        .cache_for(Duration::ZERO)
        .required("database", move || {
            let there = there.load(Ordering::Relaxed);
            async move { there.then_some(()).ok_or_else(|| CheckFailure::new("away")) }
        });
    starting.started(checks);
    let (api, metrics) = (api(&health), health.router());
    let served = tokio::spawn(server.serve(api, metrics, shutdown.clone()));
    for port in ports {
        assert_eq!(report(port, "/startupz").await, (200, without_checks("started")));
        let away = json!({"database": {"status": "failed", "reason": "away"}});
        assert_eq!(
            report(port, "/readyz").await,
            (503, json!({"status": "not ready", "checks": away}))
        );
    }
    database.store(true, Ordering::Relaxed);
    let ready = json!({"status": "ready", "checks": {"database": {"status": "ok"}}});
    assert_eq!(report(ports[0], "/readyz").await, (200, ready));
    assert_eq!(fetch(ports[0], "/api/thing").await.2, "thing");
    assert_eq!(fetch(ports[1], "/api/thing").await.0, 404);

    // A start that is over stays over.
    database.store(false, Ordering::Relaxed);
    shutdown.begin();
    assert_eq!(
        report(ports[0], "/startupz").await,
        (200, without_checks("started"))
    );
    assert_eq!(
        report(ports[0], "/readyz").await,
        (503, without_checks("shutting down"))
    );
    assert_eq!(report(ports[0], "/healthz").await.0, 200);
    shutdown.force();
    assert_eq!(served.await.unwrap(), Ended::Forced);
}

#[tokio::test]
async fn a_shutdown_during_the_start_is_told() {
    let shutdown = Shutdown::new();
    let mut server = Server::bind(ServerConfig::ephemeral(), &Authenticator::disabled()).unwrap();
    let (health, _starting) = Health::starting(shutdown.clone());
    server.serve_probes(&health.router());
    shutdown.begin();
    let port = server.metrics_address();
    assert_eq!(
        report(port, "/readyz").await,
        (503, without_checks("shutting down"))
    );
    assert_eq!(report(port, "/startupz").await, (503, without_checks("starting")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_probe_fails_while_the_service_takes_over() {
    let shutdown = Shutdown::new();
    let mut server = Server::bind(ServerConfig::ephemeral(), &Authenticator::disabled()).unwrap();
    let (health, starting) = Health::starting(shutdown.clone());
    server.serve_probes(&health.router());
    let port = server.api_address();
    let probing = tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            let mut seen_started = 0;
            while seen_started < 50 && !shutdown.is_begun() {
                assert_eq!(fetch(port, "/healthz").await.0, 200);
                seen_started += u32::from(fetch(port, "/startupz").await.0 == 200);
            }
            seen_started
        }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    // One that is open and idle at that moment notices nothing.
    let mut idle = TcpStream::connect(port).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    let mut answer = vec![0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200");

    starting.started(Health::builder());
    let (api, metrics) = (api(&health), health.router());
    let served = tokio::spawn(server.serve(api, metrics, shutdown.clone()));
    assert_eq!(probing.await.unwrap(), 50);
    idle.write_all(b"GET /api/thing HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut rest = String::new();
    idle.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("\r\n\r\nthing"), "{rest}");
    shutdown.begin();
    assert_eq!(served.await.unwrap(), Ended::Drained);
    assert!(TcpStream::connect(port).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn an_answer_in_progress_survives_the_take_over() {
    let shutdown = Shutdown::new();
    let mut server = Server::bind(ServerConfig::ephemeral(), &Authenticator::disabled()).unwrap();
    let (health, starting) = Health::starting(shutdown.clone());
    server.serve_probes(&health.router());
    let (checking, mut checked) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, wait) = tokio::sync::watch::channel(false);
    let checks = Health::builder().timeout(Duration::from_secs(60));
    starting.started(checks.required("slow", move || {
        let (checking, mut wait) = (checking.clone(), wait.clone());
        async move {
            checking.send(()).unwrap();
            wait.wait_for(|go_on| *go_on).await.unwrap();
            Ok(())
        }
    }));
    let port = server.metrics_address();
    let probe = tokio::spawn(report(port, "/readyz"));
    checked.recv().await.unwrap();
    let served = tokio::spawn(server.serve(api(&health), health.router(), shutdown.clone()));
    // Answered by the service itself: the take-over is complete.
    while fetch(port, "/api/thing").await.0 != 404 {}
    go_on.send(true).unwrap();
    assert_eq!(probe.await.unwrap().0, 200);
    shutdown.begin();
    assert_eq!(served.await.unwrap(), Ended::Drained);
}

#[tokio::test]
async fn a_start_that_fails_closes_the_ports() {
    let mut server = Server::bind(ServerConfig::ephemeral(), &Authenticator::disabled()).unwrap();
    let (health, starting) = Health::starting(Shutdown::new());
    server.serve_probes(&health.router());
    let port = server.api_address();
    assert_eq!(fetch(port, "/healthz").await.0, 200);
    drop((server, starting));
    let mut refused = false;
    for _ in 0..500 {
        // The tasks are aborted; the runtime drops them at its next turn.
        tokio::time::sleep(Duration::from_millis(10)).await;
        refused = TcpStream::connect(port).await.is_err();
        if refused {
            break;
        }
    }
    assert!(refused, "somebody still listens");
}
