//! The order of everything: history, loads, baselines, report.

mod bench;
mod own;
mod reads;
mod writes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use embedding::{MiniLm, Precision};
use service_kit::Clock;

use crate::load::Times;
use crate::report::Report;
use crate::schema::Schemas;
use crate::server::Server;
use crate::services;
use bench::{Bench, Database, Services};

/// How long a baseline is measured, at most; a load that goes for a shorter time has shorter ones.
const BASELINE: Duration = Duration::from_secs(10);

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
        /// Program that has the commands `data-storage` and `context-api`.
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
    /// Requests in a second of the open loop: one load for each; none for no open loop.
    pub rates: Vec<f64>,
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
    /// Shares of records in words that nobody used before: loads of writes for each. Everything else goes by the first.
    pub fresh_texts: Vec<f64>,
    /// Share of writes that repeat one.
    pub replays: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// Incidents to load before anything is measured.
    pub incidents: usize,
    /// How often the loaded history is copied; of services that are started for the run only, as the next three.
    pub copies: u32,
    /// Processes of each service.
    pub replicas: usize,
    /// Whether Context API reads from a standby.
    pub read_replica: bool,
    /// How often the start of the services is measured.
    pub cold_starts: usize,
    /// Whether to measure what batching and deduplication are worth.
    pub naive: bool,
    /// How exactly the model of the services computes, of services that are started for the run.
    pub precision: Precision,
    /// A schema whose history is used, or made if it has none, and kept; on a PostgreSQL of the user.
    pub history: Option<String>,
    /// Settings of a PostgreSQL of the run's own.
    pub postgresql: Vec<(String, String)>,
    /// Settings of the services that are started for the run, as variables of theirs.
    pub variables: Vec<(String, String)>,
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

    /// The share of fresh texts of whatever has only one.
    fn first_share(&self) -> f64 {
        self.fresh_texts.first().copied().unwrap_or_default()
    }

    /// What cannot be asked of services that run, and what cannot be asked at all.
    fn require_sense(&self) -> anyhow::Result<()> {
        let own = match &self.target {
            Target::Own { database_url, .. } => Some(database_url.is_some()),
            Target::Running { .. } => None,
        };
        anyhow::ensure!(self.replicas > 0, "--replicas must be at least 1");
        anyhow::ensure!(
            own.is_some() || (self.copies == 0 && self.replicas == 1 && !self.read_replica && !self.naive),
            "--copies, --replicas, --read-replica and --naive need services that are started for the run"
        );
        anyhow::ensure!(
            self.copies == 0 || self.incidents > 0,
            "--copies needs --incidents: there is nothing to copy"
        );
        anyhow::ensure!(
            !self.read_replica || own == Some(false),
            "--read-replica needs the run's own PostgreSQL: leave --database-url and DATABASE_URL out"
        );
        anyhow::ensure!(
            self.postgresql.is_empty() || own == Some(false),
            "--postgresql needs the run's own PostgreSQL: leave --database-url and DATABASE_URL out"
        );
        for (name, _) in &self.variables {
            services::require_free(name)?;
        }
        anyhow::ensure!(
            self.history.is_none() || own == Some(true),
            "--history needs --database-url: the run's own PostgreSQL is removed with all that is in it"
        );
        Ok(())
    }

    fn wants(&self, workload: Workload) -> bool {
        self.workloads.contains(&workload)
    }

    /// As they were asked for.
    fn told(&self) -> BTreeMap<&'static str, String> {
        let workloads: Vec<_> = self.workloads.iter().map(|workload| workload.as_str()).collect();
        let list = |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        let settings = |pairs: &[(String, String)]| {
            let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
            pairs.collect::<Vec<_>>().join(",")
        };
        BTreeMap::from([
            ("workloads", workloads.join(",")),
            ("rate", list(&self.rates)),
            ("callers", self.callers.to_string()),
            ("duration", format!("{:?}", self.duration)),
            ("warm-up", format!("{:?}", self.warm_up)),
            ("in-flight", self.in_flight.to_string()),
            ("fresh-texts", list(&self.fresh_texts)),
            ("replays", self.replays.to_string()),
            ("seed", self.seed.to_string()),
            ("incidents", self.incidents.to_string()),
            ("copies", self.copies.to_string()),
            ("replicas", self.replicas.to_string()),
            ("read-replica", self.read_replica.to_string()),
            ("cold-starts", self.cold_starts.to_string()),
            ("naive", self.naive.to_string()),
            ("precision", self.precision.as_str().to_owned()),
            ("history", self.history.clone().unwrap_or_default()),
            ("postgresql", settings(&self.postgresql)),
            ("variables", settings(&self.variables)),
        ])
    }
}

/// Measures what the options ask for, and cleans up, also when it is asked to stop.
///
/// # Errors
/// Where something cannot be measured that was asked for, or `stop` came first.
pub async fn run(options: Options, clock: Clock, stop: impl Future<Output = ()>) -> anyhow::Result<Report> {
    options.require_sense()?;
    let schemas = Schemas::unique(options.history.as_deref())?;
    match options.target.clone() {
        Target::Running {
            data_storage,
            context_api,
            database_url,
            schema,
        } => {
            let database = database_url.map(|url| Database::primary(url, schema));
            let url = database.as_ref().map(|database| database.url.clone());
            let services = Services {
                data_storage: data_storage.into_iter().collect(),
                context_api: context_api.into_iter().collect(),
            };
            let bench = Bench::new(options, clock, &services, database, schemas.clone())?;
            let result = unless(stop, running(bench)).await;
            if let Some(url) = url {
                schemas.drop(&url).await?;
            }
            result
        }
        Target::Own {
            program,
            database_url,
        } => {
            let server = Server::open(database_url, options.replicas, options.postgresql.clone()).await?;
            let measured = own::measure(&options, &clock, &program, &server, &schemas);
            let result = unless(stop, measured).await;
            // One of ours goes with all that is in it.
            let dropped = match &server {
                Server::Users(url) => schemas.drop(url).await,
                Server::Ours(_) => Ok(()),
            };
            server.close().await?;
            let report = result?;
            dropped?;
            Ok(report)
        }
    }
}

/// What is measured, unless it is asked to stop before.
async fn unless(
    stop: impl Future<Output = ()>,
    measured: impl Future<Output = anyhow::Result<Report>>,
) -> anyhow::Result<Report> {
    tokio::select! {
        report = measured => report,
        () = stop => anyhow::bail!("stopped before everything was measured; nothing is left behind"),
    }
}

/// Everything that is measured of services that run.
async fn running(mut bench: Bench) -> anyhow::Result<Report> {
    bench.alone(None).await?;
    bench.preload().await?;
    if let Some(database) = &bench.database {
        bench.history = Some(database.history().await?);
    }
    bench.loads().await?;
    bench.report().await
}

/// Tells people who wait what is being done. On standard error: the report is what the program says.
fn progress(what: &str) {
    eprintln!("{what} …");
}

/// The model of the services, on this thread.
fn model(precision: Precision) -> anyhow::Result<MiniLm> {
    let directory = devstack::fetch_model(&devstack::cache_directory()?, devstack::Progress::detect())?;
    Ok(MiniLm::load(&directory, precision)?)
}
