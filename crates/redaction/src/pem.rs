//! Private keys in PEM: the lines between the markers, wherever they are cut off.

use std::sync::LazyLock;

use regex::Regex;

use crate::rules::PRIVATE_KEY;
use crate::text::Span;

/// The first marker; certificates and public keys have another one.
pub(crate) const BEGIN: &str = "-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----";

#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant, and every test compiles it"
)]
static BEGINNING: LazyLock<Regex> = LazyLock::new(|| Regex::new(BEGIN).expect("the pattern is valid"));

/// What stands between markers, or follows the first one as far as it looks like a key.
pub(crate) fn scan(text: &str, spans: &mut Vec<Span>) {
    for marker in BEGINNING.find_iter(text) {
        let rest = &text[marker.end()..];
        // Up to the next marker of whatever kind, so that a text full of beginnings is read once.
        let body = match rest.find("-----") {
            Some(end) if rest[end..].starts_with("-----END") => &rest[..end],
            Some(end) => &rest[..without_end(&rest[..end])],
            None => &rest[..without_end(rest)],
        };
        let start = marker.end() + (body.len() - without_breaks(body).len());
        let body = without_breaks(body);
        let kept = body.trim_end_matches(['\n', '\r', ' ', '\t']);
        // A break written as \n belongs to the marker after it.
        let kept = kept.strip_suffix("\\n").unwrap_or(kept);
        let kept = kept.trim_end_matches('\\');
        if !kept.is_empty() {
            spans.push(Span::new(start, start + kept.len(), PRIVATE_KEY));
        }
    }
}

/// Without the line breaks in front, real or written as `\n`, `\r`, `\\n`.
fn without_breaks(body: &str) -> &str {
    let mut rest = body;
    loop {
        let trimmed = rest.trim_start_matches(['\n', '\r', ' ', '\t']);
        let written = trimmed.trim_start_matches('\\');
        let next = match written.strip_prefix(['n', 'r']) {
            Some(after) if written.len() < trimmed.len() => after,
            _ => trimmed,
        };
        if next.len() == rest.len() {
            return rest;
        }
        rest = next;
    }
}

/// How far a key without its last marker reaches: lines of base64, and the headers that may precede them.
fn without_end(rest: &str) -> usize {
    let mut end = 0;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        let content = line.trim();
        let header = ["Proc-Type:", "DEK-Info:", "Version:", "Comment:"]
            .iter()
            .any(|name| content.starts_with(name));
        if header || content.is_empty() {
            at += line.len();
            continue;
        }
        // Folded into one line, the pieces are long; a short one is the end of a key only on a line of its own.
        let words = content.split(' ').count();
        let mut reached = at + (line.len() - line.trim_start().len());
        for word in content.split(' ') {
            let keyed = word
                .bytes()
                .take_while(|b| b.is_ascii_alphanumeric() || b"+/=\\-_".contains(b))
                .count();
            if keyed == 0 || (words > 1 && keyed < 32) {
                return end;
            }
            end = reached + keyed;
            if keyed < word.len() {
                return end;
            }
            reached += word.len() + 1;
        }
        at += line.len();
    }
    end
}
