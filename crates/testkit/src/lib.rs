//! Dev only: what the tests of both services need.
//!
//! * [`Database`]: a schema per test on one PostgreSQL that all test processes share;
//! * [`request`]: requests straight into a router, without sockets;
//! * [`records`]: bodies of the four kinds of record;
//! * [`EmbeddingServer`]: a provider of embeddings that does as it is told, on a real socket.
//!
//! The library knows neither service. Tests that need both live in `tests/`.

#![expect(
    clippy::expect_used,
    reason = "test support: a failure is the test's failure, told where it happens"
)]

mod database;
pub mod embedding_server;
pub mod records;
pub mod request;
mod run;

pub use database::Database;
pub use embedding_server::EmbeddingServer;
