//! One pass over a text: what varies from case to case becomes a placeholder, identifiers become words.

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use regex_automata::meta::Regex;

use super::names::{IDENTITY, QUANTITY, push_stable};
use super::words::push_words;

/// What a run of characters is taken for.
#[derive(Debug, Clone, Copy)]
enum Token {
    Code,
    Identity,
    Url,
    Time,
    Ipv4,
    Ipv6,
    Quantity,
    Word,
}

/// The first pattern that fits wins, and the last one takes every other run of letters and digits whole. So no match ever
/// begins in the middle of a word, and a number is only a quantity when nothing above gives it meaning.
///
/// They are patterns of one automaton and not groups of one pattern: it tells which one fitted without searching again for
/// the bounds of groups.
const TOKENS: [(Token, &str); 8] = [
    (
        Token::Code,
        r#"(?x) (?i:
    # A number after the word that says which kind of code it is. Exit codes may be negative, long or hexadecimal.
    (?:exit|exited|terminated) (?:[\s_-]*(?:with|non-zero|code|status))*
      \s*[:=(\[]?\s*["']? (?:-?\d{1,10}|0x[0-9a-f]{1,8})\b
  | (?: (?:status|response|return|error)[\s_-]*codes?
      | status | codes? | signal | errno | rc
      | https?(?:/\d(?:\.\d)?)? (?:\s+(?:status|code|response|error))*
    ) \s*[:=(\[]?\s*["']? \d{1,3}\b
    # An HTTP error without that word, and one with its own words.
  | (?:got|returned|responded|answered|failed|error) (?:\s+(?:with|an?|status|error|response))* [\s:(]+ [45]\d\d\b
  | [1-5]\d\d \s+ (?:bad\ request|unauthorized|forbidden|not\ found|method\ not\ allowed|request\ timeout|conflict
      |gone|too\ many\ requests|internal\ server\ error|bad\ gateway|service\ unavailable|gateway\ time-?out)\b
  | [1-5]xx\b
  | sqlstate [\s:=\[(]* [0-9a-z]{5}\b
    # Versions and lengths that are part of a name.
  | (?:tls|ssl)[\s/]?v?\d(?:\.\d)?\b
  | https?/\d(?:\.\d)?\b
  | (?:utf|sha|aes|rsa|iso|rfc|ora|cve-\d{4})-\d+\b
)"#,
    ),
    (
        Token::Identity,
        r#"(?x) (?i:
    [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}
  | sha(?:256|512):[0-9a-f]{7,}
  | 0x[0-9a-f]+\b
  | (?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b
  | [a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+
    # Hosts named after their address.
  | ip(?:-\d{1,3}){4}(?:\.[a-z0-9.-]*[a-z0-9])?
)"#,
    ),
    (
        Token::Url,
        r#"(?x) (?i: [a-z][a-z0-9+.-]*:// [^\s"'<>`\\|,;(){}\[\]]+ )"#,
    ),
    (
        Token::Time,
        r#"(?x) (?: \d{4}[-/]\d{2}[-/]\d{2} (?:[T\s]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)?
      | [IWEF]\d{4}\s+\d{2}:\d{2}:\d{2}(?:\.\d+)?
      | (?i: (?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?,?\s+)?
          (?: \d{1,2}[\s-](?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[\s-]\d{4}
            | (?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?
                |oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\s+\d{1,2}(?:st|nd|rd|th)?\b(?:,?\s+\d{4}\b)?
          )
          (?:,?\s+\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)?
        )
      | \d{1,2}/\d{1,2}/\d{2,4}
      | \d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?i:\s?[ap]m)?
    )
    (?:\s?[+-]\d{2}:?\d{2})? (?:\s?(?:Z|UTC|GMT))? (?:\s?m=[+-][\d.]+)? \b"#,
    ),
    (Token::Ipv4, r#"(?x) \d{1,3}(?:\.\d{1,3}){3} (?:[:/]\d+)? \b"#),
    (
        Token::Ipv6,
        r#"(?x) \[[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\](?::\d+)?
  | (?:[0-9A-Fa-f]{0,4}:){2,7} (?:[0-9A-Fa-f]{1,4}|\d{1,3}(?:\.\d{1,3}){3})?"#,
    ),
    (
        Token::Quantity,
        r#"(?x) [vV]\d+(?:\.\d+)+ (?:[-+][0-9A-Za-z]+(?:[.-][0-9A-Za-z]+)*)? \b
  | \d+(?:[.,]\d+)* (?:[eE][+-]?\d+)?
    (?: (?:[nuµμm]?s|mins?|secs?|hrs?|hours?|days?|[mhdw]|[KMGTPEkmgtp]i?[Bb]?(?:ps|/s)?|[Bb]|bytes?|[kMG]?Hz|x|cores?)
        (?: \d+(?:\.\d+)?(?:[nuµμm]?s|[mhdw]) )*
      | st|nd|rd|th
    )? \b"#,
    ),
    (Token::Word, r#"(?x) [\p{L}\p{N}\p{M}]+ (?:-[\p{L}\p{N}\p{M}]+)*"#),
];

static AUTOMATON: LazyLock<Regex> = LazyLock::new(compiled);

#[expect(
    clippy::expect_used,
    reason = "the patterns are constants of this file, and every test compiles them"
)]
fn compiled() -> Regex {
    Regex::new_many(&TOKENS.map(|(_, pattern)| pattern)).expect("constant patterns")
}

/// Rewrites a text once. The result has single spaces and none at its ends.
pub(super) fn rewrite(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    tokens(&mut out, text);
    punctuated(&once(&spaced(&out)))
}

/// Single spaces, and none at the ends.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Placeholders in a row say no more than one: a list of addresses is as good as one address.
fn once(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['#', '*']) {
        let (before, run) = rest.split_at(at);
        out.push_str(before);
        let placeholder = if run.starts_with('#') { '#' } else { '*' };
        out.push(placeholder);
        let end = run
            .find(|c| !(c == placeholder || matches!(c, ' ' | ',' | ';')))
            .unwrap_or(run.len());
        // What separates the last one from what follows stays.
        rest = run[..end].rfind(placeholder).map_or(run, |last| &run[last + 1..]);
    }
    out.push_str(rest);
    out
}

/// Without the space that is left before punctuation where a quotation mark was.
fn punctuated(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let closes = |next: &char| matches!(next, ',' | ';' | ':' | '.' | '!' | '?' | ')' | ']');
        if !(c == ' ' && chars.peek().is_some_and(closes)) {
            out.push(c);
        }
    }
    out
}

fn tokens(out: &mut String, text: &str) {
    let mut end = 0;
    for found in AUTOMATON.find_iter(text) {
        between(out, &text[end..found.start()]);
        end = found.end();
        let (token, _) = TOKENS[found.pattern().as_usize()];
        replace(out, token, &text[found.range()], &text[end..]);
    }
    between(out, &text[end..]);
}

fn replace(out: &mut String, token: Token, found: &str, after: &str) {
    match token {
        Token::Word => push_stable(out, found),
        Token::Code if number_goes_on(after) => as_words(out, found, push_stable),
        Token::Code => as_words(out, found, push_words),
        Token::Url => stable_url(out, found),
        Token::Ipv6 => stable_ipv6(out, found),
        Token::Identity | Token::Ipv4 => out.push_str(IDENTITY),
        Token::Time | Token::Quantity => out.push_str(QUANTITY),
    }
}

/// `status 3/5`, `code 12.5 %`: what looked like a code is a quantity.
fn number_goes_on(after: &str) -> bool {
    let mut chars = after.chars();
    match chars.next() {
        Some('%') => true,
        Some('/' | '.' | ',' | ':' | '-') => chars.next().is_some_and(|c| c.is_ascii_digit()),
        _ => false,
    }
}

/// Where it points to and what it asks for, without scheme, user, port and query.
fn stable_url(out: &mut String, url: &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split(':').next().unwrap_or(host);
    tokens(out, &format!("{host}{path}"));
}

/// An address, perhaps as `[address]:port`, or something that only looks like one: `[10:20:30]`, `a::b`.
fn stable_ipv6(out: &mut String, text: &str) {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let is_address = |candidate: &str| {
        candidate.bytes().any(|byte| byte.is_ascii_digit()) && candidate.parse::<Ipv6Addr>().is_ok()
    };
    match bracketed {
        Some((inner, _)) if is_address(inner) => out.push_str(IDENTITY),
        Some((inner, port)) => {
            out.push('[');
            tokens(out, inner);
            out.push(']');
            tokens(out, port);
        }
        None if is_address(text) => out.push_str(IDENTITY),
        None => as_words(out, text, push_stable),
    }
}

/// Applies `push` to the runs of letters and digits only.
fn as_words(out: &mut String, text: &str, push: impl Fn(&mut String, &str)) {
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        if end > 0 {
            push(out, &rest[..end]);
        }
        rest = &rest[end..];
        let end = rest.find(char::is_alphanumeric).unwrap_or(rest.len());
        between(out, &rest[..end]);
        rest = &rest[end..];
    }
}

/// Punctuation stays; what only quotes, escapes or joins words becomes a space.
fn between(out: &mut String, text: &str) {
    for c in text.chars() {
        let joins = matches!(c, '_' | '"' | '\'' | '`' | '\\' | '|');
        out.push(if joins || c.is_whitespace() || c.is_control() {
            ' '
        } else {
            c
        });
    }
}
