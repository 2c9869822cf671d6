//! Answers that are asked for again: memory first, then Redis if there is one, then the database.
//!
//! A handler that has validated its request ends with one call, [`cached`], and what makes the future that computes its
//! answer:
//!
//! ```text
//! let request = Request::parse(query, state.clock.now())?;      // refusals are never cached
//! let reader = state.reader();
//! cached(&state, question, move || async move {
//!     let page = reader.incidents(…).await.map_err(problems::of_store)?;
//!     Ok(Page::new(page, &request))                               // anything that serialises to JSON
//! })
//! .await
//! ```
//!
//! The key is the whole of path and query, so nothing else of a request may decide on the answer.
//!
//! - A task looks once in every `refresh_interval` for what was committed since. An answer that may lack some of it is
//!   no longer told, whichever tier has it, and kept for the case that the database is away.
//! - Lifetimes are counted from the moment at which a load *began*, as absolute times that travel with the value. So no
//!   answer lacks what was committed `ttl` before it is told, through whatever tiers it came and even if nobody looks,
//!   unless the database is away and the answer says so.
//! - Concurrent misses of one key make one load in each replica. It is a task of its own with a deadline of its own: a
//!   caller that gives up, even the first, neither fails nor restarts it.
//! - What a replica of the database answers is as much older as it lags behind, and its age says so.
//! - An answer that is asked for often is loaded again in the last `renew_before` of its life, while it is told: its
//!   askers never wait, as long as no change outdates it.
//! - 404 is kept for `negative_ttl`; other failures are never kept.
//! - When a load fails with 503 or 504, an answer that is at most `stale_for` past its time is told instead.
//!
//! One file each: `key`, `entry` (an answer with its times), `memory` and `redis` (the tiers), `flight` (one load for
//! many), `changes` (what outdates an answer), `watch` (who finds out), `respond` (headers, conditions), `jitter`,
//! `metrics`.

mod changes;
mod entry;
mod flight;
mod jitter;
mod key;
mod load;
mod memory;
mod metrics;
mod redis;
mod respond;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use audit_store::Reader;
use axum::http::Uri;
use chrono::{DateTime, Utc};
use prometheus_client::registry::Registry;
use serde::Serialize;
use service_kit::health::CheckFailure;
use service_kit::{Clock, Problem};
use tokio::time::timeout;
use tracing::Instrument as _;

pub use self::jitter::Jitter;
pub(crate) use self::respond::{Question, cached};

use self::changes::{About, Changes};
use self::entry::Entry;
use self::flight::{Flights, Leading, Role, Waiting};
use self::key::{Key, Scope};
use self::load::{Loading, answer, is_away};
use self::memory::{Memory, Remembered};
use self::metrics::{CacheMetrics, Tier};
use self::redis::Redis;
use self::watch::Watch;
use crate::config::CacheConfig;
use crate::replay_lag::ReplayLag;

/// How long a load may take at most, whatever the database is given. Less than the default deadline of a request, so
/// that its caller hears the reason.
const LOAD_DEADLINE: Duration = Duration::from_secs(25);

/// How often an answer must have been asked for before it is worth to be loaded before its time: who asks now and then
/// would have the database asked for nobody.
const LOOKS_BEFORE_RENEWAL: u32 = 2;

/// While the database is known to be away: how long a caller waits for it that could be told a stale answer.
const PATIENCE: Duration = Duration::from_millis(100);

