//! The client: HTTP/1.1 connections that are kept, and nothing that a request does not need.

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

/// Connections to one service. As many are open as there have been requests at the same time.
#[derive(Debug)]
pub(crate) struct Client {
    address: String,
    host: HeaderValue,
    timeout: Duration,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Client {
    /// A client of `http://host:port`, which gives up on a request after `timeout`.
    ///
    /// # Errors
    /// Where the URL is another kind of URL.
    pub(crate) fn new(url: &str, timeout: Duration) -> anyhow::Result<Self> {
        let uri: hyper::Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        anyhow::ensure!(
            uri.scheme_str() == Some("http"),
            "{url} does not begin with http://, the only scheme there is here"
        );
        let authority = uri.authority().with_context(|| format!("{url} names no host"))?;
        Ok(Self {
            address: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)),
            host: HeaderValue::from_str(authority.as_str())?,
            timeout,
            idle: Mutex::default(),
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
            .with_context(|| format!("{} at {}", request.target, self.address))
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
