//! Whether a database holds what was acknowledged, once and whole.

mod rows;

use std::collections::HashMap;

use audit_store::fsck::{self, Severity};
use audit_store::{ConnectOptions, PartitionWindow, WriteStore};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::load::{Promise, Unknown};
use rows::{Instance, Rows};

/// How many examples of each fault are kept.
const KEPT: usize = 10;

/// Places of one sort of fault.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Places {
    /// How many there are.
    pub count: usize,
    /// Some of them in words.
    pub examples: Vec<String>,
}

impl Places {
    fn add(&mut self, place: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < KEPT {
            self.examples.push(place());
        }
    }
}

/// What is wrong with a database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Versions in the ledger.
    pub versions: usize,
    /// Versions that were acknowledged and are not in the ledger under the id that was told.
    pub lost: Places,
    /// Versions that are in the ledger more than once.
    pub doubled: Places,
    /// Versions without their text, instances whose state is not the fold of their versions, states of nothing, atomic
    /// batches of which only a part is there.
    pub half_written: Places,
    /// Findings of `fsck` that are errors.
    pub fsck: Places,
    /// Findings of `fsck` that are warnings.
    pub fsck_warnings: Places,
}

impl Findings {
    /// Everything that is an error, in words; nothing, it is to be hoped.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        [
            ("lost", &self.lost),
            ("doubled", &self.doubled),
            ("half-written", &self.half_written),
            ("fsck", &self.fsck),
        ]
        .iter()
        .flat_map(|(name, places)| {
            let more = places.count - places.examples.len();
            let more = (more > 0).then(|| format!("{name}: and {more} more"));
            places
                .examples
                .iter()
                .map(move |place| format!("{name}: {place}"))
                .chain(more)
        })
        .collect()
    }
}

/// Compares a database with what was acknowledged, in one snapshot.
///
/// Every instance must be of a [`Load`](crate::load::Load). `undecided` are atomic batches of which nobody knows
/// whether they were stored; each must be there as a whole or not at all.
pub async fn compare<'a>(
    store: &WriteStore,
    promises: impl IntoIterator<Item = &'a Promise>,
    undecided: &[Vec<Unknown>],
) -> Findings {
    let Rows {
        ledger,
        states,
        without_text,
    } = rows::read(store).await;
    let mut findings = Findings {
        versions: ledger.values().map(Vec::len).sum(),
        ..Findings::default()
    };
    for id in without_text {
        findings
            .half_written
            .add(|| format!("audit_events {id} has no text"));
    }
    for promise in promises {
        let instance = (promise.kind.to_owned(), promise.name.clone());
        let is_there = ledger.get(&instance).is_some_and(|versions| {
            versions
                .iter()
                .any(|version| (version.id, version.phase.as_str()) == (promise.id, promise.phase))
                && versions.iter().all(|version| version.time == promise.created_at)
        });
        if !is_there {
            findings.lost.add(|| {
                format!(
                    "{promise:?}: the ledger has {:?}",
                    ledger.get(&instance).map_or(&[][..], Vec::as_slice)
                )
            });
        }
        let incidents = states.get(&instance).map_or(&[][..], Vec::as_slice);
        if incidents.iter().any(|state| state.incident != promise.incident) {
            findings
                .lost
                .add(|| format!("{promise:?}: the incident is {incidents:?}"));
        }
    }
    for (instance, versions) in &ledger {
        for (index, version) in versions.iter().enumerate() {
            if versions[..index].iter().any(|other| other.phase == version.phase) {
                findings.doubled.add(|| format!("{instance:?}: {versions:?}"));
            }
        }
        let latest = versions.iter().max_by_key(|version| (version.rank, version.id));
        let found = states.get(instance).map_or(&[][..], Vec::as_slice);
        if found.len() != 1 || Some(found[0].event) != latest.map(|version| version.id) {
            findings
                .half_written
                .add(|| format!("{instance:?}: {versions:?} in the ledger, {found:?} in the read model"));
        }
    }
    for instance in states.keys().filter(|instance| !ledger.contains_key(*instance)) {
        findings
            .half_written
            .add(|| format!("{instance:?}: not in the ledger"));
    }
    for batch in undecided {
        let there = batch.iter().filter(|version| has(&ledger, version)).count();
        if there != 0 && there != batch.len() {
            findings
                .half_written
                .add(|| format!("{there} of {} of the atomic batch {batch:?}", batch.len()));
        }
    }
    findings
}

fn has(ledger: &HashMap<Instance, Vec<rows::Version>>, unknown: &Unknown) -> bool {
    ledger
        .get(&(unknown.kind.to_owned(), unknown.name.clone()))
        .is_some_and(|versions| versions.iter().any(|version| version.phase == unknown.phase))
}

/// Adds what `fsck` finds. Nothing can have been received after `now`.
pub async fn fsck(connect: &ConnectOptions, now: DateTime<Utc>, findings: &mut Findings) {
    let options = fsck::Options {
        now,
        partitions: PartitionWindow {
            months_back: 3,
            months_ahead: 3,
        },
        examples: KEPT,
        force: false,
    };
    let report = fsck::check(connect, &options, &mut |_| {})
        .await
        .expect("fsck could be run");
    for outcome in report.findings() {
        let places = match outcome.check.severity {
            Severity::Error => &mut findings.fsck,
            Severity::Warning => &mut findings.fsck_warnings,
        };
        places.count += usize::try_from(outcome.count).unwrap_or(usize::MAX);
        let words = outcome
            .examples
            .iter()
            .map(|example| format!("{}: {}: {}", outcome.check.name, example.subject, example.detail));
        places
            .examples
            .extend(words.take(KEPT.saturating_sub(places.examples.len())));
    }
}
