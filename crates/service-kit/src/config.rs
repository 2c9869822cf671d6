//! Configuration: a commented default TOML, an optional file, the environment; each overrides the one before.
//!
//! The service declares its configuration as structs with `#[serde(deny_unknown_fields)]`, one per concern, and embeds
//! its default TOML, which is at once the documentation. Tables are merged key by key; any other value is replaced.
//! A variable `DATASTORAGE__SERVER__API_ADDRESS` sets `server.api_address`. Its text is read as a TOML value if it is
//! one (`30`, `true`, `["a", "b"]`), and as a string otherwise or where the key wants a string.

pub mod duration;
mod error;
mod layer;
mod origin;
mod secret;

use std::{ffi::OsString, path::Path};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

pub use self::{error::ConfigError, secret::Secret};
use self::{
    layer::Overrides,
    origin::{Origin, Origins},
};

/// Reads a configuration from its sources.
///
/// ```
/// # use service_kit::config::Loader;
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config { greeting: String, times: u8 }
///
/// let config: Config = Loader::new("greeting = 'hello'\ntimes = 1")
///     .environment("HELLO", [("HELLO__TIMES".into(), "3".into())])
///     .load()?;
/// assert_eq!((config.greeting.as_str(), config.times), ("hello", 3));
/// # Ok::<(), service_kit::config::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Loader<'a> {
    defaults: &'a str,
    file: Option<&'a Path>,
    prefix: &'a str,
    environment: Vec<(OsString, OsString)>,
}

impl<'a> Loader<'a> {
    /// Begins with the embedded default TOML.
    pub fn new(defaults: &'a str) -> Self {
        Self {
            defaults,
            file: None,
            prefix: "",
            environment: Vec::new(),
        }
    }

    /// Reads this file too, if there is one; it must exist.
    #[must_use]
    pub fn file(mut self, file: Option<&'a Path>) -> Self {
        self.file = file;
        self
    }

    /// Reads the variables whose names begin with `<prefix>__`; usually out of `std::env::vars_os()`.
    #[must_use]
    pub fn environment(
        mut self,
        prefix: &'a str,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        self.prefix = prefix;
        self.environment.extend(variables);
        self
    }

    /// Reads everything.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which says where the fault stands: the file with its line, or the variable, and the key.
    pub fn load<T: DeserializeOwned>(self) -> Result<T, ConfigError> {
        let mut origins = Origins::default();
        let mut merged = layer::parse(self.defaults, &Origin::Defaults, &mut origins)?;
        if let Some(path) = self.file {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
                path: path.to_owned(),
                source,
            })?;
            merge(
                &mut merged,
                layer::parse(&text, &Origin::File(path.to_owned()), &mut origins)?,
            );
        }
        let mut overrides = Overrides::read(self.prefix, self.environment)?;
        loop {
            let mut table = merged.clone();
            overrides.apply(&mut table, &mut origins)?;
            let error = match serde_path_to_error::deserialize(Value::Table(table)) {
                Ok(config) => return Ok(config),
                Err(error) => error,
            };
            let key = error.path().to_string();
            // `PASSWORD=123` reads as a number, but its key may want a string: then it gets one. Each round turns one
            // more variable into a string for good, so that the rounds end.
            if !overrides.prefer_string(&key) {
                return Err(origins.fault(&key, error.inner().message()));
            }
        }
    }
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf, time::Duration};

    use serde::Deserialize;

    use super::*;

    const DEFAULTS: &str = "\
# How many.
times = 1
tags = ['a']

