//! What was found.

use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::StoreError;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// To be looked at; nothing that was promised is broken.
    Warning,
    /// A promise is broken.
    Error,
}

/// Something that must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Name, such as `ledger.payload_hash`.
    pub name: &'static str,
    /// How bad it is when it does not hold.
    pub severity: Severity,
    /// What must hold, in one sentence.
    pub holds: &'static str,
}

impl Check {
    pub(super) const fn error(name: &'static str, holds: &'static str) -> Self {
        Self {
            name,
            severity: Severity::Error,
            holds,
        }
    }

    pub(super) const fn warning(name: &'static str, holds: &'static str) -> Self {
        Self {
            name,
            severity: Severity::Warning,
            holds,
        }
    }
}

/// A place where a check does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The row or the object, such as `audit_events 42`.
    pub subject: String,
    /// What is wrong with it.
    pub detail: String,
}

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The check.
    #[serde(flatten)]
    pub check: Check,
    /// In how many places it does not hold.
    pub count: u64,
    /// Some of these places.
    pub examples: Vec<Example>,
}

impl Outcome {
    pub(super) fn of(check: Check) -> Self {
        Self {
            check,
            count: 0,
            examples: Vec::new(),
        }
    }

    /// Counts a place, and keeps it while there are fewer than `keep`.
    pub(super) fn add(&mut self, keep: usize, subject: String, detail: impl Into<String>) {
        self.count += 1;
        if self.examples.len() < keep {
            self.examples.push(Example {
                subject,
                detail: detail.into(),
            });
        }
    }
}

/// What became of all checks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Ledger rows read.
    pub events: u64,
    /// Those of them that are no records, and that the fold leaves out.
    pub other_events: u64,
    /// Every check, whether it holds or not.
    pub checks: Vec<Outcome>,
}

impl Report {
    /// In how many places checks of a severity do not hold.
    #[must_use]
    pub fn count(&self, severity: Severity) -> u64 {
        self.findings()
            .filter(|outcome| outcome.check.severity == severity)
            .map(|outcome| outcome.count)
            .sum()
    }

    /// The checks that do not hold.
    pub fn findings(&self) -> impl Iterator<Item = &Outcome> {
        self.checks.iter().filter(|outcome| outcome.count > 0)
    }
}

/// Runs a statement that gives a row `(subject, detail)` for each place where a check does not hold.
pub(super) async fn ask(
    connection: &mut PgConnection,
    check: Check,
    keep: usize,
    faults: &str,
) -> Result<Outcome, StoreError> {
    let rows: Vec<(i64, String, String)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT count(*) OVER (), f.subject, f.detail FROM ({faults}) AS f (subject, detail) LIMIT {}",
        keep.max(1)
    )))
    .fetch_all(connection)
    .await?;
    let mut outcome = Outcome::of(check);
    outcome.count = rows
        .first()
        .map_or(0, |(count, ..)| u64::try_from(*count).unwrap_or(0));
    outcome.examples = rows
        .into_iter()
        .take(keep)
        .map(|(_, subject, detail)| Example { subject, detail })
        .collect();
    Ok(outcome)
}
