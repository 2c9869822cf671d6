//! The store on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "test support: a failure is the test's failure")]

mod batches;
mod compatibility;
mod guards;
mod pending_texts;
mod records;
mod reembed;
mod schema;
