//! The PostgreSQL of a run: the user's, or a durable one that goes with the run; and its standby.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use devstack::{Major, Postgres, PostgresOptions, PostgresPackage, Progress};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;

/// Connections that a run needs beside those of the services.
const OWN_CONNECTIONS: usize = 40;
/// Connections that a replica of both services has at most, by default.
const REPLICA_CONNECTIONS: usize = 20;

/// A PostgreSQL.
#[derive(Debug)]
pub(crate) enum Server {
    /// Somebody's, by its URL.
    Users(String),
    /// One of ours.
    Ours(Box<Own>),
}

/// A PostgreSQL in a directory of the run.
#[derive(Debug)]
pub(crate) struct Own {
    url: String,
    package: PostgresPackage,
    settings: Vec<(String, String)>,
    postgres: Arc<Postgres>,
    directory: TempDir,
}

/// A standby of one of ours. It ends with this value.
#[derive(Debug)]
pub(crate) struct Standby(Postgres);

impl Standby {
    /// Its URL, as its superuser.
    #[must_use]
    pub(crate) fn url(&self) -> String {
        self.0.url()
    }

    /// The same for another user of the primary.
    ///
    /// # Errors
    /// Where `primary` is no URL.
    pub(crate) fn url_for(&self, primary: &str) -> anyhow::Result<String> {
        let options = PgConnectOptions::from_str(primary)?
            .host("127.0.0.1")
            .port(self.0.port());
        Ok(options.to_url_lossy().to_string())
    }

    /// Its first process.
    #[must_use]
    pub(crate) fn pid(&self) -> Option<u32> {
        self.0.pid()
    }

    /// Ends it.
    ///
    /// # Errors
    /// Where it cannot be stopped.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        tokio::task::spawn_blocking(move || self.0.stop())
            .await
            .context("the standby was not stopped")??;
        Ok(())
    }
}

impl Server {
    /// The one of the URL, or a new one with the settings of `up`, those given, and connections for so many replicas of
    /// the services.
    ///
    /// # Errors
    /// Where it cannot be fetched or started.
    pub(crate) async fn open(
        url: Option<String>,
        replicas: usize,
        mut settings: Vec<(String, String)>,
    ) -> anyhow::Result<Self> {
        if let Some(url) = url {
            return Ok(Self::Users(url));
        }
        let start = move || -> anyhow::Result<Self> {
            // Everybody may enter: started by root, PostgreSQL runs as somebody else.
            let directory = tempfile::Builder::new()
                .prefix("kubernaut-bench-")
                .permissions(std::fs::Permissions::from_mode(0o755))
                .tempdir()?;
            let package = devstack::fetch_postgres(&devstack::cache_directory()?, Progress::detect())?;
            let connections = (OWN_CONNECTIONS + REPLICA_CONNECTIONS * replicas).max(100);
            settings.insert(0, ("max_connections".to_owned(), connections.to_string()));
            let postgres = Postgres::start(&package, &options(&directory, "postgresql", &settings))?;
            Ok(Self::Ours(Box::new(Own {
                url: postgres.url(),
                package,
                settings,
                postgres: Arc::new(postgres),
                directory,
            })))
        };
        tokio::task::spawn_blocking(start)
            .await
            .context("PostgreSQL was not started")?
    }

    /// Starts a standby of one of ours, which copies all of its data.
    ///
    /// # Errors
    /// Where the server is the user's, or the standby cannot be started.
    pub(crate) async fn start_standby(&self) -> anyhow::Result<Standby> {
        let Self::Ours(own) = self else {
            anyhow::bail!("a standby can only be started of a PostgreSQL of the run")
        };
        let options = options(&own.directory, "standby", &own.settings);
        let (package, primary) = (own.package.clone(), Arc::clone(&own.postgres));
        let start = move || Postgres::start_replica(&package, &options, &primary);
        let standby = tokio::task::spawn_blocking(start)
            .await
            .context("the standby was not started")??;
        Ok(Standby(standby))
    }

    /// Its URL, as its superuser or the user's user.
    #[must_use]
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Users(url) => url,
            Self::Ours(own) => &own.url,
        }
    }

    /// The first process of one of ours.
    #[must_use]
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Users(_) => None,
            Self::Ours(own) => own.postgres.pid(),
        }
    }

    /// A directory on the file system of one of ours.
    #[must_use]
    pub(crate) fn directory(&self) -> Option<&Path> {
        match self {
            Self::Users(_) => None,
            Self::Ours(own) => Some(own.postgres.directory()),
        }
    }

    /// Ends one of ours, and removes it.
    ///
    /// # Errors
    /// Where it cannot be stopped.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        if let Self::Ours(own) = self {
            tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
                // Nobody has it any more but a standby that is being started, and then it ends with that.
                if let Some(postgres) = Arc::into_inner(own.postgres) {
                    postgres.stop()?;
                }
                Ok(own.directory.close()?)
            })
            .await
            .context("PostgreSQL was not stopped")??;
        }
        Ok(())
    }
}

fn options(directory: &TempDir, name: &str, settings: &[(String, String)]) -> PostgresOptions {
    PostgresOptions {
        settings: settings.to_vec(),
        ..PostgresOptions::new(Major::default(), directory.path().join(name))
    }
}
