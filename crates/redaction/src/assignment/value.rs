//! Where a value begins and ends in running text.

use std::ops::Range;

/// A value as it stands.
pub(super) struct Value<'a> {
    pub(super) text: &'a str,
    pub(super) at: Range<usize>,
    pub(super) quoted: bool,
}

/// A quotation mark, with the backslashes that JSON inside of JSON puts before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quote {
    mark: u8,
    backslashes: usize,
    /// Behind the mark.
    pub(super) end: usize,
}

/// The quotation mark that stands here.
pub(super) fn quote(bytes: &[u8], at: usize) -> Option<Quote> {
    let backslashes = bytes.get(at..)?.iter().take_while(|&&b| b == b'\\').count();
    let mark = *bytes.get(at + backslashes)?;
    matches!(mark, b'"' | b'\'' | b'`').then_some(Quote {
        mark,
        backslashes,
        end: at + backslashes + 1,
    })
}

/// The value that begins here. `line`: it may be all of the line, as in a file of variables.
pub(super) fn read(text: &str, start: usize, line: bool) -> Option<Value<'_>> {
    let bytes = text.as_bytes();
    let (at, quoted) = match quote(bytes, start) {
        Some(quote) => (quote.end..quoted_end(bytes, quote), true),
        None => match braced(bytes, start) {
            Some(end) => (start..end, true),
            None => (start..bare_end(bytes, start, line), false),
        },
    };
    (!at.is_empty()).then(|| Value {
        text: &text[at.clone()],
        at,
        quoted,
    })
}

/// Where the quotation ends, or the line if it does not.
///
/// With *k* backslashes before the opening mark, the closing one has *k* more than a multiple of 2 (*k* + 1): the
/// multiple stands for backslashes of the value.
fn quoted_end(bytes: &[u8], quote: Quote) -> usize {
    let mut run = 0;
    for (index, &byte) in bytes.iter().enumerate().skip(quote.end) {
        if byte == b'\\' {
            run += 1;
            continue;
        }
        if byte == quote.mark
            && run >= quote.backslashes
            && (run - quote.backslashes).is_multiple_of(2 * (quote.backslashes + 1))
        {
            return index - quote.backslashes;
        }
        if matches!(byte, b'\n' | b'\r') {
            return index;
        }
        run = 0;
    }
    bytes.len()
}

/// Where a value in braces ends, which ODBC knows as quotes: `Pwd={a;b};`. An object of pairs is none.
fn braced(bytes: &[u8], start: usize) -> Option<usize> {
    let inner = bytes.get(start..)?.strip_prefix(b"{")?;
    let length = inner.iter().take(128).position(|b| b"{}=:\"'\n ".contains(b))?;
    (inner[length] == b'}' && length > 0).then_some(start + length + 2)
}

/// Where a value without quotes ends.
fn bare_end(bytes: &[u8], start: usize, line: bool) -> usize {
    let mut at = start;
    while at < bytes.len() {
        let next = bytes.get(at + 1).copied();
        let ends = match bytes[at] {
            b if b.is_ascii_whitespace() => true,
            b'"' | b'\'' | b'`' => !line,
            b'\\' => is_escape(&bytes[at..]),
            b',' | b';' | b'&' => {
                let last = next.is_none_or(|b| b.is_ascii_whitespace() || b"\"'`)]}\\".contains(&b));
                last || begins_pair(&bytes[at + 1..], bytes[at] == b';') || (!line && bytes[at] != b',')
            }
            b'<' => at > start && !line,
            _ => false,
        };
        if ends {
            break;
        }
        at += 1;
    }
    if line {
        at
    } else {
        without_closers(bytes, start, at)
    }
}

/// `\n`, `\"`, `\\"`, `\u0026`: text inside of JSON goes on with something else.
fn is_escape(bytes: &[u8]) -> bool {
    let rest = &bytes[bytes.iter().take_while(|&&b| b == b'\\').count()..];
    matches!(rest, [b'n' | b'r' | b't' | b'"' | b'\'', ..]) || rest.starts_with(b"u00")
}

/// Whether another `key=` or `key:` begins here; `worded`: the key may have blanks in it, `Initial Catalog=`.
pub(super) fn begins_pair(bytes: &[u8], worded: bool) -> bool {
    let name = bytes
        .iter()
        .take(48)
        .take_while(|b| b.is_ascii_alphanumeric() || b"_.-".contains(b) || (worded && **b == b' '))
        .count();
    name > 0 && matches!(bytes.get(name), Some(b'=' | b':')) && !bytes[0].is_ascii_digit()
}

/// Without the punctuation of the sentence or structure around it.
fn without_closers(bytes: &[u8], start: usize, end: usize) -> usize {
    let mut end = end;
    while end > start {
        let opener = match bytes[end - 1] {
            b')' => b'(',
            b']' => b'[',
            b'}' => b'{',
            b'.' | b',' | b':' | b';' => {
                end -= 1;
                continue;
            }
            _ => break,
        };
        if bytes[start..end].contains(&opener) {
            break;
        }
        end -= 1;
    }
    end
}

/// Quoted strings in brackets.
pub(super) struct List<'a> {
    pub(super) items: Vec<&'a str>,
    /// From the first string to the last, without the outer quotes.
    pub(super) at: Range<usize>,
}

/// The list that begins here; `None` if it holds anything but strings.
pub(super) fn list(text: &str, start: usize) -> Option<List<'_>> {
    let bytes = text.as_bytes();
    let mut items = Vec::new();
    let mut at = start + 1;
    let mut first = None;
    loop {
        at += bytes
            .get(at..)?
            .iter()
            .take_while(|b| b.is_ascii_whitespace())
            .count();
        let quote = quote(bytes, at)?;
        let end = quoted_end(bytes, quote);
        items.push(&text[quote.end..end]);
        let from = *first.get_or_insert(quote.end);
        at = (end + quote.backslashes + 1).min(bytes.len());
        at += bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        if bytes.get(at) != Some(&b',') {
            return Some(List { items, at: from..end });
        }
        at += 1;
    }
}

/// The lines of a YAML block (`key: |`), those that are indented more than their key.
pub(super) fn block(text: &str, key: usize, start: usize) -> Option<Range<usize>> {
    let header = text[start..]
        .trim_start_matches(['|', '>', '+', '-'])
        .trim_start_matches([' ', '\t', '\r']);
    let body = header.strip_prefix('\n')?;
    let line = text[..key].rfind('\n').map_or(0, |at| at + 1);
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let key_indent = indent(&text[line..key]);
    let mut range: Option<Range<usize>> = None;
    let mut at = text.len() - body.len();
    for line in body.split_inclusive('\n') {
        if !line.trim().is_empty() {
            if indent(line) <= key_indent {
                break;
            }
            let first = at + indent(line);
            let end = at + line.trim_end().len();
            range = Some(range.map_or(first..end, |range| range.start..end));
        }
        at += line.len();
    }
    range.filter(|range| !crate::values::is_masked(&text[range.clone()]))
}
