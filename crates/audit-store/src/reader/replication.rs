//! Whether the server is a standby, and how far behind its primary.

use std::time::Duration;

use super::Reader;
use crate::StoreError;

/// What a server knows of its place behind a primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// It is no standby: what is committed can be read.
    Primary,
    /// It replays what another server did.
    Standby {
        /// Whether it is connected to the other server and has replayed all that it received. A connection that died
        /// silently counts until the standby gives it up, after `wal_receiver_timeout`.
        caught_up: bool,
        /// Since the other server committed what was replayed last, by both their clocks; `None` if nothing was since
        /// the standby started. With a standby that has caught up it says when something was last written.
        since_last_commit: Option<Duration>,
    },
}

impl Reader {
    /// Whether the server is a standby, and how far behind.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached.
    pub async fn replication(&self) -> Result<Replication, StoreError> {
        // The reader's role sees of the process that receives only whether there is one.
        let row = sqlx::query!(
            r#"SELECT pg_is_in_recovery() AS "standby!",
                      coalesce(pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn(), false)
                          AND EXISTS (SELECT 1 FROM pg_stat_wal_receiver w WHERE w.pid IS NOT NULL) AS "caught_up!",
                      extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::double precision
                          AS since_last_commit"#
        )
        .fetch_one(&self.pool)
        .await?;
        if !row.standby {
            return Ok(Replication::Primary);
        }
        Ok(Replication::Standby {
            caught_up: row.caught_up,
            // Clocks that disagree may make it negative.
            since_last_commit: row
                .since_last_commit
                .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
        })
    }
}
