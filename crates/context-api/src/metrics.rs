//! The metrics of Context API beside those of every HTTP service, all declared here. Names carry the prefix
//! `contextapi_`.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use audit_store::Reader;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use service_kit::metrics::encode_connections;

/// Upper bounds, in seconds, of what a read waits for.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// Handles of the metrics; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    search_duration: Histogram,
    query_embedding_duration: Histogram,
    searches_without_vector: Counter,
    search_recall: Gauge<f64, AtomicU64>,
    search_recall_samples: Counter,
    search_recall_failures: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let search_recall = Gauge::default();
        search_recall.set(f64::NAN);
        Self {
            search_duration: Histogram::new(SECONDS),
            query_embedding_duration: Histogram::new(SECONDS),
            searches_without_vector: Counter::default(),
            search_recall,
            search_recall_samples: Counter::default(),
            search_recall_failures: Counter::default(),
        }
    }

    /// Puts the metrics, and those of the reader's connections, into a registry.
    pub(crate) fn register(&self, registry: &mut Registry, reader: &Reader) {
        registry.register_with_unit(
            "search_duration",
            "Time the database takes for one search by meaning, failed ones included",
            Unit::Seconds,
            self.search_duration.clone(),
        );
        registry.register_with_unit(
            "query_embedding_duration",
            "Time a search waits for the vector of its description, from the cache or not, failed ones included",
            Unit::Seconds,
            self.query_embedding_duration.clone(),
        );
        registry.register(
            "searches_without_vector",
            "Searches that were answered by words alone, because the vector of the description was not to be had",
            self.searches_without_vector.clone(),
        );
        registry.register_with_unit(
            "search_recall",
            "Share of the ten nearest incidents that searches by vector found in the last round of measuring; NaN while \
             nothing is measured",
            Unit::Other("ratio".to_owned()),
            self.search_recall.clone(),
        );
        registry.register(
            "search_recall_samples",
            "Searches by vector that were held against a comparison with all texts",
            self.search_recall_samples.clone(),
        );
        registry.register(
            "search_recall_failures",
            "Rounds of measuring recall that the database ended",
            self.search_recall_failures.clone(),
        );
        registry.register_collector(Box::new(Connections {
            reader: reader.clone(),
        }));
    }

    pub(crate) fn observe_search(&self, duration: Duration) {
        self.search_duration.observe(duration.as_secs_f64());
    }

    pub(crate) fn count_search_without_vector(&self) {
        self.searches_without_vector.inc();
    }

    pub(crate) fn set_recall(&self, share: f64) {
        self.search_recall.set(share);
    }

    pub(crate) fn count_recall_sample(&self) {
        self.search_recall_samples.inc();
    }

    pub(crate) fn count_recall_failure(&self) {
        self.search_recall_failures.inc();
    }

    pub(crate) fn observe_query_embedding(&self, duration: Duration) {
        self.query_embedding_duration.observe(duration.as_secs_f64());
    }
}

/// The connections to the database, counted when somebody looks.
#[derive(Debug)]
struct Connections {
    reader: Reader,
}

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let pool = self.reader.pool();
        encode_connections(&mut encoder, pool.size(), pool.num_idle())
    }
}
