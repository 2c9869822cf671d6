//! What any HTTP service of ours needs, and nothing about any one of them: no SQL, no domain.
//!
//! A service is put together in this order, each step its own module:
//!
//! 1. [`config::Loader`] reads the commented default TOML, an optional file and the environment;
//! 2. [`telemetry::init`] starts the log and the traces;
//! 3. [`shutdown::Shutdown`] listens for SIGTERM, SIGINT and SIGHUP;
//! 4. [`auth::Authenticator`] learns whom to ask who callers are;
//! 5. [`server::Server::bind`] takes both ports, so that a taken port fails before anything else starts, and can serve
//!    probes from then on;
//! 6. [`metrics::registry`] collects the metrics of every part;
//! 7. [`router::fallbacks`], [`rate_limit::limit`], [`auth::require`] and [`boundary::stack`] wrap the routes, in this
//!    order, and [`health::Health`] adds the probes;
//! 8. [`server::Server::serve`] answers until shutdown and returns when the last request is drained.
//!
//! ```
//! use std::sync::Arc;
//!
//! use axum::{Router, routing::get};
//! use service_kit::{
//!     auth::{Access, AuthConfig, Authenticator, VerdictKeys, require},
//!     boundary::{Boundary, RequestIds, RequestsConfig, stack},
//!     config::Loader,
//!     health::Health,
//!     metrics::{self, BuildInfo, HttpMetrics},
//!     router::fallbacks,
//!     server::{Ended, Server, ServerConfig},
//!     shutdown::Shutdown,
//!     telemetry::{self, LogConfig, TracesConfig},
//! };
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     server: ServerConfig,
//!     requests: RequestsConfig,
//!     auth: AuthConfig,
//!     log: LogConfig,
//!     traces: TracesConfig,
//! }
//!
//! const DEFAULTS: &str = r#"
//!     [server]
//!     api_address = "127.0.0.1:0"
//!     metrics_address = "127.0.0.1:0"
//!     max_connections = 1024
//!     header_read_timeout = "30s"
//!     readiness_delay = "0s"
//!     drain_timeout = "30s"
//!
//!     [requests]
//!     deadline = "30s"
//!     body_read_timeout = "10s"
//!     body_max_bytes = 1_048_576
//!     bodies_max_bytes = 67_108_864
//!
//!     [auth]
//!     mode = "disabled"
//!     audiences = []
//!     kubeconfig = ""
//!     cache_ttl = "10s"
//!     cache_entries = 4096
//!     max_reviews_in_flight = 16
//!     max_reviews_waiting = 256
//!     review_timeout = "3s"
//!
//!     [log]
//!     format = "json"
//!     level = "info"
//!     directives = ""
//!
//!     [traces]
//!     endpoint = ""
//!     sample_ratio = 1.0
//!     timeout = "5s"
//!     queue = 2048
//!     batch = 512
//!     interval = "5s"
//! "#;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config: Config = Loader::new(DEFAULTS).environment("GREETER", std::env::vars_os()).load()?;
//! let process = telemetry::Process { name: "greeter", version: "0.1.0", own_crates: &["greeter"] };
//! let telemetry = telemetry::init(&process, &config.log, &config.traces)?;
//! let shutdown = Shutdown::on_signals()?;
//! let authenticator = Authenticator::from_config(&config.auth, VerdictKeys::from_os()).await?;
//! let server = Server::bind(config.server, &authenticator)?;
//!
//! let mut registry = metrics::registry("greeter");
//! metrics::register_build_info(&mut registry, &BuildInfo { version: "0.1.0".into(), revision: "unknown".into() });
//! authenticator.register_metrics(&mut registry);
//! telemetry.register(&mut registry);
//! let boundary = Boundary {
//!     limits: config.requests,
//!     request_ids: RequestIds::from_os(),
//!     metrics: HttpMetrics::register(&mut registry),
//! };
//! let probes = Health::builder().required("voice", || async { Ok(()) }).build(shutdown.clone()).router();
//! let routes = Router::new().route("/greeting", get(|| async { "hello" }));
//! let greet = Access { verb: "get", group: "example.org", resource: "greetings" };
//! let api = stack(require(fallbacks(routes), authenticator, greet), boundary).merge(probes.clone());
//! let metrics = metrics::router(Arc::new(registry)).merge(probes);
//!
//! # shutdown.begin();
//! let ended = server.serve(api, metrics, shutdown).await;
//! assert_eq!(ended, Ended::Drained);
//! telemetry.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Five conventions hold everywhere:
//!
//! - every error answer is a [`problem::Problem`]; what the client reads and what we know are kept apart;
//! - a failure is logged once, by the boundary, under the request id;
//! - time and randomness are arguments: [`clock::Clock`], [`boundary::RequestIds`];
//! - whatever waits has a deadline, whatever grows has a bound;
//! - units are in the name: `_seconds`, `_bytes`, `_ms`.
//!
//! To add a kind of problem, add a constant to [`problem::ProblemKind`], or to the service if only it can answer so.
//! To add behaviour around every request, add one step to [`boundary::stack`] and say why it stands where it stands.

pub mod auth;
pub mod boundary;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod extract;
pub mod health;
mod host;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod rate_limit;
pub mod router;
pub mod server;
pub mod shutdown;
pub mod telemetry;

pub use clock::Clock;
pub use host::Host;
pub use problem::{Problem, ProblemKind, Violation};
