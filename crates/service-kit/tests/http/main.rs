//! The kit as a service sees it: routers without sockets, and servers on real ones.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, also outside of its function, to panic is to fail"
)]

mod app;
mod boundary;
mod extract;
mod health;
mod server;
mod shutdown;
mod wire;
