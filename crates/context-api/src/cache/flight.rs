//! Work that many callers want and one does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use service_kit::Problem;
use tokio::sync::watch;

use super::key::Key;
use crate::problems;

/// Keys that are worked on at once; beyond, 503. Work outlives its callers, so that their number is no bound.
const MAX_FLIGHTS: usize = 4_096;

/// How the work on a key ended.
pub(super) type Outcome<T> = Result<T, Problem>;

/// The keys that are worked on now.
#[derive(Debug)]
pub(super) struct Flights<T>(Mutex<HashMap<Key, watch::Receiver<Option<Outcome<T>>>>>);

/// What a caller has to do.
pub(super) enum Role<T> {
    /// Start the work, as a task of its own, and land it.
    Lead(Leading<T>),
    /// Wait for the work of another.
    Follow(Waiting<T>),
}

/// The duty to land. Dropped without landing, as by a panic, it fails whoever waits.
pub(super) struct Leading<T> {
    key: Key,
    flights: Arc<Flights<T>>,
    sender: watch::Sender<Option<Outcome<T>>>,
}

/// The wait for a landing.
pub(super) struct Waiting<T>(watch::Receiver<Option<Outcome<T>>>);

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Flights<T> {
    /// Leads if nobody works on the key.
    ///
    /// # Errors
    /// 503 if too many keys are worked on.
    pub(super) fn join(self: &Arc<Self>, key: Key) -> Result<Role<T>, Problem> {
        let mut flights = self.lock();
        if let Some(receiver) = flights.get(&key) {
            return Ok(Role::Follow(Waiting(receiver.clone())));
        }
        if flights.len() >= MAX_FLIGHTS {
            return Err(problems::too_many_loads());
        }
        let (sender, receiver) = watch::channel(None);
        flights.insert(key, receiver);
        Ok(Role::Lead(Leading {
            key,
            flights: Arc::clone(self),
            sender,
        }))
    }
}

impl<T> Flights<T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<Option<Outcome<T>>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Leading<T> {
    pub(super) fn waiting(&self) -> Waiting<T> {
        Waiting(self.sender.subscribe())
    }

    /// Tells everybody.
    pub(super) fn land(self, outcome: Outcome<T>) {
        self.sender.send_replace(Some(outcome));
    }
}

impl<T> Drop for Leading<T> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

impl<T: Clone> Waiting<T> {
    /// Waits for the landing. May be dropped and called again.
    pub(super) async fn outcome(&mut self) -> Outcome<T> {
        match self.0.wait_for(Option::is_some).await {
            Ok(landed) => match &*landed {
                Some(outcome) => outcome.clone(),
                None => Err(Problem::internal("a flight landed without an outcome")),
            },
            Err(_gone) => Err(Problem::internal("the load of an answer panicked")),
        }
    }
}
