//! How many reviews run and wait, and who goes first.

use std::{num::NonZeroUsize, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of reviews.
///
/// A flood of tokens nobody knows must not shut out those who work here: the verdicts on them run out every few
/// seconds and have to be renewed. So newcomers never take the last quarter of the places, and only their queue is
/// bounded by number; those known wait beside it, and are no more than the memory of verdicts has entries.
pub(super) struct Lanes {
    all: Arc<Semaphore>,
    newcomers: Arc<Semaphore>,
    newcomers_waiting: Arc<Semaphore>,
}

/// Whether the caller was let in before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Known,
    Newcomer,
}

/// A right to be reviewed, now or in turn.
pub(super) struct Ticket {
    all: Arc<Semaphore>,
    // The semaphore in which a newcomer waits first, with the place in that queue.
    newcomer: Option<(Arc<Semaphore>, OwnedSemaphorePermit)>,
    place: Option<Place>,
}

/// A review that may run, until this is dropped.
pub(super) struct Place {
    _newcomer: Option<OwnedSemaphorePermit>,
    _place: OwnedSemaphorePermit,
}

/// The queue is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Lanes {
    pub(super) fn new(in_flight: NonZeroUsize, waiting: usize) -> Self {
        let in_flight = in_flight.get().min(Semaphore::MAX_PERMITS);
        Self {
            all: Arc::new(Semaphore::new(in_flight)),
            newcomers: Arc::new(Semaphore::new(in_flight - in_flight / 4)),
            newcomers_waiting: Arc::new(Semaphore::new(waiting.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// A place if there is one free, a place in the queue otherwise.
    pub(super) fn enter(&self, lane: Lane) -> Result<Ticket, Full> {
        let mut ticket = Ticket {
            all: Arc::clone(&self.all),
            newcomer: None,
            place: None,
        };
        ticket.place = match lane {
            Lane::Known => try_acquire(&self.all).map(|place| Place {
                _newcomer: None,
                _place: place,
            }),
            Lane::Newcomer => try_acquire(&self.newcomers).and_then(|newcomer| {
                Some(Place {
                    _newcomer: Some(newcomer),
                    _place: try_acquire(&self.all)?,
                })
            }),
        };
        if ticket.place.is_none() && lane == Lane::Newcomer {
            let waits = try_acquire(&self.newcomers_waiting).ok_or(Full)?;
            ticket.newcomer = Some((Arc::clone(&self.newcomers), waits));
        }
        Ok(ticket)
    }
}

impl Ticket {
    pub(super) fn must_wait(&self) -> bool {
        self.place.is_none()
    }

    /// Waits for the place, first come, first served.
    pub(super) async fn place(self) -> Place {
        if let Some(place) = self.place {
            return place;
        }
        let newcomer = match self.newcomer {
            Some((newcomers, waits)) => Some((acquire(newcomers).await, waits)),
            None => None,
        };
        let place = acquire(self.all).await;
        Place {
            // The place in the queue is free from here on.
            _newcomer: newcomer.map(|(newcomer, _waits)| newcomer),
            _place: place,
        }
    }
}

fn try_acquire(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(semaphore).try_acquire_owned().ok()
}

async fn acquire(semaphore: Arc<Semaphore>) -> OwnedSemaphorePermit {
    #[expect(clippy::expect_used, reason = "these semaphores are never closed")]
    semaphore.acquire_owned().await.expect("an open semaphore")
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn lanes(in_flight: usize, waiting: usize) -> Lanes {
        Lanes::new(NonZeroUsize::new(in_flight).unwrap(), waiting)
    }

    /// Enters, and runs if it need not wait.
    fn run(lanes: &Lanes, lane: Lane) -> Option<Place> {
        lanes.enter(lane).ok()?.place().now_or_never()
    }

    #[test]
    fn newcomers_leave_a_quarter_to_those_known() {
        for (in_flight, to_newcomers) in [(1, 1), (3, 3), (4, 3), (16, 12)] {
            let lanes = lanes(in_flight, 0);
            let places: Vec<_> = (0..to_newcomers)
                .map(|_| run(&lanes, Lane::Newcomer).unwrap())
                .collect();
            assert_eq!(lanes.enter(Lane::Newcomer).err(), Some(Full), "{in_flight}");
            let rest: Vec<_> = (to_newcomers..in_flight)
                .map(|_| run(&lanes, Lane::Known).unwrap())
                .collect();
            assert!(run(&lanes, Lane::Known).is_none());
            drop((places, rest));
            let all: Vec<_> = (0..in_flight)
                .map(|_| run(&lanes, Lane::Known).unwrap())
                .collect();
            assert!(run(&lanes, Lane::Newcomer).is_none());
            drop(all);
        }
    }

    #[test]
    fn newcomers_queue_in_turn_and_are_turned_away_when_the_queue_is_full() {
        let lanes = lanes(1, 2);
        let running = run(&lanes, Lane::Newcomer).unwrap();
        let mut first = Box::pin(lanes.enter(Lane::Newcomer).unwrap().place());
        let mut second = Box::pin(lanes.enter(Lane::Newcomer).unwrap().place());
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(lanes.enter(Lane::Newcomer).err(), Some(Full));
        // Those known are not turned away.
        assert!(lanes.enter(Lane::Known).unwrap().must_wait());

        drop(running);
        let running = first.as_mut().now_or_never().unwrap();
        assert!(second.as_mut().now_or_never().is_none());
        // The first one's place in the queue is free again.
        assert!(lanes.enter(Lane::Newcomer).unwrap().must_wait());
        drop(running);
        assert!(second.as_mut().now_or_never().is_some());
    }
}
