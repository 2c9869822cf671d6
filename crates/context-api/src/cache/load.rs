//! From a miss to an answer: Redis, then the database.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use service_kit::{Problem, ProblemKind};
use tokio::time::timeout;

use super::changes::{About, Reason};
use super::entry::{Answer, Entry};
use super::key::Key;
use super::memory::Remembered;
use super::metrics::Tier;
use super::{Filled, Shared};
use crate::problems;

/// The future that computes an answer.
pub(super) type Loading = Pin<Box<dyn Future<Output = Result<Answer, Problem>> + Send>>;

impl Shared {
    /// An answer in memory that may be told. Or else why not, if nothing but a change speaks against it.
    pub(super) fn remembered(&self, key: &Key, about: About) -> Result<Remembered, Option<Reason>> {
        let kept = self.memory.get(key).ok_or(None)?;
        if !kept.entry.is_fresh(self.clock.now()) {
            return Err(None);
        }
        match self.changes.outdated(about, kept.entry.seen) {
            None => Ok(kept),
            outdated => Err(outdated),
        }
    }

    /// Memory once more, since another flight may have landed in between; Redis; the database. Who looks `ahead` takes
    /// no answer that is to be renewed itself.
    pub(super) async fn fill(
        &self,
        key: Key,
        about: About,
        ahead: bool,
        loading: Loading,
    ) -> Result<Filled, Problem> {
        let will_do = |entry: &Entry| !(ahead && self.is_to_be_renewed(entry));
        if let Ok(Remembered { entry, .. }) = self.remembered(&key, about)
            && will_do(&entry)
        {
            let tier = Some(Tier::Memory);
            return Ok(Filled { entry, tier });
        }
        if let Some(entry) = self.ask_redis(&key, about).await
            && will_do(&entry)
        {
            let tier = Some(Tier::Redis);
            return Ok(Filled { entry, tier });
        }
        let entry = self.load(key, loading).await?;
        Ok(Filled { entry, tier: None })
    }

    /// Whether an answer has so little of its life left that the next one should be loaded. Of a short life the first
    /// half is left alone.
    pub(super) fn is_to_be_renewed(&self, entry: &Entry) -> bool {
        let life = (entry.fresh_until - entry.stored).to_std().unwrap_or_default();
        let left = (entry.fresh_until - self.clock.now())
            .to_std()
            .unwrap_or_default();
        left < self.lifetimes.renewed.min(life / 2)
    }

    /// An answer from Redis that may be told. Another one is only put into memory, for the case that the database is
    /// away.
    async fn ask_redis(&self, key: &Key, about: About) -> Option<Arc<Entry>> {
        let found = match self.redis.as_ref()?.get(&key.redis_name()).await {
            Ok(found) => found,
            Err(away) => {
                self.metrics.failed(Tier::Redis, &away);
                return None;
            }
        };
        let Some(bytes) = found else {
            self.metrics.miss(Tier::Redis);
            return None;
        };
        let Some(mut entry) = Entry::decode(key, &bytes) else {
            self.metrics.invalid();
            return None;
        };
        let now = self.clock.now();
        let mut may_be_told = entry.is_fresh(now);
        if may_be_told {
            match self.changes.admit(about, entry.seen.horizon) {
                Ok(seen) => entry.seen = seen,
                Err(reason) => {
                    self.metrics.invalidated(Tier::Redis, reason);
                    may_be_told = false;
                }
            }
        }
        let entry = Arc::new(entry);
        if entry.is_usable(now) {
            self.memory.put(*key, Arc::clone(&entry), now);
        }
        if may_be_told {
            self.metrics.hit(Tier::Redis);
            return Some(entry);
        }
        self.metrics.miss(Tier::Redis);
        None
    }

    /// Asks the database, and keeps the answer in memory.
    pub(super) async fn load(&self, key: Key, loading: Loading) -> Result<Arc<Entry>, Problem> {
        let (began, seen) = (self.clock.now(), self.changes.seen());
        let lag = self.lag.lag();
        let loaded = timeout(self.load_deadline, loading)
            .await
            .unwrap_or_else(|_elapsed| Err(problems::load_too_slow()));
        let away = loaded.as_ref().is_err_and(is_away);
        self.database_away.store(away, Ordering::Relaxed);
        let answer = match loaded {
            Ok(answer) => answer,
            Err(problem) => {
                self.metrics.loaded("failed");
                return Err(problem);
            }
        };
        let (result, fresh, stale) = match &answer {
            Answer::Found(_) => ("found", self.lifetimes.fresh, self.lifetimes.stale),
            // What was not there may have come since, and nobody is helped by an old "no".
            Answer::Absent(_) => ("absent", self.lifetimes.negative, Duration::ZERO),
        };
        self.metrics.loaded(result);
        let fresh_until = after(began, self.jitter.shorten(fresh));
        let entry = Arc::new(Entry {
            seen,
            lag,
            ..Entry::new(answer, began, fresh_until, after(fresh_until, stale))
        });
        let now = self.clock.now();
        if entry.is_usable(now) {
            self.memory.put(key, Arc::clone(&entry), now);
        }
        Ok(entry)
    }

    /// Lets other replicas have an answer.
    pub(super) async fn share(&self, key: &Key, entry: &Entry) {
        if let Some(redis) = &self.redis {
            let left = entry.stale_until - self.clock.now();
            let left = left.to_std().unwrap_or_default();
            redis.put(&key.redis_name(), entry.encode(key), left).await;
        }
    }
}

/// What is to be kept of a load: its body, or that there is none.
pub(super) fn answer<T: Serialize>(
    load: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Loading {
    Box::pin(async move {
        match load.await {
            Ok(body) => match serde_json::to_vec(&body) {
                Ok(body) => Ok(Answer::Found(Bytes::from(body))),
                Err(error) => Err(Problem::internal(error)),
            },
            Err(problem) if problem.kind() == ProblemKind::NOT_FOUND => {
                Ok(Answer::Absent(problem.detail().unwrap_or_default().to_owned()))
            }
            Err(problem) => Err(problem),
        }
    })
}

pub(super) fn is_away(problem: &Problem) -> bool {
    matches!(
        problem.status(),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

fn after(time: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(duration)
        .ok()
        .and_then(|duration| time.checked_add_signed(duration))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}
