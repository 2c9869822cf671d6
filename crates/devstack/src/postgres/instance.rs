//! The directory of a server, and what is in it:
//!
//! ```text
//! owner.lock   locked by the process that runs the server, for as long as it lives
//! password     of the superuser, mode 0600
//! port         of the last start
//! server.log   what the server says; server.log.old when it grew large
//! data/        PostgreSQL's own; appears by a rename when it is complete
//! data.new/    one being made
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rand::{TryRngCore, rngs::OsRng};

use super::{Major, PostgresError, settings::CLUSTER_NAME};
use crate::{fetch::create_readable_directories, process};

/// A log larger than this, in bytes, is put aside at the next start.
const LARGE_LOG: u64 = 10 << 20;

/// The directory of a server, held by this process.
#[derive(Debug)]
pub(super) struct Instance {
    directory: PathBuf,
    /// Unlocked by the system when this process ends, however it ends.
    lock: File,
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Closing is not enough: a process that another thread is just starting has a copy of the handle until it
        // becomes its program. If this fails, the system unlocks a moment later.
        let _ = self.lock.unlock();
    }
}

impl Instance {
    /// Takes a directory, made if absent.
    pub(super) fn open(directory: &Path) -> Result<Self, PostgresError> {
        let directory = std::path::absolute(directory).map_err(PostgresError::io("find", directory))?;
        let lock_path = directory.join("owner.lock");
        match fs::read_dir(&directory) {
            Ok(mut entries) => {
                if entries.next().is_some() && !lock_path.exists() {
                    return Err(PostgresError::NotADataDirectory { directory });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_readable_directories(&directory).map_err(PostgresError::io("create", &directory))?;
            }
            // A file, or a directory that we may not read.
            Err(error) => return Err(PostgresError::io("open", &directory)(error)),
        }
        let mut lock = private()
            .read(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(PostgresError::io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = fs::read_to_string(&lock_path).unwrap_or_default();
                let owner = if owner.is_empty() {
                    "unknown".to_owned()
                } else {
                    owner
                };
                return Err(PostgresError::HeldByProcess { directory, owner });
            }
            Err(TryLockError::Error(error)) => return Err(PostgresError::io("lock", &lock_path)(error)),
        }
        lock.set_len(0)
            .and_then(|()| write!(lock, "{}", std::process::id()))
            .map_err(PostgresError::io("write", &lock_path))?;
        Ok(Self { directory, lock })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(super) fn new_data(&self) -> PathBuf {
        self.directory.join("data.new")
    }

    /// Whether there is data, made by this major version.
    pub(super) fn has_data(&self, wanted: Major) -> Result<bool, PostgresError> {
        let data = self.data();
        if !data.exists() {
            return Ok(false);
        }
        let path = data.join("PG_VERSION");
        let found = match fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(PostgresError::NotADataDirectory { directory: data });
            }
            Err(error) => return Err(PostgresError::io("read", &path)(error)),
        };
        if found != wanted.to_string() {
            return Err(PostgresError::OtherMajor {
                directory: data,
                found,
                wanted,
            });
        }
        Ok(true)
    }

    /// The superuser's password, if there is one already.
    pub(super) fn password(&self) -> Result<Option<String>, PostgresError> {
        let path = self.directory.join("password");
        match fs::read_to_string(&path) {
            Ok(text) if !text.is_empty() => Ok(Some(text)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PostgresError::io("read", &path)(error)),
        }
    }

    /// Makes a password and keeps it. The one place here that draws randomness, from the operating system: a
    /// password must not be predictable, so no seeded generator may stand in for it.
    pub(super) fn make_password(&self) -> Result<String, PostgresError> {
        let path = self.directory.join("password");
        let mut bytes = [0; 16];
        OsRng
            .try_fill_bytes(&mut bytes)
            .map_err(|error| PostgresError::io("draw a password for", &path)(io::Error::other(error)))?;
        let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.keep_password(&password)?;
        Ok(password)
    }

