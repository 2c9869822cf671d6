//! A process of the binary `kubernaut`: started, listened to, signalled, waited for.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long anything may take that is expected to happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the last words of a process may take to arrive. Not for ever: a child of its own may hold its outputs.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How often it is looked whether it happened.
const GLANCE: Duration = Duration::from_millis(10);

/// What configures the binary through the environment, and must not reach it from the environment of whoever runs this.
const VARIABLES: [&str; 4] = [
    "DATABASE_URL",
    "KUBERNAUT_DATA_DIR",
    "DATA_STORAGE__",
    "CONTEXT_API__",
];

/// The binary with an environment that configures nothing.
#[must_use]
pub fn kubernaut(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if VARIABLES
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// A process that is ended with this value, if it has not ended before.
pub struct Running {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    listeners: [JoinHandle<()>; 2],
}

impl Running {
    /// Starts a command and listens to both of its outputs.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::default();
        let listeners = [
            listen(child.stdout.take().unwrap(), &said),
            listen(child.stderr.take().unwrap(), &said),
        ];
        Self {
            child,
            said,
            listeners,
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything said on both outputs so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// Waits for a line in which something is found.
    pub async fn find<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() {
                self.last_words().await;
            }
            if let Some(found) = self.said.lock().unwrap().iter().find_map(|line| find(line)) {
                return found;
            }
            assert!(ended.is_none(), "ended before {what}: {}", self.said());
            assert!(began.elapsed() < PATIENCE, "no {what}: {}", self.said());
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.last_words().await;
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "goes on: {}", self.said());
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Waits until everything is heard that a process said before it ended.
    async fn last_words(&self) {
        let began = Instant::now();
        while !self.listeners.iter().all(JoinHandle::is_finished) && began.elapsed() < LAST_WORDS {
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Kills it, as no process can prevent.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop; it must do so without complaint.
    pub async fn stop(&mut self, signal: Signal) {
        self.signal(signal);
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{signal}: {}", self.said());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the process said:\n{}", self.said());
        }
        // Politely first: a PostgreSQL of its own would outlive it otherwise.
        let began = Instant::now();
        while let Ok(None) = self.child.try_wait() {
            if began.elapsed() > Duration::from_secs(10) {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn listen(output: impl Read + Send + 'static, said: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            said.lock().unwrap().push(line);
        }
    })
}

/// Waits until something holds, and tells how long that took.
pub async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(GLANCE).await;
    }
    began.elapsed()
}
