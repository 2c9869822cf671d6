//! What histories came to. A rule that no history met was not tested.

use std::ops::AddAssign;

/// How often something happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) steps: usize,
    pub(crate) versions: usize,
    pub(crate) replays: usize,
    pub(crate) refused: usize,
    pub(crate) keys_reused: usize,
    pub(crate) keys_expired: usize,
    /// Versions that came after one that they cannot replace.
    pub(crate) late: usize,
    pub(crate) races: usize,
    /// Connections that the proxies broke.
    pub(crate) broken: usize,
    /// Requests whose client hung up before it was answered.
    pub(crate) hung_up: usize,
    /// Answers 503, after which the client asked again.
    pub(crate) unavailable: usize,
    pub(crate) restarts: usize,
    pub(crate) pages: usize,
    /// Pages behind a cursor.
    pub(crate) further_pages: usize,
    pub(crate) details: usize,
    pub(crate) rates: usize,
    pub(crate) recoveries: usize,
    /// Incidents that were rolled back, at the end of their histories.
    pub(crate) rolled_back: usize,
    /// Incidents that another incident shares its time with, at the end of their histories.
    pub(crate) of_one_time: usize,
    /// Children of a parent that is not the only one of its name.
    pub(crate) adopted: usize,
}

impl Tally {
    /// The counts with their names.
    pub(crate) fn counts(&self) -> [(&'static str, usize); 20] {
        [
            ("steps", self.steps),
            ("versions", self.versions),
            ("replays", self.replays),
            ("refused records", self.refused),
            ("keys of another request", self.keys_reused),
            ("keys taken again after their time", self.keys_expired),
            ("late versions", self.late),
            ("races", self.races),
            ("broken connections", self.broken),
            ("clients that hung up", self.hung_up),
            ("503", self.unavailable),
            ("restarts", self.restarts),
            ("pages", self.pages),
            ("pages behind a cursor", self.further_pages),
            ("details", self.details),
            ("success rates", self.rates),
            ("recovery contexts", self.recoveries),
            ("rolled back", self.rolled_back),
            ("incidents of one time", self.of_one_time),
            ("children of one of several parents", self.adopted),
        ]
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.versions += other.versions;
        self.replays += other.replays;
        self.refused += other.refused;
        self.keys_reused += other.keys_reused;
        self.keys_expired += other.keys_expired;
        self.late += other.late;
        self.races += other.races;
        self.broken += other.broken;
        self.hung_up += other.hung_up;
        self.unavailable += other.unavailable;
        self.restarts += other.restarts;
        self.pages += other.pages;
        self.further_pages += other.further_pages;
        self.details += other.details;
        self.rates += other.rates;
        self.recoveries += other.recoveries;
        self.rolled_back += other.rolled_back;
        self.of_one_time += other.of_one_time;
        self.adopted += other.adopted;
    }
}
