//! A believable history of an imaginary company's clusters: the data behind `kubernaut up --demo`.
//!
//! Pure and deterministic: the same [`HistoryOptions`] give the same records, on every machine and with every
//! version of every dependency (the generator carries its own random numbers). Nothing here does I/O; the caller
//! sends the records, in order, to Data Storage.
//!
//! The history has the shape that real ones have: a few resources cause most of the incidents and cause them again
//! and again, some problems come in storms, working hours are worse than nights, the same cause has a remedy that
//! usually works and one that seldom does, and what fails once is often tried again in another way.

mod action;
mod action_table;
mod body;
mod catalogue;
mod chain;
mod inventory;
mod inventory_table;
mod rng;
mod run;
mod schedule;
mod storm;
mod template;
#[cfg(test)]
mod tests;
mod trouble;
mod workflow;

use chrono::{DateTime, Utc};
use serde_json::Value;

/// The incidents of the default history.
pub const DEFAULT_INCIDENTS: usize = 2_400;
/// The days of the default history: one quarter, so that trends have something to show.
const DEFAULT_DAYS: u32 = 90;
/// The seed of the default history.
const DEFAULT_SEED: u64 = 0x6b75_6265_726e_6175;

/// What history to make up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryOptions {
    /// How many incidents (remediation requests), exactly.
    pub incidents: usize,
    /// Over how many days they spread, at least one.
    pub days: u32,
    /// The end of the history: "now". No record and no time within a record is later.
    pub end: DateTime<Utc>,
    /// Another seed, another history.
    pub seed: u64,
}

impl HistoryOptions {
    /// The default history, ending at `end`.
    #[must_use]
    pub fn new(end: DateTime<Utc>) -> Self {
        Self {
            incidents: DEFAULT_INCIDENTS,
            days: DEFAULT_DAYS,
            end,
            seed: DEFAULT_SEED,
        }
    }
}

/// The four kinds of record that Data Storage accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// A remediation request: the incident itself.
    Remediation,
    /// What the AI made of it.
    AiAnalysis,
    /// The workflow that was run against it.
    Workflow,
    /// One action of such a workflow.
    Execution,
}

impl RecordKind {
    /// The path that records of this kind are posted to.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Remediation => "/api/v1/audit/remediation",
            Self::AiAnalysis => "/api/v1/audit/aianalysis",
            Self::Workflow => "/api/v1/audit/workflow",
            Self::Execution => "/api/v1/audit/execution",
        }
    }
}

/// One record as a controller would have reported it.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoRecord {
    /// Its kind, which decides where it is posted.
    pub kind: RecordKind,
    /// When it would have been reported; never before any time that it contains.
    pub at: DateTime<Utc>,
    /// The body of the POST.
    pub body: Value,
}

/// The history that `options` ask for, in the order in which controllers would have reported it.
#[must_use]
pub fn history(options: &HistoryOptions) -> Vec<DemoRecord> {
    let mut records = schedule::incidents(options);
    // Stable: what happened within one second stays in causal order.
    records.sort_by_key(|record| record.at);
    records
}
