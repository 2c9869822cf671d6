//! Monthly partitions, made ahead of time.
//!
//! Every partitioned table also has a DEFAULT partition, so a record of any date is accepted; partitions made ahead
//! keep that one empty. Months are months of UTC.

mod making;
mod status;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};

use crate::maintenance::partitions_of;
use crate::{StoreError, WriteStore};

pub use making::DEFAULT_ROWS_SCANNED;
pub use status::{DEFAULT_ROWS_COUNTED, PartitionStatus, partition_status};

/// A table partitioned by month.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Partitioned {
    pub(crate) table: &'static str,
    /// The column it is partitioned by.
    key: &'static str,
}

/// The ledger.
pub(crate) const LEDGER: Partitioned = Partitioned {
    table: "audit_events",
    key: "event_time",
};
/// The incidents.
pub(crate) const INCIDENTS: Partitioned = Partitioned {
    table: "resource_action_traces",
    key: "action_timestamp",
};

/// Which months must have a partition, around the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionWindow {
    /// Months before the current one.
    pub months_back: u32,
    /// Months after the current one.
    pub months_ahead: u32,
}

impl Default for PartitionWindow {
    /// Three months on both sides.
    fn default() -> Self {
        Self {
            months_back: 3,
            months_ahead: 3,
        }
    }
}

/// What a round of making partitions came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionRound {
    /// Names of the partitions made.
    pub made: Vec<String>,
    /// Months of the window that have none yet.
    pub missing: Vec<MissingPartition>,
    /// Another replica was at work, and the rest of the round was left to it.
    pub elsewhere: bool,
}

/// A month of the window that has no partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPartition {
    /// The partitioned table.
    pub table: &'static str,
    /// First day of the month.
    pub month: NaiveDate,
    /// Why it has none.
    pub why: WhyMissing,
}

/// Why a month has no partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyMissing {
    /// Its rows are in the DEFAULT partition. PostgreSQL could only move them by deleting from the ledger, so they
    /// stay there, and so do the month's later ones.
    RowsInDefault,
    /// Records of this month may arrive at any time, and the DEFAULT partition has more than [`DEFAULT_ROWS_SCANNED`]
    /// rows, which PostgreSQL would read through while nobody else could.
    LargeDefault,
    /// Locks were not to be had in time. A later round tries again.
    Busy,
}

/// Makes the missing monthly partitions around `now`.
///
/// One caller at a time is at work; others do not wait. Traffic goes on: the tables are locked against other DDL only,
/// the DEFAULT partition for as long as it takes to attach an empty table, and a lock that is not to be had in 200 ms
/// is given up until the next round.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached or refuses the DDL.
pub async fn ensure_partitions(
    store: &WriteStore,
    now: DateTime<Utc>,
    window: PartitionWindow,
) -> Result<PartitionRound, StoreError> {
    let mut round = PartitionRound::default();
    let mut connection = store.pool().acquire().await?;
    for partitioned in [LEDGER, INCIDENTS] {
        making::drop_stale_fences(&mut connection, store.schema(), partitioned, now).await?;
        let there = partitions_of(&mut connection, partitioned.table).await?;
        for month in months(now, window) {
            let start = start_of(month);
            if there.iter().any(|p| p.from <= start && start < p.to) {
                continue;
            }
            match making::make(&mut connection, store.schema(), partitioned, month, now).await? {
                making::Outcome::Made(name) => round.made.push(name),
                making::Outcome::ThereByNow => {}
                making::Outcome::Missing(why) => {
                    tracing::warn!(table = partitioned.table, %month, ?why, "a month has no partition of its own");
                    round.missing.push(MissingPartition {
                        table: partitioned.table,
                        month,
                        why,
                    });
                }
                making::Outcome::Elsewhere => {
                    round.elsewhere = true;
                    return Ok(round);
                }
            }
        }
    }
    Ok(round)
}

/// First day of the month of a time.
pub(crate) fn month_of(time: DateTime<Utc>) -> NaiveDate {
    let day = time.date_naive();
    day - Days::new(u64::from(day.day0()))
}

/// The first moment of a month.
pub(crate) fn start_of(month: NaiveDate) -> DateTime<Utc> {
    month.and_time(NaiveTime::MIN).and_utc()
}

/// First days of the months in the window, oldest first. Months that a calendar does not have are left out.
fn months(now: DateTime<Utc>, window: PartitionWindow) -> Vec<NaiveDate> {
    let this_month = month_of(now);
    let back = (1..=window.months_back)
        .rev()
        .filter_map(|back| this_month.checked_sub_months(Months::new(back)));
    let ahead =
        (0..=window.months_ahead).filter_map(|ahead| this_month.checked_add_months(Months::new(ahead)));
    back.chain(ahead).collect()
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    #[test]
    fn a_window_counts_calendar_months_from_any_day_of_the_month() {
        let now = Utc.with_ymd_and_hms(2026, 1, 31, 23, 59, 59).unwrap();
        let names: Vec<String> = months(
            now,
            PartitionWindow {
                months_back: 2,
                months_ahead: 2,
            },
        )
        .iter()
        .map(ToString::to_string)
        .collect();
        assert_eq!(
            names,
            [
                "2025-11-01",
                "2025-12-01",
                "2026-01-01",
                "2026-02-01",
                "2026-03-01"
            ]
        );
    }
}
