//! What a process tells of itself while it runs: its log and its traces.
//!
//! The *log* goes to standard error. Within a request its lines carry `trace_id`, as soon as there is a trace.
//!
//! *Traces* go to a collector, if one is configured. [`boundary::stack`](crate::boundary::stack) makes one span of each
//! request, a child of the caller's span if the request has a `traceparent`; spans of our own crates inside become its
//! children. Nothing waits for the collector: finished spans wait in a bounded queue, a thread sends them, and what does
//! not fit or is not taken is counted and dropped.
//!
//! To give a part of the work a span of its own:
//!
//! - *in a future*: `work.instrument(tracing::info_span!("embed", texts = 3)).await`. Never hold `span.enter()` over an
//!   `await`;
//! - *in a task or on a thread*: make the span before, and take it along: `tokio::spawn(work.instrument(span))`,
//!   `spawn_blocking(move || span.in_scope(work))`. A task knows nothing of the span that it was spawned in;
//! - *through a channel*: make a span such as `info_span!("queue")` where the item is sent, send it with the item, and
//!   drop it where the item is taken: it then measures the wait, and never needs to be entered;
//! - *work for many requests at once*, such as a transaction of a batch, has no one parent: give it a span of its own
//!   with `info_span!(parent: None, "commit", records)` and call `commit.follows_from(&span)` for the span of each
//!   record, which links them. Whether it is sent is decided by `sample_ratio` alone, since it begins a trace;
//! - *in another service*: [`inject`] into the headers of the request, inside of a span with `otel.kind = "client"`.
//!
//! Only spans at level INFO and above are sent, whatever the log's level is. Fields become attributes: never put a
//! secret, a body or a text of unbounded length into one. A request's span is sent once it is over and the spans inside
//! of it are, too.

mod export;
mod log_line;
pub(crate) mod server_span;
mod span_fields;
mod trace_context;
mod traces;

use std::{
    fmt::Write as _,
    io::{self, IsTerminal},
};

use prometheus_client::registry::Registry as Metrics;
use serde::Deserialize;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{LevelFilter, ParseError, Targets},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

pub use self::{export::TraceMetrics, trace_context::inject, traces::TracesConfig};
use self::{log_line::WithTraceId, span_fields::SpanFields, traces::Traces};

/// The section `[log]` of a service's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// How a line looks.
    pub format: LogFormat,
    /// How much our own crates say.
    pub level: LogLevel,
    /// More directives in the syntax of `RUST_LOG`, such as `sqlx=debug,access=warn`; they win over `level`.
    pub directives: String,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object, for machines.
    Json,
    /// Text, for people; coloured on a terminal.
    Text,
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what somebody should look at now.
    Error,
    /// Also what somebody should look at some day.
    Warn,
    /// Also what happens, one line per request.
    Info,
    /// Also why.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// What is running, and which code of it is ours.
#[derive(Clone, Copy, Debug)]
pub struct Process<'a> {
    /// Name of the service, for traces.
    pub name: &'a str,
    /// Version of the service, for traces.
    pub version: &'a str,
    /// The crates (and other targets) that `log.level` is about and whose spans are sent. All others only speak up when
    /// they warn.
    pub own_crates: &'a [&'a str],
}

