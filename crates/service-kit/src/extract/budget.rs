//! How much memory bodies may take up at once.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of all bodies of a service that are being read or worked on.
#[derive(Clone, Debug)]
pub(crate) struct BodyBudget {
    bytes: Arc<Semaphore>,
}

/// What one request has of the budget. Clones are one share; it is given back with the last of them.
///
/// [`boundary::stack`](crate::boundary::stack) gives each request one, and holds it until the request is answered: until
/// then what was made of the body is there, even if the body itself is not.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    budget: BodyBudget,
    taken: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl BodyBudget {
    /// Room for so many bytes; more than 4 GiB are 4 GiB.
    pub(crate) fn new(bytes: usize) -> Self {
        let bytes = bytes.min(usize::try_from(u32::MAX).unwrap_or(usize::MAX));
        Self {
            bytes: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))),
        }
    }
}

impl Share {
    /// Nothing yet.
    pub(crate) fn of(budget: &BodyBudget) -> Self {
        Self {
            budget: budget.clone(),
            taken: Arc::default(),
        }
    }

    /// Takes so many bytes more, or none if there is no room for all of them.
    pub(super) fn grow(&self, bytes: usize) -> bool {
        let permit = u32::try_from(bytes)
            .ok()
            .and_then(|bytes| Arc::clone(&self.budget.bytes).try_acquire_many_owned(bytes).ok());
        let Some(permit) = permit else {
            return false;
        };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *taken {
            Some(before) => before.merge(permit),
            none => *none = Some(permit),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow_within_the_budget_and_give_back_what_they_had() {
        let budget = BodyBudget::new(100);
        let share = || Share::of(&budget);
        let (one, other) = (share(), share());
        assert!(one.grow(60) && one.grow(30));
        assert!(!other.grow(11));
        assert!(other.grow(10));
        drop(one);
        assert!(other.grow(90));
        assert!(!other.grow(1));
    }
}
