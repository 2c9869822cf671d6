//! What a question costs as plain SQL, without a service in front of it.

mod detail;
mod list;
mod recovery;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use pgvector::Vector;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::time::Instant;

use super::Baseline;
use crate::closed_loop;
use crate::tally::{Outcome, Period};

/// Connections that ask: as many as a service has.
const CONNECTIONS: u32 = 10;

/// The texts nearest to a description, as many as a search begins with.
const NEAREST: &str = "SELECT v.id, v.embedding <=> $1 FROM texts v ORDER BY v.embedding <=> $1 LIMIT 100";

/// A read that a service answers, as plain SQL.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question {
    /// The first page of the incident list and the number of all incidents.
    List,
    /// That page alone.
    Page,
    /// An incident with its analyses, workflows, executions and timeline.
    Detail,
    /// The rows that a recovery context is made of.
    Recovery,
}

impl Question {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::List, Self::Page, Self::Detail, Self::Recovery];

    /// The operation of a load that asks it.
    #[must_use]
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Page => "page",
            Self::Detail => "detail",
            Self::Recovery => "recovery",
        }
    }

    /// Its name as a baseline.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::List => "page and total of the list by plain SQL",
            Self::Page => "the page of the list by plain SQL",
            Self::Detail => "the rows of a detail by plain SQL",
            Self::Recovery => "the rows of a recovery context by plain SQL",
        }
    }
}

/// Asks the views of a schema.
#[derive(Debug)]
pub(crate) struct Plain {
    pool: PgPool,
}

impl Plain {
    /// Connects to the views of a schema, with the settings of a search.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    pub(crate) async fn connect(url: &str, schema: &str) -> anyhow::Result<Self> {
        let options = PgConnectOptions::from_str(url)?
            .application_name(schema)
            .options([
                ("search_path", format!("{schema}_context,public")),
                ("default_transaction_read_only", "on".to_owned()),
                // As the services, who have their questions planned for what they ask about.
                ("plan_cache_mode", "force_custom_plan".to_owned()),
                ("timezone", "UTC".to_owned()),
                ("hnsw.iterative_scan", "strict_order".to_owned()),
                ("hnsw.ef_search", "200".to_owned()),
                ("jit", "off".to_owned()),
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .connect_with(options)
            .await?;
        Ok(Self { pool })
    }

    /// Asks a question about one incident after the other, each told by its id, name and namespace.
    pub(crate) async fn ask(
        &self,
        question: Question,
        incidents: &Arc<Vec<(i64, String, String)>>,
        callers: usize,
        duration: Duration,
    ) -> Baseline {
        let (pool, incidents) = (self.pool.clone(), Arc::clone(incidents));
        measure(question.name(), callers, duration, move |number| {
            let (pool, incidents) = (pool.clone(), Arc::clone(&incidents));
            async move {
                let mut connection = pool.acquire().await?;
                let (id, name, namespace) = &incidents[number as usize % incidents.len().max(1)];
                match question {
                    Question::List => list::with_total(&mut connection).await,
                    Question::Page => list::page(&mut connection).await,
                    Question::Detail => detail::fetch(&mut connection, *id).await,
                    Question::Recovery => recovery::fetch(&mut connection, name, namespace).await,
                }
            }
        })
        .await
    }

    /// The nearest texts of one vector after the other.
    pub(crate) async fn nearest(
        &self,
        vectors: Vec<Vec<f32>>,
        callers: usize,
        duration: Duration,
    ) -> Baseline {
        let (pool, vectors) = (self.pool.clone(), Arc::new(vectors));
        measure(
            "the vector query by plain SQL",
            callers,
            duration,
            move |number| {
                let pool = pool.clone();
                let vector = vectors[number as usize % vectors.len().max(1)].clone();
                async move {
                    sqlx::query(NEAREST)
                        .bind(Vector::from(vector))
                        .fetch_all(&pool)
                        .await?;
                    Ok(())
                }
            },
        )
        .await
    }

    /// Lets go of the connections.
    pub(crate) async fn close(self) {
        self.pool.close().await;
    }
}

async fn measure<F>(
    name: &str,
    callers: usize,
    duration: Duration,
    ask: impl Fn(u64) -> F + Clone + Send + 'static,
) -> Baseline
where
    F: Future<Output = Result<(), sqlx::Error>> + Send + 'static,
{
    let period = Period::new(Instant::now(), duration / 5, duration);
    let run = closed_loop::run(callers.clamp(1, CONNECTIONS as usize), period, move |number| {
        let asked = ask(number);
        Some(("sql", async move {
            asked.await.map_or(Outcome::Broken, |()| Outcome::Status(200))
        }))
    })
    .await;
    let failed = run.measured.ended() - run.measured.successes();
    let mut notes = BTreeMap::from([("connections", callers.clamp(1, CONNECTIONS as usize).to_string())]);
    if failed > 0 {
        notes.insert("failed", failed.to_string());
    }
    Baseline {
        name: name.to_owned(),
        per_second: run.measured.successes() as f64 / duration.as_secs_f64(),
        unit: "answers",
        latency: run.measured.latencies.quantiles(),
        notes,
    }
}
