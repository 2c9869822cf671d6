//! The names of the two schemas.

use std::fmt;

/// Name of the data schema. The context schema has the same name with `_context` behind it.
///
/// It is a plain lower-case identifier, so that it can stand in a `search_path` and in DDL without quoting.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SchemaName(String);

/// A schema name that is not 1 to 50 of `a-z`, `0-9` and `_`, starting with a letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema name {0:?} is not 1 to 50 lower-case letters, digits and underscores starting with a letter")]
pub struct InvalidSchemaName(String);

impl SchemaName {
    /// Takes a name after checking it.
    ///
    /// # Errors
    /// [`InvalidSchemaName`] where it is not a plain identifier, or starts with `pg_`, which PostgreSQL reserves.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidSchemaName> {
        let name = name.into();
        if is_plain_identifier(&name, 50) {
            Ok(Self(name))
        } else {
            Err(InvalidSchemaName(name))
        }
    }

    /// The data schema, which only Data Storage reads and writes.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.0
    }

    /// The context schema: the views that Context API may read.
    #[must_use]
    pub fn context(&self) -> String {
        format!("{}_context", self.0)
    }

    /// The schema in which the vectors of the next model grow.
    pub(crate) fn reembed(&self) -> String {
        format!("{}_reembed", self.0)
    }

    /// `search_path` of a re-embedding: the table to come hides the one in use.
    pub(crate) fn reembed_search_path(&self) -> String {
        format!("{}_reembed,{},public", self.0, self.0)
    }

    /// `search_path` of a writer. `public` is where pgvector is installed.
    pub(crate) fn writer_search_path(&self) -> String {
        format!("{},public", self.0)
    }

    /// `search_path` of a reader: it cannot even name a table of the data schema by accident.
    pub(crate) fn reader_search_path(&self) -> String {
        format!("{}_context,public", self.0)
    }
}

impl Default for SchemaName {
    fn default() -> Self {
        Self("kubernaut".to_owned())
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a name is lower-case letters, digits and underscores, starts with a letter, is no longer than `max` bytes,
/// and is not reserved: then it can stand in DDL as it is.
pub(crate) fn is_plain_identifier(name: &str, max: usize) -> bool {
    name.len() <= max
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.starts_with("pg_")
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_identifiers_are_schema_names() {
        for good in ["kubernaut", "k", "contextapi_test_1700000000_7"] {
            assert_eq!(SchemaName::new(good).unwrap().data(), good);
        }
        for bad in [
            "",
            "Kubernaut",
            "1abc",
            "_x",
            "pg_x",
            "a-b",
            "a b",
            "a\"b",
            "é",
            &"x".repeat(51),
        ] {
            assert_eq!(SchemaName::new(bad), Err(InvalidSchemaName(bad.to_owned())));
        }
    }

    #[test]
    fn the_context_schema_is_named_after_the_data_schema() {
        assert_eq!(SchemaName::default().context(), "kubernaut_context");
    }
}
