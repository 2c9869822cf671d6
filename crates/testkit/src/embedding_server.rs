//! A provider of embeddings for tests: real HTTP on the loopback interface, and every fault a provider can have.
//!
//! It answers `POST /v1/embeddings` with the vectors of [`Hashed`], made longer so that a client has to normalise
//! them, unless it was told what to do with the next requests ([`EmbeddingServer::then`]), with all others
//! ([`EmbeddingServer::otherwise`]), or with a text ([`EmbeddingServer::refuse`]). It remembers what it was asked.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri, header};
use embedding::{Hashed, Model};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What vectors are multiplied with; a power of two, so that no digit is lost.
const LENGTH: f32 = 4.0;

/// What is answered to a request.
#[derive(Clone)]
pub enum Reply {
    /// The right vectors.
    Vectors,
    /// The right answer, changed.
    Changed(Arc<dyn Fn(&mut Value) + Send + Sync>),
    /// Something else.
    Raw {
        /// Its status.
        status: StatusCode,
        /// Its headers.
        headers: Vec<(String, String)>,
        /// Its body.
        body: Bytes,
    },
    /// The connection is closed amid the answer.
    Closed,
    /// Nothing, for as long as the client waits.
    Silence,
}

impl Reply {
    /// A status with an explanation as OpenAI writes it.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let message = format!("told to answer {status}");
        Self::raw(
            status,
            "application/json",
            json!({"error": {"message": message}}).to_string(),
        )
    }

    /// Any status, media type and body.
    #[must_use]
    pub fn raw(status: u16, media_type: &str, body: impl Into<Bytes>) -> Self {
        Self::Raw {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: vec![(header::CONTENT_TYPE.to_string(), media_type.to_owned())],
            body: body.into(),
        }
    }

    /// The same with one header more; only for what is [raw](Self::raw).
    #[must_use]
    pub fn with(mut self, name: impl fmt::Display, value: impl fmt::Display) -> Self {
        let Self::Raw { headers, .. } = &mut self else {
            panic!("only a raw reply takes headers");
        };
        headers.push((name.to_string(), value.to_string()));
        self
    }

    /// The right answer, changed; its `data` is the array of `{index, embedding}`.
    #[must_use]
    pub fn changed(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::Changed(Arc::new(change))
    }

    /// Vectors of other dimensions.
    #[must_use]
    pub fn dimension(dimension: usize) -> Self {
        Self::changed(move |answer| {
            for item in items(answer) {
                item["embedding"] = json!(vec![0.5; dimension]);
            }
        })
    }

    /// Vectors with this in all their components.
    #[must_use]
    pub fn components(value: f64) -> Self {
        Self::changed(move |answer| {
            for item in items(answer) {
                for component in item["embedding"].as_array_mut().expect("a vector") {
                    *component = json!(value);
                }
            }
        })
    }

    /// Right, but in the opposite order, each under its true index.
    #[must_use]
    pub fn shuffled() -> Self {
        Self::changed(|answer| items(answer).reverse())
    }

    /// One vector less than texts.
    #[must_use]
    pub fn one_less() -> Self {
        Self::changed(|answer| drop(items(answer).pop()))
    }

    /// One vector more than texts.
    #[must_use]
    pub fn one_more() -> Self {
        Self::changed(|answer| {
            let items = items(answer);
            let mut more = items[0].clone();
            more["index"] = json!(items.len());
            items.push(more);
        })
    }

    /// Every vector under the index 0.
    #[must_use]
    pub fn duplicates() -> Self {
        Self::changed(|answer| {
            for item in items(answer) {
                item["index"] = json!(0);
            }
        })
    }

    /// Whether a client is told the right vector of each index.
    fn is_right(&self, right: &Value) -> bool {
        match self {
            Self::Vectors => true,
            Self::Changed(change) => {
                let by_index = |mut answer: Value| {
                    let items = items(&mut answer);
                    items.sort_by_key(|item| item["index"].as_u64());
                    answer
                };
                let mut changed = right.clone();
                change(&mut changed);
                by_index(changed) == by_index(right.clone())
            }
            Self::Raw { .. } | Self::Closed | Self::Silence => false,
        }
    }
}

fn items(answer: &mut Value) -> &mut Vec<Value> {
    answer["data"].as_array_mut().expect("the data of the answer")
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Received {
    /// When its body was complete.
    pub at: Instant,
    /// Its path and query.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Value,
}

impl Received {
    /// The texts of the request.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        let texts = self.body["input"].as_array().expect("an array of texts");
        texts.iter().map(|text| text.as_str().expect("a text")).collect()
    }

    /// The bearer token of the request.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.headers
            .get(header::AUTHORIZATION)?
            .to_str()
            .ok()?
            .strip_prefix("Bearer ")
    }
}

/// A running provider. Dropping it closes its port, but not the connections that are open.
pub struct EmbeddingServer {
    address: SocketAddr,
    ca: Option<String>,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

struct Shared {
    model: Hashed,
    then: VecDeque<Reply>,
    otherwise: Reply,
    refused: Option<(String, Reply)>,
    delay: Duration,
    requests: Vec<Received>,
    spoiled: u64,
    under_way: usize,
    most_under_way: usize,
}

impl EmbeddingServer {
    /// A provider of vectors of this dimension over plain HTTP.
    pub async fn start(dimension: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        Self::serve(dimension, address, None, listener)
    }

