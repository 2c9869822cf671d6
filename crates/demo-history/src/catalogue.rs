//! The catalogue of what goes wrong: the alerts and events, why they happen, and what is tried against them.
//!
//! A message belongs to a cause, because the symptoms differ with it. That also keeps the number of distinct texts
//! down, each of which is embedded once when the history is loaded.

mod certificates;
mod control_plane;
mod data_services;
mod images;
mod jobs;
mod messaging;
mod monitoring;
mod network;
mod node_disks;
mod nodes;
mod pods;
mod resources;
mod rollouts;
mod scheduling;
mod volumes;

use super::inventory::Role;
use super::workflow::Workflow;

/// Where a signal comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Prometheus,
    Event,
}

impl Source {
    pub(super) fn signal_type(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Event => "kubernetes-event",
        }
    }
}

/// One alert or event.
#[derive(Debug)]
pub(super) struct Alert {
    pub(super) name: &'static str,
    pub(super) source: Source,
    pub(super) severity: &'static str,
    /// What it happens to.
    pub(super) on: &'static [Role],
    /// How often, compared with the others.
    pub(super) weight: f64,
    pub(super) causes: &'static [Cause],
}

/// One reason for an alert.
#[derive(Debug)]
pub(super) struct Cause {
    /// How often it is this one, compared with the alert's other causes.
    pub(super) share: f64,
    pub(super) reason: &'static str,
    pub(super) messages: &'static [&'static str],
    pub(super) root_cause: &'static str,
    /// What the analysis advises.
    pub(super) advice: &'static str,
    pub(super) confidence: (f64, f64),
    /// What is tried, in order of preference.
    pub(super) remedies: &'static [Remedy],
}

/// A workflow against a cause.
#[derive(Debug)]
pub(super) struct Remedy {
    pub(super) workflow: &'static Workflow,
    /// How likely it helps.
    pub(super) odds: f64,
    /// What is seen when it was carried out and did not help.
    pub(super) unresolved: &'static str,
}

const fn remedy(workflow: &'static Workflow, odds: f64, unresolved: &'static str) -> Remedy {
    Remedy {
        workflow,
        odds,
        unresolved,
    }
}

/// Every alert, domain by domain.
pub(super) fn alerts() -> impl Iterator<Item = &'static Alert> {
    [
        pods::ALERTS,
        images::ALERTS,
        resources::ALERTS,
        rollouts::ALERTS,
        scheduling::ALERTS,
        nodes::ALERTS,
        node_disks::ALERTS,
        volumes::ALERTS,
        certificates::ALERTS,
        control_plane::ALERTS,
        network::ALERTS,
        jobs::ALERTS,
        data_services::ALERTS,
        messaging::ALERTS,
        monitoring::ALERTS,
    ]
    .into_iter()
    .flatten()
}
