//! The services that are measured: those of this binary, each a process of its own, as in a cluster.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use embedding::Precision;
use futures::future::{try_join, try_join_all};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::client::Client;
use crate::request::Request;
use crate::schema::PARTITIONS;

/// How long the services may take to start.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether they are ready: a small part of how long a start takes.
const GLANCE: Duration = Duration::from_millis(5);
/// Lines of their output that are kept, for the case that they do not start.
const KEPT_LINES: usize = 40;
/// More than can be sent: the limits are not what is measured.
const UNLIMITED: &str = "1000000";
/// Variables that configure a service, and are not for these.
const VARIABLES: [&str; 3] = ["DATABASE_URL", "DATA_STORAGE__", "CONTEXT_API__"];

/// How services are started.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Program with the commands `data-storage` and `context-api`.
    pub(crate) program: PathBuf,
    /// Where Data Storage writes, by the owner of the schema.
    pub(crate) writes: String,
    /// Where Context API reads, by the reader role.
    pub(crate) reads: String,
    /// The schema, which is migrated.
    pub(crate) schema: String,
    /// How exactly their model computes.
    pub(crate) precision: Precision,
    /// Further settings of Data Storage: names of variables without `DATA_STORAGE__`, and values.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// What the user sets, with the whole names of variables; it has the last word.
    pub(crate) variables: Vec<(String, String)>,
}

/// A service of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    DataStorage,
    ContextApi,
}

/// The processes; they are killed with this value.
#[derive(Debug)]
pub(crate) struct Services {
    data_storage: Vec<Service>,
    context_api: Vec<Service>,
}

#[derive(Debug)]
struct Service {
    child: Child,
    api: String,
}

/// The line of the log that tells where a service listens.
#[derive(Debug, Deserialize)]
struct Listening {
    api: String,
    metrics: String,
}

impl Services {
    /// Starts so many of each at the same time, on any free ports, with their defaults except for the rate limits and
    /// the settings of the plan, and waits until all of them are ready.
    ///
    /// # Errors
    /// Where one does not get ready; the error has its last words.
    pub(crate) async fn start(plan: &Plan, data_storage: usize, context_api: usize) -> anyhow::Result<Self> {
        let of = |kind, count| try_join_all((0..count).map(move |_| Service::start(plan, kind)));
        let (data_storage, context_api) = try_join(
            of(Kind::DataStorage, data_storage),
            of(Kind::ContextApi, context_api),
        )
        .await?;
        Ok(Self {
            data_storage,
            context_api,
        })
    }

    /// `http://127.0.0.1:port` of each Data Storage.
    #[must_use]
    pub(crate) fn data_storage(&self) -> Vec<String> {
        self.data_storage
            .iter()
            .map(|service| service.api.clone())
            .collect()
    }

    /// `http://127.0.0.1:port` of each Context API.
    #[must_use]
    pub(crate) fn context_api(&self) -> Vec<String> {
        self.context_api
            .iter()
            .map(|service| service.api.clone())
            .collect()
    }

    /// The processes that run, by the name of their service.
    #[must_use]
    pub(crate) fn processes(&self) -> Vec<(&'static str, u32)> {
        let of = |name, services: &[Service]| -> Vec<_> {
            services
                .iter()
                .filter_map(|service| Some((name, service.child.id()?)))
                .collect()
        };
        let mut processes = of("data-storage", &self.data_storage);
        processes.extend(of("context-api", &self.context_api));
        processes
    }

    /// Ends them. Nothing of them is kept, so they are not asked.
    ///
    /// # Errors
    /// Where a process cannot be ended.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for mut service in self.data_storage.into_iter().chain(self.context_api) {
            service
                .child
                .kill()
                .await
                .context("the services were not stopped")?;
        }
        Ok(())
    }
}

impl Service {
    async fn start(plan: &Plan, kind: Kind) -> anyhow::Result<Self> {
        let mut child = command(plan, kind)
            .spawn()
            .with_context(|| format!("{} cannot be started", plan.program.display()))?;
        let (lines, said) = mpsc::channel(KEPT_LINES);
        let last = Arc::<Mutex<VecDeque<String>>>::default();
        listen(child.stdout.take(), &lines, &last);
        listen(child.stderr.take(), &lines, &last);
        drop(lines);
        let ready = tokio::time::timeout(PATIENCE, ready(said)).await;
        if let Ok(Ok(api)) = ready {
            return Ok(Self { child, api });
        }
        let last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let words: Vec<&str> = last.iter().map(String::as_str).collect();
        anyhow::bail!("{} did not get ready:\n{}", kind.command(), words.join("\n"))
    }
}

