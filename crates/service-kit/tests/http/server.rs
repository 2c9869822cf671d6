//! Servers on real sockets.

use std::{net::SocketAddr, time::Duration};

use futures::future::join_all;
use serde_json::json;
use service_kit::{
    auth::Authenticator,
    server::{ListenError, Server, ServerConfig},
};
use tokio::{net::TcpListener, time::Instant};

use crate::wire::{Client, serve};

const SOON: Duration = Duration::from_secs(2);

#[tokio::test]
async fn both_listeners_answer_and_connections_are_kept() {
    let running = serve(|_| {}).await;
    let mut client = Client::connect(running.api).await;
    for _ in 0..3 {
        let reply = client.get("/things/7").await;
        assert_eq!((reply.status(), reply.body.as_str()), (200, "seven"));
    }
    assert_eq!(
        client.get("/readyz").await.json(),
        json!({"status": "ready", "checks": {}})
    );
    let mut client = Client::connect(running.metrics).await;
    assert_eq!(client.get("/healthz").await.json(), json!({"status": "alive"}));
    let scrape = client.get("/metrics").await;
    assert_eq!(
        scrape.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let counted = r#"kit_http_requests_total{method="GET",route="/things/{id}",status="200",problem=""} 3"#;
    assert!(scrape.body.contains(counted), "{}", scrape.body);
    assert!(scrape.body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn an_api_that_other_machines_could_reach_is_refused() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080", "[::ffff:192.0.2.1]:8080"] {
        let config = ServerConfig {
            api_address: address.parse().unwrap(),
            ..ServerConfig::ephemeral()
        };
        assert!(
            matches!(
                Server::bind(config, &Authenticator::disabled()),
                Err(ListenError::NotLoopback { .. })
            ),
            "{address}"
        );
    }
    let address: SocketAddr = "0.0.0.0:8080".parse().unwrap();
    assert_eq!(
        ListenError::NotLoopback { address }.to_string(),
        "refusing to serve the API on 0.0.0.0:8080: other machines could reach it, and callers are not authenticated; \
         set `server.api_address` to a loopback address such as 127.0.0.1:8080, or `auth.mode` to \"kubernetes\""
    );
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_option_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let config = ServerConfig {
        api_address: address,
        ..ServerConfig::ephemeral()
    };
    assert_eq!(
        Server::bind(config, &Authenticator::disabled())
            .unwrap_err()
            .to_string(),
        format!(
            "cannot listen for the API on {address}: Address already in use (os error 98); `server.api_address` changes the address"
        )
    );
    let config = ServerConfig {
        metrics_address: address,
        ..ServerConfig::ephemeral()
    };
    assert_eq!(
        Server::bind(config, &Authenticator::disabled())
            .unwrap_err()
            .to_string(),
        format!(
            "cannot listen for the metrics on {address}: Address already in use (os error 98); `server.metrics_address` changes the address"
        )
    );
}

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let running = serve(|config| config.header_read_timeout = Duration::from_millis(200)).await;
    let mut client = Client::connect(running.api).await;
    let started = Instant::now();
    for piece in [
        "GET /things/7 HTTP/1.1\r\n",
        "host: kit\r\n",
        "x-a: 1\r\n",
        "x-b: 2\r\n",
        "x-c: 3\r\n",
    ] {
        client.try_send(piece).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert!(client.is_closed_within(SOON).await);
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_slow_body_is_408() {
    let running = serve(|_| {}).await;
    let mut client = Client::connect(running.api).await;
    client
        .send("POST /bytes HTTP/1.1\r\nhost: kit\r\ncontent-length: 50\r\n\r\nabc")
        .await;
    let reply = client.reply().await;
    assert_eq!(reply.status(), 408);
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(
        reply.json()["type"],
        "https://kubernaut.ai/problems/request-timeout"
    );
    assert!(client.is_closed_within(SOON).await);
}

#[tokio::test]
async fn an_oversize_body_is_413_however_it_is_framed() {
    let running = serve(|_| {}).await;
    let declared = format!("content-length: 65\r\n\r\n{}", "x".repeat(65));
    let chunked = format!(
        "transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        format!("28\r\n{}\r\n", "x".repeat(40)).repeat(3)
    );
    // This is more than the sockets buffer: if it were not read, a reset would break the sending.
    let large = format!("content-length: 4000000\r\n\r\n{}", "x".repeat(4_000_000));
    let waiting = "content-length: 65\r\nexpect: 100-continue\r\n\r\n".to_owned();
    for rest in [declared, chunked, large, waiting] {
        let mut client = Client::connect(running.api).await;
        client
            .send(&format!(
                "POST /bytes HTTP/1.1\r\nhost: kit\r\nx-request-id: r1\r\n{rest}"
            ))
            .await;
        let reply = client.reply().await;
        assert_eq!(
            (reply.status(), reply.json()),
            (
                413,
                json!({
                    "type": "https://kubernaut.ai/problems/payload-too-large",
                    "title": "The request body is too large",
                    "status": 413,
                    "detail": "The body may have at most 64 bytes.",
                    "instance": "/bytes",
                    "requestId": "r1",
                })
            )
        );
        assert!(client.is_closed_within(SOON).await);
    }
}

#[tokio::test]
async fn an_oversize_head_is_431() {
    let running = serve(|_| {}).await;
    let mut client = Client::connect(running.api).await;
    client
        .send(&format!(
            "GET / HTTP/1.1\r\nhost: kit\r\nx-a: {}\r\n\r\n",
            "a".repeat(65 * 1024)
        ))
        .await;
    assert_eq!(client.reply().await.status(), 431);
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_another_to_close() {
    let running = serve(|config| config.max_connections = 1).await;
    let mut first = Client::connect(running.api).await;
    assert_eq!(first.get("/things/7").await.status(), 200);
    let mut second = Client::connect(running.api).await;
    let waiting = tokio::spawn(async move { second.get("/things/7").await.status() });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    drop(first);
    assert_eq!(tokio::time::timeout(SOON, waiting).await.unwrap().unwrap(), 200);
}

#[tokio::test]
async fn a_burst_of_connections_waits_in_the_queue_and_is_answered() {
    // More than the 128 of the standard library, and fewer than Linux's 4,096.
    const BURST: usize = 400;
    let running = serve(|config| config.max_connections = 1).await;
    let mut first = Client::connect(running.api).await;
    assert_eq!(first.get("/things/7").await.status(), 200);
    // None of these is accepted before the first closes. Where the queue is full the kernel drops their beginning.
    let connecting = join_all((0..BURST).map(|_| Client::connect(running.api)));
    let waiting = tokio::time::timeout(SOON, connecting).await.unwrap();
    drop(first);
    let answers = waiting
        .into_iter()
        .map(async |mut client| client.get("/things/7").await.status());
    let answers = tokio::time::timeout(5 * SOON, join_all(answers)).await.unwrap();
    assert_eq!(answers, [200; BURST]);
}
