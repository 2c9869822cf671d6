//! A running server.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{
    DATABASE, PostgresError, PostgresOptions, PostgresPackage, SUPERUSER,
    account::Account,
    initialise::Offline,
    instance::{Instance, PidFile},
    settings,
};
use crate::process;

/// How many lines of a log an error shows.
const SHOWN_LINES: usize = 12;

/// How often a free port may turn out to be taken, between looking and listening.
const PORT_ATTEMPTS: u32 = 5;

/// How long processes of a killed server may take to notice.
const LEFT_OVER: Duration = Duration::from_secs(10);

/// A running server. Dropping it stops it; [`Postgres::stop`] also says whether that worked.
///
/// The server is in a process group of its own, so that Ctrl-C in a terminal does not reach it: what uses it can
/// finish first.
#[derive(Debug)]
pub struct Postgres {
    /// Absent once stopped or let go.
    child: Option<Child>,
    instance: Instance,
    port: u16,
    password: String,
}

/// How one attempt to start ended.
enum Attempt {
    Ready(Child),
    Ended(ExitStatus),
}

impl Postgres {
    /// Starts a server, making its data directory if there is none, and waits until it accepts connections.
    ///
    /// A server that was left running in this directory by a kubernaut that was killed is stopped first.
    ///
    /// # Errors
    /// [`PostgresError`]; no server is left running then.
    pub fn start(package: &PostgresPackage, options: &PostgresOptions) -> Result<Self, PostgresError> {
        Self::start_behind(package, options, None)
    }

    /// Starts a hot standby: it follows `primary`, and answers whoever only reads. Its first start copies all data; a
    /// later one goes on from where it was.
    ///
    /// The primary must write what a standby needs, as a durable one does, and have been made by this version of the
    /// program. The superuser's password is the primary's. A standby of another server stays one of that.
    ///
    /// # Errors
    /// [`PostgresError`]; no standby is left running then.
    pub fn start_replica(
        package: &PostgresPackage,
        options: &PostgresOptions,
        primary: &Self,
    ) -> Result<Self, PostgresError> {
        Self::start_behind(package, options, Some(primary))
    }

    fn start_behind(
        package: &PostgresPackage,
        options: &PostgresOptions,
        primary: Option<&Self>,
    ) -> Result<Self, PostgresError> {
        let instance = Instance::open(&options.directory)?;
        let account = Account::choose(&instance.data())?;
        account.check_reach(&package.program(options.major, "postgres"))?;
        account.check_reach(instance.directory())?;
        let has_data = instance.has_data(options.major)?;
        if let Some(port) = options.port {
            // An earlier server of ours may hold it, but then the directory is the better thing to speak of.
            instance.clear_earlier_server()?;
            check_free(port)?;
        }
        let offline = Offline {
            package,
            options,
            account: &account,
            instance: &instance,
        };
        if has_data {
            instance.clear_earlier_server()?;
            account.give(&instance.data())?;
        } else {
            match primary {
                None => offline.initialise()?,
                Some(primary) => offline.copy(primary.port, &primary.password)?,
            }
        }
        let password = match instance.password()? {
            Some(password) => password,
            None => offline.reset_password()?,
        };
        let (child, port) = run(&offline)?;
        let server = Self {
            child: Some(child),
            instance,
            port,
            password,
        };
        server.instance.keep_port(port)?;
        Ok(server)
    }

    /// `postgres://…`, the superuser's address of the database [`DATABASE`]. It has the password: not for logs.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_as(SUPERUSER, &self.password)
    }

    /// The address of the database [`DATABASE`] for another user.
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str) -> String {
        let (user, password) = (percent_encoded(user), percent_encoded(password));
        format!("postgres://{user}:{password}@127.0.0.1:{}/{DATABASE}", self.port)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server, while it was not seen to end.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The directory given at start.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.instance.directory()
    }

    /// What the server says goes here.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.instance.log_path()
    }

    /// Whether the server ended by itself, and how; for watching over it.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.as_mut().map_or(Ok(None), Child::try_wait)
    }

    /// Stops the server: open transactions are rolled back, what is committed is kept. Takes well under a second
    /// usually, and 40 seconds at most.
    ///
    /// # Errors
    /// [`PostgresError::DidNotStop`].
    pub fn stop(mut self) -> Result<(), PostgresError> {
        self.child
            .take()
            .map_or(Ok(()), |mut child| shut_down(&mut child))
    }

    /// Leaves the server running, for somebody else to stop.
    pub(crate) fn let_go(mut self) {
        self.child = None;
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // There is nobody to tell; the next start in this directory stops it.
            let _ = shut_down(&mut child);
        }
    }
}

