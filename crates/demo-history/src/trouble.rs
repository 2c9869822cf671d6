//! Where trouble is at home: which alert haunts which resource, how often, and how stubbornly.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::catalogue::{Alert, alerts};
use super::inventory::{Cluster, Target, targets};
use super::rng::Rng;

/// How many resources an alert haunts at most, so that incidents recur and do not only spread.
const SPOTS_PER_ALERT: usize = 5;

/// An alert on a resource, which will fire more than once.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) alert: &'static Alert,
    pub(super) target: &'static Target,
    /// Stable for alert and resource.
    pub(super) fingerprint: String,
    /// How often, compared with other spots.
    pub(super) weight: f64,
    /// How likely it fires again shortly after it was dealt with.
    pub(super) flap: f64,
    /// What the odds of every remedy are multiplied by here.
    pub(super) luck: f64,
    /// The cause that it usually has here.
    pub(super) habit: usize,
    /// Which of a cause's wordings its messages have.
    pub(super) wording: usize,
    /// How likely the first choice is tried first; where it is low, nobody has learned yet.
    pub(super) sense: f64,
    /// The part of the history in which it fires at all.
    pub(super) active: (f64, f64),
}

impl Spot {
    pub(super) fn new(alert: &'static Alert, target: &'static Target, rng: &mut Rng) -> Self {
        // A Pareto tail: one spot in fifty outweighs the median one twenty times.
        let tail = 0.1 / (rng.unit() + 0.02);
        let presence = match (target.cluster, target.environment()) {
            (Cluster::Production, _) => 1.6,
            (Cluster::Staging, "staging") => 1.0,
            _ => 1.2,
        };
        let flap = *rng.pick(&[0.06, 0.06, 0.08, 0.1, 0.25, 0.35, 0.6]);
        let luck = *rng.pick(&[0.5, 0.9, 0.97, 1.0, 1.02, 1.06, 1.1]);
        let habit = rng.weighted(alert.causes.iter().map(|cause| cause.share));
        let wording = rng.index(2);
        let sense = *rng.pick(&[0.5, 0.85, 0.9, 0.95]);
        let active = match rng.int(0, 5) {
            0 => (0.0, 0.55),
            1 => (0.5, 1.0),
            2 => (0.3, 0.7),
            _ => (0.0, 1.0),
        };
        let fingerprint = fingerprint(alert, target);
        let weight = (alert.weight + 1.0) * presence * tail;
        Self {
            alert,
            target,
            fingerprint,
            weight,
            flap,
            luck,
            habit,
            wording,
            sense,
            active,
        }
    }
}

/// The spots of a history, the alerts in the order of the catalogue.
pub(super) fn spots(rng: &mut Rng) -> Vec<Spot> {
    let mut all = Vec::new();
    for alert in alerts() {
        let mut found: Vec<Spot> = targets()
            .iter()
            .filter(|target| alert.on.contains(&target.role))
            .map(|target| Spot::new(alert, target, rng))
            .collect();
        found.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        found.truncate(SPOTS_PER_ALERT);
        all.append(&mut found);
    }
    all
}

/// The fingerprint as a gateway makes it: a hash of what the signal says it is about.
fn fingerprint(alert: &Alert, target: &Target) -> String {
    let mut hash = Sha256::new();
    for part in [
        alert.name,
        target.cluster.name(),
        target.namespace.unwrap_or_default(),
        target.kind,
        target.name,
    ] {
        hash.update(part);
        hash.update([0]);
    }
    hash.finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
