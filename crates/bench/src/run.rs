//! The order of everything: history, loads, baselines, report.

mod reads;
mod writes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use audit_store::SchemaName;
use chrono::TimeDelta;
use embedding::{MiniLm, Precision};
use service_kit::Clock;

use crate::baseline::{self, Baseline};
use crate::client::Client;
use crate::cpu::Watched;
use crate::load::Times;
use crate::machine::Machine;
use crate::report::{Figure, Report};
use crate::server::Server;
use crate::stack::Stack;
use crate::traffic::{Traffic, TrafficOptions};
use crate::{preload, schema};

/// How long a baseline is measured, at most; a load that goes for a shorter time has shorter ones.
const BASELINE: Duration = Duration::from_secs(10);
/// Preloaded incidents end within so much time before now. The months that have partitions reach further.
const HISTORY: TimeDelta = TimeDelta::days(60);
/// Incidents of a load end within so much time before now.
const RECENT: TimeDelta = TimeDelta::hours(1);

/// What a load consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Workload {
    /// Records, one in each request.
    Writes,
    /// A few questions, again and again, answered from what is kept.
    CachedReads,
    /// Lists, details and recovery contexts, each answered by the database.
    UncachedReads,
    /// Searches by meaning.
    Search,
}

impl Workload {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 4] = [Self::Writes, Self::CachedReads, Self::UncachedReads, Self::Search];

    /// As on the command line.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Writes => "writes",
            Self::CachedReads => "cached-reads",
            Self::UncachedReads => "uncached-reads",
            Self::Search => "search",
        }
    }
}

/// What is measured.
#[derive(Debug, Clone)]
pub enum Target {
    /// Services that are started for the run, in a schema of its own that goes with it; on a PostgreSQL of its own, unless
    /// there is a URL.
    Own {
        /// Program that has the command `up`.
        program: PathBuf,
        /// A PostgreSQL to use.
        database_url: Option<String>,
    },
    /// Services that run.
    Running {
        /// Data Storage; writes and history need it.
        data_storage: Option<String>,
        /// Context API; reads need it.
        context_api: Option<String>,
        /// Their PostgreSQL, by its owner: the baselines in SQL need it.
        database_url: Option<String>,
        /// Their schema.
        schema: String,
    },
}

/// A run.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is measured.
    pub target: Target,
    /// In their order.
    pub workloads: Vec<Workload>,
    /// Requests in a second of the open loop; 0 for none.
    pub rate: f64,
    /// Callers of the closed loop; 0 for none.
    pub callers: usize,
    /// How long each load counts.
    pub duration: Duration,
    /// How long each load goes before it counts.
    pub warm_up: Duration,
    /// Requests of the open loop that may be under way.
    pub in_flight: u32,
    /// When a request is given up.
    pub timeout: Duration,
    /// Share of records and searches in words that nobody used before.
    pub fresh_texts: f64,
    /// Share of writes that repeat one.
    pub replays: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// Incidents to load before anything is measured.
    pub incidents: usize,
    /// Whether to measure what batching and deduplication are worth.
    pub naive: bool,
    /// Version of the product.
    pub version: String,
}

impl Options {
    fn times(&self) -> Times {
        Times {
            warm_up: self.warm_up,
            duration: self.duration,
        }
    }

    fn baseline_time(&self) -> Duration {
        self.duration.min(BASELINE)
    }

    fn wants(&self, workload: Workload) -> bool {
        self.workloads.contains(&workload)
    }

    /// As they were asked for.
    fn told(&self) -> BTreeMap<&'static str, String> {
        let workloads: Vec<_> = self.workloads.iter().map(|workload| workload.as_str()).collect();
        BTreeMap::from([
            ("workloads", workloads.join(",")),
            ("rate", self.rate.to_string()),
            ("callers", self.callers.to_string()),
            ("duration", format!("{:?}", self.duration)),
            ("warm-up", format!("{:?}", self.warm_up)),
            ("in-flight", self.in_flight.to_string()),
            ("fresh-texts", self.fresh_texts.to_string()),
            ("replays", self.replays.to_string()),
            ("seed", self.seed.to_string()),
            ("incidents", self.incidents.to_string()),
            ("naive", self.naive.to_string()),
        ])
    }
}

