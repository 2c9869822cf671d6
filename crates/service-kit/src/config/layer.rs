//! Single sources: a TOML text, and the variables of the environment.

use std::ffi::OsString;

use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

use super::{
    ConfigError, merge,
    origin::{Origin, Origins},
};

/// Parses a TOML text and notes the line of every key in it.
pub(super) fn parse(text: &str, origin: &Origin, origins: &mut Origins) -> Result<Table, ConfigError> {
    let malformed = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        // Not its `Display`, which quotes the line.
        ConfigError::Malformed {
            place: format!("{origin}:{line}"),
            message: error.message().to_owned(),
        }
    };
    let spanned = DeTable::parse(text).map_err(malformed)?;
    note_lines(text, "", spanned.get_ref(), origin, origins);
    toml::from_str(text).map_err(malformed)
}

fn note_lines(text: &str, parent: &str, table: &DeTable<'_>, origin: &Origin, origins: &mut Origins) {
    for (name, value) in table {
        let key = join(parent, name.get_ref());
        if let DeValue::Table(table) = value.get_ref() {
            note_lines(text, &key, table, origin, origins);
        }
        origins.note(key, origin.clone(), Some(line_of(text, name.span().start)));
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// The variables that override keys.
#[derive(Debug)]
pub(super) struct Overrides(Vec<Override>);

#[derive(Debug)]
struct Override {
    variable: String,
    path: Vec<String>,
    text: String,
    value: Value,
}

impl Overrides {
    /// Takes the variables that begin with `<prefix>__`, in the order of their names.
    pub(super) fn read(
        prefix: &str,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let prefix = format!("{prefix}__");
        let mut overrides = Vec::new();
        for (name, text) in variables {
            let Some(name) = name.to_str() else { continue };
            let Some(path) = name.strip_prefix(&prefix) else {
                continue;
            };
            let fault = |message| ConfigError::Variable {
                name: name.to_owned(),
                message,
            };
            let text = text.into_string().map_err(|_| fault("its text is not UTF-8"))?;
            let path: Vec<_> = path.split("__").map(str::to_lowercase).collect();
            if path.iter().any(String::is_empty) {
                return Err(fault("its name has an empty part"));
            }
            let value = value_of(&text);
            overrides.push(Override {
                variable: name.to_owned(),
                path,
                text,
                value,
            });
        }
        overrides.sort_by(|a, b| a.variable.cmp(&b.variable));
        Ok(Self(overrides))
    }

    pub(super) fn apply(&self, table: &mut Table, origins: &mut Origins) -> Result<(), ConfigError> {
        for Override {
            variable,
            path,
            value,
            ..
        } in &self.0
        {
            let nested = path.iter().rev().fold(value.clone(), |value, name| {
                Value::Table(Table::from_iter([(name.clone(), value)]))
            });
            let Value::Table(nested) = nested else {
                return Err(ConfigError::Variable {
                    name: variable.clone(),
                    message: "it names no key",
                });
            };
            // The variable also makes the tables that are missing, or stand where another value stood.
            for length in (1..path.len()).filter(|length| !has_table(table, &path[..*length])) {
                origins.note(path[..length].join("."), Origin::Variable(variable.clone()), None);
            }
            merge(table, nested);
            origins.note(path.join("."), Origin::Variable(variable.clone()), None);
        }
        Ok(())
    }

    /// Makes the variable that set `key` a string, and tells whether it was something else.
    pub(super) fn prefer_string(&mut self, key: &str) -> bool {
        match self
            .0
            .iter_mut()
            .find(|variable| variable.path.join(".") == key && !variable.value.is_str())
        {
            Some(variable) => {
                variable.value = Value::String(variable.text.clone());
                true
            }
            None => false,
        }
    }
}

fn has_table(table: &Table, path: &[String]) -> bool {
    path.iter()
        .try_fold(table, |table, name| table.get(name)?.as_table())
        .is_some()
}

/// The TOML value that the text is, or the text.
fn value_of(text: &str) -> Value {
    // The text is parsed as part of a document: one with a line break could smuggle in a second key, and is a string.
    let parsed = format!("value = {text}")
        .parse::<Table>()
        .ok()
        .filter(|table| table.len() == 1);
    parsed
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}