    /// Keeps the superuser's password.
    pub(super) fn keep_password(&self, password: &str) -> Result<(), PostgresError> {
        let path = self.directory.join("password");
        private()
            .truncate(true)
            .open(&path)
            .and_then(|mut file| {
                file.write_all(password.as_bytes())?;
                file.sync_all()
            })
            .map_err(PostgresError::io("write", &path))
    }

    /// The port of the last start.
    pub(super) fn last_port(&self) -> Option<u16> {
        fs::read_to_string(self.directory.join("port"))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// Keeps the port for the next start.
    pub(super) fn keep_port(&self, port: u16) -> Result<(), PostgresError> {
        let path = self.directory.join("port");
        fs::write(&path, port.to_string()).map_err(PostgresError::io("write", &path))
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// Opens the log for appending.
    pub(super) fn open_log(&self) -> Result<File, PostgresError> {
        let path = self.log_path();
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LARGE_LOG) {
            let old = self.directory.join("server.log.old");
            fs::rename(&path, &old).map_err(PostgresError::io("rename to", &old))?;
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(PostgresError::io("open", &path))
    }

    /// Deals with what an earlier server left. One of ours that still runs lost its owner, since the directory was
    /// not held: it is stopped. One of somebody else is an error. The file of a dead one is removed, because
    /// PostgreSQL would take any other process that got its id for itself.
    pub(super) fn clear_earlier_server(&self) -> Result<(), PostgresError> {
        stop_leftover(&self.data())
    }
}

/// Stops the server that was started here and lost its owner, as [`Instance::clear_earlier_server`] says.
pub(crate) fn stop_leftover(data: &Path) -> Result<(), PostgresError> {
    let Some(pid) = PidFile::read(data).map(|file| file.pid) else {
        return Ok(());
    };
    let command_line = process::command_line(pid).filter(|line| line.contains("postgres"));
    let Some(command_line) = command_line.filter(|_| !process::works_elsewhere(pid, data)) else {
        let path = data.join(PidFile::NAME);
        return fs::remove_file(&path).map_err(PostgresError::io("remove", &path));
    };
    if !(command_line.contains(CLUSTER_NAME) && command_line.contains(&*data.to_string_lossy())) {
        return Err(PostgresError::InUse {
            directory: data.to_owned(),
            pid,
        });
    }
    let Some(identity) = process::identity(pid) else {
        return Ok(());
    };
    for (signal, seconds) in [(Signal::SIGINT, 20), (Signal::SIGQUIT, 10)] {
        process::signal(pid, signal).map_err(PostgresError::io("stop the server of", data))?;
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < deadline {
            if !process::is_alive(&identity) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    Err(PostgresError::DidNotStop { pid })
}

/// What PostgreSQL writes about itself into `postmaster.pid`.
pub(super) struct PidFile {
    /// The id of the server's process.
    pub(super) pid: i32,
    /// Whether it accepts connections.
    pub(super) is_ready: bool,
}

impl PidFile {
    const NAME: &str = "postmaster.pid";

    /// `None` when there is none, or it is being written.
    pub(super) fn read(data: &Path) -> Option<Self> {
        let text = fs::read_to_string(data.join(Self::NAME)).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        // The status is the eighth line, padded with blanks.
        Some(Self {
            pid,
            is_ready: lines.nth(6).is_some_and(|status| status.trim() == "ready"),
        })
    }
}

/// A file that only this user may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_of_another_boot_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(PidFile::NAME);
        // The id of a living process that is no PostgreSQL, and one that no process can have.
        for pid in [std::process::id().to_string(), i32::MAX.to_string()] {
            fs::write(
                &path,
                format!("{pid}\n/data\n1\n5432\n\n127.0.0.1\n0 0\nready   \n"),
            )
            .unwrap();
            assert!(PidFile::read(directory.path()).unwrap().is_ready);
            stop_leftover(directory.path()).unwrap();
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_server_that_is_still_starting_is_not_ready() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(PidFile::NAME);
        fs::write(&path, "7\n/data\n1\n5432\n\n127.0.0.1\n0 0\nstarting\n").unwrap();
        assert!(!PidFile::read(directory.path()).unwrap().is_ready);
        fs::write(&path, "7\n/data\n").unwrap();
        assert!(!PidFile::read(directory.path()).unwrap().is_ready);
    }
}
