//! `kubernaut bench`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use bench::{Target, Workload};
use clap::ValueEnum;
use embedding::Precision;
use service_kit::Clock;

/// A workload on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Selected {
    /// Records, one in each request.
    Writes,
    /// A few questions, again and again, answered from what is kept.
    CachedReads,
    /// Lists, details and recovery contexts, each answered by the database.
    UncachedReads,
    /// Searches by meaning.
    Search,
}

impl From<Selected> for Workload {
    fn from(selected: Selected) -> Self {
        match selected {
            Selected::Writes => Self::Writes,
            Selected::CachedReads => Self::CachedReads,
            Selected::UncachedReads => Self::UncachedReads,
            Selected::Search => Self::Search,
        }
    }
}

/// What the options alone do not say.
const EXPLANATION: &str = "\
Each workload goes through two loads: an open loop, in which requests are due at a fixed rate and take from when they were
due, and a closed loop, in which callers wait for each answer. Without the URLs of services, they are started for the run, on
a PostgreSQL of the run or on that of --database-url, in a schema that is dropped afterwards. The table shows latencies in
milliseconds, and each figure divided by baselines of the same run: believe those.

A million incidents, read from a standby by two of each service; a million takes about 25 GB for each server, in the
directory for temporary files (TMPDIR):
  kubernaut bench --incidents 10000 --copies 99 --replicas 2 --read-replica --json bench.json";

