//! What a fault happens to: a PostgreSQL of its own and Data Storage as a child process.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use audit_store::{ConnectOptions, SchemaName, WriteStore};
use devstack::{Major, Postgres, PostgresOptions, Progress};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::process::{kubernaut, wait_until};
use crate::service::Storage;

/// Password of the role that may only read.
const READER_PASSWORD: &str = "reader-of-the-campaign";
const READER: &str = "kubernaut_reader";
/// How often PostgreSQL is started again before that is a failure: for moments its port or memory may still be held.
const STARTS: usize = 20;

/// A temporary directory that everybody may enter, as the user that PostgreSQL runs as must.
#[must_use]
pub fn directory() -> TempDir {
    tempfile::Builder::new()
        .prefix("kubernaut-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap()
}

/// A PostgreSQL that keeps its promises, and a service.
pub struct Stack {
    program: PathBuf,
    /// Settings of Data Storage.
    settings: Vec<(String, String)>,
    /// Further variables of its environment.
    pub environment: Vec<(String, String)>,
    /// The URL that Data Storage is given, where it is not PostgreSQL's own.
    pub through: Option<String>,
    /// How often PostgreSQL has recovered from a crash.
    pub recoveries: u64,
    storage: Option<Storage>,
    postgres: Option<Postgres>,
    options: PostgresOptions,
    directory: TempDir,
}

impl Stack {
    /// A PostgreSQL with the durable defaults, and a migrated schema. The service is not started yet.
    ///
    /// Rate limits are off, unless `settings` has them: storms are meant to reach the writer.
    pub async fn new(program: &Path, settings: &[(&str, &str)]) -> Self {
        Self::with_postgres(program, settings, |_, _| {}).await
    }

    /// The same with other options of PostgreSQL, which may use the directory.
    pub async fn with_postgres(
        program: &Path,
        settings: &[(&str, &str)],
        change: impl FnOnce(&mut PostgresOptions, &Path),
    ) -> Self {
        let directory = directory();
        let mut options = PostgresOptions::new(Major::default(), directory.path().join("pg"));
        change(&mut options, directory.path());
        let postgres = start(options.clone())
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        options.port = Some(postgres.port());
        let unlimited = u32::MAX.to_string();
        let limits = ["PER_SECOND", "BURST", "CALLER_PER_SECOND", "CALLER_BURST"];
        let mut all: Vec<(String, String)> = limits
            .map(|limit| (format!("RATE_LIMIT__{limit}"), unlimited.clone()))
            .into();
        let own = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        all.extend(own);
        let stack = Self {
            program: program.to_owned(),
            settings: all,
            environment: Vec::new(),
            through: None,
            recoveries: 0,
            storage: None,
            postgres: Some(postgres),
            options,
            directory,
        };
        stack.migrate().await;
        stack
    }

    async fn migrate(&self) {
        let password = self.directory.path().join("reader-password");
        std::fs::write(&password, READER_PASSWORD).unwrap();
        let mut command = kubernaut(&self.program, &["migrate"]);
        command.arg("--reader-password-file").arg(password);
        command.env("DATABASE_URL", self.url());
        for (key, value) in &self.settings {
            command.env(format!("DATA_STORAGE__{key}"), value);
        }
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// A directory for files of this fault.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The binary.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// PostgreSQL's address for its superuser.
    #[must_use]
    pub fn url(&self) -> String {
        self.postgres().url()
    }

    /// PostgreSQL's address for the role that may only read.
    #[must_use]
    pub fn reader_url(&self) -> String {
        self.postgres().url_as(READER, READER_PASSWORD)
    }

    /// How the check connects: straight to PostgreSQL.
    #[must_use]
    pub fn connect(&self) -> ConnectOptions {
        ConnectOptions {
            statement_timeout: Duration::from_secs(600),
            ..ConnectOptions::new(self.url(), SchemaName::default(), "campaign")
        }
    }

    /// The database, as the check sees it.
    pub async fn store(&self) -> WriteStore {
        WriteStore::connect(&self.connect())
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Everything PostgreSQL said.
    #[must_use]
    pub fn postgres_said(&self) -> String {
        let bytes = std::fs::read(self.options.directory.join("server.log")).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Starts Data Storage, waits until it is ready, and tells how long that took.
    pub async fn start_service(&mut self) -> Duration {
        let began = Instant::now();
        let settings: Vec<_> = self
            .settings
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let url = self.through.clone().unwrap_or_else(|| self.url());
        let schema = SchemaName::default();
        self.storage =
            Some(Storage::start_with(&self.program, &url, &schema, &settings, &self.environment).await);
        began.elapsed()
    }

    /// Data Storage, which must be running.
    #[must_use]
    pub fn service(&self) -> &Storage {
        self.storage.as_ref().expect("the service runs")
    }

    /// Where its API listens.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        self.service().address()
    }

    /// Kills Data Storage.
    pub fn kill_service(&mut self) {
        self.storage.take().expect("the service runs").process.kill();
    }

    /// Stops Data Storage; it must do so without complaint.
    pub async fn stop_service(&mut self) {
        if let Some(mut storage) = self.storage.take() {
            storage.process.stop(Signal::SIGTERM).await;
        }
    }

    /// Kills PostgreSQL's postmaster, as the machine might for want of memory. Its children notice by themselves.
    pub async fn kill_postgres(&mut self) {
        let mut postgres = self.postgres.take().expect("PostgreSQL runs");
        let pid = postgres.pid().expect("PostgreSQL runs");
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
        wait_until("the end of PostgreSQL", async || {
            postgres.try_wait().unwrap().is_some()
        })
        .await;
        tokio::task::spawn_blocking(move || drop(postgres)).await.unwrap();
    }

    /// Whether PostgreSQL ended by itself.
    pub fn postgres_ended(&mut self) -> bool {
        let postgres = self.postgres.as_mut().expect("PostgreSQL was not killed");
        postgres.try_wait().unwrap().is_some()
    }

    /// Starts PostgreSQL again where it was, with recovery, and tells how long that took.
    pub async fn start_postgres(&mut self) -> Duration {
        let began = Instant::now();
        if let Some(ended) = self.postgres.take() {
            tokio::task::spawn_blocking(move || drop(ended)).await.unwrap();
        }
        let said = self.postgres_said().len();
        for attempt in 1..=STARTS {
            match start(self.options.clone()).await {
                Ok(postgres) => {
                    self.postgres = Some(postgres);
                    break;
                }
                Err(error) if attempt == STARTS => panic!("{error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
        let took = began.elapsed();
        let now_said = self.postgres_said();
        // The log begins anew when it is large.
        let since = now_said.get(said..).unwrap_or(&now_said);
        self.recoveries += u64::from(since.contains("automatic recovery in progress"));
        took
    }

    /// Stops everything.
    pub async fn stop(mut self) {
        self.stop_service().await;
        let postgres = self.postgres.take();
        tokio::task::spawn_blocking(move || drop(postgres)).await.unwrap();
    }

    fn postgres(&self) -> &Postgres {
        self.postgres.as_ref().expect("PostgreSQL runs")
    }
}

async fn start(options: PostgresOptions) -> Result<Postgres, String> {
    let start = move || {
        let cache = devstack::cache_directory().map_err(|error| error.to_string())?;
        let package =
            devstack::fetch_postgres(&cache, Progress::detect()).map_err(|error| error.to_string())?;
        Postgres::start(&package, &options).map_err(|error| error.to_string())
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}
