//! One endpoint, one file: what it takes, what it does, what it answers.

pub(crate) mod aggregate_actions;
pub(crate) mod aggregate_namespaces;
pub(crate) mod aggregate_severities;
pub(crate) mod aggregate_trend;
pub(crate) mod environment_context;
pub(crate) mod get_incident;
pub(crate) mod historical_context;
pub(crate) mod list_incidents;
pub(crate) mod match_incidents;
pub(crate) mod recovery_context;
pub(crate) mod success_rates;
