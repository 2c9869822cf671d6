//! Retention: whole months are dropped when they are older than the policy and no hold keeps them.
//!
//! A month is dropped in one transaction: its partitions of the ledger and of the incidents, its rows of the tables
//! that are not partitioned, what nothing refers to any more, and an event in the ledger that says so. What is left is
//! again the fold of the ledger that is left. Rows in a DEFAULT partition are never dropped; old ones are counted.

mod month;

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, Months, NaiveDate, Utc};
use serde::Serialize;

use crate::hold::holds_on;
use crate::maintenance::{Partition, gave_up, partitions_of};
use crate::partitions::{DEFAULT_ROWS_COUNTED, LEDGER, month_of};
use crate::{StoreError, WriteStore};

/// How long dropping one month may take, tries to get its locks included.
const MONTH_DEADLINE: Duration = Duration::from_mins(30);

/// What is old enough to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionPolicy {
    keep_months: NonZeroU32,
}

impl RetentionPolicy {
    /// Keeps every record for this many calendar months after its createdAt, and then until its whole month is that
    /// old. `None` for 0, which keeps everything for ever.
    #[must_use]
    pub fn keep_months(months: u32) -> Option<Self> {
        NonZeroU32::new(months).map(|keep_months| Self { keep_months })
    }

    /// What was created before is old; `None` where no calendar reaches back so far. From the 31st, a month that has
    /// fewer days counts to its last one.
    fn cutoff(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        now.checked_sub_months(Months::new(self.keep_months.get()))
    }
}

/// What retention would do, in the order it would do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPlan {
    /// The months older than the policy, oldest first.
    pub months: Vec<PlannedMonth>,
    /// Ledger rows older than the policy in the DEFAULT partition, which stay; counted up to
    /// [`DEFAULT_ROWS_COUNTED`].
    pub expired_default_rows: i64,
}

/// A month older than the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedMonth {
    /// First day of the month.
    pub month: NaiveDate,
    /// Rows in the ledger.
    pub ledger_rows: i64,
    /// Numbers of the holds that keep it; it is dropped where there is none.
    pub held_by: Vec<i64>,
}

/// What a round of retention came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionRound {
    /// The months dropped.
    pub dropped: Vec<DroppedMonth>,
    /// The months that holds keep.
    pub held: Vec<HeldMonth>,
    /// The months whose locks were not to be had in time; a later round tries again.
    pub busy: Vec<NaiveDate>,
    /// Another replica was at work, and the rest of the round was left to it.
    pub elsewhere: bool,
    /// As in [`RetentionPlan::expired_default_rows`].
    pub expired_default_rows: i64,
}

/// A month that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedMonth {
    /// First day of the month.
    pub month: NaiveDate,
    /// Names of its partitions.
    pub partitions: Vec<String>,
    /// How many rows went with it.
    pub rows: DroppedRows,
}

/// How many rows went with a month, by table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the names of the tables")]
pub struct DroppedRows {
    pub audit_events: i64,
    pub resource_action_traces: i64,
    pub remediation_requests: i64,
    pub ai_analyses: i64,
    pub workflow_executions: i64,
    pub action_executions: i64,
    pub action_histories: i64,
    pub resource_references: i64,
    pub incident_embeddings: i64,
}

/// A month that is older than the policy and stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldMonth {
    /// First day of the month.
    pub month: NaiveDate,
    /// Numbers of the holds that keep it.
    pub held_by: Vec<i64>,
}

/// What retention would do now. Nothing is changed and nothing is locked.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached or takes too long.
pub async fn plan(
    store: &WriteStore,
    policy: RetentionPolicy,
    now: DateTime<Utc>,
) -> Result<RetentionPlan, StoreError> {
    let mut months = Vec::new();
    for partition in expired(store, policy, now).await? {
        let mut connection = store.pool().acquire().await?;
        let ledger_rows = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM audit_events WHERE event_time >= $1 AND event_time < $2"#,
            partition.from,
            partition.to,
        )
        .fetch_one(&mut *connection)
        .await?;
        months.push(PlannedMonth {
            month: month_of(partition.from),
            ledger_rows,
            held_by: holds_on(&mut connection, partition.from, partition.to).await?,
        });
    }
    Ok(RetentionPlan {
        months,
        expired_default_rows: expired_default_rows(store, policy, now).await?,
    })
}