#[derive(Debug, clap::Args)]
#[command(after_help = EXPLANATION)]
pub(crate) struct Options {
    /// What to measure, in this order: writes,cached-reads,uncached-reads,search [default: all].
    #[arg(long, value_enum, value_delimiter = ',', hide_possible_values = true)]
    workload: Vec<Selected>,
    /// Requests in a second of the open loop; 0 for no open loop. Several, such as 100,200,400, are measured one after the
    /// other and drawn as a curve.
    #[arg(long, default_value = "500", value_delimiter = ',', value_parser = rate)]
    rate: Vec<f64>,
    /// Callers of the closed loop; 0 for no closed loop.
    #[arg(long, default_value_t = 64)]
    callers: usize,
    /// How long each load counts.
    #[arg(long, default_value = "60s", value_parser = duration)]
    duration: Duration,
    /// How long each load goes before it counts.
    #[arg(long, default_value = "10s", value_parser = duration)]
    warm_up: Duration,
    /// Requests of the open loop that may have no answer yet; more are dropped, and counted.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
    /// When a request is given up.
    #[arg(long, default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// Share of records and searches whose text nobody used before, so that it must be embedded; the others repeat some
    /// hundreds of texts. Writes are measured with each of several; everything else goes by the first.
    #[arg(long, default_value = "0.1", value_delimiter = ',', value_parser = share)]
    fresh_texts: Vec<f64>,
    /// Share of writes that repeat a record sent shortly before.
    #[arg(long, default_value_t = 0.02, value_parser = share)]
    replays: f64,
    /// The same seed sends the same records; a second run on services that keep their data needs another one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Incidents, with all their records, to load over HTTP before anything is measured.
    #[arg(long, default_value_t = 1_000)]
    incidents: usize,
    /// Then copy that history so many times by SQL: other clusters with the same stories, over the months of a year.
    /// The services start when that is done.
    #[arg(long, default_value_t = 0, value_name = "N", conflicts_with_all = ["data_storage", "context_api"])]
    copies: u32,
    /// Processes of each service; requests go to them in turn.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = replicas,
          conflicts_with_all = ["data_storage", "context_api"])]
    replicas: usize,
    /// Let Context API read from a standby, which is started of the run's own PostgreSQL.
    #[arg(long, conflicts_with_all = ["data_storage", "context_api"])]
    read_replica: bool,
    /// How often the start of the services is measured; 0 for never. Only those that the run starts.
    #[arg(long, default_value_t = 10, value_name = "N")]
    cold_starts: usize,
    /// Measure also what is gained by one transaction for many records and by one vector for equal texts: the closed
    /// loop of writes again, on services that do without.
    #[arg(long, conflicts_with_all = ["data_storage", "context_api"])]
    naive: bool,
    /// How exactly the model of the services computes: float32, or int8.
    #[arg(long, default_value = "float32", value_parser = precision, conflicts_with_all = ["data_storage", "context_api"])]
    precision: Precision,
    /// Use the history of this schema, and keep it: without one, it is made there first, as --incidents and --copies say. With
    /// --database-url. Loads of writes add to it.
    #[arg(long, value_name = "SCHEMA", conflicts_with_all = ["data_storage", "context_api"])]
    history: Option<String>,
    /// A setting of the run's own PostgreSQL, such as shared_buffers=4GB; may be given more than once.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    postgresql: Vec<(String, String)>,
    /// A setting of the services that are started, as a variable of theirs, such as DATA_STORAGE__WRITER__LINGER=10ms; may
    /// be given more than once.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, conflicts_with_all = ["data_storage", "context_api"])]
    variable: Vec<(String, String)>,
    /// A Data Storage that runs; it gets records that nobody wants to keep.
    #[arg(long, value_name = "URL")]
    data_storage: Option<String>,
    /// A Context API that runs, of the same database.
    #[arg(long, value_name = "URL")]
    context_api: Option<String>,
    /// The PostgreSQL to use, by a role that may make schemas: for services started here, or that of the services that run,
    /// for what is compared with plain SQL. A password is better given by the variable.
    #[arg(long, env = crate::database_url::VARIABLE, hide_env_values = true)]
    database_url: Option<String>,
    /// Schema of the services that run.
    #[arg(long, default_value = "kubernaut")]
    schema: String,
    /// Write everything that was measured to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw latencies and throughput into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let database_url = options.database_url.filter(|url| !url.is_empty());
    let target = if options.data_storage.is_none() && options.context_api.is_none() {
        Target::Own {
            program: std::env::current_exe().context("this program is not found")?,
            database_url,
        }
    } else {
        Target::Running {
            data_storage: options.data_storage,
            context_api: options.context_api,
            database_url,
            schema: options.schema,
        }
    };
    let workloads: Vec<Workload> = options.workload.into_iter().map(Workload::from).collect();
    let all = Workload::ALL.into_iter();
    let wanted = bench::Options {
        target,
        workloads: all
            .filter(|workload| workloads.is_empty() || workloads.contains(workload))
            .collect(),
        rates: options.rate.into_iter().filter(|rate| *rate > 0.0).collect(),
        callers: options.callers,
        duration: options.duration,
        warm_up: options.warm_up,
        in_flight: options.in_flight,
        timeout: options.timeout,
        fresh_texts: options.fresh_texts,
        replays: options.replays,
        seed: options.seed,
        incidents: options.incidents,
        copies: options.copies,
        replicas: options.replicas,
        read_replica: options.read_replica,
        cold_starts: options.cold_starts,
        naive: options.naive,
        precision: options.precision,
        history: options.history,
        postgresql: options.postgresql,
        variables: options.variable,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let shutdown = service_kit::shutdown::Shutdown::on_signals()?;
    let report = bench::run(wanted, Clock::system(), shutdown.begun()).await?;
    print!("{report}");
    let write = |file: Option<&PathBuf>, content: String| match file {
        Some(file) => {
            std::fs::write(file, content).with_context(|| format!("{} cannot be written", file.display()))
        }
        None => Ok(()),
    };
    write(options.json.as_ref(), serde_json::to_string_pretty(&report)?)?;
    write(options.svg.as_ref(), report.svg())
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration > Duration::from_secs(86_400) {
        return Err("must be at most a day".to_owned());
    }
    Ok(duration)
}

/// More processes than that are no test of one machine.
fn replicas(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|replicas| (1..=64).contains(replicas))
        .ok_or_else(|| "must be 1 to 64".to_owned())
}

fn precision(text: &str) -> Result<Precision, String> {
    [Precision::Float32, Precision::Int8]
        .into_iter()
        .find(|precision| precision.as_str() == text)
        .ok_or_else(|| "must be float32 or int8".to_owned())
}

fn setting(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "must be NAME=VALUE".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "must be 0 to 1".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| (0.0..=1_000_000.0).contains(rate))
        .ok_or_else(|| "must be 0 to 1000000".to_owned())
}