/// `cache.redis_url` leads to no Redis.
#[derive(Debug, thiserror::Error)]
#[error(
    "`cache.redis_url` is no address of a Redis such as redis://user:password@host:6379/0 (TLS is not supported): {0}"
)]
pub struct InvalidRedisUrl(#[source] ::redis::RedisError);

/// The cache of all GET endpoints. Clones share everything.
#[derive(Debug, Clone)]
pub struct ReadCache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    scope: Scope,
    memory: Memory,
    redis: Option<Redis>,
    flights: Arc<Flights<Filled>>,
    lifetimes: Lifetimes,
    changes: Arc<Changes>,
    /// Who finds the changes out; without it none is known, and answers are told for their lifetime.
    watch: Option<Watch>,
    lag: ReplayLag,
    load_deadline: Duration,
    clock: Clock,
    jitter: Jitter,
    metrics: CacheMetrics,
    /// Whether the last load failed because the database was away.
    database_away: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct Lifetimes {
    fresh: Duration,
    /// How much of it is left when an answer is loaded again, if it is asked for.
    renewed: Duration,
    negative: Duration,
    stale: Duration,
}

/// What a flight brings back.
#[derive(Debug, Clone)]
struct Filled {
    entry: Arc<Entry>,
    /// The tier that had it after all; `None` for a load.
    tier: Option<Tier>,
}

/// An answer, and how it came about.
#[derive(Debug, Clone)]
struct Served {
    entry: Arc<Entry>,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// A fresh answer of a tier.
    Hit(Tier),
    /// Loaded because no tier had it; `collapsed` if for another request too.
    Missed { collapsed: bool },
    /// Loaded because the client asked for that.
    Bypassed,
    /// Past its time; the database is away.
    Stale,
}

impl ReadCache {
    /// A cache for the answers of one database. It begins to connect to Redis and to look for changes, and does not wait
    /// for either. Must run in a Tokio runtime.
    ///
    /// # Errors
    /// If `redis_url` is given and none.
    pub fn new(
        config: &CacheConfig,
        reader: &Reader,
        clock: Clock,
        jitter: Jitter,
        lag: ReplayLag,
    ) -> Result<Self, InvalidRedisUrl> {
        let mut cache = Self::build(config, Scope::of(reader), clock, jitter)?;
        if let Some(shared) = Arc::get_mut(&mut cache.shared) {
            shared.lag = lag;
            if !config.refresh_interval.is_zero() {
                let (changes, metrics) = (Arc::clone(&shared.changes), shared.metrics.clone());
                shared.watch = Some(Watch::start(reader, config.refresh_interval, changes, metrics));
            }
            // A database that is silently gone is known to be away no sooner than a load gives up.
            shared.load_deadline = LOAD_DEADLINE.min(reader.time_limit());
        }
        Ok(cache)
    }

    /// A cache that keeps nothing: the next request asks the database again. Requests for one thing at the same time
    /// still share one load.
    #[must_use]
    pub fn off(reader: &Reader, clock: Clock) -> Self {
        Self::local(&CacheConfig::off(), Scope::of(reader), clock, Jitter::seeded(0))
    }

    fn build(
        config: &CacheConfig,
        scope: Scope,
        clock: Clock,
        jitter: Jitter,
    ) -> Result<Self, InvalidRedisUrl> {
        let url = config.redis_url.expose();
        let mut cache = Self::local(config, scope, clock, jitter);
        if !url.is_empty()
            && let Some(shared) = Arc::get_mut(&mut cache.shared)
        {
            let redis = Redis::open(url, config.redis_timeout, shared.metrics.clone());
            shared.redis = Some(redis.map_err(InvalidRedisUrl)?);
        }
        Ok(cache)
    }

    fn local(config: &CacheConfig, scope: Scope, clock: Clock, jitter: Jitter) -> Self {
        Self {
            shared: Arc::new(Shared {
                scope,
                memory: Memory::new(config.memory_max_bytes),
                redis: None,
                flights: Arc::default(),
                lifetimes: Lifetimes {
                    fresh: config.ttl,
                    renewed: config.renew_before,
                    negative: config.negative_ttl,
                    stale: config.stale_for,
                },
                changes: Arc::default(),
                watch: None,
                lag: ReplayLag::none(),
                load_deadline: LOAD_DEADLINE,
                clock,
                jitter,
                metrics: CacheMetrics::new(),
                database_away: AtomicBool::new(false),
            }),
        }
    }

    /// Puts its metrics into a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let last_look = self.shared.watch.as_ref().map(Watch::last_look);
        self.shared
            .metrics
            .register(registry, &self.shared.memory, last_look);
        self.shared.lag.register(registry);
    }

    /// How old the data is that answers come from.
    pub(crate) fn replay_lag(&self) -> &ReplayLag {
        &self.shared.lag
    }

    /// Whether a Redis is configured.
    #[must_use]
    pub fn has_redis(&self) -> bool {
        self.shared.redis.is_some()
    }

    /// Whether Redis answers, if one is configured.
    ///
    /// # Errors
    /// If it does not.
    pub async fn check_redis(&self) -> Result<(), CheckFailure> {
        let Some(redis) = &self.shared.redis else {
            return Ok(());
        };
        redis.ping().await.map_err(|away| {
            CheckFailure::new("Redis does not answer: answers are not shared with other replicas")
                .with_cause(away)
        })
    }

    fn now(&self) -> DateTime<Utc> {
        self.shared.clock.now()
    }

    fn key(&self, uri: &Uri) -> Key {
        self.shared.scope.key(uri)
    }

    /// The answer for a key, which tells of what `about` says. `refresh` asks the database whatever is kept, as a client
    /// may demand.
    ///
    /// # Errors
    /// Those of `load`, where no answer that was kept may stand in.
    async fn get<T, Load>(
        &self,
        key: Key,
        about: About,
        refresh: bool,
        load: impl FnOnce() -> Load + Send,
    ) -> Result<Served, Problem>
    where
        T: Serialize,
        Load: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        // The other ways are futures of their own, so that the one that most requests go stays small; and only they have
        // a span, since it would take longer than a look into memory.
        let span = || tracing::info_span!("cache");
        if refresh {
            return Box::pin(self.refresh(key, answer(load())))
                .instrument(span())
                .await;
        }
        let shared = &self.shared;
        let outdated = match shared.remembered(&key, about) {
            Ok(Remembered { entry, looks }) => {
                shared.metrics.hit(Tier::Memory);
                if looks >= LOOKS_BEFORE_RENEWAL && shared.is_to_be_renewed(&entry) {
                    self.renew(key, about, answer(load()));
                }
                let how = How::Hit(Tier::Memory);
                return Ok(Served { entry, how });
            }
            Err(outdated) => outdated,
        };
        shared.metrics.miss(Tier::Memory);
        if let Some(reason) = outdated {
            shared.metrics.invalidated(Tier::Memory, reason);
        }
        Box::pin(self.fetch(key, about, answer(load())))
            .instrument(span())
            .await
    }

    /// The answer of a flight that has all that is known now.
    async fn fetch(&self, key: Key, about: About, loading: Loading) -> Result<Served, Problem> {
        let due = self.shared.changes.due(about);
        loop {
            let role = match self.shared.flights.join(key) {
                Ok(role) => role,
                // Too many loads are under way, as when the database is silently gone.
                Err(problem) => return self.stale(&key).ok_or(problem),
            };
            match role {
                Role::Lead(leading) => {
                    let waiting = leading.waiting();
                    self.fly(leading, key, about, false, loading);
                    return self.landed(&key, waiting, false).await;
                }
                Role::Follow(waiting) => {
                    let served = self.landed(&key, waiting, true).await?;
                    // A load that began before a change may end after a look has told of it. The next load cannot.
                    if served.how == How::Stale || served.entry.seen.has(due) {
                        return Ok(served);
                    }
                }
            }
        }
    }

    /// Loads the next answer while this one is told, so that nobody waits for it. It is a load like any other: what
    /// becomes known meanwhile outdates both.
    fn renew(&self, key: Key, about: About, loading: Loading) {
        if self.shared.database_away.load(Ordering::Relaxed) {
            return;
        }
        // Who follows is not needed, and too many loads are under way for one that nobody waits for.
        if let Ok(Role::Lead(leading)) = self.shared.flights.join(key) {
            self.fly(leading, key, about, true, loading);
        }
    }

    /// Starts a flight, as a task of its own. One that flies `ahead` of its time has no passengers yet.
    fn fly(&self, leading: Leading<Filled>, key: Key, about: About, ahead: bool, loading: Loading) {
        let shared = Arc::clone(&self.shared);
        let work = async move {
            let filled = shared.fill(key, about, ahead, loading).await;
            leading.land(filled.clone());
            if let Ok(Filled { entry, tier: None }) = filled {
                if ahead {
                    shared.metrics.renewed();
                }
                shared.share(&key, &entry).await;
            }
        };
        tokio::spawn(work.in_current_span());
    }

    /// What a flight brings, or a stale answer if the database is away.
    async fn landed(
        &self,
        key: &Key,
        mut waiting: Waiting<Filled>,
        collapsed: bool,
    ) -> Result<Served, Problem> {
        let outcome = match timeout(self.patience(), waiting.outcome()).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => match self.stale(key) {
                Some(served) => return Ok(served),
                None => waiting.outcome().await,
            },
        };
        match outcome {
            Ok(Filled { entry, tier }) => {
                let how = tier.map_or(How::Missed { collapsed }, How::Hit);
                Ok(Served { entry, how })
            }
            Err(problem) if is_away(&problem) => self.stale(key).ok_or(problem),
            Err(problem) => Err(problem),
        }
    }

    /// A load of its own, which ends with its caller: to join one that is under way would answer with what was true
    /// before the request.
    async fn refresh(&self, key: Key, loading: Loading) -> Result<Served, Problem> {
        let shared = Arc::clone(&self.shared);
        let entry = shared.load(key, loading).await?;
        let kept = Arc::clone(&entry);
        tokio::spawn(async move { shared.share(&key, &kept).await }.in_current_span());
        let how = How::Bypassed;
        Ok(Served { entry, how })
    }

    /// The deadline where nothing is known to be wrong: then every answer is as fresh as it is promised to be.
    fn patience(&self) -> Duration {
        if self.shared.database_away.load(Ordering::Relaxed) {
            PATIENCE
        } else {
            self.shared.load_deadline
        }
    }

    fn stale(&self, key: &Key) -> Option<Served> {
        let now = self.now();
        let Remembered { entry, .. } = self.shared.memory.get(key)?;
        if !entry.is_usable(now) {
            return None;
        }
        self.shared.metrics.stale_served();
        let how = How::Stale;
        Some(Served { entry, how })
    }
}

#[cfg(test)]
mod tests;
