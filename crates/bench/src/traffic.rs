//! What controllers would send: seeded, repeatable, and made before anything is measured.
//!
//! The material is a [`demo_history`]: incidents with their remediation requests, analyses, workflows and executions, and
//! the versions of each. An incident is played again and again, each time under new names and at another time. Which
//! resource it happens to follows Zipf's law, several incidents are under way at once, and of each one the records come
//! in the order in which they were reported.
//!
//! Two shares are kept exactly, however many records are taken: that of records whose text nobody sent before, and that
//! of replays, which repeat a record sent shortly before byte by byte.

mod share;
mod story;
mod words;
mod zipf;

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use demo_history::{HistoryOptions, RecordKind, history};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::request::Request;
use share::Share;
use story::{Story, Telling};
pub(crate) use words::words;
pub(crate) use zipf::Zipf;

/// Incidents of the material: enough that every alert of the catalogue has several.
const INCIDENTS: usize = 400;
/// Over how many days the material was made; it is told at other times.
const DAYS: u32 = 30;
/// Incidents that are under way at once.
const UNDER_WAY: usize = 64;
/// How many records back a replay may reach.
const REPLAYED_FROM: usize = 256;

/// What traffic to make.
#[derive(Debug, Clone)]
pub(crate) struct TrafficOptions {
    /// Another seed, other traffic; the same seed, the same traffic.
    pub(crate) seed: u64,
    /// Share of records, replays aside, whose text nobody sent before: 0 to 1.
    pub(crate) fresh_texts: f64,
    /// Share of requests that repeat a record sent before: 0 to 1.
    pub(crate) replays: f64,
    /// No time in any record is later.
    pub(crate) end: DateTime<Utc>,
    /// Incidents end within this time before `end`.
    pub(crate) spread: TimeDelta,
}

/// A record to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    /// Its kind.
    pub(crate) kind: RecordKind,
    /// The record as JSON.
    pub(crate) body: Value,
    /// Whether its text is one that nobody sent before.
    pub(crate) fresh: bool,
    /// Whether the whole record was sent before.
    pub(crate) replay: bool,
}

impl Sent {
    /// The request that it is sent by.
    #[must_use]
    pub(crate) fn request(&self) -> Request {
        Request::post(operation(self.kind), self.kind.path(), self.body.to_string())
    }
}

/// The name of a kind in the report.
pub(crate) fn operation(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Remediation => "remediation",
        RecordKind::AiAnalysis => "aianalysis",
        RecordKind::Workflow => "workflow",
        RecordKind::Execution => "execution",
    }
}

/// Records without an end.
#[derive(Debug)]
pub(crate) struct Traffic {
    options: TrafficOptions,
    rng: StdRng,
    /// Incidents of each resource, the busiest resource first.
    resources: Vec<Vec<Story>>,
    zipf: Zipf,
    under_way: Vec<Telling>,
    told: u64,
    fresh: Share,
    fresh_texts: u64,
    replays: Share,
    recent: VecDeque<Sent>,
}

impl Traffic {
    /// Makes the material.
    #[must_use]
    pub(crate) fn new(options: TrafficOptions) -> Self {
        let records = history(&HistoryOptions {
            incidents: INCIDENTS,
            days: DAYS,
            end: options.end,
            seed: options.seed,
        });
        let resources = story::by_resource(records);
        Self {
            rng: StdRng::seed_from_u64(options.seed),
            zipf: Zipf::new(resources.len()),
            resources,
            under_way: Vec::new(),
            told: 0,
            fresh: Share::new(options.fresh_texts),
            fresh_texts: 0,
            replays: Share::new(options.replays),
            recent: VecDeque::with_capacity(REPLAYED_FROM),
            options,
        }
    }

    /// The messages that are repeated, each once, sorted: what a search may be about.
    #[must_use]
    pub(crate) fn messages(&self) -> Vec<String> {
        let mut messages: Vec<String> = self
            .resources
            .iter()
            .flatten()
            .flat_map(Story::messages)
            .map(str::to_owned)
            .collect();
        messages.sort();
        messages.dedup();
        messages
    }

    fn new_record(&mut self) -> Sent {
        while self.under_way.len() < UNDER_WAY {
            let telling = self.begin();
            self.under_way.push(telling);
        }
        let index = self.rng.random_range(0..self.under_way.len());
        let telling = &mut self.under_way[index];
        let (kind, mut body) = telling.next();
        if telling.is_over() {
            self.under_way.swap_remove(index);
        }
        let fresh = self.fresh.next();
        if fresh {
            words::make_fresh(&mut body, self.options.seed, self.fresh_texts);
            self.fresh_texts += 1;
        }
        Sent {
            kind,
            body,
            fresh,
            replay: false,
        }
    }

