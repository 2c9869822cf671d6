//! Secrets by name in running text: `DB_PASSWORD=…`, `"token": "…"`, `--password …`, `<password>…</password>`.
//!
//! A telling name alone means nothing: "secret not found", "token: expired" and `(using password: YES)` are what
//! operators read all day. So the value is looked at too, the harder the more the place looks like a sentence.

mod value;

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::keys::{self, Kind};
use crate::rules::ASSIGNMENT;
use crate::text::Span;
use crate::values;
use value::Value;

#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant, and every test compiles it"
)]
static ENVIRONMENT_VALUE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^\\*["']?[ \t]*,?[ \t]*\r?\n?[ \t]*\\*["']?[Vv]alue\\*["']?[ \t]*[:=][ \t]*"#)
        .expect("the pattern is valid")
});

/// How a name and its value are tied together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tie {
    /// `name=value`
    Equals,
    /// `name: value`; without the blank it is often a port, a tag or a path.
    Colon { spaced: bool },
    /// `--name value`
    Flag,
}

/// A name that tells, where it stands.
struct Name<'a> {
    text: &'a str,
    at: Range<usize>,
    /// The name with the word before it, where it takes both: `api key`.
    kind: Kind,
    compound: bool,
}

pub(crate) fn scan(text: &str, spans: &mut Vec<Span>) {
    let mut from = 0;
    while let Some(candidate) = keys::candidate(text, from) {
        let at = identifier(text, &candidate, from);
        // Read on behind the name, or behind the value where it was a secret: nothing is read twice.
        from = at.end;
        if let Some(name) = name(text, at)
            && let Some(secret) = secret(text, &name)
        {
            from = from.max(secret.end);
            spans.push(Span::new(secret.start, secret.end, ASSIGNMENT));
        }
    }
}

/// The whole identifier around a piece of it, never reaching back before `from`.
fn identifier(text: &str, piece: &Range<usize>, from: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let belongs = |b: &u8| b.is_ascii_alphanumeric() || b"_.-".contains(b);
    let before = bytes[from..piece.start]
        .iter()
        .rev()
        .take_while(|b| belongs(b))
        .count();
    let after = bytes[piece.end..].iter().take_while(|b| belongs(b)).count();
    let mut start = piece.start - before;
    let mut end = piece.end + after;
    // The letters of an escape before it: \n, \u0026, %26.
    let (head, word) = (&bytes[..start], &bytes[start..piece.start]);
    start += match word {
        [b'n' | b'r' | b't', ..] if head.ends_with(b"\\") => 1,
        [b'u', b'0', b'0', _, _, ..] if head.ends_with(b"\\") => 5,
        [b'2', b'6', ..] if head.ends_with(b"%") => 2,
        _ => 0,
    };
    while end > piece.end && matches!(bytes[end - 1], b'.' | b'-') {
        end -= 1;
    }
    start..end
}

fn name(text: &str, at: Range<usize>) -> Option<Name<'_>> {
    let name = &text[at.clone()];
    let bare = name.trim_start_matches(['-', '.', '_']);
    if let Some(kind) = keys::kind(bare) {
        return Some(Name {
            text: bare,
            compound: keys::is_compound(bare),
            at,
            kind,
        });
    }
    // "API key", "connection string": the word before decides.
    if !matches!(bare.to_ascii_lowercase().as_str(), "key" | "keys" | "connection") {
        return None;
    }
    let (joined, at) = if bare.eq_ignore_ascii_case("connection") {
        let string = text[at.end..]
            .strip_prefix(" string")
            .or_else(|| text[at.end..].strip_prefix(" String"))?;
        (format!("{bare}_string"), at.start..text.len() - string.len())
    } else {
        let head = text[..at.start].strip_suffix(' ')?;
        let letters = head
            .bytes()
            .rev()
            .take(16)
            .take_while(u8::is_ascii_alphabetic)
            .count();
        (format!("{}_{bare}", &head[head.len() - letters..]), at)
    };
    Some(Name {
        text: &text[at.clone()],
        kind: keys::kind(&joined)?,
        at,
        compound: false,
    })
}

