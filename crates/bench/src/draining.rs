//! Texts that wait for their vectors when a load has ended, and how long they wait.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use sqlx::PgConnection;
use tokio::time::Instant;

/// How long the last vectors may take.
const PATIENCE: Duration = Duration::from_secs(900);
/// Pause between two looks.
const GLANCE: Duration = Duration::from_millis(100);

/// What a load left to the model.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Draining {
    /// Texts without a vector when the load had ended; their records are stored, and are not found by meaning yet.
    pub texts: i64,
    /// Seconds until all had one.
    pub seconds: f64,
}

/// Waits until every text has its vector: what is measured next must not share the model with them.
///
/// # Errors
/// Where the database does not answer, or it takes too long.
pub(crate) async fn drain(database: &mut PgConnection) -> anyhow::Result<Draining> {
    let begin = Instant::now();
    let texts = pending(database).await?;
    let mut left = texts;
    while left > 0 {
        anyhow::ensure!(
            begin.elapsed() < PATIENCE,
            "{left} texts have no vectors after {PATIENCE:?}"
        );
        tokio::time::sleep(GLANCE).await;
        left = pending(database).await?;
    }
    Ok(Draining {
        texts,
        seconds: begin.elapsed().as_secs_f64(),
    })
}

async fn pending(database: &mut PgConnection) -> anyhow::Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM incident_embeddings WHERE embedding IS NULL")
        .fetch_one(database)
        .await
        .context("the database does not tell how many texts have no vector")
}
