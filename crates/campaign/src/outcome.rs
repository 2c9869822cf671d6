//! What became of a fault, for people and for machines.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::check::Findings;
use crate::load::Counts;

/// What a fault did, what it met, and what it left behind.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Its name.
    pub fault: &'static str,
    /// How often it happened.
    pub times: u64,
    /// Proof that it happened to something: what was under way, broken, refused, swallowed.
    pub met: BTreeMap<String, u64>,
    /// What had to be met and was not. A fault that met nothing proves nothing.
    pub unmet: Vec<String>,
    /// Versions acknowledged.
    pub acknowledged: usize,
    /// Refusals with 429 or 503, each told to its client.
    pub refused: usize,
    /// Answers that no client may get, and waits that took too long.
    pub wrong: Vec<String>,
    /// What is wrong with the database.
    pub findings: Findings,
    /// Seconds from each fault until records were acknowledged again.
    #[serde(serialize_with = "seconds")]
    pub recoveries: Vec<Duration>,
    /// Seconds that all of it took.
    #[serde(serialize_with = "one_second")]
    pub took: Duration,
    /// Why it came to no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Outcome {
    /// Notes what was met.
    pub fn met(&mut self, what: &str, count: u64) {
        *self.met.entry(what.to_owned()).or_default() += count;
    }

    /// Notes what was met, of which there must be so much.
    pub fn must_meet(&mut self, what: &str, count: u64, at_least: u64) {
        self.met(what, count);
        if count < at_least {
            self.unmet
                .push(format!("{what}: {count}, and it takes {at_least}"));
        }
    }

    /// Demands that it happened so often: a campaign that was cut short has not shown what it was asked for.
    pub fn must_happen(&mut self, at_least: u64) {
        self.must_meet("times it happened", self.times, at_least);
    }

    /// Notes something that must not be.
    pub fn wrong(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    /// Takes over what the clients counted.
    pub fn count(&mut self, counts: &Counts) {
        self.acknowledged += counts.acknowledged();
        self.refused += counts.refused();
        self.wrong.extend(counts.wrong_answers());
        for (reason, count) in counts.reasons() {
            self.met(&format!("refused: {reason}"), count as u64);
        }
        self.met("connections broken before the answer", counts.failed() as u64);
        self.met("answers lost and found again", counts.settled() as u64);
    }

    /// Whether everything that was promised was kept, and the fault met something.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failure.is_none()
            && self.unmet.is_empty()
            && self.wrong.is_empty()
            && self.findings.faults().is_empty()
    }

    /// Everything that is not as it must be, in words.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let unmet = self.unmet.iter().map(|unmet| format!("not met: {unmet}"));
        let wrong = self.wrong.iter().map(|wrong| format!("wrong: {wrong}"));
        let failure = self.failure.iter().map(|failure| format!("failed: {failure}"));
        failure
            .chain(self.findings.faults())
            .chain(wrong)
            .chain(unmet)
            .collect()
    }

    /// The median and the greatest of the recovery times.
    #[must_use]
    pub fn recovery(&self) -> Option<(Duration, Duration)> {
        let mut sorted = self.recoveries.clone();
        sorted.sort_unstable();
        Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
    }
}

fn seconds<S: serde::Serializer>(times: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(times.iter().map(Duration::as_secs_f64))
}

fn one_second<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// All outcomes as a table, with what was met and what is wrong below it.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let mut lines = vec![format!(
        "{:<10} {:>6} {:>12} {:>9} {:>5} {:>8} {:>13} {:>6} {:>13} {:>7}  {}",
        "fault",
        "times",
        "acknowledged",
        "refused",
        "lost",
        "doubled",
        "half-written",
        "fsck",
        "p50/max s",
        "took s",
        "verdict"
    )];
    for outcome in outcomes {
        let findings = &outcome.findings;
        let recovery = outcome.recovery().map_or_else(
            || "-".to_owned(),
            |(half, most)| format!("{:.2}/{:.2}", half.as_secs_f64(), most.as_secs_f64()),
        );
        lines.push(format!(
            "{:<10} {:>6} {:>12} {:>9} {:>5} {:>8} {:>13} {:>6} {:>13} {:>7.1}  {}",
            outcome.fault,
            outcome.times,
            outcome.acknowledged,
            outcome.refused,
            findings.lost.count,
            findings.doubled.count,
            findings.half_written.count,
            findings.fsck.count,
            recovery,
            outcome.took.as_secs_f64(),
            if outcome.is_good() { "kept" } else { "BROKEN" },
        ));
    }
    for outcome in outcomes {
        let met: Vec<_> = outcome
            .met
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(what, count)| format!("{what} {count}"))
            .collect();
        lines.push(format!("{} met: {}", outcome.fault, met.join(", ")));
        let complaints = outcome.complaints();
        lines.extend(complaints.iter().map(|complaint| format!("    {complaint}")));
    }
    lines.join("\n")
}
