//! The database, as Rust: schema, record types, writer and reader. All SQL is here; HTTP is nowhere in sight.
//!
//! # Where to find what
//!
//! * `migrations/`: the schema, the only authority on it. Each column says what it holds, each index which query it serves.
//! * [`migrate`]: brings a database to this schema. [`compatibility`] refuses a database that the code cannot serve.
//! * [`record`]: the four kinds of record, as validated values.
//! * [`pending`]: texts that wait for their vectors, and [`reembed`]: moving all of them to another model.
//! * [`writer`]: a batch of records into the ledger and, by the same transaction, into the read model.
//! * [`fsck`]: whether the read model is the fold of the ledger, and the read model made again from it.
//! * [`retention`]: dropping months that are old, unless a [`hold`] keeps them.
//! * [`reader`]: what Context API may ask. It logs in with `SELECT` on the context schema and nothing else.
//!
//! # Five conventions
//!
//! 1. The ledger is the truth; the read model is a fold of it, computed by SQL from ledger rows and from nothing else.
//! 2. A state is its event with the greatest (phase rank, ledger id). Every upsert says so in its `WHERE`, so the
//!    order in which writers commit does not matter.
//! 3. Statements are set-based and touch keys in sorted order, so concurrent batches cannot deadlock on them.
//! 4. SQL names no schema. Connections carry a `search_path`, so a test can have a schema of its own.
//! 5. Queries are checked at compile time against the migrated schema; `cargo xtask sqlx` renews the offline data.

pub mod compatibility;
mod connect;
mod error;
pub mod fsck;
pub mod hold;
mod maintenance;
pub mod migrate;
mod partitions;
pub mod pending;
pub mod reader;
pub mod record;
pub mod reembed;
pub mod retention;
mod schema;
mod system_event;
pub mod writer;

pub use connect::{ConnectOptions, WriteStore};
pub use error::StoreError;
pub use partitions::{
    DEFAULT_ROWS_COUNTED, DEFAULT_ROWS_SCANNED, MissingPartition, PartitionRound, PartitionStatus,
    PartitionWindow, WhyMissing, ensure_partitions, partition_status,
};
pub use reader::Reader;
pub use schema::{InvalidSchemaName, SchemaName};
