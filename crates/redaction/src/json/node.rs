//! JSON as a tree that borrows its texts, whether from a value or from a document.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::{Map, Number, Value};

/// A text of the tree, as it is now.
pub(super) struct Text<'a> {
    pub(super) now: Cow<'a, str>,
    /// Where it stands in the document, quotes included; empty if it came from a value.
    pub(super) at: Range<usize>,
    pub(super) changed: bool,
}

/// A node of the tree.
pub(super) enum Node<'a> {
    Object(Vec<(Text<'a>, Node<'a>)>),
    Array(Vec<Node<'a>>),
    String(Text<'a>),
    /// Its text is the number as written; a changed one is a string.
    Number(Text<'a>),
    /// null, true or false.
    Other(Option<bool>),
}

impl<'a> Text<'a> {
    pub(super) fn at(now: Cow<'a, str>, at: Range<usize>) -> Self {
        Self {
            now,
            at,
            changed: false,
        }
    }

    pub(super) fn set(&mut self, text: String) {
        self.now = Cow::Owned(text);
        self.changed = true;
    }
}

impl<'a> Node<'a> {
    pub(super) fn of(value: &'a Value) -> Self {
        let text = |text: &'a str| Text::at(Cow::Borrowed(text), 0..0);
        match value {
            Value::Null => Node::Other(None),
            Value::Bool(flag) => Node::Other(Some(*flag)),
            Value::Number(number) => Node::Number(Text::at(Cow::Owned(number.to_string()), 0..0)),
            Value::String(string) => Node::String(text(string)),
            Value::Array(items) => Node::Array(items.iter().map(Node::of).collect()),
            Value::Object(entries) => Node::Object(
                entries
                    .iter()
                    .map(|(key, value)| (text(key), Node::of(value)))
                    .collect(),
            ),
        }
    }

    pub(super) fn into_value(self) -> Value {
        match self {
            Node::Other(None) => Value::Null,
            Node::Other(Some(flag)) => Value::Bool(flag),
            Node::Number(number) if number.changed => Value::String(number.now.into_owned()),
            // It was printed by the same library, which reads what it prints.
            Node::Number(number) => number
                .now
                .parse::<Number>()
                .map_or_else(|_| Value::String(number.now.into_owned()), Value::Number),
            Node::String(string) => Value::String(string.now.into_owned()),
            Node::Array(items) => Value::Array(items.into_iter().map(Node::into_value).collect()),
            Node::Object(entries) => Value::Object(
                entries
                    .into_iter()
                    .map(|(key, node)| (key.now.into_owned(), node.into_value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}