/// Why log and traces cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The directives cannot be understood.
    #[error("`log.directives` cannot be understood: {0}")]
    Directives(#[from] ParseError),
    /// There is no fraction like this.
    #[error("`traces.sample_ratio` is {0}, and must be from 0 to 1")]
    SampleRatio(f64),
    /// Nothing can be sent there. The endpoint itself is not repeated: it may hold a password.
    #[error("`traces.endpoint` cannot be used: {0}")]
    Endpoint(String),
    /// There is a log already.
    #[error("the log was started before: {0}")]
    AlreadyStarted(#[from] TryInitError),
}

/// Log and traces that were started. Dropped, it sends the last spans, blocking for up to `traces.timeout`.
#[derive(Debug)]
#[must_use = "dropped, it ends the traces"]
pub struct Telemetry {
    traces: Option<Traces>,
    metrics: TraceMetrics,
}

impl Telemetry {
    /// Counts what became of the spans.
    pub fn metrics(&self) -> TraceMetrics {
        self.metrics.clone()
    }

    /// Puts [`metrics`](Self::metrics) into `registry`.
    pub fn register(&self, registry: &mut Metrics) {
        self.metrics.register(registry);
    }

    /// Sends the last spans, for at most `traces.timeout`. The log goes on.
    pub async fn shutdown(mut self) {
        if let Some(traces) = self.traces.take() {
            // It cannot fail: nothing in there panics, and nobody aborts it.
            let _ = tokio::task::spawn_blocking(move || traces.shutdown()).await;
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(traces) = self.traces.take() {
            traces.shutdown();
        }
    }
}

/// Starts the log of this process, on standard error, since standard output is for answers; and its traces.
///
/// # Errors
///
/// [`TelemetryError`]; a process does this once. That the collector is away is none.
pub fn init(
    process: &Process<'_>,
    log: &LogConfig,
    traces: &TracesConfig,
) -> Result<Telemetry, TelemetryError> {
    let colour = io::stderr().is_terminal();
    let metrics = TraceMetrics::default();
    let log = log_layer(log, process.own_crates, io::stderr, colour)?;
    let traces = Traces::start(process, traces, &metrics)?;
    let telemetry = Telemetry { traces, metrics };
    let spans = telemetry
        .traces
        .as_ref()
        .map(|traces| traces.layer(process.own_crates));
    Registry::default().with(log).with(spans).try_init()?;
    Ok(telemetry)
}

fn log_layer<W>(
    config: &LogConfig,
    own_crates: &[&str],
    writer: W,
    colour: bool,
) -> Result<impl Layer<Registry> + Send + Sync + use<W>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let format = config.format;
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .map_event_format(|inner| WithTraceId { inner, format })
            .fmt_fields(SpanFields)
            .with_writer(writer)
            .boxed(),
        LogFormat::Text => fmt::layer()
            .with_ansi(colour)
            .map_event_format(|inner| WithTraceId {
                inner: inner.with_ansi(colour),
                format,
            })
            .with_writer(writer)
            .boxed(),
    };
    let directives = directives(config, own_crates);
    let filter = EnvFilter::builder().parse(&directives)?;
    // The same, and takes no lock whenever a span is entered or left.
    match directives.parse::<Targets>() {
        Ok(targets) if directives.split(',').all(names_target_and_level) => {
            Ok(layer.with_filter(targets).boxed())
        }
        _about_spans => Ok(layer.with_filter(filter).boxed()),
    }
}

/// Whether a directive is about a target as a whole and says the level, which is all that [`Targets`] understands.
fn names_target_and_level(directive: &str) -> bool {
    let (target, level) = directive.split_once('=').unwrap_or(("", directive));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    target.bytes().all(plain) && !level.is_empty() && level.parse::<LevelFilter>().is_ok()
}