/// What a run has at hand.
struct Bench {
    options: Options,
    clock: Clock,
    data_storage: Option<Arc<Client>>,
    context_api: Option<Arc<Client>>,
    database: Option<(String, String)>,
    watched: Watched,
    /// Later loads send what earlier ones did not.
    loads: u64,
    baselines: Vec<Baseline>,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

/// Measures what the options ask for, and cleans up.
///
/// # Errors
/// Where something cannot be measured that was asked for.
pub async fn run(options: Options, clock: Clock) -> anyhow::Result<Report> {
    match options.target.clone() {
        Target::Running {
            data_storage,
            context_api,
            database_url,
            schema,
        } => {
            let services = [data_storage.as_deref(), context_api.as_deref()];
            let database = database_url.map(|url| (url, schema));
            measure(options, clock, services, database, None).await
        }
        Target::Own {
            program,
            database_url,
        } => {
            let server = Server::open(database_url).await?;
            let schema = schema::unique("bench")?;
            let result = own(&options, &clock, &program, &server, &schema).await;
            let dropped = schema::drop(server.url(), &schema).await;
            server.close().await?;
            let report = result?;
            dropped?;
            Ok(report)
        }
    }
}

async fn own(
    options: &Options,
    clock: &Clock,
    program: &std::path::Path,
    server: &Server,
    schema: &SchemaName,
) -> anyhow::Result<Report> {
    let stack = Stack::start(program, server.url(), schema.data(), &[]).await?;
    let watched = Watched {
        services: stack.pid(),
        postgresql: server.pid(),
    };
    let services = [
        Some(stack.data_storage.as_str()),
        Some(stack.context_api.as_str()),
    ];
    let database = Some((server.url().to_owned(), schema.data().to_owned()));
    let report = measure(options.clone(), clock.clone(), services, database, Some(watched)).await;
    stack.stop().await?;
    let mut report = report?;
    if options.naive {
        for (name, settings) in writes::naive(options.callers) {
            let figure = naive(options, clock, program, server, name, &settings).await?;
            report.figures.push(figure);
        }
        writes::compare_naive(&mut report);
    }
    Ok(report)
}

/// The closed loop of writes against services without some of their ideas.
async fn naive(
    options: &Options,
    clock: &Clock,
    program: &std::path::Path,
    server: &Server,
    name: &str,
    naive: &writes::Naive,
) -> anyhow::Result<Figure> {
    progress(name);
    let schema = schema::unique("naive")?;
    let result = async {
        let stack = Stack::start(program, server.url(), schema.data(), &naive.settings).await?;
        let mut options = options.clone();
        options.fresh_texts = naive.fresh_texts.unwrap_or(options.fresh_texts);
        options.rate = 0.0;
        let watched = Watched {
            services: stack.pid(),
            postgresql: server.pid(),
        };
        let services = [Some(stack.data_storage.as_str()), None];
        let mut bench = Bench::new(options, clock.clone(), services, None, Some(watched))?;
        bench.closed_writes(name).await?;
        stack.stop().await?;
        bench.figures.pop().context("a load without a figure")
    }
    .await;
    schema::drop(server.url(), &schema).await?;
    result
}

async fn measure(
    options: Options,
    clock: Clock,
    services: [Option<&str>; 2],
    database: Option<(String, String)>,
    watched: Option<Watched>,
) -> anyhow::Result<Report> {
    let mut bench = Bench::new(options, clock, services, database, watched)?;
    progress("the disk and the model");
    bench.alone().await?;
    bench.preload().await?;
    if bench.options.wants(Workload::Writes) {
        bench.writes().await?;
    }
    bench.reads().await?;
    bench.report().await
}

/// Tells people who wait what is being done. On standard error: the report is what the program says.
fn progress(what: &str) {
    eprintln!("{what} …");
}

impl Bench {
    fn new(
        options: Options,
        clock: Clock,
        [data_storage, context_api]: [Option<&str>; 2],
        database: Option<(String, String)>,
        watched: Option<Watched>,
    ) -> anyhow::Result<Self> {
        let client = |url: Option<&str>| {
            url.map(|url| Client::new(url, options.timeout).map(Arc::new))
                .transpose()
        };
        Ok(Self {
            data_storage: client(data_storage)?,
            context_api: client(context_api)?,
            options,
            clock,
            database,
            watched: watched.unwrap_or(Watched {
                services: None,
                postgresql: None,
            }),
            loads: 0,
            baselines: Vec::new(),
            figures: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// Traffic that no load before has sent.
    fn traffic(&mut self, spread: TimeDelta) -> Traffic {
        self.loads += 1;
        Traffic::new(TrafficOptions {
            seed: self.options.seed.wrapping_mul(1_000).wrapping_add(self.loads),
            fresh_texts: self.options.fresh_texts,
            replays: self.options.replays,
            end: self.clock.now(),
            spread,
        })
    }

    /// What needs no service.
    async fn alone(&mut self) -> anyhow::Result<()> {
        let time = self.options.baseline_time();
        let texts: Vec<String> = self
            .traffic(RECENT)
            .filter_map(|sent| sent.body["message"].as_str().map(str::to_owned))
            .take(512)
            .collect();
        let measured = tokio::task::spawn_blocking(move || -> anyhow::Result<Vec<Baseline>> {
            let directory = tempfile::tempdir()?;
            let mut found = vec![baseline::fsync::measure(directory.path(), time / 4)?];
            found.extend(baseline::embedding::measure(&mut model()?, &texts, time / 2)?);
            Ok(found)
        });
        self.baselines.extend(measured.await??);
        Ok(())
    }

    async fn preload(&mut self) -> anyhow::Result<()> {
        if self.options.incidents == 0 {
            return Ok(());
        }
        progress("loading the history");
        let mut traffic = self.traffic(HISTORY);
        let data_storage = self
            .data_storage
            .clone()
            .context("--incidents needs Data Storage")?;
        let records = preload::incidents(&data_storage, &mut traffic, self.options.incidents).await?;
        self.notes.push(format!(
            "Before anything was measured, {} incidents in {records} records were loaded over HTTP, in atomic batches.",
            self.options.incidents
        ));
        self.settled().await
    }

    /// Waits until no text waits for its vector.
    async fn settled(&self) -> anyhow::Result<()> {
        if let Some((url, schema)) = &self.database {
            preload::vectors(&mut baseline::rows::connect(url, schema).await?).await?;
        }
        Ok(())
    }

    /// The per-second figure of a baseline that was measured, or 0.
    fn baseline(&self, name: &str) -> Option<&Baseline> {
        self.baselines.iter().find(|baseline| baseline.name == name)
    }

    async fn report(mut self) -> anyhow::Result<Report> {
        let postgresql = match &self.database {
            Some((url, schema)) => {
                let mut connection = baseline::rows::connect(url, schema).await?;
                Some(
                    sqlx::query_scalar("SELECT current_setting('server_version')")
                        .fetch_one(&mut connection)
                        .await?,
                )
            }
            None => None,
        };
        self.notes.push(
            "Other work on the machine, the generator and the services share its processors: believe the ratios, which \
             compare what was measured side by side, and not the absolute figures."
                .to_owned(),
        );
        let machine = Machine::detect(&self.options.version, postgresql);
        Ok(Report {
            is_measurement: machine.is_measurement(),
            machine,
            options: self.options.told(),
            notes: self.notes,
            baselines: self.baselines,
            figures: self.figures,
        })
    }
}

/// The model of the services, on this thread.
fn model() -> anyhow::Result<MiniLm> {
    let directory = devstack::fetch_model(&devstack::cache_directory()?, devstack::Progress::detect())?;
    Ok(MiniLm::load(&directory, Precision::Float32)?)
}
