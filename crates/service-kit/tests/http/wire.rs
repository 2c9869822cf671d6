//! HTTP/1.1 by hand: what a client library would hide is what these tests are about.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use service_kit::{
    auth::Authenticator,
    health::Health,
    server::{Ended, Server, ServerConfig},
    shutdown::Shutdown,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use crate::app::App;

/// A server of the test service.
pub(crate) struct Running {
    pub(crate) api: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) ended: JoinHandle<Ended>,
}

pub(crate) async fn serve(configure: impl FnOnce(&mut ServerConfig)) -> Running {
    let app = App::new();
    let shutdown = Shutdown::new();
    let probes = Health::builder().build(shutdown.clone()).router();
    let mut config = ServerConfig::ephemeral();
    configure(&mut config);
    let server = Server::bind(config, &Authenticator::disabled()).unwrap();
    let (api, metrics) = (server.api_address(), server.metrics_address());
    let metrics_router = app.metrics_router().merge(probes.clone());
    let ended = tokio::spawn(server.serve(app.router.merge(probes), metrics_router, shutdown.clone()));
    Running {
        api,
        metrics,
        shutdown,
        ended,
    }
}

/// A response as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        self.head["HTTP/1.1 ".len()..][..3].parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends without minding that the other side may not listen any more.
    pub(crate) async fn try_send(&mut self, text: &str) {
        let _ = self.0.write_all(text.as_bytes()).await;
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: kit\r\n\r\n"))
            .await;
        self.reply().await
    }

    /// One response with `Content-Length`.
    pub(crate) async fn reply(&mut self) -> Reply {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head)
            .unwrap()
            .to_lowercase()
            .replacen("http", "HTTP", 1);
        let mut reply = Reply {
            head,
            body: String::new(),
        };
        let length = reply
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        reply.body = String::from_utf8(body).unwrap();
        reply
    }

    /// Whether the other side closes, cleanly or not, and sends nothing before.
    pub(crate) async fn is_closed_within(&mut self, time: Duration) -> bool {
        matches!(tokio::time::timeout(time, self.0.read_u8()).await, Ok(Err(_)))
    }
}