[database]
url = 'postgres://localhost'
password = ''
pause = '150ms'
";

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        times: u8,
        tags: Vec<String>,
        database: Database,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Database {
        url: String,
        password: Secret,
        #[serde(with = "duration")]
        pause: Duration,
    }

    fn load(file: Option<&str>, variables: &[(&str, &str)]) -> Result<Config, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("service.toml");
        if let Some(text) = file {
            fs::write(&path, text).unwrap();
        }
        let variables = variables
            .iter()
            .map(|(name, text)| ((*name).into(), (*text).into()));
        Loader::new(DEFAULTS)
            .file(file.map(|_| path.as_path()))
            .environment("KIT", variables)
            .load()
            .map_err(|error| {
                error
                    .to_string()
                    .replace(directory.path().to_str().unwrap(), "DIR")
            })
    }

    fn refusal(file: Option<&str>, variables: &[(&str, &str)]) -> String {
        load(file, variables).unwrap_err()
    }

    #[test]
    fn each_source_overrides_the_one_before() {
        let config = load(None, &[]).unwrap();
        assert_eq!(
            (config.times, config.database.pause),
            (1, Duration::from_millis(150))
        );
        let file = "[database]\nurl = 'postgres://file'\npause = '2s'";
        let variables = [
            ("KIT__DATABASE__PAUSE", "1m 30s"),
            ("KIT__TAGS", "['b', 'c']"),
            ("OTHER__TIMES", "9"),
        ];
        let config = load(Some(file), &variables).unwrap();
        assert_eq!(config.times, 1);
        assert_eq!(config.tags, ["b", "c"]);
        assert_eq!(config.database.url, "postgres://file");
        assert_eq!(config.database.pause, Duration::from_secs(90));
    }

    #[test]
    fn a_variable_that_looks_like_a_number_is_a_string_where_one_is_wanted() {
        let variables = [
            ("KIT__DATABASE__PASSWORD", "0123"),
            ("KIT__DATABASE__URL", "2026-01-01"),
            ("KIT__TIMES", "7"),
        ];
        let config = load(None, &variables).unwrap();
        assert_eq!(config.database.password.expose(), "0123");
        assert_eq!(config.database.url, "2026-01-01");
        assert_eq!(config.times, 7);
        let config = load(
            None,
            &[
                ("KIT__DATABASE__PASSWORD", "12"),
                ("KIT__DATABASE__URL", "a\ntimes = 3"),
            ],
        )
        .unwrap();
        assert_eq!(config.database.password.expose(), "12");
        assert_eq!((config.database.url.as_str(), config.times), ("a\ntimes = 3", 1));
    }

    #[test]
    fn faults_of_the_file_are_placed() {
        assert_eq!(
            refusal(Some("\n[database]\n# no\nurll = 'x'"), &[]),
            "DIR/service.toml:4: `database.urll`: unknown field `urll`, expected one of `url`, `password`, `pause`"
        );
        assert_eq!(
            refusal(Some("tags = []\ntimes = 300"), &[]),
            "DIR/service.toml:2: `times`: invalid value: integer `300`, expected u8"
        );
        assert_eq!(
            refusal(Some("[database]\n\npause = '5 parsecs'"), &[]),
            "DIR/service.toml:3: `database.pause`: \"5 parsecs\" is no duration such as \"150ms\" or \"5s\": \
             unknown time unit \"parsecs\", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, \
             years (and few variations)"
        );
        assert_eq!(
            refusal(Some("tags = ['a',\n 3]"), &[]),
            "DIR/service.toml:1: `tags[1]`: invalid type: integer `3`, expected a string"
        );
    }

    #[test]
    fn faults_of_variables_name_them() {
        assert_eq!(
            refusal(None, &[("KIT__DATABASE__COLOUR", "red")]),
            "environment variable KIT__DATABASE__COLOUR: `database.colour`: unknown field `colour`, expected one of \
             `url`, `password`, `pause`"
        );
        assert_eq!(
            refusal(None, &[("KIT__TIMES", "many")]),
            "environment variable KIT__TIMES: `times`: invalid type: string \"many\", expected u8"
        );
        assert_eq!(
            refusal(None, &[("KIT__TIMES__X", "1")]),
            "environment variable KIT__TIMES__X: `times`: invalid type: map, expected u8"
        );
        assert_eq!(
            refusal(None, &[("KIT__NETWORK__PORT", "1")]),
            "environment variable KIT__NETWORK__PORT: `network`: unknown field `network`, expected one of `times`, \
             `tags`, `database`"
        );
        assert_eq!(
            refusal(None, &[("KIT__TIMES____X", "1")]),
            "environment variable KIT__TIMES____X: its name has an empty part"
        );
    }

    #[test]
    fn a_secret_is_never_repeated() {
        let leaky = [
            refusal(Some("[database]\npassword = hunter2"), &[]),
            refusal(Some("[database]\npassword = 4711"), &[]),
            refusal(Some("[database]\npassword = 'hunter2"), &[]),
        ];
        for message in &leaky {
            assert!(message.starts_with("DIR/service.toml:2: "), "{message}");
            assert!(
                !message.contains("hunter2") && !message.contains("4711"),
                "{message}"
            );
        }
        let secret = load(None, &[("KIT__DATABASE__PASSWORD", "hunter2")])
            .unwrap()
            .database
            .password;
        assert_eq!(
            format!("{secret} {secret:?} {}", serde_json::to_string(&secret).unwrap()),
            "*** *** \"***\""
        );
    }

    #[test]
    fn a_missing_key_and_a_missing_file_are_named() {
        let error = Loader::new("times = 1\ntags = []\n[database]\nurl = ''\npassword = ''")
            .load::<Config>()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "built-in defaults:3: `database`: missing field `pause`"
        );
        let missing = PathBuf::from("/nowhere/service.toml");
        let error = Loader::new(DEFAULTS)
            .file(Some(&missing))
            .load::<Config>()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the configuration /nowhere/service.toml: No such file or directory (os error 2)"
        );
    }
}
