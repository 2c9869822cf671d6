//! A service with one guarded route, and a client that sends what it is told, byte by byte.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    http::{HeaderMap, header},
    routing::{get, post},
};
use serde_json::{Value, json};
use service_kit::{
    auth::{Access, AuthConfig, AuthMode, Authenticator, Caller, VerdictKeys, require},
    boundary::{Boundary, RequestIds, RequestsConfig, stack},
    health::Health,
    metrics::{self, HttpMetrics, Registry},
    router::fallbacks,
    server::{Server, ServerConfig},
    shutdown::Shutdown,
};
use testkit::ApiServer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) const PATH: &str = "/api/v1/audit/remediation";

pub(crate) const RECORD: Access = Access {
    verb: "create",
    group: "kubernaut.ai",
    resource: "auditrecords",
};

const LIST: Access = Access {
    verb: "list",
    group: "kubernaut.ai",
    resource: "incidents",
};

/// The configuration that services have by default, for this API server.
pub(crate) fn config(api_server: &ApiServer) -> AuthConfig {
    AuthConfig {
        mode: AuthMode::Kubernetes,
        audiences: vec!["kubernaut".to_owned(), "kubernaut.example".to_owned()],
        kubeconfig: api_server.kubeconfig(),
        cache_ttl: Duration::from_secs(10),
        cache_entries: 4_096.try_into().unwrap(),
        max_reviews_in_flight: 16.try_into().unwrap(),
        max_reviews_waiting: 256,
        review_timeout: Duration::from_secs(3),
    }
}

/// The service under test.
pub(crate) struct Service {
    pub(crate) router: Router,
    pub(crate) api: SocketAddr,
    handled: Arc<AtomicUsize>,
    registry: Arc<Registry>,
}

impl Service {
    pub(crate) async fn start(api_server: &ApiServer) -> Self {
        Self::configured(&config(api_server)).await
    }

    pub(crate) async fn configured(config: &AuthConfig) -> Self {
        let keys = VerdictKeys::seeded(1);
        Self::with(Authenticator::from_config(config, keys).await.unwrap()).await
    }

    pub(crate) async fn with(authenticator: Authenticator) -> Self {
        let server = Server::bind(ServerConfig::ephemeral(), &authenticator).unwrap();
        let mut registry = metrics::registry("kit");
        authenticator.register_metrics(&mut registry);
        let boundary = Boundary {
            limits: RequestsConfig::default(),
            request_ids: RequestIds::seeded(1),
            metrics: HttpMetrics::register(&mut registry),
        };
        let handled = Arc::new(AtomicUsize::new(0));
        let router = stack(
            require(fallbacks(routes(&handled)), authenticator, RECORD),
            boundary,
        );
        let shutdown = Shutdown::new();
        let probes = Health::builder().build(shutdown.clone()).router();
        let router = router.merge(probes.clone());
        let (api, registry) = (server.api_address(), Arc::new(registry));
        tokio::spawn(server.serve(router.clone(), probes, shutdown));
        Self {
            router,
            api,
            handled,
            registry,
        }
    }

    /// Posts with these lines among the headers.
    pub(crate) async fn post(&self, headers: &str) -> Reply {
        self.send(&format!("POST {PATH} HTTP/1.1\r\nhost: kit\r\n{headers}\r\n"))
            .await
    }

    /// Posts with this token.
    pub(crate) async fn post_as(&self, token: &str) -> Reply {
        self.post(&bearer(token)).await
    }

    /// Sends any request.
    pub(crate) async fn send(&self, request: &str) -> Reply {
        send(self.api, request).await
    }

    /// How often the handler ran.
    pub(crate) fn handled(&self) -> usize {
        self.handled.load(Ordering::SeqCst)
    }

    /// The samples of the metrics of authentication, without those that take time.
    pub(crate) fn metrics(&self) -> Vec<String> {
        let text = metrics::render(&self.registry).unwrap();
        let samples = text
            .lines()
            .filter(|line| line.starts_with("kit_auth") && !line.contains("_seconds"));
        let mut samples: Vec<_> = samples.map(str::to_owned).collect();
        samples.sort_unstable();
        samples
    }

    pub(crate) fn exposition(&self) -> String {
        metrics::render(&self.registry).unwrap()
    }
}

fn routes(handled: &Arc<AtomicUsize>) -> Router {
    let handled = Arc::clone(handled);
    let record = move |caller: Caller, headers: HeaderMap| async move {
        handled.fetch_add(1, Ordering::SeqCst);
        Json(json!({
            "username": *caller.username,
            "uid": *caller.uid,
            "groups": *caller.groups,
            "seesToken": headers.contains_key(header::AUTHORIZATION),
        }))
    };
    Router::new().route(PATH, post(record))
}

/// A router whose routes need different accesses.
pub(crate) fn two_accesses(authenticator: &Authenticator) -> Router {
    let ok = || async { "ok" };
    let write = Router::new().route("/write", post(ok));
    let read = Router::new().route("/read", get(ok));
    fallbacks(require(write, authenticator.clone(), RECORD).merge(require(read, authenticator.clone(), LIST)))
}

pub(crate) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// Sends a request on a connection of its own.
pub(crate) async fn send(api: SocketAddr, request: &str) -> Reply {
    let request = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let mut stream = TcpStream::connect(api).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Reply {
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// A response as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    head: String,
    body: String,
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
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The end of the problem's type.
    pub(crate) fn problem(&self) -> String {
        let body = self.json();
        let uri = body["type"].as_str().unwrap_or_default();
        uri.strip_prefix("https://kubernaut.ai/problems/")
            .unwrap_or_default()
            .to_owned()
    }

    pub(crate) fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// Status, problem, and challenge: what tells one refusal from another.
    pub(crate) fn verdict(&self) -> (u16, String, Option<String>) {
        let challenge = self.header("www-authenticate").map(str::to_owned);
        (self.status(), self.problem(), challenge)
    }
}

/// The verdict on a token that is not accepted.
pub(crate) fn invalid_token() -> (u16, String, Option<String>) {
    let challenge = r#"Bearer error="invalid_token""#;
    (401, "unauthenticated".to_owned(), Some(challenge.to_owned()))
}

/// Asserts that nobody knew whether the caller may, and that the reason stays inside.
#[track_caller]
pub(crate) fn assert_undecided(reply: &Reply, case: &str) {
    assert_eq!(
        (
            reply.status(),
            reply.problem(),
            reply.detail(),
            reply.header("retry-after")
        ),
        (
            503,
            "service-unavailable".to_owned(),
            "Who sends the request, and whether they may, cannot be found out at the moment.".to_owned(),
            Some("2")
        ),
        "{case}"
    );
}
