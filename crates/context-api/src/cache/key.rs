//! What an answer is kept under.

use std::fmt::{self, Write as _};

use audit_store::Reader;
use audit_store::compatibility::CONTRACT_VERSION;
use axum::http::Uri;
use service_kit::extract::QueryParameters;
use sha2::{Digest, Sha256};

/// Part of every key. Raise it with any change of what an endpoint answers to the same question, so that replicas of
/// both versions may share a Redis during a rollout.
const ANSWERS_VERSION: u32 = 1;

/// The identity of a question, to one database, under one version of the answers: a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name of the value in Redis.
    pub(super) fn redis_name(&self) -> String {
        let mut name = String::from("kubernaut:context-api:");
        for byte in self.0 {
            // Writing to a string does not fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.redis_name())
    }
}

/// What all questions of a replica have in common. Replicas that share a Redis share answers if they agree on it.
///
/// A key is the hash of these parts, then of those of the question, each behind its length, so that no two lists of parts
/// read the same. The hash of what is in common is begun once.
#[derive(Debug, Clone)]
pub(super) struct Scope(Sha256);

impl Scope {
    /// Server, database and schema, and the versions of contract and answers.
    pub(super) fn of(reader: &Reader) -> Self {
        let database = reader.pool().connect_options();
        Self::of_parts(&[
            &ANSWERS_VERSION.to_string(),
            &CONTRACT_VERSION.to_string(),
            database.get_host(),
            &database.get_port().to_string(),
            database.get_database().unwrap_or_default(),
            reader.schema().data(),
        ])
    }

    fn of_parts(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            add(&mut hash, part);
        }
        Self(hash)
    }

    /// The key of a GET: path and decoded parameters, sorted by name. Spellings that differ only in their encoding or
    /// their order are one question; a default that is spelled out is another.
    pub(super) fn key(&self, uri: &Uri) -> Key {
        let mut hash = self.0.clone();
        add(&mut hash, uri.path());
        let query = QueryParameters::parse(uri.query().unwrap_or_default());
        for (name, value) in query.sorted() {
            add(&mut hash, name);
            add(&mut hash, value);
        }
        Key(hash.finalize().into())
    }
}

fn add(hash: &mut Sha256, part: &str) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part.as_bytes());
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    impl Scope {
        /// That of no database.
        pub(in crate::cache) fn of_tests() -> Self {
            scope("kubernaut")
        }
    }

    fn scope(schema: &str) -> Scope {
        Scope::of_parts(&["1", schema])
    }

    pub(in crate::cache) fn key(uri: &str) -> Key {
        scope("kubernaut").key(&uri.parse().unwrap())
    }

    #[test]
    fn a_value_that_looks_like_parameters_collides_with_nothing() {
        let path = "/api/v1/incidents";
        // The predecessor joined names and values with `:` and `=`, under which the first three were one key.
        let keys = [
            key(&format!("{path}?namespace=a:sev%3Dcritical")),
            key(&format!("{path}?namespace=a&sev=critical")),
            key(&format!("{path}?namespace=a:sev=critical&sev=")),
            key(&format!("{path}?namespace=a%26sev%3Dcritical")),
            key(&format!("{path}?namespace=a")),
            key(&format!("{path}?namespacea=")),
            key(path),
            key("/api/v1/incidents/1"),
        ];
        for (index, one) in keys.iter().enumerate() {
            assert!(!keys[index + 1..].contains(one), "number {index} is another's");
        }
    }

    #[test]
    fn order_and_encoding_make_no_difference() {
        assert_eq!(
            key("/api/v1/incidents?alertName=a%20b&limit=5"),
            key("/api/v1/incidents?limit=5&alertN%61me=a+b")
        );
    }

    #[test]
    fn databases_and_versions_are_apart() {
        let uri = "/api/v1/incidents".parse().unwrap();
        assert_ne!(scope("kubernaut").key(&uri), scope("staging").key(&uri));
        assert_ne!(
            Scope::of_parts(&["2", "kubernaut"]).key(&uri),
            scope("kubernaut").key(&uri)
        );
    }
}
