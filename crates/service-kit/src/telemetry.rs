//! The log of a process: where it goes, how it looks, how much of it.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal},
};

use serde::Deserialize;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{LevelFilter, ParseError},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

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

/// Why the log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The directives cannot be understood.
    #[error("`log.directives` cannot be understood: {0}")]
    Directives(#[from] ParseError),
    /// There is a log already.
    #[error("the log was started before: {0}")]
    AlreadyStarted(#[from] TryInitError),
}

/// Starts the log of this process, on standard error: standard output is for answers.
///
/// `own_crates` are the crates (and other targets) that `level` is about. All others only speak up when they warn.
///
/// # Errors
///
/// [`TelemetryError`]; a process starts its log once.
pub fn init(config: &LogConfig, own_crates: &[&str]) -> Result<(), TelemetryError> {
    let colour = io::stderr().is_terminal();
    subscriber(config, own_crates, io::stderr, colour)?.try_init()?;
    Ok(())
}

fn subscriber<W>(
    config: &LogConfig,
    own_crates: &[&str],
    writer: W,
    colour: bool,
) -> Result<impl Subscriber + Send + Sync, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(writer)
            .boxed(),
        LogFormat::Text => fmt::layer().with_ansi(colour).with_writer(writer).boxed(),
    };
    Ok(Registry::default().with(layer.with_filter(filter(config, own_crates)?)))
}

fn filter(config: &LogConfig, own_crates: &[&str]) -> Result<EnvFilter, ParseError> {
    let level = config.level.filter();
    let mut directives = LevelFilter::WARN.min(level).to_string();
    for target in own_crates.iter().copied().chain(["service_kit", "access"]) {
        // Writing to a string cannot fail.
        let _ = write!(directives, ",{target}={level}");
    }
    if !config.directives.trim().is_empty() {
        let _ = write!(directives, ",{}", config.directives);
    }
    EnvFilter::builder().parse(directives)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

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
        let subscriber = subscriber(&config, &["ours"], move || writer.clone(), false).unwrap();
        tracing::subscriber::with_default(subscriber, log);
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
    fn directives_that_cannot_be_understood_are_refused() {
        let config = LogConfig {
            format: LogFormat::Text,
            level: LogLevel::Info,
            directives: "a=loud".to_owned(),
        };
        let error = init(&config, &[]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`log.directives` cannot be understood: error parsing level filter")
        );
    }
}
