//! The store on a real PostgreSQL.

mod batches;
mod compatibility;
mod guards;
mod pending_texts;
mod schema;
