//! What a question costs as plain SQL, without a service in front of it.

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

/// The page of the incident list, as the views have it.
const PAGE: &str = "SELECT i.id, i.remediation_name, i.remediation_namespace, i.signal_type, i.alert_name, i.severity, i.cluster,
        i.environment, i.resource_namespace, i.resource_kind, i.resource_name, i.action_type, i.phase, i.status, i.message,
        i.reason, i.error_message, i.root_cause, i.workflow, i.labels, i.correlation_id, i.created_at, i.updated_at
 FROM incidents i ORDER BY i.created_at DESC, i.id DESC LIMIT 20";
/// And how many there are in all.
const TOTAL: &str = "SELECT count(*) FROM incidents";
/// The texts nearest to a description, as many as a search begins with.
const NEAREST: &str = "SELECT v.id, v.embedding <=> $1 FROM texts v ORDER BY v.embedding <=> $1 LIMIT 100";

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
        let options = PgConnectOptions::from_str(url)?.options([
            ("search_path", format!("{schema}_context,public")),
            ("default_transaction_read_only", "on".to_owned()),
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

    /// The first page of the incident list and the number of all incidents.
    pub(crate) async fn list(&self, callers: usize, duration: Duration) -> Baseline {
        let pool = self.pool.clone();
        measure(
            "page and total of the list by plain SQL",
            callers,
            duration,
            move |_| {
                let pool = pool.clone();
                async move {
                    sqlx::query(PAGE).fetch_all(&pool).await?;
                    sqlx::query(TOTAL).fetch_one(&pool).await?;
                    Ok(())
                }
            },
        )
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
