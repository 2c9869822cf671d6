//! Requests over a socket of the test's own: every broken connection is seen, nothing is tried again behind its back.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::request::Answer;

/// A client with at most one connection, which it keeps while both sides want to.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Wire {
    /// A client of one address; connects when it first asks.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// Whatever kept the whole answer from arriving. What was asked for may have happened.
    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Answer> {
        self.post_text(path, None, &body.to_string()).await
    }

    /// Posts a text that is JSON, with an `Idempotency-Key` if one is given.
    ///
    /// # Errors
    /// Whatever kept the whole answer from arriving. What was asked for may have happened.
    pub async fn post_text(&mut self, path: &str, key: Option<&str>, body: &str) -> Result<Answer> {
        self.send(&request(path, key, body)).await
    }

    /// Gets a document; a text that is no JSON is a JSON string then.
    ///
    /// # Errors
    /// Whatever kept the whole answer from arriving.
    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n"))
            .await
    }

    /// Sends what [`post_text`](Self::post_text) sends, and does not wait for the answer.
    ///
    /// # Errors
    /// Whatever kept the request from being sent.
    pub async fn begin_post(&mut self, path: &str, key: Option<&str>, body: &str) -> Result<()> {
        self.begin(&request(path, key, body)).await
    }

    /// Waits for the answer to what was begun.
    ///
    /// # Errors
    /// Whatever kept the whole answer from arriving; also when nothing was begun.
    pub async fn answer(&mut self) -> Result<Answer> {
        let mut stream = self.stream.take().ok_or(ErrorKind::NotConnected)?;
        let answer = receive(&mut stream).await?;
        if answer
            .headers
            .get("connection")
            .is_none_or(|value| value != "close")
        {
            self.stream = Some(stream);
        }
        Ok(answer)
    }

    async fn send(&mut self, request: &str) -> Result<Answer> {
        self.begin(request).await?;
        self.answer().await
    }

    async fn begin(&mut self, request: &str) -> Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect(self.address).await?),
        };
        stream.write_all(request.as_bytes()).await?;
        self.stream = Some(stream);
        Ok(())
    }
}

/// The bytes of a POST, for tests that send only some of them.
#[must_use]
pub fn post(path: &str, body: &str) -> String {
    request(path, None, body)
}

fn request(path: &str, key: Option<&str>, body: &str) -> String {
    let key = key.map_or_else(String::new, |key| format!("idempotency-key: {key}\r\n"));
    format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n{key}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn receive(stream: &mut BufReader<TcpStream>) -> Result<Answer> {
    let malformed = || Error::new(ErrorKind::InvalidData, "not an HTTP answer");
    let mut line = String::new();
    let mut next_line = async |line: &mut String| {
        line.clear();
        match stream.read_line(line).await? {
            0 => Err(Error::from(ErrorKind::UnexpectedEof)),
            _ => Ok(()),
        }
    };
    next_line(&mut line).await?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(malformed)?;
    let mut headers = HeaderMap::new();
    loop {
        next_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        let name: HeaderName = name.parse().map_err(|_| malformed())?;
        let value: HeaderValue = value.trim().parse().map_err(|_| malformed())?;
        headers.append(name, value);
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .ok_or_else(malformed)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let body = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
    Ok(Answer {
        status,
        headers,
        body,
    })
}
