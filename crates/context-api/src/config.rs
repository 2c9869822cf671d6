//! The configuration; its commented default is `config/context-api.toml`.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use audit_store::{ConnectOptions, InvalidSchemaName, SchemaName};
use embedding::{CacheOptions, HttpOptions, Precision, Provider};
use serde::Deserialize;
use service_kit::auth::AuthConfig;
use service_kit::boundary::RequestsConfig;
use service_kit::config::{ConfigError, Loader, Secret, duration};
use service_kit::rate_limit::RateLimitConfig;
use service_kit::server::ServerConfig;
use service_kit::telemetry::{LogConfig, TracesConfig};

/// The commented default configuration.
pub const DEFAULTS: &str = include_str!("../../../config/context-api.toml");

/// What the names of the environment's variables begin with.
const ENVIRONMENT_PREFIX: &str = "CONTEXT_API";

/// Shown in `pg_stat_activity`.
const APPLICATION_NAME: &str = "context-api";

/// The configuration of Context API. Every key is described in the default file.
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
    pub embedding: EmbeddingConfig,
    pub cache: CacheConfig,
    pub search: SearchConfig,
}

/// The section `[database]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the keys are described in the default file")]
pub struct DatabaseConfig {
    pub url: Secret,
    pub schema: String,
    pub max_connections: NonZeroU32,
    #[serde(with = "duration")]
    pub acquire_timeout: Duration,
    #[serde(with = "duration")]
    pub statement_timeout: Duration,
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    #[serde(with = "duration")]
    pub max_replay_lag: Duration,
}

impl DatabaseConfig {
    /// The options of the store.
    ///
    /// # Errors
    /// [`InvalidSchemaName`] where the schema is not a plain identifier.
    pub fn connect_options(&self) -> Result<ConnectOptions, InvalidSchemaName> {
        Ok(ConnectOptions {
            url: self.url.expose().to_owned(),
            schema: SchemaName::new(&self.schema)?,
            max_connections: self.max_connections.get(),
            acquire_timeout: self.acquire_timeout,
            statement_timeout: self.statement_timeout,
            application_name: APPLICATION_NAME.to_owned(),
        })
    }
}

/// The section `[embedding]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the keys are described in the default file")]
pub struct EmbeddingConfig {
    pub provider: Provider,
    pub precision: Precision,
    #[serde(with = "duration")]
    pub timeout: Duration,
    #[serde(with = "duration")]
    pub cache_ttl: Duration,
    pub cache_max_bytes: u64,
    pub http: HttpOptions,
}

impl EmbeddingConfig {
    /// The options of the cache of vectors.
    #[must_use]
    pub fn cache(&self) -> CacheOptions {
        CacheOptions {
            ttl: self.cache_ttl,
            max_bytes: self.cache_max_bytes,
        }
    }
}

/// The section `[cache]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the keys are described in the default file")]
pub struct CacheConfig {
    pub memory_max_bytes: u64,
    #[serde(with = "duration")]
    pub ttl: Duration,
    #[serde(with = "duration")]
    pub renew_before: Duration,
    #[serde(with = "duration")]
    pub refresh_interval: Duration,
    #[serde(with = "duration")]
    pub negative_ttl: Duration,
    #[serde(with = "duration")]
    pub stale_for: Duration,
    pub redis_url: Secret,
    #[serde(with = "duration")]
    pub redis_timeout: Duration,
}

/// The section `[search]`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the keys are described in the default file")]
pub struct SearchConfig {
    #[serde(with = "duration")]
    pub self_check_interval: Duration,
    pub self_check_sample: u32,
    #[serde(with = "duration")]
    pub self_check_timeout: Duration,
}

impl CacheConfig {
    /// Keeps nothing, looks for nothing, and has no Redis.
    #[must_use]
    pub fn off() -> Self {
        Self {
            memory_max_bytes: 0,
            ttl: Duration::ZERO,
            renew_before: Duration::ZERO,
            refresh_interval: Duration::ZERO,
            negative_ttl: Duration::ZERO,
            stale_for: Duration::ZERO,
            redis_url: Secret::default(),
            redis_timeout: Duration::from_millis(50),
        }
    }
}

