//! One quota and what is left of it.

use std::{convert::Infallible, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};

use super::SteadyClock;

/// How much is granted: `burst` at once, refilled at `per_second`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) name: &'static str,
    pub(super) per_second: NonZeroU32,
    pub(super) burst: NonZeroU32,
}

impl Policy {
    fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }

    /// Time in which one unit is refilled; at least a nanosecond, as governor has it.
    fn interval(self) -> Nanos {
        let interval = self.quota().replenish_interval();
        interval.max(Duration::from_nanos(1)).into()
    }
}

/// A token bucket: governor's GCRA over a state that we hold too, since governor itself cannot give back what it took.
#[derive(Debug)]
pub(super) struct Bucket {
    policy: Policy,
    governor: RateLimiter<NotKeyed, Shared, SteadyClock, NoOpMiddleware<Nanos>>,
    state: Arc<InMemoryState>,
    clock: SteadyClock,
    /// Read just before governor read its own, from which the state counts.
    start: Nanos,
}

/// Not now, but after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait(pub(super) Duration);

impl Bucket {
    /// A full bucket.
    pub(super) fn new(policy: Policy, clock: SteadyClock) -> Self {
        let state = Arc::new(InMemoryState::default());
        let start = clock.now();
        let governor = RateLimiter::new(policy.quota(), Shared(Arc::clone(&state)), clock.clone());
        Self {
            policy,
            governor,
            state,
            clock,
            start,
        }
    }

    pub(super) fn policy(&self) -> Policy {
        self.policy
    }

    /// Takes all of `units` or nothing. More than the burst is never granted; the caller has ruled that out, and is
    /// told to wait for ever otherwise.
    pub(super) fn take(&self, units: NonZeroU32) -> Result<(), Wait> {
        match self.governor.check_n(units) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(Wait(not_until.wait_time_from(self.clock.now()))),
            Err(_never) => Err(Wait(Duration::MAX)),
        }
    }

    /// Undoes a [`take`](Self::take) of a moment ago.
    pub(super) fn give_back(&self, units: NonZeroU32) {
        // The state is the time at which the bucket is full again; each unit taken moved it on by one interval.
        let taken = self.policy.interval() * u64::from(units.get());
        let undo = |full_at: Option<Nanos>| {
            let full_at = full_at.unwrap_or_default().saturating_sub(taken);
            Ok::<_, Infallible>(((), full_at))
        };
        match self.state.measure_and_replace(&NotKeyed::NonKey, undo) {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }

    /// Units that could be taken now.
    pub(super) fn available(&self) -> u32 {
        let interval = self.policy.interval().as_u64();
        let refilling = self.until_full().div_ceil(interval);
        let burst = self.policy.burst.get();
        burst.saturating_sub(u32::try_from(refilling).unwrap_or(u32::MAX))
    }

    pub(super) fn is_full(&self) -> bool {
        self.until_full() == 0
    }

    /// Nanoseconds until the bucket is full.
    fn until_full(&self) -> u64 {
        // An error leaves the state as it is.
        let read = |full_at: Option<Nanos>| Err::<((), Nanos), Option<Nanos>>(full_at);
        let full_at = match self.state.measure_and_replace(&NotKeyed::NonKey, read) {
            Ok(()) => None,
            Err(full_at) => full_at,
        };
        let now = self.clock.now().duration_since(self.start);
        full_at.unwrap_or_default().as_u64().saturating_sub(now.as_u64())
    }
}

/// The state of one bucket, held by governor and by the bucket.
#[derive(Debug)]
struct Shared(Arc<InMemoryState>);

impl StateStore for Shared {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, key: &NotKeyed, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn units(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    fn bucket(per_second: u32, burst: u32) -> (Bucket, SteadyClock) {
        let clock = SteadyClock::manual();
        // Not at the origin, where governor's state cannot tell "never used" from "full at 0".
        clock.advance(Duration::from_secs(7));
        let policy = Policy {
            name: "test",
            per_second: units(per_second),
            burst: units(burst),
        };
        (Bucket::new(policy, clock.clone()), clock)
    }

    #[test]
    fn a_bucket_refills_unit_by_unit_to_its_burst_and_no_further() {
        let (bucket, clock) = bucket(500, 750);
        assert_eq!((bucket.available(), bucket.is_full()), (750, true));
        bucket.take(units(750)).unwrap();
        assert_eq!((bucket.available(), bucket.is_full()), (0, false));
        clock.advance(Duration::from_nanos(1_999_999));
        assert_eq!(bucket.available(), 0);
        clock.advance(Duration::from_nanos(1));
        assert_eq!(bucket.available(), 1);
        clock.advance(Duration::from_millis(1_497));
        assert_eq!((bucket.available(), bucket.is_full()), (749, false));
        clock.advance(Duration::from_secs(100));
        assert_eq!((bucket.available(), bucket.is_full()), (750, true));
    }

    #[test]
    fn the_wait_is_exact() {
        let (bucket, clock) = bucket(500, 750);
        bucket.take(units(700)).unwrap();
        assert_eq!(bucket.take(units(51)), Err(Wait(Duration::from_millis(2))));
        assert_eq!(bucket.take(units(750)), Err(Wait(Duration::from_millis(1_400))));
        clock.advance(Duration::from_millis(1_400));
        assert_eq!(bucket.take(units(750)), Ok(()));
    }

    #[test]
    fn what_is_given_back_is_there_again_and_never_more_than_the_burst() {
        let (bucket, clock) = bucket(10, 20);
        bucket.take(units(15)).unwrap();
        bucket.take(units(5)).unwrap();
        bucket.give_back(units(5));
        assert_eq!(bucket.available(), 5);
        bucket.take(units(5)).unwrap();
        assert_eq!(bucket.take(units(1)), Err(Wait(Duration::from_millis(100))));
        clock.advance(Duration::from_secs(1));
        bucket.give_back(units(20));
        assert_eq!(bucket.available(), 20);
        bucket.take(units(20)).unwrap();
        assert_eq!(bucket.take(units(1)), Err(Wait(Duration::from_millis(100))));
    }

    #[test]
    fn a_rate_beyond_all_bounds_is_no_trouble() {
        let (bucket, clock) = bucket(u32::MAX, u32::MAX);
        bucket.take(units(u32::MAX)).unwrap();
        assert_eq!(bucket.available(), 0);
        clock.advance(Duration::from_nanos(7));
        assert_eq!(bucket.available(), 7);
    }
}
