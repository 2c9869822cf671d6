//! The metrics of Data Storage beside those of every HTTP service, all declared here. Names carry the prefix
//! `datastorage_`.

use std::fmt;
use std::time::Duration;

use audit_store::pending::Overview;
use audit_store::record::RecordKind;
use audit_store::{PartitionStatus, WriteStore};
use chrono::{DateTime, Utc};
use embedding::EmbeddingCache;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use redaction::Findings;
use service_kit::Violation;
use service_kit::metrics::encode_connections;

/// Upper bounds, in seconds, of what a write waits for.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];
/// Upper bounds of the number of records in one transaction.
const RECORDS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    rule: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TableLabels {
    table: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    task: &'static str,
}

/// A part of maintenance, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaintenanceTask {
    Partitions,
    IdempotencyKeys,
    Retention,
}

impl MaintenanceTask {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Partitions => "partitions",
            Self::IdempotencyKeys => "idempotency-keys",
            Self::Retention => "retention",
        }
    }
}

/// What became of a record, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteResult {
    Created,
    Replayed,
    Rejected,
    KeyReused,
    Unavailable,
    StorageFull,
    QueueFull,
    Failed,
}

impl WriteResult {
    fn label(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Replayed => "replayed",
            Self::Rejected => "rejected",
            Self::KeyReused => "key-reused",
            Self::Unavailable => "unavailable",
            Self::StorageFull => "storage-full",
            Self::QueueFull => "queue-full",
            Self::Failed => "failed",
        }
    }
}

/// Handles of the metrics; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    writes: Family<WriteLabels, Counter>,
    violations: Family<RuleLabels, Counter>,
    redactions: Family<RuleLabels, Counter>,
    commit_duration: Histogram,
    queue_wait: Histogram,
    batch_size: Histogram,
    pub(crate) queue_depth: Gauge,
    embedding_duration: Histogram,
    pub(crate) embeddings_late: Counter,
    embeddings_pending: Gauge,
    embeddings_oldest_pending: Gauge,
    embeddings_poisoned: Gauge,
    partitions_ahead: Gauge,
    partitions_missing: Gauge,
    default_partition_rows: Family<TableLabels, Gauge>,
    retention_dropped_partitions: Counter,
    retention_held_months: Gauge,
    maintenance_failures: Family<TaskLabels, Counter>,
}

/// What is counted elsewhere and read when somebody looks: connections to the database, the cache of vectors.
#[derive(Debug)]
struct Elsewhere {
    store: WriteStore,
    vectors: EmbeddingCache,
}

/// Puts what is counted elsewhere into a registry.
pub(crate) fn register_collectors(registry: &mut Registry, store: &WriteStore, vectors: &EmbeddingCache) {
    registry.register_collector(Box::new(Elsewhere {
        store: store.clone(),
        vectors: vectors.clone(),
    }));
}

