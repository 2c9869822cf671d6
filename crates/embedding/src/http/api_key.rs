//! The key of a provider, which must not be seen.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;
use serde::{Deserialize, Deserializer, de::Error};
use tokio::io::AsyncReadExt;

/// Far longer than any key: a file beyond it is something else.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// The key of a provider. Prints as `***`.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// Wraps a key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl<'de> Deserialize<'de> for ApiKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Serde's own words would repeat the value, which may be the key without its quotes.
        String::deserialize(deserializer)
            .map(Self)
            .map_err(|_| D::Error::custom("expected a string in quotes"))
    }
}

/// Where the key of a request comes from.
pub(super) enum KeySource {
    None,
    Value(ApiKey),
    /// Read for every request, which costs nothing beside it: Kubernetes replaces the file of a rotated Secret under
    /// the running process.
    File(PathBuf),
}

/// The key of one request.
pub(super) struct Authorization {
    /// For the header `Authorization`; marked sensitive, so that nothing below prints it.
    pub(super) header: HeaderValue,
    key: String,
}

impl Authorization {
    /// A text without the key in it.
    pub(super) fn mask(&self, text: &str) -> String {
        text.replace(&self.key, "***")
    }
}

impl KeySource {
    /// The key to send, if there is one to send. The error says what is wrong, without the key.
    pub(super) async fn authorization(&self) -> Result<Option<Authorization>, String> {
        let key = match self {
            Self::None => return Ok(None),
            Self::Value(ApiKey(key)) => key.clone(),
            Self::File(path) => read(path)
                .await
                .map_err(|error| format!("the API key cannot be read from {}: {error}", path.display()))?,
        };
        let key = key.trim();
        if key.is_empty() {
            return Err("the API key is empty".to_owned());
        }
        let mut header = HeaderValue::try_from(format!("Bearer {key}"))
            .map_err(|_| "the API key has characters that no header can carry".to_owned())?;
        header.set_sensitive(true);
        Ok(Some(Authorization {
            header,
            key: key.to_owned(),
        }))
    }
}

async fn read(path: &Path) -> io::Result<String> {
    let mut key = String::new();
    let file = tokio::fs::File::open(path).await?;
    let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut key).await?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!(
            "it has more than {MAX_FILE_BYTES} bytes"
        )));
    }
    Ok(key)
}
