//! What all clients of a load count together.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many wrong answers are kept in words.
const KEPT: usize = 20;

/// Counters of a load.
#[derive(Debug, Default)]
pub struct Counts {
    acknowledged: AtomicUsize,
    replayed: AtomicUsize,
    settled: AtomicUsize,
    refused: AtomicUsize,
    failed: AtomicUsize,
    unreachable: AtomicUsize,
    in_flight: AtomicUsize,
    wrong: AtomicUsize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default, Clone)]
struct Seen {
    reasons: BTreeMap<String, usize>,
    wrong: Vec<String>,
    slowest: Duration,
}

impl Counts {
    /// Versions acknowledged, each once.
    pub fn acknowledged(&self) -> usize {
        get(&self.acknowledged)
    }

    /// Versions acknowledged as ones that the ledger had already, each time.
    pub fn replayed(&self) -> usize {
        get(&self.replayed)
    }

    /// Those of them that no client had been told of before: they were stored and their answer was lost.
    pub fn settled(&self) -> usize {
        get(&self.settled)
    }

    /// Refusals, 429 or 503 with `Retry-After`, of requests and of records of batches.
    pub fn refused(&self) -> usize {
        get(&self.refused)
    }

    /// Requests whose connection broke before the answer.
    pub fn failed(&self) -> usize {
        get(&self.failed)
    }

    /// Requests that could not be sent since nobody listened.
    pub fn unreachable(&self) -> usize {
        get(&self.unreachable)
    }

    /// Requests that wait for their answer at this moment.
    pub fn in_flight(&self) -> usize {
        get(&self.in_flight)
    }

    /// Answers that no client may get.
    pub fn wrong(&self) -> usize {
        get(&self.wrong)
    }

    /// Some of these in words.
    pub fn wrong_answers(&self) -> Vec<String> {
        self.seen(|seen| seen.wrong.clone())
    }

    /// Refusals by the last segment of their problem's type.
    pub fn reasons(&self) -> BTreeMap<String, usize> {
        self.seen(|seen| seen.reasons.clone())
    }

    /// Refusals for one reason.
    pub fn refused_for(&self, reason: &str) -> usize {
        self.seen(|seen| seen.reasons.get(reason).copied().unwrap_or(0))
    }

    /// The longest that an answer took.
    pub fn slowest(&self) -> Duration {
        self.seen(|seen| seen.slowest)
    }

    pub(super) fn note_acknowledged(&self) {
        add(&self.acknowledged);
    }

    pub(super) fn note_replayed(&self, settled: bool) {
        add(&self.replayed);
        if settled {
            add(&self.settled);
        }
    }

    pub(super) fn note_refused(&self, problem: &str) {
        add(&self.refused);
        let reason = problem.rsplit('/').next().unwrap_or(problem).to_owned();
        self.seen(|seen| *seen.reasons.entry(reason).or_default() += 1);
    }

    pub(super) fn note_failed(&self) {
        add(&self.failed);
    }

    pub(super) fn note_unreachable(&self) {
        add(&self.unreachable);
    }

    pub(super) fn note_wrong(&self, what: String) {
        add(&self.wrong);
        self.seen(|seen| {
            if seen.wrong.len() < KEPT {
                seen.wrong.push(what);
            }
        });
    }

    pub(super) fn note_sent(&self) {
        add(&self.in_flight);
    }

    pub(super) fn note_ended(&self, took: Duration) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.seen(|seen| seen.slowest = seen.slowest.max(took));
    }

    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn get(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::SeqCst)
}

fn add(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::SeqCst);
}
