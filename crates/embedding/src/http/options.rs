//! What a provider is asked with, and how patiently.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Deserializer, de::Error};

use super::api_key::ApiKey;

/// Which embedder a service runs: the key `provider` of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// [`MiniLm`](crate::MiniLm), in process.
    MiniLm,
    /// An OpenAI-compatible service: [`Embedder::http`](crate::Embedder::http).
    Http,
}

/// An OpenAI-compatible provider of embeddings, and how it is asked. Deserialises as a section of a configuration, in
/// which an empty string stands for what is absent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpOptions {
    /// `http` or `https`: the base, to which `/v1/embeddings` is added, or all of it, ending in `/embeddings`.
    pub url: String,
    /// The model asked for, and its name in the database.
    pub model: String,
    /// The identity of the model's weights in the database's record. A provider does not tell it, so people must
    /// change it when another model hides behind the same name.
    pub version: String,
    /// Components of a vector; anything else is refused.
    pub dimension: usize,
    /// Whether the dimension is sent along, for models that can shorten their vectors. Others refuse it.
    pub send_dimension: bool,
    /// Sent as a bearer token.
    #[serde(deserialize_with = "key")]
    pub api_key: Option<ApiKey>,
    /// A file with the key instead, which may change at any time.
    #[serde(deserialize_with = "path")]
    pub api_key_file: Option<PathBuf>,
    /// PEM certificates of the only authorities that are trusted, instead of those of the system.
    #[serde(deserialize_with = "path")]
    pub ca_file: Option<PathBuf>,
    /// Texts in one request at most. At least 1.
    pub max_batch: usize,
    /// Requests under way at most. At least 1.
    pub max_in_flight: usize,
    /// Texts that wait at most; the next one is refused with [`EmbedError::Busy`](crate::EmbedError::Busy). At least 1.
    pub queue: usize,
    /// How long one request may take, from connecting to the last byte of its answer.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// How long a batch is tried, over all its requests and pauses.
    #[serde(deserialize_with = "duration")]
    pub retry_for: Duration,
    /// After so many failed requests in a row none is made. At least 1.
    pub breaker_failures: u32,
    /// For how long none is made then.
    #[serde(deserialize_with = "duration")]
    pub breaker_cool_off: Duration,
}

impl HttpOptions {
    /// A provider without a key, asked as the services ask by default.
    pub fn new(
        url: impl Into<String>,
        model: impl Into<String>,
        version: impl Into<String>,
        dimension: usize,
    ) -> Self {
        Self {
            url: url.into(),
            model: model.into(),
            version: version.into(),
            dimension,
            send_dimension: false,
            api_key: None,
            api_key_file: None,
            ca_file: None,
            max_batch: 32,
            max_in_flight: 4,
            queue: 1024,
            timeout: Duration::from_secs(10),
            retry_for: Duration::from_secs(30),
            breaker_failures: 5,
            breaker_cool_off: Duration::from_secs(15),
        }
    }

    /// Refuses what cannot work, by its key.
    pub(super) fn check(&self) -> Result<(), InvalidOptions> {
        let at_least_one = [
            ("dimension", self.dimension),
            ("max_batch", self.max_batch),
            ("max_in_flight", self.max_in_flight),
            ("queue", self.queue),
            ("breaker_failures", self.breaker_failures as usize),
        ];
        for (key, number) in at_least_one {
            if number == 0 {
                return Err(InvalidOptions::new(key, "must be at least 1"));
            }
        }
        for (key, text) in [("model", &self.model), ("version", &self.version)] {
            if text.trim().is_empty() {
                return Err(InvalidOptions::new(key, "must be given"));
            }
        }
        for (key, duration) in [("timeout", self.timeout), ("retry_for", self.retry_for)] {
            if duration.is_zero() {
                return Err(InvalidOptions::new(key, "must be more than nothing"));
            }
        }
        if self.api_key.is_some() && self.api_key_file.is_some() {
            return Err(InvalidOptions::new(
                "api_key_file",
                "is given together with api_key; give one of them",
            ));
        }
        Ok(())
    }

