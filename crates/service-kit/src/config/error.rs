//! What can be wrong with a configuration.

use std::{io, path::PathBuf};

/// Why a configuration cannot be used. No message repeats a line of a source, which may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A source is not TOML.
    #[error("{place}: {message}")]
    Malformed {
        /// `file:line`.
        place: String,
        /// What the parser says.
        message: String,
    },
    /// A key is unknown, missing or has a value that it cannot have.
    #[error("{place}: {}{message}", if key.is_empty() { String::new() } else { format!("`{key}`: ") })]
    Invalid {
        /// `file:line`, the variable, or the embedded defaults.
        place: String,
        /// The key, such as `server.api_address`; empty for the whole.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// A variable's name or text cannot be used.
    #[error("environment variable {name}: {message}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with it.
        message: &'static str,
    },
}
