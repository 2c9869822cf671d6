//! Text: one look that says which rules may apply, those rules, and again until nothing changes.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use crate::findings::Findings;
use crate::rules::{PATTERNS, UNSETTLED};
use crate::{assignment, json, keys, manifest, pem, values};

/// What redaction changes it may change again: a secret gone, its surroundings read differently. Real texts settle
/// in the first round or the second; one that does not within this many was made up, and is not worth an argument.
const MAX_ROUNDS: usize = 12;

/// A secret, as bytes of the text, and the rule that found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: usize,
    end: usize,
    rule: &'static str,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize, rule: &'static str) -> Self {
        Self { start, end, rule }
    }
}

/// An escape that ends in a letter or a digit, which then seems to belong to the word after it.
const ESCAPE: &str = r"\\[nrt]|\\u00[0-9A-Fa-f]{2}|%[0-9A-Fa-f]{2}";

/// The rules, compiled.
struct Compiled {
    /// What to look for first: the triggers of the patterns in their order, then those of the rules that are code.
    triggers: RegexSet,
    patterns: Vec<Regex>,
}

#[expect(
    clippy::expect_used,
    reason = "the patterns are constants, and every test compiles them"
)]
static COMPILED: LazyLock<Compiled> = LazyLock::new(|| {
    let spelled_out = |pattern: &str| {
        pattern
            .replace(r"\b", r"(?-u:\b)")
            .replace(r"\<", &format!(r"(?:(?-u:\b)|{ESCAPE})"))
    };
    let code = [keys::CANDIDATES, pem::BEGIN, manifest::KIND];
    Compiled {
        triggers: RegexSet::new(PATTERNS.iter().map(|pattern| pattern.trigger).chain(code))
            .expect("the triggers are valid"),
        patterns: PATTERNS
            .iter()
            .map(|pattern| Regex::new(&spelled_out(pattern.pattern)).expect("the patterns are valid"))
            .collect(),
    }
});

pub(crate) fn prepare() {
    LazyLock::force(&COMPILED);
    // The other rules compile theirs when they are first asked.
    let mut ignored = Findings::new();
    let _ = redact(
        "-----BEGIN PRIVATE KEY-----\nkind: Secret\npassword=x",
        &mut ignored,
    );
    let _ = keys::kind("password");
}

/// The text without secrets, a fixed point.
pub(crate) fn redact<'a>(text: &'a str, findings: &mut Findings) -> Cow<'a, str> {
    let Some(mut current) = round(text, findings) else {
        return Cow::Borrowed(text);
    };
    for _ in 1..MAX_ROUNDS {
        match round(&current, findings) {
            Some(next) => current = next,
            None => return Cow::Owned(current),
        }
    }
    findings.count(UNSETTLED);
    Cow::Owned(values::mask(text).to_owned())
}

/// The text after one round; `None` if nothing changed.
fn round(text: &str, findings: &mut Findings) -> Option<String> {
    // In JSON an escape can hide what a trigger looks for.
    let escaped = text.contains("\\u") || text.contains("\\/");
    let triggers = COMPILED.triggers.matches(text);
    if !triggers.matched_any() && !escaped {
        return None;
    }
    if let Some(redacted) = json::redact_document(text, findings) {
        return redacted;
    }
    let mut spans = Vec::new();
    for index in &triggers {
        match index.checked_sub(PATTERNS.len()) {
            None => apply(index, text, &mut spans),
            Some(0) => assignment::scan(text, &mut spans),
            Some(1) => pem::scan(text, &mut spans),
            Some(_) => manifest::scan(text, &mut spans),
        }
    }
    replace(text, spans, findings)
}

/// The secrets that one pattern finds.
fn apply(index: usize, text: &str, spans: &mut Vec<Span>) {
    let pattern = &PATTERNS[index];
    for captures in COMPILED.patterns[index].captures_iter(text) {
        let whole = captures.len() == 1;
        let groups = if whole { 0..1 } else { 1..captures.len() };
        for found in groups.filter_map(|group| captures.get(group)) {
            let secret = if whole {
                without_escape(found.as_str())
            } else {
                found.as_str()
            };
            if (pattern.accepts)(secret) && !values::is_masked(secret) {
                spans.push(Span::new(found.end() - secret.len(), found.end(), pattern.name));
            }
        }
    }
}

/// What a match without groups has taken along of [`ESCAPE`]. No credential begins like that.
fn without_escape(found: &str) -> &str {
    let length = match found.as_bytes() {
        [b'\\', b'u', ..] => 6,
        [b'\\', ..] => 2,
        [b'%', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => 3,
        _ => 0,
    };
    found.get(length..).unwrap_or(found)
}

pub(crate) fn contains_standalone_secret(text: &str) -> bool {
    COMPILED
        .triggers
        .matches(text)
        .iter()
        .any(|index| match index.checked_sub(PATTERNS.len()) {
            None if PATTERNS[index].standalone => {
                let mut spans = Vec::new();
                apply(index, text, &mut spans);
                !spans.is_empty()
            }
            Some(1) => true,
            _ => false,
        })
}

/// The text with stars for the spans, overlapping ones as one; `None` if there is nothing to replace.
fn replace(text: &str, mut spans: Vec<Span>, findings: &mut Findings) -> Option<String> {
    spans.sort_by_key(|span| (span.start, usize::MAX - span.end));
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged.retain(|span| !text[span.start..span.end].bytes().all(|b| b == b'*'));
    if merged.is_empty() {
        return None;
    }
    let mut redacted = String::with_capacity(text.len());
    let mut kept = 0;
    for span in merged {
        redacted.push_str(&text[kept..span.start]);
        redacted.push_str(values::mask(&text[span.start..span.end]));
        kept = span.end;
        findings.count(span.rule);
    }
    redacted.push_str(&text[kept..]);
    Some(redacted)
}
