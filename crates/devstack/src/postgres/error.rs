//! Why a server did not start or stop, and what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::Major;

/// Why a server did not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// Something else listens on the port.
    #[error("port {port} on 127.0.0.1 is taken by another program; stop it, or choose another port")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// Another process runs a server here.
    #[error(
        "{} is in use by another kubernaut process (pid {owner}); stop that one, or choose another data directory",
        directory.display()
    )]
    HeldByProcess {
        /// The directory of the server.
        directory: PathBuf,
        /// The id of the process, as it wrote it.
        owner: String,
    },
    /// A server that was not started here runs in the data directory.
    #[error(
        "the data directory {} is in use by PostgreSQL with pid {pid}, which kubernaut did not start; stop it with \
        `kill -INT {pid}`, or choose another data directory",
        directory.display()
    )]
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// The id of the server's process.
        pid: i32,
    },
    /// Made by another major version.
    #[error(
        "the data directory {} was made by PostgreSQL {found}, and this is PostgreSQL {wanted}. Start it with \
        version {found}; or dump it there with pg_dumpall and restore the dump into a new directory; or, if the \
        data is not needed, remove the directory",
        directory.display()
    )]
    OtherMajor {
        /// The data directory.
        directory: PathBuf,
        /// The version that made it.
        found: String,
        /// The version asked for.
        wanted: Major,
    },
    /// Somebody else's files.
    #[error(
        "{} is not empty and was not made by kubernaut; it is left untouched. Choose an empty or a new directory",
        directory.display()
    )]
    NotADataDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// Another user's data directory.
    #[error(
        "the data directory {} belongs to user id {owner}, and this process runs as {user}; run it as that user, \
        give the directory away with `chown -R {user} {}`, or choose another one",
        directory.display(), directory.display()
    )]
    WrongOwner {
        /// The data directory.
        directory: PathBuf,
        /// The numeric id of its owner.
        owner: u32,
        /// The numeric id of this process.
        user: u32,
    },
    /// Root needs somebody to run the server as, and there is nobody.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor a user `nobody` to run it as; \
        create one (`useradd --system postgres`), or run this as an ordinary user"
    )]
    NoUnprivilegedUser,
    /// The unprivileged user cannot reach a path.
    #[error(
        "PostgreSQL does not run as root, so it runs as user {user}, who cannot enter {} on the way to {}. Let \
        others enter it (`chmod o+x {}`), or choose a directory elsewhere: /var/cache/kubernaut and \
        /var/lib/kubernaut are the defaults for root",
        blocked.display(), path.display(), blocked.display()
    )]
    Unreachable {
        /// The unprivileged user.
        user: String,
        /// The first path that it cannot enter or run.
        blocked: PathBuf,
        /// Where it has to go.
        path: PathBuf,
    },
    /// A new data directory could not be made.
    #[error("cannot make a data directory in {}: {step} failed, saying\n{output}", directory.display())]
    NotInitialised {
        /// The directory of the server.
        directory: PathBuf,
        /// The program.
        step: &'static str,
        /// What it said.
        output: String,
    },
    /// The server ended, or was not ready in time.
    #[error("PostgreSQL did not start: {reason}. The last lines of {}:\n{tail}", log.display())]
    DidNotStart {
        /// What happened.
        reason: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of this start.
        tail: String,
    },
    /// The server could not be stopped.
    #[error("PostgreSQL with pid {pid} does not stop; look at its log, then try `kill -QUIT {pid}`")]
    DidNotStop {
        /// The id of the server's process.
        pid: i32,
    },
    /// Anything else the system refused.
    #[error("cannot {action} {}: {source}{}", path.display(), hint(action, source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl PostgresError {
    /// Makes an I/O error say what was tried.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

fn hint(action: &str, source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            ". Check who owns the path, or choose another directory (KUBERNAUT_DATA_DIR, KUBERNAUT_CACHE_DIR)"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ". Free some space, or choose a directory on another disk"
        }
        // What the system does not find is the loader that the program names.
        io::ErrorKind::NotFound if action == "run" => {
            ". If the file is there, this system lacks glibc 2.28 or newer, which the package needs: set DATABASE_URL \
            to a PostgreSQL 16 or newer with pgvector instead"
        }
        _ => "",
    }
}