impl Collector for Elsewhere {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let pool = self.store.pool();
        encode_connections(&mut encoder, pool.size(), pool.num_idle())?;
        let stats = self.vectors.stats();
        // A collector ends its help texts itself; the registry does it for the other metrics.
        let counters = [
            ("embedding_cache_hits", "Vectors found in memory.", stats.hits),
            (
                "embedding_cache_misses",
                "Vectors not found in memory.",
                stats.misses,
            ),
            (
                "embedding_cache_found",
                "Vectors not found in memory, but in the database.",
                stats.found,
            ),
            (
                "embedding_cache_embedded",
                "Vectors not found anywhere, and computed.",
                stats.embedded,
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

impl Metrics {
    /// Creates the metrics in a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            writes: Family::default(),
            violations: Family::default(),
            redactions: Family::default(),
            commit_duration: Histogram::new(SECONDS),
            queue_wait: Histogram::new(SECONDS),
            batch_size: Histogram::new(RECORDS),
            queue_depth: Gauge::default(),
            embedding_duration: Histogram::new(SECONDS),
            embeddings_late: Counter::default(),
            embeddings_pending: Gauge::default(),
            embeddings_oldest_pending: Gauge::default(),
            embeddings_poisoned: Gauge::default(),
            partitions_ahead: Gauge::default(),
            partitions_missing: Gauge::default(),
            default_partition_rows: Family::default(),
            retention_dropped_partitions: Counter::default(),
            retention_held_months: Gauge::default(),
            maintenance_failures: Family::default(),
        };
        registry.register(
            "writes",
            "Records by kind and by what became of them",
            metrics.writes.clone(),
        );
        registry.register(
            "validation_failures",
            "Violations of records by rule",
            metrics.violations.clone(),
        );
        registry.register(
            "redactions",
            "Secrets taken out of records by rule",
            metrics.redactions.clone(),
        );
        registry.register_with_unit(
            "commit_duration",
            "Time of one transaction of the writer",
            Unit::Seconds,
            metrics.commit_duration.clone(),
        );
        registry.register_with_unit(
            "queue_wait",
            "Time a record waits for a transaction",
            Unit::Seconds,
            metrics.queue_wait.clone(),
        );
        registry.register(
            "batch_records",
            "Records in one transaction",
            metrics.batch_size.clone(),
        );
        registry.register(
            "queue_depth",
            "Records on their way, from their validation to their answer",
            metrics.queue_depth.clone(),
        );
        registry.register_with_unit(
            "embedding_duration",
            "Time a write waits for the vector of its text",
            Unit::Seconds,
            metrics.embedding_duration.clone(),
        );
        registry.register(
            "embeddings_late",
            "Records stored before their vector was there",
            metrics.embeddings_late.clone(),
        );
        registry.register(
            "embeddings_pending",
            "Texts that wait for their vectors",
            metrics.embeddings_pending.clone(),
        );
        registry.register_with_unit(
            "embeddings_oldest_pending",
            "Age of the oldest text that waits for its vector; 0 where none does",
            Unit::Seconds,
            metrics.embeddings_oldest_pending.clone(),
        );
        registry.register(
            "embeddings_poisoned",
            "Texts that wait for their vectors and have failed too often because of themselves",
            metrics.embeddings_poisoned.clone(),
        );
        metrics.register_maintenance(registry);
        metrics
    }

    fn register_maintenance(&self, registry: &mut Registry) {
        registry.register(
            "partitions_ahead",
            "Months after the current one that every partitioned table has a partition for",
            self.partitions_ahead.clone(),
        );
        registry.register(
            "partitions_missing",
            "Partitions of the window around the current month that could not be made",
            self.partitions_missing.clone(),
        );
        registry.register(
            "default_partition_rows",
            "Rows in the DEFAULT partition, counted up to 100000",
            self.default_partition_rows.clone(),
        );
        registry.register(
            "retention_dropped_partitions",
            "Partitions dropped by this replica because their month was old",
            self.retention_dropped_partitions.clone(),
        );
        registry.register(
            "retention_held_months",
            "Months older than the policy that a legal hold kept in this replica's last round",
            self.retention_held_months.clone(),
        );
        registry.register(
            "maintenance_failures",
            "Rounds of maintenance that failed",
            self.maintenance_failures.clone(),
        );
    }

    pub(crate) fn show_partitions(&self, status: &[PartitionStatus]) {
        let ahead = status.iter().map(|status| status.months_ahead).min();
        self.partitions_ahead.set(ahead.unwrap_or(0));
        for status in status {
            self.default_partition_rows
                .get_or_create(&TableLabels { table: status.table })
                .set(status.default_rows);
        }
    }

    pub(crate) fn show_missing_partitions(&self, missing: usize) {
        self.partitions_missing
            .set(i64::try_from(missing).unwrap_or(i64::MAX));
    }

    pub(crate) fn count_dropped_partitions(&self, partitions: usize) {
        self.retention_dropped_partitions
            .inc_by(u64::try_from(partitions).unwrap_or(u64::MAX));
    }

    pub(crate) fn show_held_months(&self, months: usize) {
        self.retention_held_months
            .set(i64::try_from(months).unwrap_or(i64::MAX));
    }

    pub(crate) fn count_maintenance_failure(&self, task: MaintenanceTask) {
        self.maintenance_failures
            .get_or_create(&TaskLabels { task: task.label() })
            .inc();
    }

    pub(crate) fn count_write(&self, kind: RecordKind, result: WriteResult) {
        self.writes
            .get_or_create(&WriteLabels {
                kind: kind.as_str(),
                result: result.label(),
            })
            .inc();
    }

    pub(crate) fn count_violations(&self, violations: &[Violation]) {
        for violation in violations {
            self.violations
                .get_or_create(&RuleLabels { rule: violation.code })
                .inc();
        }
    }

    pub(crate) fn count_redactions(&self, findings: &Findings) {
        for (rule, count) in findings.by_rule() {
            self.redactions
                .get_or_create(&RuleLabels { rule })
                .inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    pub(crate) fn observe_commit(&self, duration: Duration, records: usize) {
        self.commit_duration.observe(duration.as_secs_f64());
        // A batch is far smaller than 2^53.
        #[expect(clippy::cast_precision_loss, reason = "see above")]
        self.batch_size.observe(records as f64);
    }

    pub(crate) fn set_pending(&self, overview: &Overview, now: DateTime<Utc>) {
        self.embeddings_pending.set(overview.pending);
        self.embeddings_poisoned.set(overview.poisoned);
        let age = overview
            .oldest
            .map_or(0, |oldest| (now - oldest).num_seconds().max(0));
        self.embeddings_oldest_pending.set(age);
    }

    pub(crate) fn observe_queue_wait(&self, duration: Duration) {
        self.queue_wait.observe(duration.as_secs_f64());
    }

    pub(crate) fn observe_embedding(&self, duration: Duration) {
        self.embedding_duration.observe(duration.as_secs_f64());
    }
}
