//! The PostgreSQL of `up`: one of ours, or the user's.

use std::path::Path;

use anyhow::Context;
use audit_store::PartitionWindow;
use audit_store::compatibility::ModelIdentity;
use audit_store::migrate::{MigrateOptions, ReaderRole};
use devstack::{Major, Postgres, PostgresOptions, Progress};
use rand::TryRngCore;
use rand::rngs::OsRng;

/// A PostgreSQL, and the reader role's password for this run.
pub(super) struct Database {
    server: Server,
    reader_role: String,
    reader_password: String,
}

enum Server {
    Ours(Postgres),
    Users(String),
}

/// Fetches PostgreSQL where it is not on this machine, so that starting it downloads nothing.
pub(super) async fn fetch() -> anyhow::Result<()> {
    let fetch = || -> anyhow::Result<()> {
        devstack::fetch_postgres(&devstack::cache_directory()?, Progress::detect())?;
        Ok(())
    };
    tokio::task::spawn_blocking(fetch)
        .await
        .context("the download was cut off")?
}

impl Database {
    /// Starts one in the data directory, unless the user has one.
    pub(super) async fn open(users: Option<String>, data_dir: &Path, schema: &str) -> anyhow::Result<Self> {
        let server = match users {
            Some(url) => Server::Users(url),
            None => {
                let directory = data_dir.join("postgresql");
                let start = move || -> anyhow::Result<Postgres> {
                    let package =
                        devstack::fetch_postgres(&devstack::cache_directory()?, Progress::detect())?;
                    Ok(Postgres::start(
                        &package,
                        &PostgresOptions::new(Major::default(), directory),
                    )?)
                };
                Server::Ours(
                    tokio::task::spawn_blocking(start)
                        .await
                        .context("PostgreSQL was not started")??,
                )
            }
        };
        // On the user's server the role is one of `up`'s own, because its password changes with every run.
        let reader_role = match &server {
            Server::Ours(_) => "kubernaut_reader".to_owned(),
            Server::Users(_) => format!("{schema}_up_reader"),
        };
        let mut bytes = [0_u8; 24];
        OsRng
            .try_fill_bytes(&mut bytes)
            .context("the system gives no random bytes")?;
        let reader_password = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            server,
            reader_role,
            reader_password,
        })
    }

    /// The schema's owner.
    pub(super) fn owner_url(&self) -> String {
        match &self.server {
            Server::Ours(postgres) => postgres.url(),
            Server::Users(url) => url.clone(),
        }
    }

    /// The role that may only read the context schema.
    pub(super) fn reader_url(&self) -> anyhow::Result<String> {
        match &self.server {
            Server::Ours(postgres) => Ok(postgres.url_as(&self.reader_role, &self.reader_password)),
            Server::Users(url) => {
                let mut url = reqwest::Url::parse(url).context("the database URL cannot be read")?;
                let changed = url
                    .set_username(&self.reader_role)
                    .and_then(|()| url.set_password(Some(&self.reader_password)));
                anyhow::ensure!(changed.is_ok(), "the database URL has no host");
                // A user may also stand behind the question mark, where it would go before ours.
                let others: Vec<(String, String)> = url
                    .query_pairs()
                    .filter(|(key, _)| key != "user" && key != "password")
                    .map(|(key, value)| (key.into_owned(), value.into_owned()))
                    .collect();
                url.set_query(None);
                if !others.is_empty() {
                    url.query_pairs_mut().extend_pairs(others);
                }
                Ok(url.into())
            }
        }
    }

    /// How the schema is migrated.
    pub(super) fn migration(&self, model: ModelIdentity, partitions: PartitionWindow) -> MigrateOptions {
        let reader = ReaderRole {
            name: self.reader_role.clone(),
            password: Some(self.reader_password.clone()),
        };
        MigrateOptions {
            model,
            reader,
            partitions,
        }
    }

    /// What to tell the user, without a password.
    pub(super) fn describe(&self) -> String {
        match &self.server {
            Server::Ours(postgres) => {
                format!(
                    "127.0.0.1:{}, data in {}",
                    postgres.port(),
                    postgres.directory().display()
                )
            }
            Server::Users(url) => reqwest::Url::parse(url).map_or_else(
                |_| "as given".to_owned(),
                |url| {
                    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                    format!("{}{port}{}", url.host_str().unwrap_or_default(), url.path())
                },
            ),
        }
    }

    /// Which database it is: the one of the data directory, or the user's.
    pub(super) fn identity(&self) -> String {
        match &self.server {
            Server::Ours(_) => "own".to_owned(),
            Server::Users(_) => self.describe(),
        }
    }

    /// What to tell the user when it cannot be used.
    pub(super) fn unusable(&self) -> String {
        match &self.server {
            Server::Ours(_) => format!("PostgreSQL at {} cannot be used", self.describe()),
            Server::Users(_) => format!(
                "PostgreSQL at {} cannot be used, which DATABASE_URL or --database-url names; without them one is started here",
                self.describe()
            ),
        }
    }

    /// Fails once a PostgreSQL of ours has ended by itself.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        if let Server::Ours(postgres) = &mut self.server
            && let Some(status) = postgres.try_wait()?
        {
            anyhow::bail!(
                "PostgreSQL ended by itself ({status}); its log is {}",
                postgres.log_path().display()
            );
        }
        Ok(())
    }

    /// Stops a PostgreSQL of ours.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        if let Server::Ours(postgres) = self.server {
            tokio::task::spawn_blocking(move || postgres.stop())
                .await
                .context("PostgreSQL was not stopped")??;
        }
        Ok(())
    }
}