/// The secret that belongs to a name.
fn secret(text: &str, name: &Name<'_>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let before = name.at.start.checked_sub(1).map(|at| bytes[at]);
    let quote = value::quote(bytes, name.at.end);
    let behind = quote.map_or(name.at.end, |quote| quote.end);
    let blanks = blanks(bytes, behind);
    let next = bytes.get(behind + blanks).copied();
    let after = behind + blanks + 1;
    let (tie, start) = match next? {
        b'=' => match bytes.get(after) {
            Some(b'=' | b'~') => return None,
            Some(b'>') => (Tie::Equals, after + 1),
            _ => (Tie::Equals, after),
        },
        b':' => match bytes.get(after) {
            Some(b':') => return None,
            Some(b'=') => (Tie::Equals, after + 1),
            // The end of a path: "/run/secrets/token: permission denied", "registry/token:1.2".
            _ if matches!(before, Some(b'/')) => return None,
            following => {
                let spaced = following.is_none_or(u8::is_ascii_whitespace) || quote.is_some();
                (Tie::Colon { spaced }, after)
            }
        },
        _ => return untied(text, name, behind, blanks, before),
    };
    let start = start + self::blanks(bytes, start);
    if matches!(bytes.get(start), None | Some(b'\n' | b'\r')) {
        return None;
    }
    let place = Place::of(text, name, quote.is_some());
    if matches!(bytes[start], b'|' | b'>') && matches!(tie, Tie::Colon { .. }) {
        return value::block(text, name.at.start, start);
    }
    if bytes[start] == b'[' {
        return value::list(text, start)
            .filter(|list| list.items.iter().any(|item| name.kind.holds(item)))
            .map(|list| list.at);
    }
    let value = value::read(text, start, place == Place::Line && tie == Tie::Equals)?;
    is_secret(text, name, tie, place, &value).then_some(value.at)
}

/// A secret that no `=` and no `:` ties to its name.
fn untied(
    text: &str,
    name: &Name<'_>,
    behind: usize,
    blanks: usize,
    before: Option<u8>,
) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let quoted = behind > name.at.end;
    if names_environment(text, name.at.start)
        && let Some(tie) = ENVIRONMENT_VALUE.find(&text[name.at.end..])
    {
        let value = value::read(text, name.at.end + tie.end(), false)?;
        return name.kind.holds(value.text).then_some(value.at);
    }
    let named = quoted && names_environment(text, name.at.start);
    if (before == Some(b'<') || named) && bytes.get(behind) == Some(&b'>') {
        let start = behind + 1;
        let end = start + text[start..].find('<')?;
        let closed = text[end..].starts_with("</");
        return (closed && name.kind.holds(&text[start..end])).then_some(start..end);
    }
    if text[name.at.clone()].starts_with('-') {
        // `--password value`, and as a list of arguments `"--password", "value"`.
        let mut start = behind + blanks;
        if quoted {
            if bytes.get(start) != Some(&b',') {
                return None;
            }
            start += 1;
            start += self::blanks(bytes, start);
            value::quote(bytes, start)?;
        } else if blanks == 0 {
            return None;
        }
        if matches!(bytes.get(start), None | Some(b'-' | b'\n' | b'\r' | b'|' | b'>')) {
            return None;
        }
        let value = value::read(text, start, false)?;
        return is_secret(text, name, Tie::Flag, Place::Data, &value).then_some(value.at);
    }
    let (password, token) = (
        name.text.eq_ignore_ascii_case("password"),
        name.text.eq_ignore_ascii_case("token"),
    );
    if (password || token) && !quoted && blanks > 0 {
        // WITH PASSWORD 'value'; a parser's "unexpected token 'value'" is no secret.
        value::quote(bytes, behind + blanks)?;
        let value = value::read(text, behind + blanks, false)?;
        let believed = password || (values::looks_random(value.text) && value.text.len() >= 12);
        return (believed && name.kind.holds(value.text)).then_some(value.at);
    }
    None
}

