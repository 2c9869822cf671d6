//! The verdicts that are remembered: who was let in, and until when that holds.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroUsize,
    time::Duration,
};

use tokio::time::Instant;

use super::{Caller, key::VerdictKey};

/// Callers who were let in, each for the same time, the oldest forgotten first when there are too many.
///
/// One whose time is over is not let in by it any more, but stays known until it is forgotten: to review it again goes
/// before the review of anybody new.
pub(super) struct Memory {
    ttl: Duration,
    entries: usize,
    known: HashMap<VerdictKey, Known>,
    // In the order of their reviews. An entry whose time is not the one in `known` was renewed since.
    order: VecDeque<(Instant, VerdictKey)>,
}

struct Known {
    reviewed: Instant,
    caller: Caller,
}

impl Memory {
    pub(super) fn new(ttl: Duration, entries: NonZeroUsize) -> Self {
        Self {
            ttl,
            entries: entries.get(),
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The caller, if a review let them in less than the time to live ago.
    pub(super) fn caller(&self, key: &VerdictKey, now: Instant) -> Option<Caller> {
        let known = self.known.get(key)?;
        (now.saturating_duration_since(known.reviewed) < self.ttl).then(|| known.caller.clone())
    }

    /// Whether a review let the caller in at some time.
    pub(super) fn knows(&self, key: &VerdictKey) -> bool {
        self.known.contains_key(key)
    }

    /// Remembers a caller whose review began at `reviewed`.
    pub(super) fn remember(&mut self, key: VerdictKey, caller: Caller, reviewed: Instant) {
        self.known.insert(key, Known { reviewed, caller });
        self.order.push_back((reviewed, key));
        // Renewed entries leave an old place in the order: those are cleared away with the same stroke.
        while self.known.len() > self.entries || self.order.len() > 2 * self.entries {
            let Some((reviewed, key)) = self.order.pop_front() else {
                break;
            };
            if self
                .known
                .get(&key)
                .is_some_and(|known| known.reviewed == reviewed)
            {
                self.known.remove(&key);
            }
        }
    }

    /// Forgets a caller who is refused now.
    pub(super) fn forget(&mut self, key: &VerdictKey) {
        self.known.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(n: u8) -> Caller {
        Caller {
            username: n.to_string().into(),
            ..Caller::anonymous()
        }
    }

    fn memory(entries: usize) -> Memory {
        Memory::new(Duration::from_secs(10), NonZeroUsize::new(entries).unwrap())
    }

    #[test]
    fn a_verdict_holds_for_its_time_and_no_longer_however_often_it_is_used() {
        let start = Instant::now();
        let mut memory = memory(2);
        memory.remember([1; 32], caller(1), start);
        let just = start + Duration::from_millis(9_999);
        assert_eq!(memory.caller(&[1; 32], just), Some(caller(1)));
        assert_eq!(memory.caller(&[1; 32], just), Some(caller(1)));
        assert_eq!(memory.caller(&[1; 32], start + Duration::from_secs(10)), None);
        assert!(memory.knows(&[1; 32]));
        assert_eq!(memory.caller(&[2; 32], start), None);
        memory.forget(&[1; 32]);
        assert!(!memory.knows(&[1; 32]));
    }

    #[test]
    fn the_oldest_goes_first_when_there_are_too_many() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut memory = memory(2);
        memory.remember([1; 32], caller(1), at(0));
        memory.remember([2; 32], caller(2), at(1));
        memory.remember([1; 32], caller(1), at(2));
        memory.remember([3; 32], caller(3), at(3));
        let known = [1, 2, 3].map(|n| memory.knows(&[n; 32]));
        assert_eq!(known, [true, false, true]);
    }

    #[test]
    fn renewals_do_not_pile_up() {
        let start = Instant::now();
        let mut memory = memory(2);
        for n in 0..1_000 {
            memory.remember([1; 32], caller(1), start + Duration::from_secs(n));
            memory.remember([2; 32], caller(2), start + Duration::from_secs(n));
        }
        assert_eq!((memory.known.len(), memory.order.len()), (2, 4));
        assert!(memory.knows(&[1; 32]) && memory.knows(&[2; 32]));
    }
}
