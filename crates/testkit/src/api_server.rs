//! A Kubernetes API server that knows two kinds of request: token reviews and subject access reviews.
//!
//! It speaks TLS under a certificate authority of its own, made at start, on a port of the loopback interface. What it
//! answers is told beforehand, per token and per user; every request is kept. Like the real one it reads JSON, answers
//! 201 with the review, and refuses with a `Status`.

mod answer;
mod certificates;
mod connection;

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

pub use self::answer::Answer;
use self::certificates::Authority;

/// The token that clients must show, until another is set.
const CREDENTIAL: &str = "own-token";

/// The API server. Dropping it closes its port and its connections.
pub struct ApiServer {
    address: SocketAddr,
    acceptor: TlsAcceptor,
    served: Arc<Served>,
    files: TempDir,
    listening: Option<JoinHandle<()>>,
}

/// What all connections share.
struct Served {
    programme: Mutex<Programme>,
    log: Mutex<Vec<Request>>,
    in_flight: AtomicUsize,
    high_water: AtomicUsize,
}

struct Programme {
    credential: String,
    everything: Option<Answer>,
    tokens: HashMap<String, Answer>,
    users: HashMap<String, Answer>,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// Path, such as `/apis/authentication.k8s.io/v1/tokenreviews`.
    pub path: String,
    /// The client's own token, without `Bearer `.
    pub credential: String,
    /// The review.
    pub review: Value,
}

impl ApiServer {
    /// A server that knows no token and allows nobody anything.
    pub async fn start() -> Self {
        let authority = Authority::new();
        let files = tempfile::tempdir().expect("a directory");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut server = Self {
            address,
            acceptor: authority.acceptor(),
            served: Arc::new(Served {
                programme: Mutex::new(Programme {
                    credential: CREDENTIAL.to_owned(),
                    everything: None,
                    tokens: HashMap::new(),
                    users: HashMap::new(),
                }),
                log: Mutex::default(),
                in_flight: AtomicUsize::new(0),
                high_water: AtomicUsize::new(0),
            }),
            files,
            listening: None,
        };
        server.write("ca.crt", &authority.pem());
        server.write("other-ca.crt", &Authority::new().pem());
        server.write("token", CREDENTIAL);
        server.listen(listener);
        server
    }

    fn listen(&mut self, listener: TcpListener) {
        let (acceptor, served) = (self.acceptor.clone(), Arc::clone(&self.served));
        self.listening = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                let Ok((stream, _peer)) = listener.accept().await else {
                    continue;
                };
                connections.spawn(connection::serve(stream, acceptor.clone(), Arc::clone(&served)));
            }
        }));
    }

    /// Closes the port and every connection.
    pub async fn stop(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            let _ = listening.await;
        }
    }

    /// Listens on the same port again.
    pub async fn start_again(&mut self) {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await.expect("the same port");
        self.listen(listener);
    }

    /// A kubeconfig that leads here, with the files that a pod has: a CA file, and a token file.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.write_kubeconfig("kubeconfig", &format!("https://{}", self.address), "ca.crt")
    }

    /// A kubeconfig that trusts another certificate authority.
    #[must_use]
    pub fn kubeconfig_of_another_authority(&self) -> PathBuf {
        let url = format!("https://{}", self.address);
        self.write_kubeconfig("other-kubeconfig", &url, "other-ca.crt")
    }

    /// A kubeconfig that leads to a URL.
    #[must_use]
    pub fn kubeconfig_to(&self, url: &str) -> PathBuf {
        self.write_kubeconfig("kubeconfig-elsewhere", url, "ca.crt")
    }

    fn write_kubeconfig(&self, name: &str, url: &str, authority: &str) -> PathBuf {
        let (authority, token) = (self.path(authority), self.path("token"));
        let text = format!(
            "apiVersion: v1\n\
             kind: Config\n\
             current-context: test\n\
             contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n\
             clusters: [{{name: test, cluster: {{server: '{url}', certificate-authority: '{}'}}}}]\n\
             users: [{{name: test, user: {{tokenFile: '{}'}}}}]\n",
            authority.display(),
            token.display()
        );
        self.write(name, &text);
        self.path(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    /// Accepts only this token of clients from now on, and writes it to their token file if `told`.
    pub fn rotate_credential(&self, credential: &str, told: bool) {
        self.programme().credential = credential.to_owned();
        if told {
            self.write("token", credential);
        }
    }

    /// Answers reviews of this token.
    pub fn on_token(&self, token: &str, answer: Answer) {
        self.programme().tokens.insert(token.to_owned(), answer);
    }

    /// Answers access reviews of this user.
    pub fn on_user(&self, username: &str, answer: Answer) {
        self.programme().users.insert(username.to_owned(), answer);
    }

    /// Answers every request so, whatever else is told; `None` ends it.
    pub fn on_everything(&self, answer: Option<Answer>) {
        self.programme().everything = answer;
    }

    /// Knows the token as this user's, and allows the user everything.
    pub fn let_in(&self, token: &str, username: &str) {
        self.on_token(token, Answer::user(username));
        self.on_user(username, Answer::allowed());
    }

    /// The token reviews asked for, in the order in which they came.
    #[must_use]
    pub fn token_reviews(&self) -> Vec<Request> {
        self.requests("/apis/authentication.k8s.io/v1/tokenreviews")
    }

    /// The access reviews asked for, in the order in which they came.
    #[must_use]
    pub fn access_reviews(&self) -> Vec<Request> {
        self.requests("/apis/authorization.k8s.io/v1/subjectaccessreviews")
    }

    fn requests(&self, path: &str) -> Vec<Request> {
        let log = self.served.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter()
            .filter(|request| request.path == path)
            .cloned()
            .collect()
    }

    /// The most requests that were under way at once.
    #[must_use]
    pub fn high_water_mark(&self) -> usize {
        self.served.high_water.load(Ordering::SeqCst)
    }

    fn programme(&self) -> MutexGuard<'_, Programme> {
        self.served.programme()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

impl Served {
    fn programme(&self) -> MutexGuard<'_, Programme> {
        self.programme.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the request, and decides on the answer.
    fn decide(&self, request: &Request) -> Answer {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(request.clone());
        let programme = self.programme();
        if let Some(answer) = &programme.everything {
            return answer.clone();
        }
        if request.credential != programme.credential {
            return Answer::failure(401, "Unauthorized");
        }
        let of = |answers: &HashMap<String, Answer>, field: &str| {
            let key = request.review["spec"][field].as_str().unwrap_or_default();
            answers.get(key).cloned()
        };
        match request.path.as_str() {
            "/apis/authentication.k8s.io/v1/tokenreviews" => {
                of(&programme.tokens, "token").unwrap_or_else(Answer::unknown_token)
            }
            "/apis/authorization.k8s.io/v1/subjectaccessreviews" => {
                of(&programme.users, "user").unwrap_or_else(Answer::no_role)
            }
            _ => Answer::failure(404, "the server could not find the requested resource"),
        }
    }

    /// Counts a request under way for as long as the answer lives.
    fn count(&self) -> UnderWay<'_> {
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.high_water.fetch_max(now, Ordering::SeqCst);
        UnderWay(self)
    }
}

struct UnderWay<'a>(&'a Served);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}