    /// The same over TLS, with a certificate for `127.0.0.1` by an authority that nobody else trusts.
    pub async fn start_with_tls(dimension: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (config, ca) = certificates();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::serve(dimension, address, Some(ca), TlsListener { listener, acceptor })
    }

    fn serve<L>(dimension: usize, address: SocketAddr, ca: Option<String>, listener: L) -> Self
    where
        L: axum::serve::Listener,
        L::Addr: fmt::Debug,
    {
        let shared = Arc::new(Mutex::new(Shared {
            model: Hashed::new(dimension),
            then: VecDeque::new(),
            otherwise: Reply::Vectors,
            refused: None,
            delay: Duration::ZERO,
            requests: Vec::new(),
            spoiled: 0,
            under_way: 0,
            most_under_way: 0,
        }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a server without end");
        });
        Self {
            address,
            ca,
            shared,
            task,
        }
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate of its authority in PEM, where it speaks TLS.
    #[must_use]
    pub fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// What a client makes of its vector for a text: the vector of the deterministic test model, of unit length.
    #[must_use]
    pub fn vector(&self, text: &str) -> Vec<f32> {
        self.shared().embed(&[text.to_owned()]).remove(0)
    }

    /// Queues the reply to one more request; when all are used it answers as [otherwise](Self::otherwise).
    pub fn then(&self, reply: Reply) {
        self.shared().then.push_back(reply);
    }

    /// The reply to every request that nothing else is said about.
    pub fn otherwise(&self, reply: Reply) {
        self.shared().otherwise = reply;
    }

    /// The reply to every request with a text that contains this; it goes before everything else.
    pub fn refuse(&self, part: impl Into<String>, reply: Reply) {
        self.shared().refused = Some((part.into(), reply));
    }

    /// How long every answer takes from now on.
    pub fn delay(&self, delay: Duration) {
        self.shared().delay = delay;
    }

    /// What it was asked so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.shared().requests.clone()
    }

    /// How many requests it did not answer at once, or not with the right vectors.
    #[must_use]
    pub fn spoiled(&self) -> u64 {
        self.shared().spoiled
    }

    /// How many requests it has had at once.
    #[must_use]
    pub fn most_under_way(&self) -> usize {
        self.shared().most_under_way
    }

    /// How many requests it has now.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.shared().under_way
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

impl Drop for EmbeddingServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn embed(&mut self, texts: &[String]) -> Vec<Vec<f32>> {
        self.model.embed(texts).expect("the test model knows every text")
    }

    fn reply(&mut self, texts: &[String]) -> Reply {
        if let Some((part, reply)) = &self.refused
            && texts.iter().any(|text| text.contains(part))
        {
            return reply.clone();
        }
        self.then.pop_front().unwrap_or_else(|| self.otherwise.clone())
    }

    fn right(&mut self, texts: &[String]) -> Value {
        let vectors = self.embed(texts);
        let data: Vec<Value> = vectors
            .iter()
            .enumerate()
            .map(|(index, vector)| {
                let vector: Vec<f32> = vector.iter().map(|component| component * LENGTH).collect();
                json!({"object": "embedding", "index": index, "embedding": vector})
            })
            .collect();
        json!({"object": "list", "data": data, "model": "hashed", "usage": {"prompt_tokens": 1, "total_tokens": 1}})
    }
}

/// Counts a request for as long as it is worked on, also if the client leaves.
struct UnderWay(Arc<Mutex<Shared>>);

impl UnderWay {
    fn begin(shared: &Arc<Mutex<Shared>>) -> Self {
        let mut state = lock(shared);
        state.under_way += 1;
        state.most_under_way = state.most_under_way.max(state.under_way);
        Self(Arc::clone(shared))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.0).under_way -= 1;
    }
}

async fn answer(
    State(shared): State<Arc<Mutex<Shared>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let _under_way = UnderWay::begin(&shared);
    let body: Value = serde_json::from_slice(&body).expect("a request in JSON");
    let texts: Vec<String> = serde_json::from_value(body["input"].clone()).expect("an array of texts");
    let (reply, right, delay) = {
        let mut state = lock(&shared);
        state.requests.push(Received {
            at: Instant::now(),
            uri,
            headers,
            body,
        });
        let (reply, right, delay) = (state.reply(&texts), state.right(&texts), state.delay);
        state.spoiled += u64::from(!delay.is_zero() || !reply.is_right(&right));
        (reply, right, delay)
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match reply {
        Reply::Vectors => json_response(&right),
        Reply::Changed(change) => {
            let mut changed = right;
            change(&mut changed);
            json_response(&changed)
        }
        Reply::Raw {
            status,
            headers,
            body,
        } => {
            let response = headers
                .into_iter()
                .fold(Response::builder().status(status), |response, (name, value)| {
                    response.header(name, value)
                });
            response.body(Body::from(body)).expect("a response")
        }
        Reply::Closed => {
            let fault = futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("told to")) });
            Response::builder()
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from_stream(fault))
                .expect("a response")
        }
        Reply::Silence => std::future::pending().await,
    }
}

fn json_response(answer: &Value) -> Response<Body> {
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .body(Body::from(answer.to_string()))
        .expect("a response")
}

/// A server's configuration, and the PEM of the authority that it is trusted by.
fn certificates() -> (ServerConfig, String) {
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters of an authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key"))
        .expect("a certificate of an authority");
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .expect("parameters of a server")
        .signed_by(&key, &authority)
        .expect("a certificate of a server");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate with its key");
    (config, authority.pem())
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
            // A client that does not trust the certificate goes away here.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
