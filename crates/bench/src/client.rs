//! The client: HTTP/1.1 connections that are kept, and nothing that a request does not need.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::request::Request;
use crate::tally::Outcome;

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its media type.
    pub(crate) content_type: Option<HeaderValue>,
    /// Its body.
    pub(crate) body: Bytes,
}

/// Connections to the replicas of one service, which are asked in turn. As many are open as there have been requests at
/// the same time.
#[derive(Debug)]
pub(crate) struct Client {
    replicas: Vec<Replica>,
    /// Requests that were sent.
    sent: AtomicUsize,
    timeout: Duration,
}

/// Connections to one of them.
#[derive(Debug)]
struct Replica {
    address: String,
    host: HeaderValue,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Client {
    /// A client of some `http://host:port`, which gives up on a request after `timeout`.
    ///
    /// # Errors
    /// Where a URL is another kind of URL, or there is none.
    pub(crate) fn new(urls: &[impl AsRef<str>], timeout: Duration) -> anyhow::Result<Self> {
        anyhow::ensure!(!urls.is_empty(), "there is nobody to ask");
        let replicas = urls.iter().map(|url| Replica::new(url.as_ref()));
        Ok(Self {
            replicas: replicas.collect::<anyhow::Result<_>>()?,
            sent: AtomicUsize::new(0),
            timeout,
        })
    }

    /// Sends a request and reads the answer to its end.
    ///
    /// # Errors
    /// Where there is no answer.
    pub(crate) async fn fetch(&self, request: &Request) -> anyhow::Result<Answer> {
        tokio::time::timeout(self.timeout, self.exchange(request))
            .await
            .with_context(|| format!("{}: no answer within {:?}", request.target, self.timeout))?
            .with_context(|| format!("{} was not answered", request.target))
    }

    /// Sends a request, and tells only what came of it.
    pub(crate) async fn send(&self, request: &Request) -> Outcome {
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(Ok(answer)) => Outcome::Status(answer.status),
            Ok(Err(_)) => Outcome::Broken,
            Err(_) => Outcome::TimedOut,
        }
    }

    async fn exchange(&self, request: &Request) -> anyhow::Result<Answer> {
        let turn = self.sent.fetch_add(1, Ordering::Relaxed) % self.replicas.len();
        self.replicas[turn].exchange(request).await
    }
}

impl Replica {
    fn new(url: &str) -> anyhow::Result<Self> {
        let uri: hyper::Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        anyhow::ensure!(
            uri.scheme_str() == Some("http"),
            "{url} does not begin with http://, the only scheme there is here"
        );
        let authority = uri.authority().with_context(|| format!("{url} names no host"))?;
        Ok(Self {
            address: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)),
            host: HeaderValue::from_str(authority.as_str())?,
            idle: Mutex::default(),
        })
    }

    async fn exchange(&self, request: &Request) -> anyhow::Result<Answer> {
        let mut connection = self.connection().await?;
        let mut message = hyper::Request::builder()
            .method(&request.method)
            .uri(&request.target)
            .header(HOST, &self.host);
        if !request.body.is_empty() {
            message = message.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if request.no_cache {
            message = message.header(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        let answer = connection
            .send_request(message.body(Full::new(request.body.clone()))?)
            .await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
        Ok(Answer {
            status: head.status.as_u16(),
            content_type: head.headers.get(CONTENT_TYPE).cloned(),
            body,
        })
    }

    /// The connection that was used last, or a new one.
    async fn connection(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut kept) = kept else { break };
            // The service may have closed it meanwhile.
            if kept.ready().await.is_ok() {
                return Ok(kept);
            }
        }
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its errors are those of the request.
        tokio::spawn(connection);
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A service that answers every request with its number.
    async fn service(number: u8) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while let Ok(byte) = stream.read_u8().await {
                        head.push(byte);
                        if head.ends_with(b"\r\n\r\n") {
                            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
                            stream.write_all(answer.as_bytes()).await.unwrap();
                            head.clear();
                        }
                    }
                });
            }
        });
        url
    }

    #[tokio::test]
    async fn replicas_are_asked_in_turn() {
        let urls = [service(1).await, service(2).await, service(3).await];
        let client = Client::new(&urls, Duration::from_secs(10)).unwrap();
        let mut answers = Vec::new();
        for _ in 0..7 {
            answers.extend(client.fetch(&Request::get("get", "/")).await.unwrap().body);
        }
        assert_eq!(answers, b"1231231");
        assert!(Client::new(&[] as &[&str], Duration::ZERO).is_err());
    }
}