/// Where a name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It begins a line, as in YAML and in files of variables.
    Line,
    /// It follows `{`, `,`, `&` or the like, or is a name that no sentence uses.
    Data,
    /// Anything else.
    Sentence,
}

impl Place {
    fn of(text: &str, name: &Name<'_>, quoted: bool) -> Self {
        let mut head = &text[..name.at.start];
        if quoted {
            head = head.trim_end_matches(['"', '\'']).trim_end_matches('\\');
        }
        let head = head.trim_end_matches([' ', '\t']);
        let head = ["export", "set", "env", "-", "ENV", "ARG"]
            .iter()
            .find_map(|word| head.strip_suffix(word))
            .map_or(head, |rest| rest.trim_end_matches([' ', '\t']));
        let line = head.is_empty() || head.ends_with(['\n', '\r']) || head.ends_with("\\n");
        if line {
            Place::Line
        } else if head.ends_with(['{', '[', '(', ',', ';', '&', '?', '|']) || (name.compound && !quoted) {
            Place::Data
        } else {
            Place::Sentence
        }
    }
}

/// Whether a value is the secret that its name announces.
fn is_secret(text: &str, name: &Name<'_>, tie: Tie, place: Place, value: &Value<'_>) -> bool {
    if !name.kind.holds(value.text) {
        return false;
    }
    // `secret="regcred"` is a label of a metric, as are the words after it.
    if matches!(name.kind, Kind::SecretOrName | Kind::SecretsOrNames)
        && value.text.bytes().all(|b| b.is_ascii_lowercase())
    {
        return false;
    }
    if value.quoted {
        return true;
    }
    if name.kind == Kind::Tokens && !(values::looks_random(value.text) && value.text.len() >= 12) {
        return false;
    }
    match tie {
        Tie::Equals => true,
        Tie::Flag => !values::is_prose(value.text),
        Tie::Colon { spaced } => {
            let word = value
                .text
                .bytes()
                .all(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'.' | b'_' | b'\''));
            let rest = &text[value.at.end..];
            let listed = place != Place::Sentence
                && rest.starts_with(',')
                && value::begins_pair(rest[1..].trim_start_matches(' ').as_bytes(), false);
            let goes_on = !listed
                && rest.starts_with([':', ',', ';', '.', ' '])
                && rest
                    .trim_start_matches([':', ',', ';', '.'])
                    .trim_start_matches(' ')
                    .starts_with(|c: char| c.is_alphanumeric() || "\"'\\(".contains(c));
            if values::is_version(value.text) && !spaced {
                return false;
            }
            if goes_on && (word || rest.starts_with(": ")) {
                return false;
            }
            if name.kind == Kind::Heading || !spaced && place != Place::Line && place != Place::Data {
                return values::looks_random(value.text);
            }
            match place {
                Place::Line | Place::Data => true,
                Place::Sentence => values::looks_random(value.text),
            }
        }
    }
}

/// Whether what stands before is `name:`, as in the environment of a container, or `name=`, as in XML.
fn names_environment(text: &str, start: usize) -> bool {
    let head = text[..start].trim_end_matches(['"', '\'']).trim_end_matches('\\');
    let Some(head) = head.trim_end_matches(' ').strip_suffix([':', '=']) else {
        return false;
    };
    let head = head
        .trim_end_matches(' ')
        .trim_end_matches(['"', '\''])
        .trim_end_matches('\\');
    head.ends_with("name") || head.ends_with("Name") || head.ends_with("key")
}

/// How many blanks and tabs there are.
fn blanks(bytes: &[u8], from: usize) -> usize {
    bytes
        .get(from..)
        .unwrap_or_default()
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count()
}
