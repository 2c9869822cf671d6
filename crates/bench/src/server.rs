//! The PostgreSQL of a run: the user's, or a durable one that goes with the run.

use std::os::unix::fs::PermissionsExt;

use anyhow::Context;
use devstack::{Major, Postgres, PostgresOptions, Progress};
use tempfile::TempDir;

/// A PostgreSQL.
#[derive(Debug)]
pub(crate) enum Server {
    /// Somebody's, by its URL.
    Users(String),
    /// One of ours, its URL, and its directory.
    Ours(Postgres, String, TempDir),
}

impl Server {
    /// The one of the URL, or a new one with the settings of `up`.
    ///
    /// # Errors
    /// Where it cannot be fetched or started.
    pub(crate) async fn open(url: Option<String>) -> anyhow::Result<Self> {
        if let Some(url) = url {
            return Ok(Self::Users(url));
        }
        let start = || -> anyhow::Result<Self> {
            // Everybody may enter: started by root, PostgreSQL runs as somebody else.
            let directory = tempfile::Builder::new()
                .prefix("kubernaut-bench-")
                .permissions(std::fs::Permissions::from_mode(0o755))
                .tempdir()?;
            let package = devstack::fetch_postgres(&devstack::cache_directory()?, Progress::detect())?;
            let options = PostgresOptions::new(Major::default(), directory.path().join("postgresql"));
            let postgres = Postgres::start(&package, &options)?;
            let url = postgres.url();
            Ok(Self::Ours(postgres, url, directory))
        };
        tokio::task::spawn_blocking(start)
            .await
            .context("PostgreSQL was not started")?
    }

    /// Its URL, as its superuser or the user's user.
    #[must_use]
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Users(url) | Self::Ours(_, url, _) => url,
        }
    }

    /// The first process of one of ours.
    #[must_use]
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Users(_) => None,
            Self::Ours(postgres, ..) => postgres.pid(),
        }
    }

    /// Ends one of ours, and removes it.
    ///
    /// # Errors
    /// Where it cannot be stopped.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        if let Self::Ours(postgres, _, directory) = self {
            tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
                postgres.stop()?;
                Ok(directory.close()?)
            })
            .await
            .context("PostgreSQL was not stopped")??;
        }
        Ok(())
    }
}
