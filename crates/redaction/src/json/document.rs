//! A text that is JSON, read with the places of its strings, so that only those with secrets are written anew.

use std::borrow::Cow;
use std::ops::Range;

use super::node::{Node, Text};

/// As deep as serde_json reads.
const MAX_DEPTH: usize = 128;

/// The document, if the text is one JSON object or array and nothing else.
pub(super) fn parse(text: &str) -> Option<Node<'_>> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_blanks();
    if !matches!(reader.peek()?, b'{' | b'[') {
        return None;
    }
    let node = reader.node(MAX_DEPTH)?;
    reader.skip_blanks();
    (reader.at == text.len()).then_some(node)
}

/// The text with the changed strings and numbers of its tree.
pub(super) fn with_changes(text: &str, node: &Node<'_>) -> String {
    let mut changes = Vec::new();
    collect(node, &mut changes);
    let mut changed = String::with_capacity(text.len());
    let mut kept = 0;
    for (at, now) in changes {
        changed.push_str(&text[kept..at.start]);
        changed.push_str(&serde_json::Value::from(now).to_string());
        kept = at.end;
    }
    changed.push_str(&text[kept..]);
    changed
}

/// In the order of the text.
fn collect<'n>(node: &'n Node<'_>, changes: &mut Vec<(Range<usize>, &'n str)>) {
    let mut add = |text: &'n Text<'_>| {
        if text.changed {
            changes.push((text.at.clone(), &text.now));
        }
    };
    match node {
        Node::String(text) | Node::Number(text) => add(text),
        Node::Array(items) => items.iter().for_each(|item| collect(item, changes)),
        Node::Object(entries) => {
            for (key, value) in entries {
                if key.changed {
                    changes.push((key.at.clone(), &key.now));
                }
                collect(value, changes);
            }
        }
        Node::Other(_) => {}
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Takes a byte after blanks.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.skip_blanks();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn node(&mut self, depth: usize) -> Option<Node<'a>> {
        let depth = depth.checked_sub(1)?;
        self.skip_blanks();
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Node::String),
            b't' => self.word("true", Some(true)),
            b'f' => self.word("false", Some(false)),
            b'n' => self.word("null", None),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Node<'a>> {
        self.take(b'{')?;
        let mut entries = Vec::new();
        if self.take(b'}').is_some() {
            return Some(Node::Object(entries));
        }
        loop {
            self.skip_blanks();
            let key = self.string()?;
            self.take(b':')?;
            entries.push((key, self.node(depth)?));
            if self.take(b',').is_none() {
                self.take(b'}')?;
                return Some(Node::Object(entries));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Node<'a>> {
        self.take(b'[')?;
        let mut items = Vec::new();
        if self.take(b']').is_some() {
            return Some(Node::Array(items));
        }
        loop {
            items.push(self.node(depth)?);
            if self.take(b',').is_none() {
                self.take(b']')?;
                return Some(Node::Array(items));
            }
        }
    }

    fn string(&mut self) -> Option<Text<'a>> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        let mut at = start + 1;
        let mut escaped = false;
        loop {
            match *bytes.get(at)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    at += 2;
                }
                0..0x20 => return None,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        let now = if escaped {
            Cow::Owned(serde_json::from_str(&self.text[start..self.at]).ok()?)
        } else {
            Cow::Borrowed(&self.text[start + 1..at])
        };
        Some(Text::at(now, start..self.at))
    }

    fn number(&mut self) -> Option<Node<'a>> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let number = &self.text[start..self.at];
        serde_json::from_str::<serde_json::Number>(number).ok()?;
        Some(Node::Number(Text::at(Cow::Borrowed(number), start..self.at)))
    }

    fn word(&mut self, word: &str, value: Option<bool>) -> Option<Node<'a>> {
        self.text[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            Node::Other(value)
        })
    }
}
