//! Whether the database is what it promises to be, and the read model made again from the ledger.
//!
//! [`check`] sees one snapshot and changes nothing: it folds the ledger by the writer's own statements into temporary
//! tables, which stand before the real ones in the `search_path`, and compares. [`rebuild`] folds in the same way and
//! then writes the differences. So there is one definition of the fold, and the two can only disagree with the data.
//!
//! The checks are values: a name, a sentence, and SQL over catalogs and scratch tables. The migrated schema has no
//! scratch tables, so these statements are not checked at compile time; every run of [`check`] runs all of them.

mod embeddings;
mod ledger;
mod read_model;
mod rebuild;
mod report;
mod schema_checks;
mod session;

use chrono::{DateTime, Utc};
use sqlx::Connection;

use crate::compatibility::Incompatible;
use crate::{ConnectOptions, PartitionWindow, StoreError};
use session::Session;

pub use rebuild::{Rebuilt, RebuiltTable, rebuild};
pub use report::{Check, Example, Outcome, Report, Severity};

/// How a run is made.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The present time: nothing can have been received after it.
    pub now: DateTime<Utc>,
    /// The months that are to have partitions.
    pub partitions: PartitionWindow,
    /// How many examples of a finding are kept.
    pub examples: usize,
    /// Whether a rebuild goes on when the ledger itself is damaged.
    pub force: bool,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: &'static str,
    /// Ledger rows read so far.
    pub events: u64,
}

/// Is told how far a run is.
pub type Listener<'a> = dyn FnMut(Progress) + Send + 'a;

/// Why a run came to no result.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// The server or the schema is not one that this version knows.
    #[error(transparent)]
    Incompatible(#[from] Incompatible),
    /// The database could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A rebuild would copy damage of the ledger into the read model.
    #[error(
        "the ledger itself is damaged, and the read model would take the damage over; nothing was changed. The first finding: {first}"
    )]
    LedgerDamaged {
        /// The first finding, in words.
        first: String,
    },
    /// Partitions were made or dropped between the two passes of a rebuild.
    #[error("partitions of the ledger changed during the rebuild; nothing was changed. Run it again")]
    PartitionsChanged,
}

impl From<sqlx::Error> for FsckError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Runs all checks on one snapshot, beside whatever else uses the database.
///
/// Writers and readers are not hindered. What waits is only DDL on the tables, such as the making of a partition.
///
/// # Errors
/// [`FsckError`] where the checks could not be run. What they find is in the [`Report`].
pub async fn check(
    connect: &ConnectOptions,
    options: &Options,
    listener: &mut Listener<'_>,
) -> Result<Report, FsckError> {
    let mut session = Session::open(connect).await?;
    // Before the snapshot: a read-only transaction may fill temporary tables, but not make them.
    session.create_scratch().await?;
    let mut transaction = session
        .connection
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let mut report = Report::default();
    session::live_first(&mut transaction, &session.schema).await?;
    listener(Progress {
        step: "schema",
        events: 0,
    });
    schema_checks::run(&mut transaction, options, &mut report).await?;
    listener(Progress {
        step: "ledger",
        events: 0,
    });
    let pass = ledger::pass(&mut transaction, &session.schema, options, ledger::ALL, listener).await?;
    report.events = pass.events;
    report.other_events = pass.other_events;
    report.checks.extend(pass.into_outcomes());
    ledger::run(&mut transaction, options, &mut report).await?;
    listener(Progress {
        step: "read model",
        events: report.events,
    });
    session::analyze_scratch(&mut transaction).await?;
    read_model::run(&mut transaction, options, &mut report).await?;
    listener(Progress {
        step: "embeddings",
        events: report.events,
    });
    embeddings::run(&mut transaction, options, &mut report).await?;
    transaction.rollback().await?;
    session.connection.close().await?;
    Ok(report)
}
