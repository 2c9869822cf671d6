//! The services that are measured: those of this binary, in a process of their own.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// How long the services may take to start.
const PATIENCE: Duration = Duration::from_secs(120);
/// Lines of their output that are kept, for the case that they do not start.
const KEPT_LINES: usize = 40;
/// More than can be sent: the limits are not what is measured.
const UNLIMITED: &str = "1000000";
/// What `up` says last, when everything answers.
const STARTED: &str = "Ctrl-C stops everything";
/// Variables that configure a stack, and are not for this one.
const VARIABLES: [&str; 4] = [
    "DATABASE_URL",
    "KUBERNAUT_DATA_DIR",
    "DATA_STORAGE__",
    "CONTEXT_API__",
];

/// `kubernaut up` as a process; it is killed with this value.
#[derive(Debug)]
pub(crate) struct Stack {
    child: Child,
    _directory: TempDir,
    /// `http://127.0.0.1:port` of Data Storage.
    pub(crate) data_storage: String,
    /// `http://127.0.0.1:port` of Context API.
    pub(crate) context_api: String,
}

impl Stack {
    /// Starts both services of `program` on a schema, on any free ports, with their defaults except for the rate limits
    /// and `settings`, which are names of variables without `DATA_STORAGE__`, and values.
    ///
    /// # Errors
    /// Where they do not start; the error has their last words.
    pub(crate) async fn start(
        program: &Path,
        database_url: &str,
        schema: &str,
        settings: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if VARIABLES.iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.arg("up").arg("--data-dir").arg(directory.path());
        for address in [
            "--data-storage-addr",
            "--context-api-addr",
            "--data-storage-metrics-addr",
            "--context-api-metrics-addr",
        ] {
            command.args([address, "127.0.0.1:0"]);
        }
        command
            .env("DATABASE_URL", database_url)
            .env("DATA_STORAGE__DATABASE__SCHEMA", schema)
            .env("CONTEXT_API__DATABASE__SCHEMA", schema);
        for limit in ["PER_SECOND", "BURST", "CALLER_PER_SECOND", "CALLER_BURST"] {
            for service in ["DATA_STORAGE", "CONTEXT_API"] {
                command.env(format!("{service}__RATE_LIMIT__{limit}"), UNLIMITED);
            }
        }
        for (name, value) in settings {
            command.env(format!("DATA_STORAGE__{name}"), value);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let (lines, mut said) = mpsc::channel(KEPT_LINES);
        let last = Arc::<Mutex<VecDeque<String>>>::default();
        listen(child.stdout.take(), &lines, &last);
        listen(child.stderr.take(), &lines, &last);
        drop(lines);
        let greeting = tokio::time::timeout(PATIENCE, greeting(&mut said))
            .await
            .ok()
            .flatten();
        // Nobody reads it any more; what is said goes on into the last words.
        drop(said);
        let Some((data_storage, context_api)) = greeting else {
            let last = last.lock().unwrap_or_else(PoisonError::into_inner);
            let words: Vec<&str> = last.iter().map(String::as_str).collect();
            anyhow::bail!("the services did not start:\n{}", words.join("\n"));
        };
        Ok(Self {
            child,
            _directory: directory,
            data_storage,
            context_api,
        })
    }

    /// The process of both services, while it runs.
    #[must_use]
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends them. Nothing of them is kept, so they are not asked.
    ///
    /// # Errors
    /// Where the process cannot be ended.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("the services were not stopped")
    }
}

/// Reads an output to its end, so that the process never waits for its reader.
fn listen(
    output: Option<impl AsyncRead + Unpin + Send + 'static>,
    lines: &mpsc::Sender<String>,
    last: &Arc<Mutex<VecDeque<String>>>,
) {
    let Some(output) = output else { return };
    let (lines, last) = (lines.clone(), Arc::clone(last));
    tokio::spawn(async move {
        let mut output = BufReader::new(output).lines();
        while let Ok(Some(line)) = output.next_line().await {
            {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if last.len() == KEPT_LINES {
                    last.pop_front();
                }
                last.push_back(line.clone());
            }
            // Once nobody waits for the greeting, the channel is closed.
            let _ = lines.send(line).await;
        }
    });
}

/// The addresses of Data Storage and Context API, once both answer.
async fn greeting(said: &mut mpsc::Receiver<String>) -> Option<(String, String)> {
    let address = |line: &str, name: &str| {
        let rest = line.strip_prefix(name)?.trim().strip_prefix("http://")?;
        Some(format!("http://{}", rest.split('/').next()?))
    };
    let (mut data_storage, mut context_api) = (None, None);
    while let Some(line) = said.recv().await {
        data_storage = data_storage.or_else(|| address(&line, "Data Storage "));
        context_api = context_api.or_else(|| address(&line, "Context API "));
        if line.starts_with(STARTED) {
            break;
        }
    }
    Some((data_storage?, context_api?))
}
