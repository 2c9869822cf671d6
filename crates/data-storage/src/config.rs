//! The configuration; its commented default is `config/data-storage.toml`.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use audit_store::retention::RetentionPolicy;
use audit_store::{ConnectOptions, InvalidSchemaName, PartitionWindow, SchemaName};
use embedding::{CacheOptions, HttpOptions, Precision, Provider};
use serde::Deserialize;
use service_kit::auth::AuthConfig;
use service_kit::boundary::RequestsConfig;
use service_kit::config::{ConfigError, Loader, Secret, duration};
use service_kit::rate_limit::RateLimitConfig;
use service_kit::server::ServerConfig;
use service_kit::telemetry::{LogConfig, TracesConfig};

use crate::StartError;

/// The commented default configuration.
pub const DEFAULTS: &str = include_str!("../../../config/data-storage.toml");

/// The configuration of Data Storage. Every key is described in the default file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "the sections and keys are described in the default file"
)]
pub struct Config {
    pub server: ServerConfig,
    pub auth: AuthConfig,
    pub rate_limit: RateLimitConfig,
    pub requests: RequestsConfig,
    pub log: LogConfig,
    pub traces: TracesConfig,
    pub database: DatabaseConfig,
    pub partitions: PartitionsConfig,
    pub retention: RetentionConfig,
    pub writer: WriterConfig,
    pub embedding: EmbeddingConfig,
    pub records: RecordsConfig,
    pub batches: BatchesConfig,
    pub idempotency: IdempotencyConfig,
}

/// The section `[database]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the keys are described in the default file")]
pub struct DatabaseConfig {
    pub url: Secret,
    pub schema: String,
    pub max_connections: u32,
    #[serde(with = "duration")]
    pub acquire_timeout: Duration,
    #[serde(with = "duration")]
    pub statement_timeout: Duration,
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
}

impl DatabaseConfig {
    /// The options of the store.
    ///
    /// # Errors
    /// [`InvalidSchemaName`] where the schema is not a plain identifier.
    pub fn connect_options(&self) -> Result<ConnectOptions, InvalidSchemaName> {
        Ok(ConnectOptions {
            max_connections: self.max_connections,
            acquire_timeout: self.acquire_timeout,
            statement_timeout: self.statement_timeout,
            ..ConnectOptions::new(self.url.expose(), SchemaName::new(&self.schema)?, "data-storage")
        })
    }
}

/// The section `[partitions]`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the keys are described in the default file")]
pub struct PartitionsConfig {
    pub months_back: u32,
    pub months_ahead: u32,
    #[serde(with = "duration")]
    pub interval: Duration,
}

impl PartitionsConfig {
    /// The window around the current month.
    #[must_use]
    pub fn window(&self) -> PartitionWindow {
        PartitionWindow {
            months_back: self.months_back,
            months_ahead: self.months_ahead,
        }
    }
}

/// The section `[retention]`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the keys are described in the default file")]
pub struct RetentionConfig {
    pub keep_months: u32,
    #[serde(with = "duration")]
    pub interval: Duration,
    pub dry_run: bool,
}

impl RetentionConfig {
    /// The policy; `None` where everything is kept.
    #[must_use]
    pub fn policy(&self) -> Option<RetentionPolicy> {
        RetentionPolicy::keep_months(self.keep_months)
    }

    /// A window without the months that the policy drops, or they would be made and dropped in turn.
    pub(crate) fn limit(&self, window: PartitionWindow) -> PartitionWindow {
        if self.policy().is_some() {
            PartitionWindow {
                months_back: window.months_back.min(self.keep_months),
                ..window
            }
        } else {
            window
        }
    }
}

/// The section `[writer]`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the keys are described in the default file")]
pub struct WriterConfig {
    pub tasks: usize,
    pub queue: usize,
    pub queue_bytes: usize,
    pub max_batch: usize,
    #[serde(with = "duration")]
    pub linger: Duration,
    #[serde(with = "duration")]
    pub retry_for: Duration,
}

/// The section `[embedding]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the keys are described in the default file")]
pub struct EmbeddingConfig {
    pub provider: Provider,
    pub precision: Precision,
    #[serde(with = "duration")]
    pub budget: Duration,
    #[serde(with = "duration")]
    pub backfill_interval: Duration,
    #[serde(with = "duration")]
    pub cache_ttl: Duration,
    pub cache_max_bytes: u64,
    pub http: HttpOptions,
}

impl EmbeddingConfig {
    /// The options of the cache.
    #[must_use]
    pub fn cache(&self) -> CacheOptions {
        CacheOptions {
            ttl: self.cache_ttl,
            max_bytes: self.cache_max_bytes,
        }
    }
}