/// Drops the months that are older than the policy and that no hold keeps, oldest first. `actor` is written into the
/// ledger with each.
///
/// One caller at a time is at work; others do not wait. The locks that traffic could notice are waited for 200 ms at a
/// time, and held while partitions are unlinked and a month's texts, resources and histories are deleted.
///
/// # Errors
/// [`StoreError`]; the months dropped before stay dropped, the one at hand is as it was.
pub async fn apply(
    store: &WriteStore,
    policy: RetentionPolicy,
    now: DateTime<Utc>,
    actor: &str,
) -> Result<RetentionRound, StoreError> {
    let mut round = RetentionRound::default();
    let months = expired(store, policy, now).await?;
    // One connection for all: what a month left unfinished is rolled back before the next one begins.
    let mut connection = store.pool().acquire().await?;
    for partition in months {
        let month = month_of(partition.from);
        let dropping = month::drop(
            &mut connection,
            store.schema(),
            &partition,
            policy.keep_months,
            now,
            actor,
        );
        let Ok(outcome) = tokio::time::timeout(MONTH_DEADLINE, dropping).await else {
            // Cut off in the middle of a statement: closed, so that the server rolls back and nobody meets the answer.
            drop(connection.detach());
            return Err(StoreError::Unavailable(sqlx::Error::Io(
                std::io::ErrorKind::TimedOut.into(),
            )));
        };
        match outcome {
            Ok(month::Outcome::Dropped(dropped)) => {
                tracing::info!(%month, partitions = ?dropped.partitions, rows = ?dropped.rows, "a month was dropped");
                round.dropped.push(dropped);
            }
            Ok(month::Outcome::Held(held_by)) => round.held.push(HeldMonth { month, held_by }),
            Ok(month::Outcome::GoneByNow) => {}
            Ok(month::Outcome::Elsewhere) => {
                round.elsewhere = true;
                break;
            }
            Err(error) if gave_up(&error) => {
                tracing::warn!(%month, "a month could not be locked and stays until the next round");
                round.busy.push(month);
            }
            Err(error) => return Err(error),
        }
    }
    drop(connection);
    round.expired_default_rows = expired_default_rows(store, policy, now).await?;
    Ok(round)
}

/// The partitions of the ledger that end before the cutoff, oldest first.
async fn expired(
    store: &WriteStore,
    policy: RetentionPolicy,
    now: DateTime<Utc>,
) -> Result<Vec<Partition>, StoreError> {
    let Some(cutoff) = policy.cutoff(now) else {
        return Ok(Vec::new());
    };
    let mut connection = store.pool().acquire().await?;
    let mut partitions = partitions_of(&mut connection, LEDGER.table).await?;
    partitions.retain(|partition| partition.to <= cutoff);
    Ok(partitions)
}

async fn expired_default_rows(
    store: &WriteStore,
    policy: RetentionPolicy,
    now: DateTime<Utc>,
) -> Result<i64, StoreError> {
    let Some(cutoff) = policy.cutoff(now) else {
        return Ok(0);
    };
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
           FROM (SELECT 1 AS one FROM audit_events_default WHERE event_time < $1 LIMIT $2) counted"#,
        cutoff,
        DEFAULT_ROWS_COUNTED,
    )
    .fetch_one(store.pool())
    .await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cutoff(months: u32, now: &str) -> Option<String> {
        RetentionPolicy::keep_months(months)
            .unwrap()
            .cutoff(now.parse().unwrap())
            .map(|cutoff| cutoff.to_rfc3339())
    }

    #[test]
    fn a_policy_counts_calendar_months_back_from_any_day() {
        for (months, now, expected) in [
            (13, "2026-06-15T12:00:00Z", "2025-05-15T12:00:00+00:00"),
            (1, "2026-03-31T23:59:59Z", "2026-02-28T23:59:59+00:00"),
            (1, "2024-03-31T00:00:00Z", "2024-02-29T00:00:00+00:00"),
            (2, "2026-01-31T08:00:00Z", "2025-11-30T08:00:00+00:00"),
            (1, "2026-03-01T00:00:00Z", "2026-02-01T00:00:00+00:00"),
        ] {
            assert_eq!(
                cutoff(months, now).as_deref(),
                Some(expected),
                "{months} before {now}"
            );
        }
    }

    #[test]
    fn no_months_is_no_policy_and_a_policy_beyond_time_drops_nothing() {
        assert_eq!(RetentionPolicy::keep_months(0), None);
        assert_eq!(cutoff(u32::MAX, "2026-06-15T12:00:00Z"), None);
    }
}
