//! Data Storage as its clients see it: the real router on a real PostgreSQL, a schema per test.

#![expect(clippy::unwrap_used, reason = "test support")]

mod app;
mod batches;
mod callers;
mod errors;
mod idempotency_keys;
mod late_vectors;
mod limits;
mod maintenance;
mod ordering;
mod providers;
mod replays;
mod secrets;
mod settings;
mod storing;
mod telling;
