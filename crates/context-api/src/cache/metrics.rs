//! What the cache counts. Names carry the prefix `contextapi_cache_`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use super::changes::Reason;
use super::memory::Memory;
use super::redis::Away;
use super::watch::LastLook;

/// Where an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    Memory,
    Redis,
}

impl Tier {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lookup {
    tier: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Load {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Invalidation {
    tier: &'static str,
    reason: &'static str,
}

/// Handles of the metrics; clones count together.
#[derive(Clone, Debug)]
pub(super) struct CacheMetrics {
    lookups: Family<Lookup, Counter>,
    /// The one that counts while a request is answered from memory, found once.
    memory_hits: Counter,
    loads: Family<Load, Counter>,
    renewals: Counter,
    stale: Counter,
    invalidations: Family<Invalidation, Counter>,
    look_failures: Counter,
    written: Counter,
    connected: Gauge,
}

const LOOKUPS: [Lookup; 8] = [
    lookup("memory", "hit"),
    lookup("memory", "miss"),
    lookup("redis", "hit"),
    lookup("redis", "miss"),
    lookup("redis", "invalid"),
    lookup("redis", "away"),
    lookup("redis", "timeout"),
    lookup("redis", "error"),
];

const fn lookup(tier: &'static str, result: &'static str) -> Lookup {
    Lookup { tier, result }
}

impl CacheMetrics {
    pub(super) fn new() -> Self {
        let lookups = Family::<Lookup, Counter>::default();
        let metrics = Self {
            memory_hits: lookups.get_or_create_owned(&lookup(Tier::Memory.as_str(), "hit")),
            lookups,
            loads: Family::default(),
            renewals: Counter::default(),
            stale: Counter::default(),
            invalidations: Family::default(),
            look_failures: Counter::default(),
            written: Counter::default(),
            connected: Gauge::default(),
        };
        // A series that begins with its first event would hide that one from `increase()`.
        for labels in LOOKUPS {
            metrics.lookups.get_or_create_owned(&labels);
        }
        for result in ["found", "absent", "failed"] {
            metrics.loads.get_or_create_owned(&Load { result });
        }
        for tier in [Tier::Memory, Tier::Redis] {
            for reason in Reason::ALL {
                metrics
                    .invalidations
                    .get_or_create_owned(&invalidation(tier, reason));
            }
        }
        metrics
    }

    pub(super) fn register(&self, registry: &mut Registry, memory: &Memory, last_look: Option<LastLook>) {
        registry.register(
            "cache_lookups",
            "Looks into a tier of the cache. A miss is an answer that is absent or no longer fresh; invalid is one that \
             this version did not write; away, timeout and error are a Redis without connection, too slow and failing, \
             failed writes included",
            self.lookups.clone(),
        );
        registry.register(
            "cache_loads",
            "Answers computed by the database, by what came of it",
            self.loads.clone(),
        );
        registry.register(
            "cache_renewals",
            "Answers that were asked for often and loaded again before their time; of cache_loads",
            self.renewals.clone(),
        );
        registry.register(
            "cache_stale_served",
            "Answers told after their time because the database was away",
            self.stale.clone(),
        );
        registry.register(
            "cache_invalidations",
            "Answers within their lifetime that were not told because of a change: records is any record, incident one of \
             the incident told of, anything a connection for looking that was lost or more changes than are told apart",
            self.invalidations.clone(),
        );
        registry.register(
            "cache_look_failures",
            "Looks for changes in the database that failed",
            self.look_failures.clone(),
        );
        registry.register(
            "cache_redis_written",
            "Answers written to Redis",
            self.written.clone(),
        );
        registry.register(
            "cache_redis_connected",
            "Whether there is a connection to Redis",
            self.connected.clone(),
        );
        registry.register_collector(Box::new(Held(memory.clone())));
        if let Some(last_look) = last_look {
            registry.register_collector(Box::new(LookAge(last_look)));
        }
    }

    pub(super) fn hit(&self, tier: Tier) {
        match tier {
            Tier::Memory => {
                self.memory_hits.inc();
            }
            Tier::Redis => self.looked(tier, "hit"),
        }
    }

    pub(super) fn miss(&self, tier: Tier) {
        self.looked(tier, "miss");
    }

    pub(super) fn invalid(&self) {
        self.looked(Tier::Redis, "invalid");
    }

    pub(super) fn failed(&self, tier: Tier, away: &Away) {
        self.looked(
            tier,
            match away {
                Away::Disconnected => "away",
                Away::Slow => "timeout",
                Away::Failed(_) => "error",
            },
        );
    }

    fn looked(&self, tier: Tier, result: &'static str) {
        self.lookups.get_or_create(&lookup(tier.as_str(), result)).inc();
    }

    pub(super) fn loaded(&self, result: &'static str) {
        self.loads.get_or_create(&Load { result }).inc();
    }

    pub(super) fn renewed(&self) {
        self.renewals.inc();
    }

    pub(super) fn stale_served(&self) {
        self.stale.inc();
    }

    pub(super) fn invalidated(&self, tier: Tier, reason: Reason) {
        self.invalidations
            .get_or_create(&invalidation(tier, reason))
            .inc();
    }

    pub(super) fn look_failed(&self) {
        self.look_failures.inc();
    }

    pub(super) fn redis_written(&self) {
        self.written.inc();
    }

    pub(super) fn redis_connected(&self, connected: bool) {
        self.connected.set(connected.into());
    }
}

fn invalidation(tier: Tier, reason: Reason) -> Invalidation {
    Invalidation {
        tier: tier.as_str(),
        reason: reason.as_str(),
    }
}

/// The time since the last look for changes, taken when somebody asks.
#[derive(Debug)]
struct LookAge(LastLook);

impl Collector for LookAge {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauge = ConstGauge::new(self.0.age().as_secs_f64());
        let metric = encoder.encode_descriptor(
            "cache_look_age",
            "Time since the last look for changes that succeeded began: what was committed before is known.",
            Some(&Unit::Seconds),
            gauge.metric_type(),
        )?;
        gauge.encode(metric)
    }
}

/// What is in memory, counted when somebody looks.
#[derive(Debug)]
struct Held(Memory);

impl Collector for Held {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauges = [
            ("cache_memory_entries", "Answers in memory.", self.0.entry_count()),
            (
                "cache_memory_bytes",
                "Memory that they take, an estimate.",
                self.0.bytes(),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
