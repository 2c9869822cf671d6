//! What the figures are compared with, measured by the same run.

pub(crate) mod bare;
pub(crate) mod embedding;
pub(crate) mod fsync;
pub(crate) mod rows;
pub(crate) mod sql;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::histogram::Quantiles;

/// A baseline.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// What was measured.
    pub name: String,
    /// How many of it, of what, in a second.
    pub per_second: f64,
    /// What is counted: rows, answers, texts …
    pub unit: &'static str,
    /// How long one takes, in milliseconds.
    pub latency: Quantiles,
    /// What else there is to know.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<&'static str, String>,
}
