//! Durations as people write them: `"150ms"`, `"5s"`, `"1h 30m"`; for `#[serde(with = "service_kit::config::duration")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Reads a duration.
///
/// # Errors
///
/// If it is not a string of numbers with units.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| {
        D::Error::custom(format_args!(
            "{text:?} is no duration such as \"150ms\" or \"5s\": {error}"
        ))
    })
}

/// Writes a duration.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}
