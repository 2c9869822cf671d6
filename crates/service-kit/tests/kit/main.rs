//! The kit as a service uses it: real routers, real sockets.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod probes;
mod rate_limit;