/// Starts the server until it stays, and the port it has.
fn run(offline: &Offline<'_>) -> Result<(Child, u16), PostgresError> {
    let instance = offline.instance;
    let began = Instant::now();
    let mut collisions = 0;
    loop {
        let port = match offline.options.port {
            Some(port) => port,
            None => choose_port(instance.last_port())
                .map_err(PostgresError::io("find a port for", instance.directory()))?,
        };
        let mut log = instance.open_log()?;
        let log_start = log
            .seek(SeekFrom::End(0))
            .map_err(PostgresError::io("read", &instance.log_path()))?;
        let status = match attempt(offline, port, &log)? {
            Attempt::Ready(child) => return Ok((child, port)),
            Attempt::Ended(status) => status,
        };
        let said = text_from(&instance.log_path(), log_start);
        // Somebody took the port between our look and the server's.
        if said.contains("Address already in use") {
            if offline.options.port.is_some() {
                return Err(PostgresError::PortTaken { port });
            }
            collisions += 1;
            if collisions < PORT_ATTEMPTS {
                continue;
            }
        }
        // The server was killed and its children have not noticed yet.
        if said.contains("pre-existing shared memory block") && began.elapsed() < LEFT_OVER {
            thread::sleep(Duration::from_millis(200));
            continue;
        }
        return Err(did_not_start(
            instance,
            format!("it ended with {status}"),
            log_start,
        ));
    }
}

fn attempt(offline: &Offline<'_>, port: u16, log: &File) -> Result<Attempt, PostgresError> {
    let Offline {
        package,
        options,
        account,
        instance,
    } = offline;
    let log_path = instance.log_path();
    let log_start = log
        .metadata()
        .map_err(PostgresError::io("read", &log_path))?
        .len();
    let handle = || log.try_clone().map_err(PostgresError::io("open", &log_path));
    let program = package.program(options.major, "postgres");
    let data = instance.data();
    let mut child = account
        .command(&program)
        .envs(options.environment.iter().map(|(name, value)| (name, value)))
        .arg("-D")
        .arg(&data)
        .args(settings::arguments(options, port))
        .stdout(handle()?)
        .stderr(handle()?)
        .process_group(0)
        .spawn()
        .map_err(PostgresError::io("run", &program))?;
    let deadline = Instant::now() + options.start_timeout;
    loop {
        if let Some(status) = child
            .try_wait()
            .map_err(PostgresError::io("wait for", &program))?
        {
            return Ok(Attempt::Ended(status));
        }
        // The file may still be that of an earlier server.
        if PidFile::read(&data).is_some_and(|file| file.is_ready && file.pid == child.id().cast_signed()) {
            return Ok(Attempt::Ready(child));
        }
        if Instant::now() > deadline {
            // The reason for stopping is worth more than how it went.
            let _ = shut_down(&mut child);
            let reason = format!(
                "it was not ready after {} seconds",
                options.start_timeout.as_secs()
            );
            return Err(did_not_start(instance, reason, log_start));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn did_not_start(instance: &Instance, reason: String, log_start: u64) -> PostgresError {
    let log = instance.log_path();
    let tail = last_lines(&text_from(&log, log_start));
    PostgresError::DidNotStart { reason, log, tail }
}

/// Asks politely, then firmly.
fn shut_down(child: &mut Child) -> Result<(), PostgresError> {
    let pid = child.id().cast_signed();
    let failed = |_: io::Error| PostgresError::DidNotStop { pid };
    // "Fast" rolls back and writes a checkpoint; "immediate" leaves recovery to the next start.
    for (signal, seconds) in [(Signal::SIGINT, 30), (Signal::SIGQUIT, 8), (Signal::SIGKILL, 2)] {
        if child.try_wait().map_err(failed)?.is_some() {
            return Ok(());
        }
        process::signal(pid, signal).map_err(failed)?;
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < deadline {
            if child.try_wait().map_err(failed)?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    Err(PostgresError::DidNotStop { pid })
}

/// Checks that a port can be listened on.
fn check_free(port: u16) -> Result<(), PostgresError> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(PostgresError::PortTaken { port }),
        Err(error) => Err(PostgresError::io(
            "listen on",
            Path::new(&format!("127.0.0.1:{port}")),
        )(error)),
    }
}

/// The port of the last start, so that what people noted stays true, or any free one.
fn choose_port(last: Option<u16>) -> io::Result<u16> {
    if let Some(port) = last.filter(|port| check_free(*port).is_ok()) {
        return Ok(port);
    }
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// What a log has from a position on; nothing if it cannot be read.
fn text_from(path: &Path, position: u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path)
        && file.seek(SeekFrom::Start(position)).is_ok()
    {
        // What was read before an error is still worth showing.
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last lines of a text, indented.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    shown
        .iter()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// As RFC 3986 wants it in an address.
fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(percent_encoded("a-Z_0.~"), "a-Z_0.~");
        assert_eq!(percent_encoded("p@ss/wörd"), "p%40ss%2Fw%C3%B6rd");
    }

    #[test]
    fn a_taken_port_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = check_free(port).unwrap_err().to_string();
        assert!(
            error.contains(&format!("port {port} on 127.0.0.1 is taken")),
            "{error}"
        );
        assert_ne!(choose_port(Some(port)).unwrap(), port);
    }
}
