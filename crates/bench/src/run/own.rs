//! Services that are started for the run, in their order: a history, its copies, a standby, and then what is measured.

use std::path::Path;

use anyhow::Context;
use audit_store::compatibility::ModelIdentity;
use embedding::{Model, Precision};
use service_kit::Clock;

use super::bench::{Bench, Database, Services as Urls};
use super::{Options, model, progress, writes};
use crate::baseline::rows;
use crate::cold_start;
use crate::history::{self, History};
use crate::preload::copies::{self, Copying};
use crate::report::{Figure, Report};
use crate::schema::{self, Schemas};
use crate::server::Server;
use crate::services::{Plan, Services};
use crate::usage::Watched;

/// Everything that is measured on a server, in schemas that the caller drops.
pub(super) async fn measure(
    options: &Options,
    clock: &Clock,
    program: &Path,
    server: &Server,
    schemas: &Schemas,
) -> anyhow::Result<Report> {
    let schema = &schemas.services;
    progress(&format!("the schema {schema}"));
    let identity = identity(options.precision).await?;
    let url = server.url();
    let reads = schema::migrate_for_services(url, schema, identity.clone(), clock.now()).await?;
    let mut plan = Plan {
        program: program.to_owned(),
        writes: url.to_owned(),
        reads,
        schema: schema.data().to_owned(),
        precision: options.precision,
        settings: Vec::new(),
        variables: options.variables.clone(),
    };
    let database = Database::primary(url.to_owned(), schema.data().to_owned());
    let mut bench = Bench::new(
        options.clone(),
        clock.clone(),
        &Urls::default(),
        Some(database.clone()),
        schemas.clone(),
    )?;
    bench.alone(server.directory().map(Path::to_owned)).await?;
    grow(&mut bench, &plan, &database, schemas).await?;

    let standby = if options.read_replica {
        progress("the standby");
        let standby = server.start_standby().await?;
        plan.reads = standby.url_for(&plan.reads)?;
        bench.database = Some(Database {
            standby: Some(standby.url()),
            ..database
        });
        Some(standby)
    } else {
        None
    };
    if options.cold_starts > 0 {
        progress("starts of the services");
        bench.cold_start = Some(cold_start::measure(&plan, options.cold_starts).await?);
    }
    let services = Services::start(&plan, options.replicas, options.replicas).await?;
    bench.ask(&Urls {
        data_storage: services.data_storage(),
        context_api: services.context_api(),
    })?;
    bench.watched = Watched {
        services: services.processes(),
        postgresql: server.pid(),
        standby: standby.as_ref().and_then(crate::server::Standby::pid),
    };
    bench.loads().await?;
    let mut report = bench.report().await?;
    services.stop().await?;
    if let Some(standby) = standby {
        standby.stop().await?;
    }
    if options.naive {
        let ground = Ground {
            options,
            clock,
            server,
            schemas,
            plan: &plan,
            model: &identity,
        };
        for (name, naive) in writes::naive(options.callers) {
            report.figures.push(ground.naive(name, &naive).await?);
        }
        writes::compare_naive(&mut report);
    }
    Ok(report)
}

/// Makes the history: over HTTP, by a Data Storage that ends then, and by copies.
///
/// Nothing else runs while copies are made. They take indexes away, on which requests wait, and come by other ways than
/// the services': what these keep and count themselves would be wrong. Services that start afterwards find all of it.
async fn grow(bench: &mut Bench, plan: &Plan, database: &Database, schemas: &Schemas) -> anyhow::Result<()> {
    let mut connection = rows::connect(&database.url, &database.schema).await?;
    if bench.options.history.is_some() && rows::ledger_rows(&mut connection).await? > 0 {
        bench.notes.push(
            "The history was there before the run: --incidents and --copies were not looked at.".to_owned(),
        );
        return measure_history(bench, database, schemas, None).await;
    }
    if bench.options.incidents > 0 {
        let loader = Services::start(plan, 1, 0).await?;
        bench.ask(&Urls {
            data_storage: loader.data_storage(),
            context_api: Vec::new(),
        })?;
        bench.preload().await?;
        loader.stop().await?;
    }
    let copies = bench.options.copies;
    let copying = if copies > 0 {
        progress(&format!("copying the history {copies} times"));
        let copying = copies::copy_history(&database.url, &schemas.services, copies).await?;
        bench.notes.push(format!(
            "The history was then copied {copies} times by SQL: other clusters with the same stories, over the months of \
             a year; copies of payloads, and the times in timelines, are those of the original."
        ));
        Some(copying)
    } else {
        None
    };
    measure_history(bench, database, schemas, copying).await
}

/// How large the history is, and what looking after its partitions takes.
async fn measure_history(
    bench: &mut Bench,
    database: &Database,
    schemas: &Schemas,
    copying: Option<Copying>,
) -> anyhow::Result<()> {
    let now = bench.clock.now();
    bench.history = Some(History {
        copying,
        partitions: Some(history::partition_rounds(&database.url, &schemas.services, now).await?),
        ..database.history().await?
    });
    Ok(())
}

/// The model of the services, in the database's words.
async fn identity(precision: Precision) -> anyhow::Result<ModelIdentity> {
    let loaded = tokio::task::spawn_blocking(move || -> anyhow::Result<ModelIdentity> {
        let model = model(precision)?;
        let info = model.info();
        Ok(ModelIdentity {
            name: info.name.clone(),
            version: info.version.clone(),
            dimension: info.dimension,
        })
    });
    loaded.await.context("the model was not loaded")?
}

/// What services without some of their ideas are measured on.
struct Ground<'a> {
    options: &'a Options,
    clock: &'a Clock,
    server: &'a Server,
    schemas: &'a Schemas,
    plan: &'a Plan,
    model: &'a ModelIdentity,
}

impl Ground<'_> {
    /// The closed loop of writes, in a schema of its own.
    async fn naive(&self, name: &str, naive: &writes::Naive) -> anyhow::Result<Figure> {
        let (url, schema) = (self.server.url(), &self.schemas.naive);
        schema::migrate_for_services(url, schema, self.model.clone(), self.clock.now()).await?;
        let plan = Plan {
            schema: schema.data().to_owned(),
            settings: naive.settings.clone(),
            ..self.plan.clone()
        };
        let mut options = self.options.clone();
        options.fresh_texts = vec![naive.fresh_texts.unwrap_or(options.first_share())];
        let services = Services::start(&plan, options.replicas, 0).await?;
        let urls = Urls {
            data_storage: services.data_storage(),
            context_api: Vec::new(),
        };
        let mut bench = Bench::new(options, self.clock.clone(), &urls, None, self.schemas.clone())?;
        bench.watched = Watched {
            services: services.processes(),
            postgresql: self.server.pid(),
            standby: None,
        };
        let name = bench.named(name);
        bench.closed_writes(&name, bench.options.first_share()).await?;
        services.stop().await?;
        schema::drop(url, schema).await?;
        bench.figures.pop().context("a load without a figure")
    }
}
