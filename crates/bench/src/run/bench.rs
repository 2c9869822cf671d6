//! What a run has at hand, and what all loads have in common.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use chrono::TimeDelta;
use service_kit::Clock;

use super::{Options, Workload, model, progress};
use crate::baseline::{self, Baseline};
use crate::client::Client;
use crate::cold_start::ColdStart;
use crate::draining::{Draining, drain};
use crate::history::{self, History};
use crate::machine::Machine;
use crate::preload;
use crate::report::{Figure, Report};
use crate::schema::Schemas;
use crate::standby::Watch;
use crate::traffic::{Traffic, TrafficOptions};
use crate::usage::{self, Seconds, Watched};

/// Preloaded incidents end within so much time before now. The months that have partitions reach further.
const HISTORY: TimeDelta = TimeDelta::days(60);
/// Incidents of a load end within so much time before now.
pub(super) const RECENT: TimeDelta = TimeDelta::hours(1);

/// The URLs of the services, replica by replica.
#[derive(Debug, Clone, Default)]
pub(super) struct Services {
    pub(super) data_storage: Vec<String>,
    pub(super) context_api: Vec<String>,
}

/// The database of the services.
#[derive(Debug, Clone)]
pub(super) struct Database {
    /// Where Data Storage writes.
    pub(super) url: String,
    /// A standby that Context API reads from.
    pub(super) standby: Option<String>,
    /// The schema.
    pub(super) schema: String,
}

impl Database {
    /// One that is written to and read from.
    pub(super) fn primary(url: String, schema: String) -> Self {
        Self {
            url,
            standby: None,
            schema,
        }
    }

    /// Where Context API reads.
    pub(super) fn reads(&self) -> &str {
        self.standby.as_ref().unwrap_or(&self.url)
    }

    pub(super) async fn history(&self) -> anyhow::Result<History> {
        history::measure(&mut baseline::rows::connect(&self.url, &self.schema).await?).await
    }
}

/// What there is before a load.
pub(super) struct Before {
    seconds: Seconds,
    standby: Option<Watch>,
}

/// What a run has at hand.
pub(super) struct Bench {
    pub(super) options: Options,
    pub(super) clock: Clock,
    begun: String,
    pub(super) data_storage: Option<Arc<Client>>,
    pub(super) context_api: Option<Arc<Client>>,
    pub(super) database: Option<Database>,
    pub(super) schemas: Schemas,
    pub(super) watched: Watched,
    /// Later loads send what earlier ones did not.
    loads: u64,
    pub(super) baselines: Vec<Baseline>,
    pub(super) figures: Vec<Figure>,
    pub(super) notes: Vec<String>,
    pub(super) history: Option<History>,
    pub(super) cold_start: Option<ColdStart>,
}

impl Bench {
    /// Nothing was measured yet.
    pub(super) fn new(
        options: Options,
        clock: Clock,
        services: &Services,
        database: Option<Database>,
        schemas: Schemas,
    ) -> anyhow::Result<Self> {
        let mut bench = Self {
            options,
            begun: clock.now().format("%Y-%m-%d %H:%M UTC").to_string(),
            clock,
            data_storage: None,
            context_api: None,
            database,
            schemas,
            watched: Watched::default(),
            loads: 0,
            baselines: Vec::new(),
            figures: Vec::new(),
            notes: Vec::new(),
            history: None,
            cold_start: None,
        };
        bench.ask(services)?;
        Ok(bench)
    }

    /// Asks other services from now on.
    pub(super) fn ask(&mut self, services: &Services) -> anyhow::Result<()> {
        let client = |urls: &[String]| {
            let client = (!urls.is_empty()).then(|| Client::new(urls, self.options.timeout));
            client.transpose().map(|client| client.map(Arc::new))
        };
        self.data_storage = client(&services.data_storage)?;
        self.context_api = client(&services.context_api)?;
        Ok(())
    }

    /// Traffic that no load before has sent, of which such a share of texts is fresh.
    pub(super) fn traffic(&mut self, spread: TimeDelta, fresh_texts: f64) -> Traffic {
        self.loads += 1;
        Traffic::new(TrafficOptions {
            seed: self.options.seed.wrapping_mul(1_000).wrapping_add(self.loads),
            fresh_texts,
            replays: self.options.replays,
            end: self.clock.now(),
            spread,
        })
    }