impl Config {
    /// The defaults, a file over them, and environment variables `CONTEXT_API__SECTION__KEY` over both.
    ///
    /// # Errors
    /// [`ConfigError`], naming the key and where it comes from.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        Loader::new(DEFAULTS)
            .file(file)
            .environment(ENVIRONMENT_PREFIX, environment)
            .load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables
            .iter()
            .map(|(name, text)| ((*name).into(), (*text).into()));
        Config::load(None, variables).map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_file_is_complete_and_names_no_database() {
        let config = load(&[]).unwrap();
        assert_eq!(config.server.api_address.to_string(), "127.0.0.1:8091");
        assert_eq!(config.server.metrics_address.to_string(), "127.0.0.1:9091");
        assert_eq!(config.database.url.expose(), "");
        assert_eq!(config.database.connect_timeout, Duration::from_secs(30));
        assert_eq!(config.database.max_replay_lag, Duration::from_secs(30));
        assert_eq!(config.embedding.timeout, Duration::from_secs(2));
        assert_eq!(config.embedding.cache(), CacheOptions::default());
        assert_eq!(config.cache.ttl, Duration::from_secs(5));
        assert_eq!(config.auth.audiences, ["kubernaut-context-api"]);
        let limits = config.rate_limit;
        assert_eq!((limits.per_second.get(), limits.burst.get()), (1_000, 1_500));
        let share = (limits.caller_per_second.get(), limits.caller_burst.get());
        assert_eq!(share, (500, 750));
        assert_eq!(config.traces.endpoint.expose(), "");
        assert_eq!(config.cache.renew_before, Duration::from_secs(1));
        assert_eq!(config.cache.refresh_interval, Duration::from_secs(1));
        assert_eq!(config.cache.redis_url.expose(), "");
        assert_eq!(config.search.self_check_interval, Duration::from_secs(300));
        assert_eq!(config.search.self_check_sample, 20);
        assert_eq!(config.search.self_check_timeout, Duration::from_secs(5));
    }

    #[test]
    fn every_key_of_the_database_reaches_the_store() {
        let config = load(&[
            ("CONTEXT_API__DATABASE__URL", "postgres://u:hunter2@h/d"),
            ("CONTEXT_API__DATABASE__SCHEMA", "other"),
            ("CONTEXT_API__DATABASE__MAX_CONNECTIONS", "3"),
            ("CONTEXT_API__DATABASE__ACQUIRE_TIMEOUT", "1s"),
            ("CONTEXT_API__DATABASE__STATEMENT_TIMEOUT", "2s"),
        ])
        .unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        let options = config.database.connect_options().unwrap();
        assert_eq!(options.url, "postgres://u:hunter2@h/d");
        assert_eq!(options.schema.context(), "other_context");
        assert_eq!(options.max_connections, 3);
        assert_eq!(options.acquire_timeout, Duration::from_secs(1));
        assert_eq!(options.statement_timeout, Duration::from_secs(2));
        assert_eq!(options.application_name, "context-api");
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let unknown = load(&[("CONTEXT_API__EMBEDDING__BUDGET", "1s")]).unwrap_err();
        assert_eq!(
            unknown,
            "environment variable CONTEXT_API__EMBEDDING__BUDGET: `embedding.budget`: unknown field `budget`, \
             expected one of `provider`, `precision`, `timeout`, `cache_ttl`, `cache_max_bytes`, `http`"
        );
        let zero = load(&[("CONTEXT_API__DATABASE__MAX_CONNECTIONS", "0")]).unwrap_err();
        assert!(zero.contains("`database.max_connections`"), "{zero}");
        let schema = load(&[("CONTEXT_API__DATABASE__SCHEMA", "A;b")]).unwrap();
        assert!(schema.database.connect_options().is_err());
    }

    #[test]
    fn the_provider_of_vectors_has_the_defaults_of_its_options_and_an_unseen_key() {
        let default = load(&[]).unwrap().embedding;
        assert_eq!(default.provider, Provider::MiniLm);
        assert_eq!(default.precision, Precision::Float32);
        assert_eq!(
            format!("{:?}", default.http),
            format!("{:?}", HttpOptions::new("", "", "", 384))
        );

        let given = load(&[
            ("CONTEXT_API__EMBEDDING__PROVIDER", "http"),
            ("CONTEXT_API__EMBEDDING__HTTP__API_KEY", "4711"),
        ])
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
