//! What changed in the database since an answer was loaded, and so which answers are no longer told.
//!
//! Nothing here goes by a clock. A task looks at the database again and again; looks are counted, and a load notes how
//! many were over when it began. A change that a later look found may be missing in the answer. One that an earlier look
//! found is in it, because what a snapshot has every later one has too.
//!
//! An answer from Redis was loaded by another replica, whose looks are others. It carries the horizon of that replica's
//! last look before the load: every transaction before it is in the answer. If that covers all that the looks of this
//! replica found, the answer is as good as one loaded here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use audit_store::reader::{Changed, Look};

/// Incidents whose last change is remembered; with more, every answer is taken for changed.
const MOST_INCIDENTS: usize = 100_000;

/// What an answer tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// Any record may change it.
    Records,
    /// Only the records of one incident do.
    Incident(i64),
}

/// Why an answer within its lifetime is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Some record came.
    Records,
    /// A record of its incident came.
    Incident,
    /// Anything may have changed: the connection was lost, or too much came at once.
    Anything,
}

impl Reason {
    pub(super) const ALL: [Self; 3] = [Self::Records, Self::Incident, Self::Anything];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Incident => "incident",
            Self::Anything => "anything",
        }
    }
}

/// How much of the past an answer certainly has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Looks of this replica that were over when the load began.
    looks: u64,
    /// Every transaction before this number is in the answer; 0 where that is not known. It travels through Redis.
    pub(super) horizon: i64,
}

impl Seen {
    /// What another replica says of an answer.
    pub(super) fn through(horizon: i64) -> Self {
        Self { looks: 0, horizon }
    }

    /// Whether it has what this look found.
    pub(super) fn has(self, look: u64) -> bool {
        self.looks >= look
    }

    pub(super) fn has_all_of(self, other: Self) -> bool {
        self.has(other.looks)
    }
}

/// The last change of something.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    /// The look that found it; 0 for none.
    look: u64,
    /// Its transaction is before this number.
    end: i64,
}

/// What the looks found.
#[derive(Debug, Default)]
pub(super) struct Changes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    now: Seen,
    anything: Change,
    records: Change,
    incidents: HashMap<i64, Change>,
}

impl Changes {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a load that begins now will have.
    pub(super) fn seen(&self) -> Seen {
        self.known().now
    }

    /// Takes in what a look saw. It must be over: a load that begins after this has all of it.
    pub(super) fn found(&self, look: &Look) {
        let mut known = self.known();
        known.now = Seen {
            looks: known.now.looks + 1,
            horizon: look.horizon,
        };
        let change = Change {
            look: known.now.looks,
            end: look.end,
        };
        match &look.changed {
            Changed::Nothing => {}
            Changed::Anything => known.forget(change),
            Changed::Records { incidents } => {
                known.records = change;
                if known.incidents.len() + incidents.len() > MOST_INCIDENTS {
                    known.forget(change);
                } else {
                    known.incidents.extend(incidents.iter().map(|id| (*id, change)));
                }
            }
        }
    }

    /// The last look that found something which an answer must have.
    pub(super) fn due(&self, about: About) -> u64 {
        let known = self.known();
        let [anything, of] = known
            .last(about)
            .map(|last| last.map_or(0, |(change, _)| change.look));
        anything.max(of)
    }

    /// Why an answer may lack something that was known at this moment, `None` if it does not.
    pub(super) fn outdated(&self, about: About, seen: Seen) -> Option<Reason> {
        self.known().first(about, |change| !seen.has(change.look))
    }

    /// What an answer of another replica has, in the counting of this one; or why it may lack something.
    pub(super) fn admit(&self, about: About, horizon: i64) -> Result<Seen, Reason> {
        let known = self.known();
        match known.first(about, |change| change.end > horizon) {
            Some(reason) => Err(reason),
            None => Ok(Seen {
                looks: known.now.looks,
                horizon,
            }),
        }
    }
}

impl Known {
    /// Every answer is taken for changed, and so no change needs to be remembered.
    fn forget(&mut self, change: Change) {
        self.anything = change;
        self.records = change;
        self.incidents = HashMap::new();
    }

    /// The last change of anything, and of what an answer tells of.
    fn last(&self, about: About) -> [Option<(Change, Reason)>; 2] {
        let of = match about {
            About::Records => Some((self.records, Reason::Records)),
            About::Incident(id) => self.incidents.get(&id).map(|change| (*change, Reason::Incident)),
        };
        [Some((self.anything, Reason::Anything)), of]
    }

    fn first(&self, about: About, missing: impl Fn(Change) -> bool) -> Option<Reason> {
        self.last(about)
            .into_iter()
            .flatten()
            .find_map(|(change, reason)| missing(change).then_some(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(horizon: i64, end: i64, changed: Changed) -> Look {
        Look {
            horizon,
            end,
            changed,
        }
    }

    fn records(incidents: &[i64]) -> Changed {
        Changed::Records {
            incidents: incidents.to_vec(),
        }
    }

    #[test]
    fn a_change_outdates_what_began_before_its_look_ended_and_nothing_after() {
        let changes = Changes::default();
        let before = changes.seen();
        changes.found(&look(10, 12, records(&[7])));
        let after = changes.seen();
        assert_eq!(changes.outdated(About::Records, before), Some(Reason::Records));
        assert_eq!(
            changes.outdated(About::Incident(7), before),
            Some(Reason::Incident)
        );
        assert_eq!(changes.outdated(About::Incident(8), before), None);
        for about in [About::Records, About::Incident(7)] {
            assert_eq!(changes.outdated(about, after), None);
        }
        // What nothing is told of stays good.
        changes.found(&look(12, 12, Changed::Nothing));
        assert_eq!(changes.outdated(About::Records, after), None);
        changes.found(&look(20, 20, Changed::Anything));
        for about in [About::Records, About::Incident(8)] {
            assert_eq!(changes.outdated(about, after), Some(Reason::Anything));
        }
    }

    #[test]
    fn an_answer_of_another_replica_must_reach_past_every_change_that_is_known_here() {
        let changes = Changes::default();
        assert!(changes.admit(About::Records, 0).is_ok());
        changes.found(&look(10, 12, records(&[7])));
        assert_eq!(changes.admit(About::Records, 11), Err(Reason::Records));
        assert_eq!(changes.admit(About::Incident(7), 11), Err(Reason::Incident));
        assert!(changes.admit(About::Incident(8), 0).is_ok());
        let admitted = changes.admit(About::Records, 12).unwrap();
        assert_eq!(changes.outdated(About::Records, admitted), None);
        changes.found(&look(13, 14, records(&[8])));
        assert_eq!(changes.outdated(About::Records, admitted), Some(Reason::Records));
    }

    #[test]
    fn more_incidents_than_are_remembered_outdate_everything() {
        let changes = Changes::default();
        let first = i64::try_from(MOST_INCIDENTS).unwrap();
        changes.found(&look(2, 2, records(&(0..first).collect::<Vec<_>>())));
        let before = changes.seen();
        assert_eq!(changes.outdated(About::Incident(0), before), None);
        changes.found(&look(3, 3, records(&[first])));
        assert_eq!(
            changes.outdated(About::Incident(0), before),
            Some(Reason::Anything)
        );
        assert_eq!(changes.known().incidents.len(), 0);
    }
}
