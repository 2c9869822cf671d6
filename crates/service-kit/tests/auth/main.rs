//! Who may call: a service on real sockets, and the API server it asks over TLS.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, also outside of its function, to panic is to fail"
)]

mod failures;
mod flood;
mod log;
mod outage;
mod paths;
mod service;
mod sharing;
mod start;
mod verdicts;
