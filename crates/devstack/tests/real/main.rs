//! Everything for real: packages from the index, servers that run, processes that are killed. One program, so that
//! tests that wait for a server to go wait at the same time.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod fetch;
mod postgres;
mod redis;
mod shared_test_server;
mod support;
