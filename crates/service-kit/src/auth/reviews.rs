//! One review for all who ask the same, in a task of its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture, future::Shared};
use tokio::time::{Instant, timeout};

use super::{
    Access, AuthConfig, Caller, VerdictKeys,
    bearer::Token,
    key::VerdictKey,
    lanes::{Full, Lane, Lanes, Ticket},
    memory::Memory,
    metrics::{AuthMetrics, Counted, Lookup, ReviewResult},
    refusal::{Refusal, Undecided},
};

/// Whether a caller is let in.
pub(super) type Verdict = Result<Caller, Refusal>;

/// Asks who the token belongs to, and whether they may.
pub(super) type Ask = Box<dyn Fn(Token, Access) -> BoxFuture<'static, Verdict> + Send + Sync>;

/// Answers from memory, or has the API server asked.
pub(super) struct Reviews {
    ask: Ask,
    keys: VerdictKeys,
    state: Mutex<State>,
    lanes: Lanes,
    timeout: Duration,
    pub(super) metrics: AuthMetrics,
}

struct State {
    memory: Memory,
    // Bounded by the places and queues of the lanes.
    under_way: HashMap<VerdictKey, UnderWay>,
}

type UnderWay = Shared<BoxFuture<'static, Verdict>>;

impl Reviews {
    pub(super) fn new(config: &AuthConfig, keys: VerdictKeys, ask: Ask) -> Arc<Self> {
        Arc::new(Self {
            ask,
            keys,
            state: Mutex::new(State {
                memory: Memory::new(config.cache_ttl, config.cache_entries),
                under_way: HashMap::new(),
            }),
            lanes: Lanes::new(config.max_reviews_in_flight, config.max_reviews_waiting),
            timeout: config.review_timeout,
            metrics: AuthMetrics::default(),
        })
    }

    /// The verdict on this token and access, within the timeout of a review.
    ///
    /// Dropping this does not stop the review: others may wait for it, and the same caller will be back.
    pub(super) async fn verdict(self: &Arc<Self>, token: Token, access: Access) -> Verdict {
        let key = self.keys.key(&token, access);
        let under_way = {
            let mut state = self.state();
            if let Some(caller) = state.memory.caller(&key, Instant::now()) {
                self.metrics.count_lookup(Lookup::Hit);
                return Ok(caller);
            }
            if let Some(under_way) = state.under_way.get(&key) {
                self.metrics.count_lookup(Lookup::Joined);
                under_way.clone()
            } else {
                self.metrics.count_lookup(Lookup::Miss);
                let lane = if state.memory.knows(&key) {
                    Lane::Known
                } else {
                    Lane::Newcomer
                };
                let ticket = self.lanes.enter(lane).map_err(|Full| {
                    self.metrics.count_review(ReviewResult::TurnedAway);
                    Refusal::Busy
                })?;
                // The task cannot end before it is noted here: its end needs the lock that we hold.
                let under_way = self.begin(key, ticket, token, access);
                state.under_way.insert(key, under_way.clone());
                under_way
            }
        };
        under_way.await
    }

    fn begin(self: &Arc<Self>, key: VerdictKey, ticket: Ticket, token: Token, access: Access) -> UnderWay {
        let reviews = Arc::clone(self);
        let task = tokio::spawn(async move {
            let began = Instant::now();
            let end = End {
                reviews: &reviews,
                key,
                noted: false,
            };
            let verdict = reviews.review(ticket, token, access, began).await;
            end.note(&verdict, began);
            verdict
        });
        // A task that panics says so to all who wait, instead of leaving them waiting.
        task.map(|ended| ended.unwrap_or_else(|broken| Err(Undecided::BrokeDown(broken.to_string()).into())))
            .boxed()
            .shared()
    }

    async fn review(&self, ticket: Ticket, token: Token, access: Access, began: Instant) -> Verdict {
        let mut waited = None;
        let asked = async {
            let place = if ticket.must_wait() {
                let _waiting = Counted::in_gauge(&self.metrics.waiting);
                ticket.place().await
            } else {
                ticket.place().await
            };
            waited = Some(began.elapsed());
            let _in_flight = Counted::in_gauge(&self.metrics.in_flight);
            let asked = Instant::now();
            let verdict = (self.ask)(token, access).await;
            self.metrics.observe(asked.elapsed());
            drop(place);
            verdict
        };
        let verdict = timeout(self.timeout, asked).await;
        verdict.unwrap_or_else(|_elapsed| {
            let limit = self.timeout;
            let waited = waited.map_or(limit, whole_milliseconds);
            Err(Undecided::TimedOut { limit, waited }.into())
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is behind the lock is whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whole_milliseconds(duration: Duration) -> Duration {
    Duration::from_millis(duration.as_millis().try_into().unwrap_or(u64::MAX))
}

/// The end of a review, also by panic: what asks from here on is a new review.
struct End<'a> {
    reviews: &'a Reviews,
    key: VerdictKey,
    noted: bool,
}

impl End<'_> {
    /// Remembers who is let in, forgets who is refused, and leaves what is known when there is no verdict.
    fn note(mut self, verdict: &Verdict, began: Instant) {
        let mut state = self.reviews.state();
        let result = match verdict {
            Ok(caller) => {
                state.memory.remember(self.key, caller.clone(), began);
                ReviewResult::Authenticated
            }
            Err(Refusal::Undecided(_) | Refusal::Busy) => ReviewResult::Error,
            Err(Refusal::Forbidden(_)) => {
                state.memory.forget(&self.key);
                ReviewResult::Forbidden
            }
            Err(
                Refusal::TokenRefused(_)
                | Refusal::NoToken
                | Refusal::SeveralHeaders
                | Refusal::MalformedToken,
            ) => {
                state.memory.forget(&self.key);
                ReviewResult::Refused
            }
        };
        // In one stroke with the memory, so that nobody falls between the two and begins another review.
        state.under_way.remove(&self.key);
        drop(state);
        self.noted = true;
        self.reviews.metrics.count_review(result);
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        // What was noted has made room already, perhaps for the next review of the same key.
        if !self.noted {
            self.reviews.state().under_way.remove(&self.key);
            self.reviews.metrics.count_review(ReviewResult::Error);
        }
    }
}

#[cfg(test)]
mod tests;
