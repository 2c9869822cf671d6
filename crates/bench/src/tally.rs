//! What came of the requests of one run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::histogram::Latencies;

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It was answered.
    Status(u16),
    /// There was no answer in time.
    TimedOut,
    /// There was no connection, or it broke.
    Broken,
}

impl Outcome {
    /// Whether it is an answer as it should be: its duration counts.
    #[must_use]
    pub(crate) fn is_success(self) -> bool {
        matches!(self, Self::Status(200..=299))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.fmt(formatter),
            Self::TimedOut => formatter.write_str("timeout"),
            Self::Broken => formatter.write_str("broken"),
        }
    }
}

/// Requests that were due in one part of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// How many were to be sent.
    pub(crate) due: u64,
    /// How many of them were not sent, because too many had no answer yet.
    pub(crate) dropped: u64,
    /// What came of the others.
    pub(crate) outcomes: BTreeMap<Outcome, u64>,
    /// How long the successful ones took, by operation.
    pub(crate) operations: BTreeMap<&'static str, Latencies>,
    /// How long all successful ones took.
    pub(crate) latencies: Latencies,
    /// How late the generator itself sent them. It is a part of the latencies of an open loop.
    pub(crate) lateness: Latencies,
}

impl Tally {
    /// How many were answered, refused, or failed.
    #[must_use]
    pub(crate) fn ended(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// How many were answered as they should be.
    #[must_use]
    pub(crate) fn successes(&self) -> u64 {
        self.latencies.count()
    }

    /// How many were answered with one status.
    #[cfg(test)]
    pub(crate) fn status(&self, status: u16) -> u64 {
        self.outcomes.get(&Outcome::Status(status)).copied().unwrap_or(0)
    }
}

/// A whole run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// What was due before anything counts.
    pub(crate) warm_up: Tally,
    /// What counts.
    pub(crate) measured: Tally,
    /// Successful answers in each second that counts, by the time of the answer. The last seconds hold the answers
    /// that came after the end.
    pub(crate) per_second: Vec<u64>,
}

/// When a run begins, when it begins to count, and when nothing more is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Period {
    /// The first request is due.
    pub(crate) begin: Instant,
    /// The first request that counts is due.
    pub(crate) counts_from: Instant,
    /// Nothing is due from now on.
    pub(crate) end: Instant,
}

impl Period {
    /// A warm-up and the time that counts, from `begin` on.
    #[must_use]
    pub(crate) fn new(begin: Instant, warm_up: Duration, duration: Duration) -> Self {
        let counts_from = begin + warm_up;
        Self {
            begin,
            counts_from,
            end: counts_from + duration,
        }
    }
}

/// Takes down what happens, from many tasks.
#[derive(Debug)]
pub(crate) struct Recorder {
    period: Period,
    run: Mutex<Run>,
}

impl Recorder {
    /// A recorder of one run.
    #[must_use]
    pub(crate) fn new(period: Period) -> Self {
        Self {
            period,
            run: Mutex::default(),
        }
    }

    /// A request was due, and was dropped.
    pub(crate) fn dropped(&self, due: Instant) {
        self.with(due, |tally| {
            tally.due += 1;
            tally.dropped += 1;
        });
    }

    /// A request that was due is sent.
    pub(crate) fn sent(&self, due: Instant, sent: Instant) {
        self.with(due, |tally| {
            tally.due += 1;
            tally.lateness.record(sent.saturating_duration_since(due));
        });
    }

    /// A request came to its end. It took from when it was due.
    pub(crate) fn ended(&self, operation: &'static str, due: Instant, now: Instant, outcome: Outcome) {
        let took = now.saturating_duration_since(due);
        self.with(due, |tally| {
            *tally.outcomes.entry(outcome).or_default() += 1;
            if outcome.is_success() {
                tally.latencies.record(took);
                tally.operations.entry(operation).or_default().record(took);
            }
        });
        if outcome.is_success()
            && due >= self.period.counts_from
            && let Ok(second) = usize::try_from((now - self.period.counts_from).as_secs())
        {
            let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
            if run.per_second.len() <= second {
                run.per_second.resize(second + 1, 0);
            }
            run.per_second[second] += 1;
        }
    }

    /// What was taken down so far.
    #[must_use]
    pub(crate) fn run(&self) -> Run {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with(&self, due: Instant, change: impl FnOnce(&mut Tally)) {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        change(if due < self.period.counts_from {
            &mut run.warm_up
        } else {
            &mut run.measured
        });
    }
}