    /// Begins an incident of a resource.
    fn begin(&mut self) -> Telling {
        let resource = &self.resources[self.zipf.draw(&mut self.rng)];
        let story = &resource[self.rng.random_range(0..resource.len())];
        let before = self
            .rng
            .random_range(0..=self.options.spread.num_seconds().max(0));
        self.told += 1;
        story.tell(self.told, self.options.end - TimeDelta::seconds(before))
    }
}

impl Iterator for Traffic {
    type Item = Sent;

    fn next(&mut self) -> Option<Sent> {
        if self.replays.next() && !self.recent.is_empty() {
            let earlier = &self.recent[self.rng.random_range(0..self.recent.len())];
            return Some(Sent {
                replay: true,
                ..earlier.clone()
            });
        }
        let sent = self.new_record();
        if self.recent.len() == REPLAYED_FROM {
            self.recent.pop_front();
        }
        self.recent.push_back(sent.clone());
        Some(sent)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use chrono::TimeZone;

    use super::*;

    fn traffic(seed: u64, fresh_texts: f64, replays: f64) -> Traffic {
        Traffic::new(TrafficOptions {
            seed,
            fresh_texts,
            replays,
            end: Utc.with_ymd_and_hms(2026, 6, 15, 12, 0, 0).unwrap(),
            spread: TimeDelta::hours(1),
        })
    }

    fn name(sent: &Sent) -> &str {
        sent.body["name"].as_str().unwrap()
    }

    #[test]
    fn the_same_seed_sends_the_same_and_another_something_else() {
        let first: Vec<_> = traffic(7, 0.1, 0.05).take(2_000).collect();
        let again: Vec<_> = traffic(7, 0.1, 0.05).take(2_000).collect();
        assert!(first == again);
        let other: Vec<_> = traffic(8, 0.1, 0.05).take(2_000).collect();
        assert!(first != other);
    }

    #[test]
    fn the_shares_are_exact() {
        for (fresh, replays) in [(0.1, 0.05), (0.25, 0.02), (0.0, 0.0), (1.0, 0.0)] {
            let sent: Vec<_> = traffic(1, fresh, replays).take(2_000).collect();
            let replayed = sent.iter().filter(|sent| sent.replay).count();
            assert_eq!(replayed as f64, 2_000.0 * replays);
            let new = sent.iter().filter(|sent| !sent.replay);
            let count = new.clone().filter(|sent| sent.fresh).count();
            assert_eq!(count, ((2_000 - replayed) as f64 * fresh) as usize);
        }
    }

    #[test]
    fn a_replay_repeats_a_record_byte_by_byte_and_every_other_record_is_new() {
        let mut bodies = HashSet::new();
        for sent in traffic(3, 0.1, 0.1).take(5_000) {
            let is_new = bodies.insert(sent.body.to_string());
            assert_eq!(is_new, !sent.replay, "{}", sent.body);
        }
    }

    #[test]
    fn a_few_resources_cause_most_of_the_incidents() {
        let mut incidents: HashMap<String, usize> = HashMap::new();
        let mut seen = HashSet::new();
        for sent in traffic(4, 0.0, 0.0).take(5_000) {
            if sent.kind == RecordKind::Remediation && seen.insert(name(&sent).to_owned()) {
                *incidents.entry(story::resource(&sent.body)).or_default() += 1;
            }
        }
        let mut counts: Vec<_> = incidents.into_values().collect();
        counts.sort_unstable_by(|one, other| other.cmp(one));
        let total: usize = counts.iter().sum();
        let busiest: usize = counts.iter().take(counts.len() / 10).sum();
        assert!(
            busiest * 2 > total,
            "{busiest} of {total}, {} resources",
            counts.len()
        );
    }

    #[test]
    fn records_of_an_incident_come_in_their_order_and_name_what_came_before() {
        let (mut names, mut kinds, mut versions) = (HashSet::new(), HashSet::new(), 0);
        for sent in traffic(5, 0.2, 0.0).take(5_000) {
            for reference in ["remediationRequestRef", "aiAnalysisRef"] {
                if let Some(parent) = sent.body.get(reference) {
                    assert!(names.contains(parent.as_str().unwrap()), "{}", sent.body);
                }
            }
            kinds.insert(sent.kind);
            versions += usize::from(!names.insert(name(&sent).to_owned()));
        }
        assert_eq!(kinds.len(), 4);
        assert!(versions * 10 > 5_000, "only {versions} later versions");
    }

    #[test]
    fn nothing_is_later_than_the_end() {
        let end = Utc.with_ymd_and_hms(2026, 6, 15, 12, 0, 0).unwrap();
        for sent in traffic(6, 0.0, 0.0).take(2_000) {
            for field in ["createdAt", "startedAt", "completedAt"] {
                if let Some(time) = sent.body.get(field) {
                    let time: DateTime<Utc> = time.as_str().unwrap().parse().unwrap();
                    assert!(time <= end, "{}", sent.body);
                }
            }
        }
    }
}
