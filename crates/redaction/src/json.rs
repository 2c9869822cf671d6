//! JSON: strings are texts, and names say what their values are.
//!
//! A value and a text that is JSON go the same way: as a tree that borrows, so that what holds no secret costs no copy.
//! Names are redacted before they are asked what they say, so that a second time finds the same names.

mod document;
mod node;

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::findings::Findings;
use crate::keys::{self, Kind};
use crate::rules::{JSON_KEY, JSON_SECRET};
use crate::{text, values};
use node::{Node, Text};

/// A JSON value without its secrets.
pub(crate) fn redact_value(value: &mut Value, findings: &mut Findings) {
    let before = findings.total();
    let mut node = Node::of(value);
    redact_node(&mut node, None, findings);
    if findings.total() > before {
        *value = node.into_value();
    }
}

/// A text that is one JSON object or array, without its secrets: `None` if it is something else, `Some(None)` if there
/// are none. What is around the strings with secrets stays byte for byte.
pub(crate) fn redact_document(text: &str, findings: &mut Findings) -> Option<Option<String>> {
    let mut node = document::parse(text)?;
    let before = findings.total();
    redact_node(&mut node, None, findings);
    if findings.total() == before {
        return Some(None);
    }
    Some(Some(document::with_changes(text, &node)))
}

/// `announced` is what the name above said.
fn redact_node(node: &mut Node<'_>, announced: Option<Kind>, findings: &mut Findings) {
    match node {
        Node::String(string) => redact_string(string, announced, findings),
        Node::Number(number) => {
            if announced.is_some_and(|kind| kind.holds_number(&number.now)) {
                findings.count(JSON_KEY);
                // With its quotes the string is as long as the number was.
                let room = number.now.len().saturating_sub(2);
                let masked = values::mask(&number.now[..room]);
                number.set(masked.to_owned());
            }
        }
        Node::Array(items) => {
            let mut flag = None;
            for item in items {
                redact_node(item, announced.or(flag), findings);
                flag = match item {
                    Node::String(argument) => flag_kind(&argument.now),
                    _ => None,
                };
            }
        }
        Node::Object(entries) => redact_object(entries, announced, findings),
        Node::Other(_) => {}
    }
}

fn redact_object(entries: &mut [(Text<'_>, Node<'_>)], announced: Option<Kind>, findings: &mut Findings) {
    redact_names(entries, findings);
    // What the siblings say: the name of a variable, the kind of an object.
    for (key, node) in entries.iter_mut() {
        if matches!(&*key.now, "name" | "Name" | "key" | "Key")
            && let Node::String(name) = node
        {
            redact_string(name, None, findings);
        }
    }
    let string = |wanted: &[&str]| {
        entries.iter().find_map(|(key, node)| match node {
            Node::String(string) if wanted.contains(&&*key.now) => Some(&*string.now),
            _ => None,
        })
    };
    let variable = string(&["name", "Name", "key", "Key"]).and_then(keys::kind);
    let object_kind = string(&["kind"]);
    let is_secret = object_kind == Some("Secret");
    let is_list = object_kind == Some("SecretList");
    for (key, node) in entries.iter_mut() {
        match &*key.now {
            "data" | "stringData" if is_secret => redact_data(node, findings),
            "items" if is_list => {
                if let Node::Array(items) = node {
                    for item in items {
                        redact_listed_secret(item, findings);
                    }
                }
            }
            "value" | "Value" if variable.is_some() => redact_node(node, variable, findings),
            // The value of a telling name, one level down.
            "value" | "current" | "old" | "new" | "before" | "after" | "from" | "to" => {
                redact_node(node, announced, findings);
            }
            name => redact_node(node, keys::kind(name), findings),
        }
    }
}

/// The items of a SecretList do not say that they are Secrets.
fn redact_listed_secret(item: &mut Node<'_>, findings: &mut Findings) {
    if let Node::Object(entries) = item {
        for (key, node) in entries.iter_mut() {
            if matches!(&*key.now, "data" | "stringData") {
                redact_data(node, findings);
            }
        }
    }
    redact_node(item, None, findings);
}

/// The data of a Secret: every value, whatever its name.
fn redact_data(node: &mut Node<'_>, findings: &mut Findings) {
    match node {
        Node::Object(entries) => {
            redact_names(entries, findings);
            for (_, node) in entries {
                redact_data(node, findings);
            }
        }
        Node::Array(items) => {
            for item in items {
                redact_data(item, findings);
            }
        }
        Node::String(string) => {
            if !string.now.is_empty() && !values::is_masked(&string.now) {
                findings.count(JSON_SECRET);
                string.set(values::mask(&string.now).to_owned());
            }
        }
        Node::Number(_) | Node::Other(_) => {}
    }
}

fn redact_string(string: &mut Text<'_>, announced: Option<Kind>, findings: &mut Findings) {
    if redact_announced(string, announced, findings) {
        return;
    }
    if let Cow::Owned(redacted) = text::redact(&string.now, findings) {
        string.set(redacted);
        // What kept it from being the announced secret may be gone.
        redact_announced(string, announced, findings);
    }
}

/// Whether the string was the secret that its name announces.
fn redact_announced(string: &mut Text<'_>, announced: Option<Kind>, findings: &mut Findings) -> bool {
    match announced {
        Some(Kind::Authorization) => {
            // The scheme says how, not who.
            if let Some((scheme, credentials)) = string.now.split_once(' ')
                && values::is_scheme(scheme)
                && !credentials.contains(' ')
                && values::is_credential(credentials)
            {
                findings.count(JSON_KEY);
                string.set(format!("{scheme} {}", values::mask(credentials)));
                return true;
            }
            false
        }
        // A heading of a sentence rather than of credentials.
        Some(Kind::Heading) if string.now.contains(' ') && !string.now.contains(['=', ':']) => false,
        Some(kind) if kind.holds(&string.now) => {
            findings.count(JSON_KEY);
            string.set(values::mask(&string.now).to_owned());
            true
        }
        _ => false,
    }
}

/// Secrets in names go as well. Names that would become the same are numbered, and none gets longer.
fn redact_names(entries: &mut [(Text<'_>, Node<'_>)], findings: &mut Findings) {
    let mut renamed = Vec::new();
    for (index, (key, _)) in entries.iter().enumerate() {
        if let Cow::Owned(redacted) = text::redact(&key.now, findings) {
            renamed.push((index, redacted));
        }
    }
    if renamed.is_empty() {
        return;
    }
    let mut taken: BTreeSet<String> = entries.iter().map(|(key, _)| key.now.to_string()).collect();
    for (index, redacted) in renamed {
        let room = entries[index].0.now.chars().count();
        let mut name = redacted.clone();
        let mut number = 2;
        while taken.contains(&name) {
            let suffix = format!("~{number}");
            let excess = (redacted.chars().count() + suffix.len()).saturating_sub(room);
            name = redacted.chars().skip(excess).chain(suffix.chars()).collect();
            number += 1;
        }
        taken.insert(name.clone());
        entries[index].0.set(name);
    }
}

/// What `--password` announces for the argument after it.
fn flag_kind(argument: &str) -> Option<Kind> {
    let name = argument.strip_prefix('-')?.trim_start_matches('-');
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if plain { keys::kind(name) } else { None }
}
