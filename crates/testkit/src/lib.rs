//! Dev only: what the tests of both services need.
//!
//! * [`ApiServer`]: a Kubernetes API server that reviews tokens as it is told;
//! * [`Database`]: a schema per test on one PostgreSQL that all test processes share;
//! * [`ChaosProxy`]: what stands between a service and what it talks to on a bad day;
//! * [`request`]: requests straight into a router, without sockets;
//! * [`wire`]: requests over a socket that may break;
//! * [`preload`]: disks that are full and clocks that are set, for one process;
//! * [`records`]: bodies of the four kinds of record;
//! * [`EmbeddingServer`]: a provider of embeddings that does as it is told, on a real socket.
//!
//! The library knows neither service. Tests that need both live in `tests/`.

#![expect(
    clippy::expect_used,
    reason = "test support: a failure is the test's failure, told where it happens"
)]

mod api_server;
pub mod chaos_proxy;
mod database;
pub mod embedding_server;
#[cfg(target_os = "linux")]
pub mod preload;
pub mod records;
pub mod request;
mod run;
pub mod wire;

pub use api_server::{Answer, ApiServer, Request};
pub use chaos_proxy::ChaosProxy;
pub use database::Database;
pub use embedding_server::EmbeddingServer;