impl Kind {
    fn command(self) -> &'static str {
        match self {
            Self::DataStorage => "data-storage",
            Self::ContextApi => "context-api",
        }
    }

    /// Whose setting a variable is.
    fn of_variable(name: &str) -> Option<Self> {
        [Self::DataStorage, Self::ContextApi].into_iter().find(|kind| {
            let name = name.strip_prefix(kind.prefix());
            name.is_some_and(|name| name.starts_with("__"))
        })
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::DataStorage => "DATA_STORAGE",
            Self::ContextApi => "CONTEXT_API",
        }
    }
}

/// Refuses a variable that is none of the services', or one that [`command`] sets and the run depends on.
///
/// # Errors
/// As told.
pub(crate) fn require_free(name: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        Kind::of_variable(name).is_some(),
        "--variable {name}: names begin with DATA_STORAGE__ or CONTEXT_API__"
    );
    let is_ours = [
        "__DATABASE__URL",
        "__DATABASE__SCHEMA",
        "__SERVER__",
        "__EMBEDDING__PRECISION",
    ]
    .iter()
    .any(|part| name.contains(part));
    anyhow::ensure!(!is_ours, "--variable {name}: the run sets that itself");
    Ok(())
}

fn command(plan: &Plan, kind: Kind) -> Command {
    let mut command = Command::new(&plan.program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if VARIABLES.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    let url = match kind {
        Kind::DataStorage => &plan.writes,
        Kind::ContextApi => &plan.reads,
    };
    let mut settings = vec![
        ("DATABASE__URL", url.clone()),
        ("DATABASE__SCHEMA", plan.schema.clone()),
        ("SERVER__API_ADDRESS", "127.0.0.1:0".to_owned()),
        ("SERVER__METRICS_ADDRESS", "127.0.0.1:0".to_owned()),
        // The line that tells the addresses is wanted; a line for each request would be measured too.
        ("LOG__DIRECTIVES", "access=error".to_owned()),
        ("EMBEDDING__PRECISION", plan.precision.as_str().to_owned()),
    ];
    for limit in [
        "RATE_LIMIT__PER_SECOND",
        "RATE_LIMIT__BURST",
        "RATE_LIMIT__CALLER_PER_SECOND",
        "RATE_LIMIT__CALLER_BURST",
    ] {
        settings.push((limit, UNLIMITED.to_owned()));
    }
    if kind == Kind::DataStorage {
        settings.push(("PARTITIONS__MONTHS_BACK", PARTITIONS.months_back.to_string()));
        settings.push(("PARTITIONS__MONTHS_AHEAD", PARTITIONS.months_ahead.to_string()));
        settings.extend(plan.settings.iter().cloned());
    }
    for (name, value) in settings {
        command.env(format!("{}__{name}", kind.prefix()), value);
    }
    let variables = plan.variables.iter();
    for (name, value) in variables.filter(|(name, _)| Kind::of_variable(name) == Some(kind)) {
        command.env(name, value);
    }
    command
        .arg(kind.command())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
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
            // Once nobody waits for the addresses, the channel is closed.
            let _ = lines.send(line).await;
        }
    });
}

/// The URL of the API, once `/readyz` answers 200.
async fn ready(mut said: mpsc::Receiver<String>) -> anyhow::Result<String> {
    let listening: Listening = loop {
        let line = said.recv().await.context("the process ended")?;
        if let Ok(listening) = serde_json::from_str(&line) {
            break listening;
        }
    };
    // Nobody reads it any more; what is said goes on into the last words.
    drop(said);
    let probes = Client::new(&[format!("http://{}", listening.metrics)], PATIENCE)?;
    let probe = Request::get("readyz", "/readyz");
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if probes
            .fetch(&probe)
            .await
            .is_ok_and(|answer| answer.status == 200)
        {
            return Ok(format!("http://{}", listening.api));
        }
        tokio::time::sleep(GLANCE).await;
    }
    anyhow::bail!("it is not ready")
}