fn directives(config: &LogConfig, own_crates: &[&str]) -> String {
    let level = config.level.filter();
    let mut directives = LevelFilter::WARN.min(level).to_string();
    for target in own_crates.iter().copied().chain(["service_kit", "access"]) {
        // Writing to a string cannot fail.
        let _ = write!(directives, ",{target}={level}");
    }
    if !config.directives.trim().is_empty() {
        let _ = write!(directives, ",{}", config.directives);
    }
    directives
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use serde_json::{Value, json};

    use super::*;

    /// Where lines go that a test reads.
    #[derive(Clone, Default)]
    pub(super) struct Captured(pub(super) Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: LogLevel, directives: &str, log: impl FnOnce()) -> String {
        let captured = Captured::default();
        let config = LogConfig {
            format,
            level,
            directives: directives.to_owned(),
        };
        let writer = captured.clone();
        let layer = log_layer(&config, &["ours"], move || writer.clone(), false).unwrap();
        tracing::subscriber::with_default(Registry::default().with(layer), log);
        String::from_utf8(captured.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_json_line_carries_fields_and_span_flat() {
        let text = logged(LogFormat::Json, LogLevel::Info, "", || {
            let _guard = tracing::info_span!(target: "ours", "request", request_id = "r1").entered();
            tracing::info!(target: "ours", rows = 3, "written");
        });
        let mut line: Value = serde_json::from_str(&text).unwrap();
        let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).is_ok());
        assert_eq!(
            line,
            json!({"level": "INFO", "message": "written", "rows": 3, "target": "ours",
                   "span": {"name": "request", "request_id": "r1"}})
        );
    }

    #[test]
    fn dependencies_only_speak_up_when_they_warn() {
        let log = || {
            tracing::info!(target: "sqlx", "chatter");
            tracing::warn!(target: "sqlx", "slow");
            tracing::info!(target: "ours::part", "kept");
            tracing::debug!(target: "ours::part", "too much");
        };
        let messages = |text: String| {
            text.lines()
                .map(|line| line.rsplit(' ').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            messages(logged(LogFormat::Text, LogLevel::Info, "", log)),
            ["slow", "kept"]
        );
        assert_eq!(
            messages(logged(LogFormat::Text, LogLevel::Error, "", log)),
            [""; 0]
        );
        assert_eq!(
            messages(logged(LogFormat::Text, LogLevel::Error, "sqlx=info", log)),
            ["chatter", "slow"]
        );
    }

    #[test]
    fn a_directive_may_be_about_a_span() {
        let log = || {
            tracing::debug!(target: "sqlx", "outside");
            let _guard = tracing::info_span!(target: "ours", "request").entered();
            tracing::debug!(target: "sqlx", "inside");
        };
        let text = logged(LogFormat::Text, LogLevel::Info, "[request]=debug", log);
        assert!(text.ends_with("inside\n") && !text.contains("outside"), "{text}");
    }

    #[test]
    fn directives_that_cannot_be_understood_are_refused() {
        let config = LogConfig {
            format: LogFormat::Text,
            level: LogLevel::Info,
            directives: "a=loud".to_owned(),
        };
        let error = init(&NOBODY, &config, &TracesConfig::off()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`log.directives` cannot be understood: error parsing level filter")
        );
    }

    const NOBODY: Process<'_> = Process {
        name: "nobody",
        version: "0",
        own_crates: &[],
    };

    #[test]
    fn traces_that_cannot_be_sent_are_refused() {
        let log = LogConfig {
            format: LogFormat::Text,
            level: LogLevel::Info,
            directives: String::new(),
        };
        let refusal = |endpoint: &str, sample_ratio| {
            let traces = TracesConfig {
                endpoint: crate::config::Secret::new(endpoint),
                sample_ratio,
                ..TracesConfig::off()
            };
            init(&NOBODY, &log, &traces).unwrap_err().to_string()
        };
        assert_eq!(
            refusal("user:hunter2@collector:4317", 1.0),
            "`traces.endpoint` cannot be used: it begins with neither http:// nor https://"
        );
        for ratio in [-0.1, 1.1, f64::NAN] {
            assert_eq!(
                refusal("http://collector:4318/v1/traces", ratio),
                format!("`traces.sample_ratio` is {ratio}, and must be from 0 to 1")
            );
        }
    }

    #[test]
    fn a_line_within_a_trace_names_it() {
        use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};

        let within_a_trace = || {
            let (trace, span) = (TraceId::from(0xabc_u128), SpanId::from(0xdef_u64));
            let span = SpanContext::new(trace, span, TraceFlags::default(), true, TraceState::default());
            let _guard = opentelemetry::Context::new()
                .with_remote_span_context(span)
                .attach();
            tracing::info!(target: "ours", "written");
        };
        let line: Value =
            serde_json::from_str(&logged(LogFormat::Json, LogLevel::Info, "", within_a_trace)).unwrap();
        assert_eq!(line["trace_id"], "00000000000000000000000000000abc");
        assert_eq!(line["message"], "written");
        let line = logged(LogFormat::Text, LogLevel::Info, "", within_a_trace);
        assert!(
            line.ends_with("ours: written trace_id=00000000000000000000000000000abc\n"),
            "{line}"
        );
    }
}
