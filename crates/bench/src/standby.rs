//! How far the standby is behind that Context API reads from.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use sqlx::PgConnection;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::baseline::rows::connect;

/// How often it is looked during a load.
const SAMPLE: Duration = Duration::from_millis(100);
/// How often it is looked after a load.
const GLANCE: Duration = Duration::from_millis(1);
/// How long a standby may take to replay what there was.
const PATIENCE: Duration = Duration::from_secs(600);

/// How far it was behind.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicationLag {
    /// When the load ended: bytes of the log that the primary had written and the standby had not replayed.
    pub bytes: i64,
    /// Milliseconds until it had replayed them.
    pub caught_up_after_ms: f64,
    /// The most bytes it was behind during the load, of ten looks a second.
    pub most_bytes: i64,
}

/// Looks after both servers while a load goes on.
#[derive(Debug)]
pub(crate) struct Watch {
    end: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<ReplicationLag>>,
}

impl Watch {
    /// Begins to look, by the superusers of both.
    ///
    /// # Errors
    /// Where one cannot be reached.
    pub(crate) async fn begin(primary: &str, standby: &str) -> anyhow::Result<Self> {
        let mut servers = Servers {
            primary: connect(primary, "public").await?,
            standby: connect(standby, "public").await?,
        };
        let (end, mut ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut most_bytes = 0;
            let mut ticks = interval(SAMPLE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    _ = &mut ended => break,
                    _ = ticks.tick() => {
                        let written = servers.written().await?;
                        most_bytes = most_bytes.max(servers.behind(&written).await?);
                    }
                }
            }
            servers.catch_up(most_bytes).await
        });
        Ok(Self { end, task })
    }

    /// Tells how far the standby is behind now, and waits until it has replayed what the primary has written by now.
    ///
    /// # Errors
    /// Where a server does not answer, or that takes ten minutes.
    pub(crate) async fn end(self) -> anyhow::Result<ReplicationLag> {
        // Where nobody listens any more, the task has ended with an error.
        let _ = self.end.send(());
        self.task.await.context("nobody looked after the standby")?
    }
}

struct Servers {
    primary: PgConnection,
    standby: PgConnection,
}

impl Servers {
    /// The place up to which the primary has written its log.
    async fn written(&mut self) -> anyhow::Result<String> {
        Ok(sqlx::query_scalar("SELECT pg_current_wal_lsn()::text")
            .fetch_one(&mut self.primary)
            .await?)
    }

    /// Bytes up to a place of the log that the standby has not replayed.
    async fn behind(&mut self, written: &str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(
            "SELECT greatest(pg_wal_lsn_diff($1::pg_lsn, coalesce(pg_last_wal_replay_lsn(), '0/0')), 0)::bigint",
        )
        .bind(written)
        .fetch_one(&mut self.standby)
        .await?)
    }

    async fn catch_up(&mut self, most_bytes: i64) -> anyhow::Result<ReplicationLag> {
        let begin = Instant::now();
        let written = self.written().await?;
        let bytes = self.behind(&written).await?;
        let mut left = bytes;
        while left > 0 {
            anyhow::ensure!(
                begin.elapsed() < PATIENCE,
                "the standby has not replayed in {PATIENCE:?} what the primary had written"
            );
            tokio::time::sleep(GLANCE).await;
            left = self.behind(&written).await?;
        }
        Ok(ReplicationLag {
            bytes,
            caught_up_after_ms: begin.elapsed().as_secs_f64() * 1_000.0,
            most_bytes: most_bytes.max(bytes),
        })
    }
}
