//! What any HTTP service of ours needs, and nothing about any one of them: no SQL, no domain.
//!
//! A service is put together in this order, each step its own module:
//!
//! 1. [`config::Loader`] reads the commented default TOML, an optional file and the environment;
//! 2. [`telemetry::init`] starts the log;
//! 3. [`shutdown::Shutdown`] listens for SIGTERM and SIGINT;
//! 4. [`server::Server::bind`] takes both ports, so that a taken port fails before anything else starts;
//! 5. [`metrics::registry`] collects the metrics of every part;
//! 6. [`router::fallbacks`] and [`boundary::stack`] wrap the routes, [`health::Health`] adds the probes;
//! 7. [`server::Server::serve`] answers until shutdown and returns when the last request is drained.
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
//! To add behaviour around every request, add one layer to [`boundary::stack`] and say why it stands where it stands.

pub mod boundary;
pub mod clock;
pub mod config;
pub mod extract;
pub mod health;
pub mod metrics;
pub mod problem;
pub mod router;
pub mod server;
pub mod shutdown;
pub mod telemetry;

pub use clock::Clock;
pub use problem::{Problem, ProblemKind, Violation};
