//! Kubernetes Secrets written as YAML: whatever stands in `data` and `stringData`.

use std::sync::LazyLock;

use regex::Regex;

use crate::rules::MANIFEST;
use crate::text::Span;
use crate::values;

/// A line that makes a document a Secret.
pub(crate) const KIND: &str = r#"(?m)^[ \t]*(?:- )?kind:[ \t]*["']?Secret["']?[ \t]*\r?$"#;

#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant, and every test compiles it"
)]
static SECRET: LazyLock<Regex> = LazyLock::new(|| Regex::new(KIND).expect("the pattern is valid"));

/// What is known of the lines read so far.
enum Place {
    Outside,
    /// Below `data:`, which stands at this column.
    Data(usize),
}

/// The values below `data:` and `stringData:` of every document that has a `kind: Secret`.
///
/// Lists are covered as far as `data` stands in the column of `kind`.
pub(crate) fn scan(text: &str, spans: &mut Vec<Span>) {
    let mut start = 0;
    for document in documents(text) {
        let columns: Vec<usize> = SECRET
            .find_iter(document)
            .map(|kind| column(kind.as_str()))
            .collect();
        if !columns.is_empty() {
            scan_document(document, start, &columns, spans);
        }
        start += document.len();
    }
}

fn scan_document(document: &str, start: usize, columns: &[usize], spans: &mut Vec<Span>) {
    let mut place = Place::Outside;
    let mut at = start;
    for line in document.split_inclusive('\n') {
        let content = line.trim();
        let column = column(line);
        if let Place::Data(parent) = place
            && !content.is_empty()
            && (column <= parent || content.starts_with("---"))
        {
            place = Place::Outside;
        }
        match place {
            Place::Data(_) => {
                // An entry, or a further line of one.
                let value = match content.split_once(':') {
                    Some((_, value)) if value.is_empty() || value.starts_with(' ') => value.trim(),
                    _ => content,
                };
                let bare = value.trim_matches(['"', '\'']);
                let heads_block = matches!(value, "|" | "|-" | "|+" | ">" | ">-" | ">+" | "{}");
                if !bare.is_empty() && !heads_block && !values::is_masked(bare) {
                    let offset = at + (bare.as_ptr() as usize - line.as_ptr() as usize);
                    spans.push(Span::new(offset, offset + bare.len(), MANIFEST));
                }
            }
            Place::Outside if columns.contains(&column) => {
                let name = content.strip_prefix("- ").unwrap_or(content);
                if matches!(name, "data:" | "stringData:") {
                    place = Place::Data(column);
                }
            }
            Place::Outside => {}
        }
        at += line.len();
    }
}

/// The documents of a stream, each with the `---` that ends it.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find("\n---").map_or(rest.len(), |at| at + "\n---".len());
        let (document, after) = rest.split_at(end);
        rest = after;
        Some(document)
    })
}

/// Where the content of a line begins: behind the dash of a list, too.
fn column(line: &str) -> usize {
    line.bytes()
        .take_while(|b| matches!(b, b' ' | b'\t' | b'-'))
        .count()
}
