//! One pass over a text: what varies from case to case becomes a placeholder, identifiers become words.

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::names::{IDENTITY, QUANTITY, stable};
use super::words::split_camel_case;

/// The first alternative that fits wins, and the last one takes every other run of letters and digits whole. So no
/// match ever begins in the middle of a word, and a number is only a quantity when nothing above gives it meaning.
const TOKEN: &str = r#"(?x)
(?P<code> (?i:
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
))
| (?P<identity> (?i:
    [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}
  | sha(?:256|512):[0-9a-f]{7,}
  | 0x[0-9a-f]+\b
  | (?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b
  | [a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+
    # Hosts named after their address.
  | ip(?:-\d{1,3}){4}(?:\.[a-z0-9.-]*[a-z0-9])?
))
| (?P<url> (?i: [a-z][a-z0-9+.-]*:// [^\s"'<>`\\|,;(){}\[\]]+ ))
| (?P<time>
    (?: \d{4}[-/]\d{2}[-/]\d{2} (?:[T\s]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)?
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
    (?:\s?[+-]\d{2}:?\d{2})? (?:\s?(?:Z|UTC|GMT))? (?:\s?m=[+-][\d.]+)? \b
  )
| (?P<ipv4> \d{1,3}(?:\.\d{1,3}){3} (?:[:/]\d+)? \b )
| (?P<ipv6> \[[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\](?::\d+)?
  | (?:[0-9A-Fa-f]{0,4}:){2,7} (?:[0-9A-Fa-f]{1,4}|\d{1,3}(?:\.\d{1,3}){3})? )
| (?P<quantity>
    [vV]\d+(?:\.\d+)+ (?:[-+][0-9A-Za-z]+(?:[.-][0-9A-Za-z]+)*)? \b
  | \d+(?:[.,]\d+)* (?:[eE][+-]?\d+)?
    (?: (?:[nuµμm]?s|mins?|secs?|hrs?|hours?|days?|[mhdw]|[KMGTPEkmgtp]i?[Bb]?(?:ps|/s)?|[Bb]|bytes?|[kMG]?Hz|x|cores?)
        (?: \d+(?:\.\d+)?(?:[nuµμm]?s|[mhdw]) )*
      | st|nd|rd|th
    )? \b
  )
| (?P<word> [\p{L}\p{N}\p{M}]+ (?:-[\p{L}\p{N}\p{M}]+)* )
"#;

/// Placeholders in a row say no more than one: a list of addresses is as good as one address.
const REPEATED: &str = r"\#(?:[\s,;\#]*\#)+|\*(?:[\s,;*]*\*)+";

/// Left behind where a quotation mark was.
const SPACE_BEFORE_PUNCTUATION: &str = r"\s+([,;:.!?)\]])";

struct Patterns {
    token: Regex,
    repeated: Regex,
    space_before_punctuation: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| Patterns {
    token: compiled(TOKEN),
    repeated: compiled(REPEATED),
    space_before_punctuation: compiled(SPACE_BEFORE_PUNCTUATION),
});

#[expect(
    clippy::expect_used,
    reason = "the patterns are constants of this file, and every test compiles them"
)]
fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("constant pattern")
}

/// Rewrites a text once. The result has single spaces and none at its ends.
pub(super) fn rewrite(text: &str) -> String {
    let tokens = tokens(text);
    let spaced = tokens.split_whitespace().collect::<Vec<_>>().join(" ");
    let single = PATTERNS
        .repeated
        .replace_all(&spaced, |run: &Captures<'_>| run[0][..1].to_owned());
    PATTERNS
        .space_before_punctuation
        .replace_all(&single, "$1")
        .into_owned()
}

fn tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for token in PATTERNS.token.captures_iter(text) {
        // Group 0 is the whole match.
        let whole = token.get_match();
        between(&mut out, &text[end..whole.start()]);
        end = whole.end();
        out.push_str(&replacement(&token, &text[end..]));
    }
    between(&mut out, &text[end..]);
    out
}

fn replacement(token: &Captures<'_>, after: &str) -> String {
    let found = |group: &str| token.name(group).map(|found| found.as_str());
    if let Some(word) = found("word") {
        stable(word)
    } else if let Some(code) = found("code") {
        as_words(
            code,
            if number_goes_on(after) {
                stable
            } else {
                split_camel_case
            },
        )
    } else if let Some(url) = found("url") {
        stable_url(url)
    } else if let Some(address) = found("ipv6") {
        stable_ipv6(address)
    } else if found("identity").is_some() || found("ipv4").is_some() {
        IDENTITY.to_owned()
    } else {
        QUANTITY.to_owned()
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
fn stable_url(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split(':').next().unwrap_or(host);
    tokens(&format!("{host}{path}"))
}

/// An address, perhaps as `[address]:port`, or something that only looks like one: `[10:20:30]`, `a::b`.
fn stable_ipv6(text: &str) -> String {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let is_address = |candidate: &str| {
        candidate.bytes().any(|byte| byte.is_ascii_digit()) && candidate.parse::<Ipv6Addr>().is_ok()
    };
    match bracketed {
        Some((inner, _)) if is_address(inner) => IDENTITY.to_owned(),
        Some((inner, port)) => format!("[{}]{}", tokens(inner), tokens(port)),
        None if is_address(text) => IDENTITY.to_owned(),
        None => as_words(text, stable),
    }
}

/// Applies `rewrite` to the runs of letters and digits only.
fn as_words(text: &str, rewrite: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        if end > 0 {
            out.push_str(&rewrite(&rest[..end]));
        }
        rest = &rest[end..];
        let end = rest.find(char::is_alphanumeric).unwrap_or(rest.len());
        between(&mut out, &rest[..end]);
        rest = &rest[end..];
    }
    out
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
