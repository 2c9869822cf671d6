//! HTTP/1.1 by hand, as much as a client of reviews needs: a library would not close a connection instead of answering.

use std::io;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::answer::{Answer, Kind};
use super::{Request, Served};

/// Serves one connection until either side closes it.
pub(super) async fn serve(stream: TcpStream, acceptor: TlsAcceptor, served: Arc<Served>) {
    let _ = stream.set_nodelay(true);
    // A client that trusts another authority ends the handshake.
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut stream = BufReader::new(stream);
    while let Ok(Some(request)) = read(&mut stream).await {
        let _under_way = served.count();
        let Answer { after, kind } = served.decide(&request);
        tokio::time::sleep(after).await;
        let Some((code, body)) = body_of(kind, request.review).await else {
            return;
        };
        let answer = format!(
            "HTTP/1.1 {code} Answer\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

/// Status and body, or `None` to close the connection.
async fn body_of(kind: Kind, mut review: Value) -> Option<(u16, String)> {
    match kind {
        Kind::Status(status) => review["status"] = status,
        Kind::User(user) => {
            let audiences = review["spec"]["audiences"].clone();
            review["status"] = json!({"authenticated": true, "user": user, "audiences": audiences});
        }
        Kind::Raw(code, body) => return Some((code, body)),
        Kind::Close => return None,
        Kind::Silence => std::future::pending().await,
    }
    Some((201, review.to_string()))
}

/// One request with its body, or `None` when the client closed the connection.
async fn read<S: AsyncBufReadExt + Unpin>(stream: &mut S) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut credential, mut length) = (String::new(), 0);
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => {
                value
                    .strip_prefix("Bearer ")
                    .unwrap_or_default()
                    .clone_into(&mut credential);
            }
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let review = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Some(Request {
        path,
        credential,
        review,
    }))
}