/// The section `[records]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the keys are described in the default file")]
pub struct RecordsConfig {
    pub default_cluster: String,
}

/// The section `[batches]`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the keys are described in the default file")]
pub struct BatchesConfig {
    pub max_records: usize,
    pub body_max_bytes: usize,
}

/// The section `[idempotency]`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the keys are described in the default file")]
pub struct IdempotencyConfig {
    #[serde(with = "duration")]
    pub keep: Duration,
}

impl Config {
    /// The months that must have partitions, as far as retention keeps them.
    #[must_use]
    pub fn partition_window(&self) -> PartitionWindow {
        self.retention.limit(self.partitions.window())
    }

    /// Refuses batches that the rate limit would always refuse.
    pub(crate) fn require_batches_within_limits(&self) -> Result<(), StartError> {
        let granted = self.rate_limit.largest_cost();
        let records = self.batches.max_records;
        if u32::try_from(records).is_ok_and(|records| records <= granted) {
            Ok(())
        } else {
            Err(StartError::BatchesBeyondLimits { records, granted })
        }
    }

    /// The defaults, a file over them, and environment variables `DATA_STORAGE__SECTION__KEY` over both.
    ///
    /// # Errors
    /// [`ConfigError`], naming the key and where it comes from.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        Loader::new(DEFAULTS)
            .file(file)
            .environment("DATA_STORAGE", environment)
            .load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_is_complete() {
        let config = Config::load(None, []).unwrap();
        assert_eq!(config.server.api_address.to_string(), "127.0.0.1:8080");
        assert_eq!(config.embedding.budget, Duration::from_millis(150));
        assert_eq!(
            config.partitions.window(),
            PartitionWindow {
                months_back: 3,
                months_ahead: 3
            }
        );
        assert_eq!(
            config.database.connect_options().unwrap().schema,
            SchemaName::default()
        );
    }

    #[test]
    fn by_default_a_record_is_answered_before_its_request_is_given_up() {
        let config = Config::load(None, []).unwrap();
        // The last attempt may begin when the time is almost up.
        let last_attempt = config.database.acquire_timeout + 2 * config.database.statement_timeout;
        let at_the_latest = config.embedding.budget + config.writer.retry_for + last_attempt;
        assert!(at_the_latest < config.requests.deadline, "{at_the_latest:?}");
    }

    #[test]
    fn retention_is_off_until_months_are_given_and_then_limits_the_partitions_made() {
        let config = Config::load(None, []).unwrap();
        assert_eq!(config.retention.policy(), None);
        let months = |months: &str| {
            let variable = ("DATA_STORAGE__RETENTION__KEEP_MONTHS".into(), months.into());
            Config::load(None, [variable]).unwrap()
        };
        assert_eq!(months("13").retention.policy(), RetentionPolicy::keep_months(13));
        assert_eq!(months("13").partition_window().months_back, 3);
        assert_eq!(months("2").partition_window().months_back, 2);
        assert_eq!(months("0").partition_window().months_back, 3);
    }

    #[test]
    fn the_environment_goes_first_and_the_password_is_not_shown() {
        let url = (
            "DATA_STORAGE__DATABASE__URL".into(),
            "postgres://u:secret@h/d".into(),
        );
        let config = Config::load(None, [url]).unwrap();
        assert_eq!(config.database.url.expose(), "postgres://u:secret@h/d");
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = Config::load(None, [("DATA_STORAGE__WRITER__QUEUES".into(), "3".into())]).unwrap_err();
        assert!(
            error.to_string().contains("DATA_STORAGE__WRITER__QUEUES"),
            "{error}"
        );
    }

    #[test]
    fn the_provider_of_vectors_has_the_defaults_of_its_options_and_an_unseen_key() {
        let default = Config::load(None, []).unwrap().embedding;
        assert_eq!(default.provider, Provider::MiniLm);
        assert_eq!(default.precision, Precision::Float32);
        assert_eq!(
            format!("{:?}", default.http),
            format!("{:?}", HttpOptions::new("", "", "", 384))
        );

        let given = Config::load(
            None,
            [
                ("DATA_STORAGE__EMBEDDING__PROVIDER".into(), "http".into()),
                ("DATA_STORAGE__EMBEDDING__HTTP__API_KEY".into(), "4711".into()),
            ],
        )
        .unwrap()
        .embedding;
        assert_eq!(given.provider, Provider::Http);
        let shown = format!("{given:?}");
        assert!(
            shown.contains("api_key: Some(***)") && !shown.contains("4711"),
            "{shown}"
        );
    }
}
