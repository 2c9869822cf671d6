//! The store on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "test support: a failure is the test's failure")]

mod batches;
mod changes;
mod compatibility;
mod fsck;
mod guards;
mod history;
mod holds;
mod partitions;
mod pending_texts;
mod plans;
mod records;
mod reembed;
mod retention;
mod schema;
