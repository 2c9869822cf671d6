//! Whether a request may go out: a circuit breaker, and the pauses that the provider asked for.
//!
//! A state machine without a clock of its own; every call says what time it is.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Where every request passes.
#[derive(Debug)]
pub(super) struct Gate {
    /// Failures in a row that shut it.
    failures: u32,
    cool_off: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures_in_a_row: u32,
    /// While set the gate is shut; from then on one request may try.
    shut_until: Option<Instant>,
    probing: bool,
    /// The provider asked to be left alone until then.
    held_until: Option<Instant>,
}

/// What the gate says.
#[derive(Debug)]
pub(super) enum Entry<'a> {
    /// Make the request, and tell how it went.
    Go(Permit<'a>),
    /// Not before then.
    Wait(Instant),
    /// Nobody knows when.
    Shut,
}

/// One request. Dropped without a verdict it counts for nothing.
#[derive(Debug)]
#[must_use]
pub(super) struct Permit<'a> {
    gate: &'a Gate,
    is_probe: bool,
}

impl Gate {
    pub(super) fn new(failures: u32, cool_off: Duration) -> Self {
        Self {
            failures,
            cool_off,
            state: Mutex::default(),
        }
    }

    /// Asks for a request.
    pub(super) fn enter(&self, now: Instant) -> Entry<'_> {
        let mut state = self.state();
        let is_probe = match state.shut_until {
            Some(until) if now < until || state.probing => return Entry::Shut,
            Some(_) => true,
            None => false,
        };
        if let Some(until) = state.held_until.filter(|until| now < *until) {
            return Entry::Wait(until);
        }
        state.probing = is_probe;
        Entry::Go(Permit { gate: self, is_probe })
    }

    /// Lets no request through until then, or until what was said before if that is later.
    pub(super) fn hold(&self, until: Instant) {
        let mut state = self.state();
        state.held_until = state.held_until.max(Some(until));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The provider works: the gate opens.
    pub(super) fn succeeded(self) {
        let mut state = self.gate.state();
        if state.shut_until.take().is_some() {
            tracing::info!("the embedding provider answers again");
        }
        state.failures_in_a_row = 0;
    }

    /// The provider does not work. Tells whether the gate is shut now.
    pub(super) fn failed(self, now: Instant) -> bool {
        let mut state = self.gate.state();
        state.failures_in_a_row = state.failures_in_a_row.saturating_add(1);
        // A request that was under way when the gate was shut does not keep it shut for longer.
        let shuts =
            self.is_probe || (state.shut_until.is_none() && state.failures_in_a_row >= self.gate.failures);
        if shuts {
            state.shut_until = Some(now + self.gate.cool_off);
            tracing::warn!(
                failures = state.failures_in_a_row,
                cool_off = ?self.gate.cool_off,
                "the embedding provider fails; it is left alone for a while"
            );
        }
        state.shut_until.is_some()
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.gate.state().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOL_OFF: Duration = Duration::from_secs(10);
    const MOMENT: Duration = Duration::from_millis(1);

    fn go(gate: &Gate, now: Instant) -> Permit<'_> {
        match gate.enter(now) {
            Entry::Go(permit) => permit,
            other => panic!("{other:?}"),
        }
    }

    fn is_shut(gate: &Gate, now: Instant) -> bool {
        matches!(gate.enter(now), Entry::Shut)
    }

    /// A gate that was shut at this time.
    fn shut(now: Instant) -> Gate {
        let gate = Gate::new(1, COOL_OFF);
        assert!(go(&gate, now).failed(now));
        gate
    }

    #[test]
    fn failures_in_a_row_shut_it_and_a_success_between_them_starts_anew() {
        let (gate, now) = (Gate::new(3, COOL_OFF), Instant::now());
        assert!(!go(&gate, now).failed(now));
        assert!(!go(&gate, now).failed(now));
        go(&gate, now).succeeded();
        assert!(!go(&gate, now).failed(now));
        assert!(!go(&gate, now).failed(now));
        assert!(go(&gate, now).failed(now));
        assert!(is_shut(&gate, now));
    }

    #[test]
    fn after_the_cool_off_one_request_tries_and_its_success_opens_it() {
        let now = Instant::now();
        let gate = shut(now);
        assert!(is_shut(&gate, now + COOL_OFF - MOMENT));
        let probe = go(&gate, now + COOL_OFF);
        assert!(is_shut(&gate, now + COOL_OFF));
        probe.succeeded();
        let both = (go(&gate, now + COOL_OFF), go(&gate, now + COOL_OFF));
        drop(both);
    }

    #[test]
    fn a_failed_probe_shuts_it_for_another_cool_off() {
        let now = Instant::now();
        let gate = shut(now);
        let later = now + COOL_OFF + MOMENT;
        assert!(go(&gate, later).failed(later));
        assert!(is_shut(&gate, later + COOL_OFF - MOMENT));
        go(&gate, later + COOL_OFF).succeeded();
    }

    #[test]
    fn a_probe_without_a_verdict_leaves_its_place_to_the_next() {
        let now = Instant::now();
        let gate = shut(now);
        drop(go(&gate, now + COOL_OFF));
        go(&gate, now + COOL_OFF).succeeded();
    }

    #[test]
    fn a_request_that_was_under_way_does_not_prolong_the_cool_off() {
        let (gate, now) = (Gate::new(1, COOL_OFF), Instant::now());
        let (first, late) = (go(&gate, now), go(&gate, now));
        assert!(first.failed(now));
        assert!(late.failed(now + COOL_OFF / 2));
        go(&gate, now + COOL_OFF).succeeded();
    }

    #[test]
    fn while_it_is_held_requests_wait() {
        let (gate, now) = (Gate::new(1, COOL_OFF), Instant::now());
        gate.hold(now + MOMENT);
        gate.hold(now);
        assert!(matches!(gate.enter(now), Entry::Wait(until) if until == now + MOMENT));
        drop(go(&gate, now + MOMENT));
    }
}
