//! A bucket for each caller, for a bounded number of callers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use governor::{clock::Clock, clock::Reference, nanos::Nanos};

use super::{
    SteadyClock,
    bucket::{Bucket, Policy},
};

/// Callers remembered at once. A caller is forgotten when its bucket is full, which changes nothing for it: callers
/// come back to a full bucket. At some 300 bytes each this is a few megabytes.
pub(super) const MAX_CALLERS: usize = 10_000;

/// How often the full buckets are looked for while there are too many callers: the search is linear.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The buckets of the callers.
#[derive(Debug)]
pub(super) struct Callers {
    policy: Policy,
    clock: SteadyClock,
    max_callers: usize,
    known: Mutex<Known>,
    /// Shared by the callers that come when there are too many.
    others: Arc<Bucket>,
}

#[derive(Debug, Default)]
struct Known {
    buckets: HashMap<Arc<str>, Arc<Bucket>>,
    swept: Option<Nanos>,
}

impl Callers {
    pub(super) fn new(policy: Policy, clock: SteadyClock, max_callers: usize) -> Self {
        Self {
            policy,
            others: Arc::new(Bucket::new(policy, clock.clone())),
            clock,
            max_callers,
            known: Mutex::default(),
        }
    }

    /// The bucket of the caller of this name; beyond [`MAX_CALLERS`] that still have something to refill, the one that all callers
    /// share for whom there is no room.
    pub(super) fn bucket(&self, caller: &Arc<str>) -> Arc<Bucket> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = known.buckets.get(caller) {
            return Arc::clone(bucket);
        }
        if known.buckets.len() >= self.max_callers {
            known.sweep(self.clock.now());
        }
        if known.buckets.len() >= self.max_callers {
            return Arc::clone(&self.others);
        }
        let bucket = Arc::new(Bucket::new(self.policy, self.clock.clone()));
        known.buckets.insert(Arc::clone(caller), Arc::clone(&bucket));
        bucket
    }
}

impl Known {
    /// Forgets the callers whose buckets are full, unless a request of theirs still holds it.
    fn sweep(&mut self, now: Nanos) {
        let rested = self
            .swept
            .is_none_or(|swept| now.duration_since(swept) >= SWEEP_INTERVAL.into());
        if rested {
            self.buckets
                .retain(|_, bucket| Arc::strong_count(bucket) > 1 || !bucket.is_full());
            self.swept = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn three_callers() -> (Callers, SteadyClock) {
        let clock = SteadyClock::manual();
        let policy = Policy {
            name: "caller",
            per_second: ONE,
            burst: NonZeroU32::new(2).unwrap(),
        };
        (Callers::new(policy, clock.clone(), 3), clock)
    }

    fn caller(number: usize) -> Arc<str> {
        Arc::from(format!("caller-{number}"))
    }

    #[test]
    fn callers_beyond_the_bound_share_one_bucket_until_others_have_rested() {
        let (callers, clock) = three_callers();
        for number in 1..=3 {
            callers.bucket(&caller(number)).take(ONE).unwrap();
        }
        callers.bucket(&caller(4)).take(ONE).unwrap();
        callers.bucket(&caller(5)).take(ONE).unwrap();
        callers.bucket(&caller(6)).take(ONE).unwrap_err();
        assert_eq!(callers.bucket(&caller(1)).available(), 1, "its own is untouched");

        clock.advance(Duration::from_secs(1));
        assert_eq!(callers.bucket(&caller(4)).available(), 2, "there is room again");
        assert_eq!(
            callers.known.lock().unwrap().buckets.len(),
            1,
            "all others were full"
        );
    }

    #[test]
    fn a_bucket_in_use_is_not_forgotten() {
        let (callers, clock) = three_callers();
        let held = callers.bucket(&caller(1));
        for number in 2..=3 {
            callers.bucket(&caller(number));
        }
        clock.advance(Duration::from_secs(5));
        callers.bucket(&caller(4));
        held.take(ONE).unwrap();
        assert_eq!(callers.bucket(&caller(1)).available(), 1);
    }

    #[test]
    fn the_callers_are_searched_once_a_second_at_most() {
        let (callers, clock) = three_callers();
        for number in 1..=3 {
            callers.bucket(&caller(number)).take(ONE).unwrap();
        }
        clock.advance(Duration::from_millis(500));
        callers.bucket(&caller(4));
        clock.advance(Duration::from_millis(999));
        // The three are full by now, but the search of half a second into the test is not a second old.
        assert!(Arc::ptr_eq(&callers.bucket(&caller(4)), &callers.others));
        clock.advance(Duration::from_millis(1));
        assert!(!Arc::ptr_eq(&callers.bucket(&caller(4)), &callers.others));
    }
}
