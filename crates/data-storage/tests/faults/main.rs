//! Data Storage on its bad days: the whole service on real sockets, a proxy that misbehaves before it or before its
//! PostgreSQL.
//!
//! What must hold whatever happens: every request is answered in time, with 201, 200, or 503 and `Retry-After`; what
//! was acknowledged is in the ledger and the read model, once; and when the fault is over, so is its effect, without a
//! restart. Every test also asserts that its fault met traffic.

#![expect(clippy::unwrap_used, reason = "test support: a failure is the test's failure")]

mod connections;
#[cfg(target_os = "linux")]
mod disk_full;
mod duplicates;
mod load;
mod lost_answers;
mod overload;
mod poison;
mod service;
mod slow_network;
mod start;
mod vanishing_clients;
