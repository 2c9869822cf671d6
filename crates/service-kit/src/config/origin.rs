//! Where each key of the merged configuration comes from.

use std::{collections::HashMap, fmt, path::PathBuf};

use super::ConfigError;

/// A source of configuration.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Defaults,
    File(PathBuf),
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("built-in defaults"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// The last source that set each key, with the line where it is one of a text.
#[derive(Debug, Default)]
pub(super) struct Origins(HashMap<String, (Origin, Option<usize>)>);

impl Origins {
    pub(super) fn note(&mut self, key: String, origin: Origin, line: Option<usize>) {
        self.0.insert(key, (origin, line));
    }

    /// A fault of `key`, placed where the key or else its nearest table was set last.
    pub(super) fn fault(&self, key: &str, message: &str) -> ConfigError {
        // serde_path_to_error writes the whole as `.`.
        let key = if key == "." { "" } else { key };
        let mut nearest = key;
        let place = loop {
            match (self.0.get(nearest), nearest.rfind(['.', '['])) {
                (Some((origin, Some(line))), _) => break format!("{origin}:{line}"),
                (Some((origin, None)), _) => break origin.to_string(),
                (None, Some(end)) => nearest = &nearest[..end],
                (None, None) => break "configuration".to_owned(),
            }
        };
        ConfigError::Invalid {
            place,
            key: key.to_owned(),
            message: message.trim().to_owned(),
        }
    }
}