    /// What needs no service: the model, and the disk of a directory.
    pub(super) async fn alone(&mut self, directory: Option<PathBuf>) -> anyhow::Result<()> {
        progress("the disk and the model");
        let time = self.options.baseline_time();
        let texts: Vec<String> = self
            .traffic(RECENT, self.options.first_share())
            .filter_map(|sent| sent.body["message"].as_str().map(str::to_owned))
            .take(512)
            .collect();
        if directory.is_none() {
            self.notes.push(
                "The syncs are those of the directory for temporary files: where the PostgreSQL has its data is not known."
                    .to_owned(),
            );
        }
        let precision = self.options.precision;
        let measured = tokio::task::spawn_blocking(move || -> anyhow::Result<Vec<Baseline>> {
            let below = directory.unwrap_or_else(std::env::temp_dir);
            let directory = tempfile::tempdir_in(below)?;
            let mut found = vec![baseline::fsync::measure(directory.path(), time / 4)?];
            found.extend(baseline::embedding::measure(
                &mut model(precision)?,
                &texts,
                time / 2,
            )?);
            Ok(found)
        });
        self.baselines.extend(measured.await??);
        Ok(())
    }

    /// Loads the history over HTTP.
    pub(super) async fn preload(&mut self) -> anyhow::Result<()> {
        if self.options.incidents == 0 {
            return Ok(());
        }
        progress("loading the history");
        let mut traffic = self.traffic(HISTORY, self.options.first_share());
        let data_storage = self
            .data_storage
            .clone()
            .context("--incidents needs Data Storage")?;
        let records = preload::incidents(&data_storage, &mut traffic, self.options.incidents).await?;
        self.notes.push(format!(
            "Before anything was measured, {} incidents in {records} records were loaded over HTTP, in atomic batches.",
            self.options.incidents
        ));
        self.settled().await?;
        Ok(())
    }

    /// All loads that are wanted.
    pub(super) async fn loads(&mut self) -> anyhow::Result<()> {
        if self.options.wants(Workload::Writes) {
            self.writes().await?;
        }
        self.reads().await
    }

    /// Waits until no text waits for its vector, where the database can be asked.
    pub(super) async fn settled(&self) -> anyhow::Result<Option<Draining>> {
        match &self.database {
            Some(database) => {
                let mut connection = baseline::rows::connect(&database.url, &database.schema).await?;
                Ok(Some(drain(&mut connection).await?))
            }
            None => Ok(None),
        }
    }

    /// A baseline that was measured.
    pub(super) fn baseline(&self, name: &str) -> Option<&Baseline> {
        self.baselines.iter().find(|baseline| baseline.name == name)
    }

    /// The name of a load, which tells the replicas where there are several.
    pub(super) fn named(&self, name: &str) -> String {
        let mut name = name.to_owned();
        if self.options.replicas > 1 {
            name.push_str(&format!(", {} replicas", self.options.replicas));
        }
        name
    }

    /// What there is before a load.
    pub(super) async fn begin(&self) -> anyhow::Result<Before> {
        let standby = match &self.database {
            Some(Database {
                url,
                standby: Some(standby),
                ..
            }) => Some(Watch::begin(url, standby).await?),
            _ => None,
        };
        Ok(Before {
            seconds: self.watched.read(),
            standby,
        })
    }

    /// Completes a figure with what is known when its load has ended.
    pub(super) async fn ended(&self, figure: &mut Figure, before: Before) -> anyhow::Result<()> {
        figure.cpu_seconds = usage::between(&before.seconds, &self.watched.read());
        figure.memory = self.watched.memory();
        // Last: it waits for the standby.
        if let Some(standby) = before.standby {
            figure.replication_lag = Some(standby.end().await?);
        }
        Ok(())
    }

    /// Everything that was found.
    pub(super) async fn report(mut self) -> anyhow::Result<Report> {
        let postgresql = match &self.database {
            Some(database) => {
                let mut connection = baseline::rows::connect(&database.url, &database.schema).await?;
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
            begun: self.begun,
            is_measurement: machine.is_measurement(),
            machine,
            options: self.options.told(),
            notes: self.notes,
            history: self.history,
            cold_start: self.cold_start,
            baselines: self.baselines,
            figures: self.figures,
        })
    }
}
