//! Spans, sent to a collector by OTLP over HTTP.

use std::{sync::Arc, thread, time::Duration};

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanBuilder, SpanKind, Tracer, TracerProvider},
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span},
};
use serde::Deserialize;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets, filter_fn},
    registry::LookupSpan,
};

use super::{
    Process, TelemetryError,
    export::{Bounded, Counted, Pending, TraceMetrics},
    server_span,
};
use crate::{config::Secret, crypto};

/// The section `[traces]` of a service's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesConfig {
    /// Where the collector takes spans by OTLP over HTTP, such as `http://collector:4318/v1/traces`; empty, there are no
    /// traces.
    pub endpoint: Secret,
    /// Fraction, from 0 to 1, of the traces that begin here that are sent. One that began at a caller is sent if the
    /// caller sends its own part.
    pub sample_ratio: f64,
    /// How long the collector may take for one batch, with repetitions; also how long the end of the process waits for
    /// the last ones.
    #[serde(with = "crate::config::duration")]
    pub timeout: Duration,
    /// Finished spans that wait for the collector at most; what comes then is dropped and counted.
    pub queue: usize,
    /// Spans sent at once at most.
    pub batch: usize,
    /// How long a finished span waits for others to be sent with.
    #[serde(with = "crate::config::duration")]
    pub interval: Duration,
}

impl TracesConfig {
    /// No traces. The other values are those that the specification of the SDK recommends, and 5 s for the collector.
    pub fn off() -> Self {
        Self {
            endpoint: Secret::new(""),
            sample_ratio: 1.0,
            timeout: Duration::from_secs(5),
            queue: 2_048,
            batch: 512,
            interval: Duration::from_secs(5),
        }
    }
}

/// Traces that are being sent.
#[derive(Debug)]
pub(super) struct Traces {
    provider: SdkTracerProvider,
    pending: Arc<Pending>,
    timeout: Duration,
}

impl Traces {
    /// Nothing, where there is no collector.
    pub(super) fn start(
        process: &Process<'_>,
        config: &TracesConfig,
        metrics: &TraceMetrics,
    ) -> Result<Option<Self>, TelemetryError> {
        if config.endpoint.expose().is_empty() {
            return Ok(None);
        }
        if !(0.0..=1.0).contains(&config.sample_ratio) {
            return Err(TelemetryError::SampleRatio(config.sample_ratio));
        }
        let pending = Pending::new(config.queue.max(1), metrics);
        let exporter = Counted {
            inner: exporter(config)?,
            pending: Arc::clone(&pending),
        };
        // Every bound is set here, so that no variable of the environment changes it.
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(config.queue.max(1))
            .with_max_export_batch_size(config.batch.max(1))
            .with_scheduled_delay(config.interval)
            .build();
        let processor = Bounded {
            inner: BatchSpanProcessor::builder(exporter)
                .with_batch_config(batches)
                .build(),
            pending: Arc::clone(&pending),
        };
        let resource = Resource::builder()
            .with_service_name(process.name.to_owned())
            .with_attribute(KeyValue::new("service.version", process.version.to_owned()))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                config.sample_ratio,
            ))))
            .with_resource(resource)
            .with_span_processor(processor)
            .build();
        Ok(Some(Self {
            provider,
            pending,
            timeout: config.timeout,
        }))
    }

    /// Makes a span of every span of our own crates at level INFO or above. Events are left to the log, whose lines name
    /// the trace: what a line says of a cause is not for everybody who may see traces.
    pub(super) fn layer<S>(&self, own_crates: &[&str]) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let own: Targets = own_crates
            .iter()
            .copied()
            .chain(["service_kit"])
            .map(|target| (target, LevelFilter::INFO))
            .collect();
        let spans = move |metadata: &Metadata<'_>| {
            metadata.is_span() && own.would_enable(metadata.target(), metadata.level())
        };
        tracing_opentelemetry::layer()
            .with_tracer(Named(self.provider.tracer("service_kit")))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(spans).with_max_level_hint(LevelFilter::INFO))
    }

    /// Sends what is left, within the timeout. Blocks.
    pub(super) fn shutdown(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(self.timeout) {
            tracing::warn!(%error, "the last spans were not sent");
        }
        self.pending.report(true);
    }
}

/// The exporter, with a client of our own: the one that it would make needs certificates even for plain HTTP, and
/// follows redirections.
fn exporter(config: &TracesConfig) -> Result<SpanExporter, TelemetryError> {
    let (plain, encrypted) = (
        config.endpoint.expose().starts_with("http://"),
        config.endpoint.expose().starts_with("https://"),
    );
    if !plain && !encrypted {
        return Err(TelemetryError::Endpoint(
            "it begins with neither http:// nor https://".to_owned(),
        ));
    }
    crypto::install_provider();
    let timeout = config.timeout;
    // On a thread of its own, since a blocking client may not be made on a thread of the runtime.
    let client = thread::spawn(move || {
        let client = reqwest::blocking::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none());
        // Plain HTTP trusts nobody, and so starts in an image without certificates.
        let client = if plain { client.tls_certs_only([]) } else { client };
        client.build()
    });
    let client = match client.join() {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return Err(TelemetryError::Endpoint(error.to_string())),
        Err(_panic) => {
            return Err(TelemetryError::Endpoint(
                "the HTTP client cannot be made".to_owned(),
            ));
        }
    };
    SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(config.endpoint.expose())
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(timeout)
        .build()
        .map_err(|error| TelemetryError::Endpoint(error.to_string()))
}

/// Gives the span of a request its name and kind, which as fields of the span would stand in every line of the log.
#[derive(Debug)]
struct Named(SdkTracer);

impl Tracer for Named {
    type Span = Span;

    fn build_with_context(&self, mut builder: SpanBuilder, parent: &Context) -> Span {
        if let Some(name) = server_span::take_name(&mut builder) {
            builder.name = name.into();
            builder.span_kind = Some(SpanKind::Server);
        }
        self.0.build_with_context(builder, parent)
    }
}

#[cfg(test)]
mod tests;