    /// Where requests go.
    pub(super) fn endpoint(&self) -> Result<Url, InvalidOptions> {
        let invalid = |problem: String| InvalidOptions::new("url", problem);
        if self.url.is_empty() {
            return Err(invalid("must be given".to_owned()));
        }
        let mut url = Url::parse(&self.url).map_err(|error| invalid(format!("is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("must begin with http:// or https://".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(
                "must not hold a user or password; a key belongs in api_key or api_key_file".to_owned(),
            ));
        }
        let path = url.path().trim_end_matches('/');
        let path = if path.ends_with("/embeddings") {
            path.to_owned()
        } else if path.ends_with("/v1") {
            format!("{path}/embeddings")
        } else {
            format!("{path}/v1/embeddings")
        };
        url.set_path(&path);
        url.set_fragment(None);
        Ok(url)
    }
}

/// An option that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {problem}")]
pub struct InvalidOptions {
    /// Which one: a field of [`HttpOptions`].
    pub key: &'static str,
    problem: String,
}

impl InvalidOptions {
    pub(super) fn new(key: &'static str, problem: impl Into<String>) -> Self {
        Self {
            key,
            problem: problem.into(),
        }
    }
}

fn key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ApiKey>, D::Error> {
    let key = ApiKey::deserialize(deserializer)?;
    Ok(Some(key).filter(|key| !key.is_empty()))
}

fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    Ok(Some(path).filter(|path| !path.as_os_str().is_empty()))
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|error| D::Error::custom(format_args!("{text:?} is no duration such as \"10s\": {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> HttpOptions {
        HttpOptions::new(url, "m", "1", 8)
    }

    #[test]
    fn a_base_or_the_whole_url_is_enough() {
        for (given, endpoint) in [
            ("http://localhost:11434", "http://localhost:11434/v1/embeddings"),
            ("http://localhost:11434/", "http://localhost:11434/v1/embeddings"),
            (
                "https://api.example.com/v1",
                "https://api.example.com/v1/embeddings",
            ),
            (
                "https://api.example.com/v1/",
                "https://api.example.com/v1/embeddings",
            ),
            ("https://host/gateway", "https://host/gateway/v1/embeddings"),
            ("https://host/v1/embeddings", "https://host/v1/embeddings"),
            (
                "https://host/deployments/x/embeddings?api-version=2",
                "https://host/deployments/x/embeddings?api-version=2",
            ),
        ] {
            assert_eq!(options(given).endpoint().unwrap().as_str(), endpoint, "{given}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_by_its_key() {
        let url = |url: &str| options(url).endpoint().unwrap_err().to_string();
        assert_eq!(url(""), "`url` must be given");
        assert_eq!(url("localhost"), "`url` is no URL: relative URL without a base");
        assert_eq!(url("ftp://h"), "`url` must begin with http:// or https://");
        assert_eq!(
            url("https://me:hunter2@h"),
            "`url` must not hold a user or password; a key belongs in api_key or api_key_file"
        );

        let refused = |change: fn(&mut HttpOptions)| {
            let mut options = options("http://h");
            change(&mut options);
            options.check().unwrap_err().to_string()
        };
        assert_eq!(refused(|o| o.dimension = 0), "`dimension` must be at least 1");
        assert_eq!(
            refused(|o| o.max_in_flight = 0),
            "`max_in_flight` must be at least 1"
        );
        assert_eq!(refused(|o| o.version = " ".to_owned()), "`version` must be given");
        assert_eq!(
            refused(|o| o.timeout = Duration::ZERO),
            "`timeout` must be more than nothing"
        );
        assert_eq!(
            refused(|o| {
                o.api_key = Some(ApiKey::new("hunter2"));
                o.api_key_file = Some("/key".into());
            }),
            "`api_key_file` is given together with api_key; give one of them"
        );
        assert_eq!(options("http://h").check(), Ok(()));
    }

    #[test]
    fn the_key_is_never_printed() {
        let mut options = options("http://h");
        options.api_key = Some(ApiKey::new("hunter2"));
        let printed = format!("{options:?}");
        assert!(
            printed.contains("***") && !printed.contains("hunter2"),
            "{printed}"
        );

        let error = serde_json::from_str::<ApiKey>("4711").unwrap_err().to_string();
        assert!(
            error.starts_with("expected a string in quotes") && !error.contains("4711"),
            "{error}"
        );
    }
}
