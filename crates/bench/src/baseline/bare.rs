//! The least an HTTP service can do: an axum handler that has the answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::header::HeaderValue;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::request::Request;

/// An answer for each path and query.
type Answers = Arc<HashMap<String, (HeaderValue, Bytes)>>;

/// A server with a runtime of its own, as the services have one. It ends with this value.
#[derive(Debug)]
pub(crate) struct Bare {
    /// `http://127.0.0.1:port`
    pub(crate) url: String,
    _stop: oneshot::Sender<()>,
}

impl Bare {
    /// Asks the service each question once, and serves its answers from then on.
    ///
    /// # Errors
    /// Where the service does not answer with 200, or there is no port.
    pub(crate) async fn copy(service: &Client, questions: &[Request]) -> anyhow::Result<Self> {
        let mut answers = HashMap::new();
        for question in questions {
            let answer = service.fetch(question).await?;
            anyhow::ensure!(
                answer.status == 200,
                "{} answers {}",
                question.target,
                answer.status
            );
            let content_type = answer.content_type.context("an answer without a media type")?;
            answers.insert(question.target.clone(), (content_type, answer.body));
        }
        let (address, bound) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name("bare".to_owned()).spawn(move || {
            let served = serve(Arc::new(answers), address, stopped);
            if let Err(error) = served {
                eprintln!("the bare handler ended: {error:#}");
            }
        })?;
        let address = bound.await.context("the bare handler did not start")?;
        Ok(Self {
            url: format!("http://{address}"),
            _stop: stop,
        })
    }
}

fn serve(
    answers: Answers,
    address: oneshot::Sender<SocketAddr>,
    stopped: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            let _ = stream.set_nodelay(true);
        });
        // Nobody listens when the run was cut off meanwhile.
        let _ = address.send(axum::serve::Listener::local_addr(&listener)?);
        let router = Router::new().fallback(answer).with_state(answers);
        tokio::select! {
            served = axum::serve(listener, router) => Ok(served?),
            _ = stopped => Ok(()),
        }
    })
}

async fn answer(State(answers): State<Answers>, uri: Uri) -> Response {
    match uri
        .path_and_query()
        .and_then(|target| answers.get(target.as_str()))
    {
        Some((content_type, body)) => {
            ([(header::CONTENT_TYPE, content_type.clone())], body.clone()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
