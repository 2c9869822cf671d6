//! Text and JSON in, the same without secrets out.
//!
//! A record passes through here before the ledger and the embedder see it. What is recognised as a secret becomes
//! `***`; everything else stays byte for byte. Three things hold of every result:
//!
//! - it is a fixed point: redacting it again changes nothing;
//! - it is never longer than what went in (as text, and as JSON once serialised), so that limits checked before
//!   still hold;
//! - the same input gives the same output, whatever was redacted before.
//!
//! Two sorts of rules find secrets. A *pattern* ([`rules`]) knows the shape of a credential: `ghp_…`, a JSON web
//! token, the password of a URL. An *assignment* knows the name of one: `DB_PASSWORD=…`, `"apiKey": "…"`, `--token …`,
//! the `data` of a Kubernetes `Secret`. The second sort has to tell a secret from a sentence ("token: expired"), and
//! where it cannot, the sentence wins only if the value looks like a word.
//!
//! This is a net, not a vault: a password in the middle of a sentence, or under a name that does not say so, passes.
//!
//! To add a rule for a new shape, add a line to the table in `rules.rs` and cases to `tests/policy/corpus/`; to add a name,
//! `keys.rs`. Both raise [`POLICY_VERSION`].

mod assignment;
mod findings;
mod json;
mod keys;
mod manifest;
mod pem;
mod rules;
mod text;
mod values;

use std::borrow::Cow;

use serde_json::{Map, Value};

pub use findings::Findings;

/// Which rules a record went through; stored with it.
///
/// Rises by one with every change after which some input would give another output: a rule added, widened, narrowed
/// or dropped. Records of an older version keep it, so that one can ask which records a new rule has not seen.
pub const POLICY_VERSION: i16 = 1;

/// The text without its secrets; borrowed when there are none.
///
/// A text that is a JSON object or array as a whole is treated by its structure and stays valid JSON.
#[must_use]
pub fn redact_text<'a>(text: &'a str, findings: &mut Findings) -> Cow<'a, str> {
    text::redact(text, findings)
}

/// The same for bytes that may be text: bytes that are not UTF-8 stay as they are, and the text between them is redacted.
#[must_use]
pub fn redact_bytes<'a>(bytes: &'a [u8], findings: &mut Findings) -> Cow<'a, [u8]> {
    let mut clean = Vec::with_capacity(bytes.len());
    let mut is_changed = false;
    for chunk in bytes.utf8_chunks() {
        let text = text::redact(chunk.valid(), findings);
        is_changed |= matches!(text, Cow::Owned(_));
        clean.extend_from_slice(text.as_bytes());
        clean.extend_from_slice(chunk.invalid());
    }
    if is_changed {
        Cow::Owned(clean)
    } else {
        Cow::Borrowed(bytes)
    }
}

/// Takes the secrets out of a JSON value, in strings, under telling names, and in the names themselves.
///
/// The structure stays: every array keeps its length and every object its number of entries. A redacted number becomes
/// a string; two names that would become the same are told apart (`***`, `***~2`).
pub fn redact_json(value: &mut Value, findings: &mut Findings) {
    json::redact_value(value, findings);
}

/// [`redact_json`] for an object that is not wrapped in a [`Value`].
pub fn redact_map(map: &mut Map<String, Value>, findings: &mut Findings) {
    let mut value = Value::Object(std::mem::take(map));
    json::redact_value(&mut value, findings);
    if let Value::Object(redacted) = value {
        *map = redacted;
    }
}

/// Whether a name, an id or another field that must not be rewritten holds a secret.
///
/// Only patterns that need no context are asked: the shape of a credential, a key in PEM, the password of a URL.
#[must_use]
pub fn contains_secret(text: &str) -> bool {
    text::contains_standalone_secret(text)
}

/// Every rule as name and description, for a metric with one label per rule and for the documentation.
pub fn rules() -> impl Iterator<Item = (&'static str, &'static str)> {
    rules::PATTERNS
        .iter()
        .map(|pattern| (pattern.name, pattern.description))
        .chain(rules::STRUCTURAL.iter().copied())
}

/// Compiles the rules, which otherwise the first text waits for.
pub fn prepare() {
    text::prepare();
}
