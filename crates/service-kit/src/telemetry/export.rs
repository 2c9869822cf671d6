//! What stands between a finished span and the collector: a bound, and a count of what was lost.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// How often losses are logged at most.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// The spans that were finished and sampled: `trace_spans_total{outcome}`, `exported` to the collector, `failed` where it
/// did not take them, `dropped` where the queue was full. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct TraceMetrics(Family<Labels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

impl TraceMetrics {
    /// Puts the metrics into `registry`.
    pub fn register(&self, registry: &mut Registry) {
        for outcome in ["exported", "failed", "dropped"] {
            self.of(outcome);
        }
        registry.register(
            "trace_spans",
            "Spans finished, by what became of them",
            self.0.clone(),
        );
    }

    pub(super) fn of(&self, outcome: &'static str) -> Counter {
        self.0.get_or_create_owned(&Labels { outcome })
    }
}

/// What the processor and the exporter both know.
#[derive(Debug)]
pub(super) struct Pending {
    /// Spans finished and not yet given up by the exporter.
    spans: AtomicUsize,
    limit: usize,
    exported: Counter,
    failed: Counter,
    dropped: Counter,
    reported: Mutex<Reported>,
}

#[derive(Debug, Default)]
struct Reported {
    losses: u64,
    at: Option<Instant>,
}

impl Pending {
    pub(super) fn new(limit: usize, metrics: &TraceMetrics) -> Arc<Self> {
        Arc::new(Self {
            spans: AtomicUsize::new(0),
            limit,
            exported: metrics.of("exported"),
            failed: metrics.of("failed"),
            dropped: metrics.of("dropped"),
            reported: Mutex::default(),
        })
    }

    fn admit(&self) -> bool {
        let admitted = self
            .spans
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |spans| {
                (spans < self.limit).then_some(spans + 1)
            });
        admitted.is_ok()
    }

    /// Logs what was lost since the last time, if that is a while ago or `finally` there is no next time.
    pub(super) fn report(&self, finally: bool) {
        let (failed, dropped) = (self.failed.get(), self.dropped.get());
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = reported.at.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL);
        if failed + dropped > reported.losses && (rested || finally) {
            reported.losses = failed + dropped;
            reported.at = Some(Instant::now());
            tracing::warn!(
                failed,
                dropped,
                "spans were lost: the collector did not take them, or not as fast as they came"
            );
        }
    }
}

/// Drops what is beyond the limit, and counts it. The processor of the SDK drops too, but does not tell.
#[derive(Debug)]
pub(super) struct Bounded<P> {
    pub(super) inner: P,
    pub(super) pending: Arc<Pending>,
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.pending.admit() {
            self.inner.on_end(span);
        } else {
            self.pending.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Counts what the collector took.
#[derive(Debug)]
pub(super) struct Counted<E> {
    pub(super) inner: E,
    pub(super) pending: Arc<Pending>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        self.pending.spans.fetch_sub(spans, Ordering::Relaxed);
        let outcome = match &result {
            Ok(()) => &self.pending.exported,
            Err(error) => {
                tracing::debug!(%error, spans, "the collector did not take a batch");
                &self.pending.failed
            }
        };
        outcome.inc_by(spans as u64);
        self.pending.report(false);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
