//! The query string, read strictly and complained about at once.

use std::{convert::Infallible, ops::RangeInclusive, time::Duration};

use axum::{extract::FromRequestParts, http::request::Parts};
use chrono::{DateTime, Utc};
use percent_encoding::percent_decode_str;

use super::parameter::{self, Broken, shorten};
use crate::problem::{Problem, Violation};

/// Names that one query string may have. Each is compared with the others, and answered if it is unknown.
const MAX_NAMES: usize = 64;

/// The parameters of a query string.
///
/// A handler asks for each parameter it knows, once and by type; a getter answers `None` when the parameter is absent
/// *or* unusable, and notes the violation. [`finish`](Self::finish) then refuses the request with all violations, among
/// them the parameters that nobody asked for. A handler must call it before it uses any value.
///
/// ```
/// # use service_kit::extract::QueryParameters;
/// let mut query = QueryParameters::parse("limit=20&severity=critical");
/// let limit = query.integer("limit", 1..=100).unwrap_or(10);
/// let severity = query.text("severity", 20);
/// query.finish()?;
/// assert_eq!((limit, severity.as_deref()), (20, Some("critical")));
/// # Ok::<(), service_kit::Problem>(())
/// ```
#[derive(Debug)]
#[must_use = "violations are lost unless `finish` is called"]
pub struct QueryParameters {
    given: Vec<Given>,
    known: Vec<&'static str>,
    violations: Vec<Violation>,
}

/// One name in the query string.
#[derive(Debug)]
struct Given {
    /// Decoded, or as written if it cannot be decoded.
    name: Result<String, String>,
    value: Option<String>,
    repeated: bool,
    asked_for: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for QueryParameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl QueryParameters {
    /// Splits a query string: `&` between parameters, `=` before a value, `+` or `%20` for a space.
    pub fn parse(query: &str) -> Self {
        let mut given: Vec<Given> = Vec::new();
        let mut violations = Vec::new();
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            let (raw_name, raw_value) = piece.split_once('=').unwrap_or((piece, ""));
            let name = decode(raw_name).ok_or_else(|| raw_name.to_owned());
            if let Some(earlier) = given.iter_mut().find(|earlier| earlier.name == name) {
                earlier.repeated = true;
            } else if given.len() < MAX_NAMES {
                given.push(Given {
                    name,
                    value: decode(raw_value),
                    repeated: false,
                    asked_for: false,
                });
            } else {
                let detail = format!("is one too many; a query has at most {MAX_NAMES} parameters");
                violations.push(Violation::parameter(shorten(raw_name), "too-many", detail));
                break;
            }
        }
        Self {
            given,
            known: Vec::new(),
            violations,
        }
    }

    /// Names and values, decoded and sorted by name: the same for every spelling of the same parameters. It tells
    /// parameters apart only in a query that [`finish`](Self::finish) accepts.
    pub fn sorted(&self) -> Vec<(&str, &str)> {
        let mut pairs: Vec<_> = self
            .given
            .iter()
            .map(|given| {
                let name = given.name.as_deref().unwrap_or_else(|raw| raw);
                (name, given.value.as_deref().unwrap_or_default())
            })
            .collect();
        pairs.sort_unstable();
        pairs
    }

    /// A text of at most `max_chars` characters.
    pub fn text(&mut self, name: &'static str, max_chars: usize) -> Option<String> {
        self.get(name, |value| parameter::text(value, max_chars))
    }

    /// An integer within `range`.
    pub fn integer(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        self.get(name, |value| parameter::integer(value, &range))
    }

    /// An id: a positive integer in its one spelling.
    pub fn id(&mut self, name: &'static str) -> Option<i64> {
        self.get(name, parameter::id)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'static str) -> Option<bool> {
        self.get(name, parameter::boolean)
    }

    /// The value that `options` gives for the text.
    pub fn choice<T: Clone>(&mut self, name: &'static str, options: &[(&str, T)]) -> Option<T> {
        self.get(name, |value| parameter::choice(value, options))
    }

    /// An RFC 3339 time, cut to microseconds.
    pub fn timestamp(&mut self, name: &'static str) -> Option<DateTime<Utc>> {
        self.get(name, parameter::timestamp)
    }

    /// A duration such as `90s`, `30m`, `24h`, `7d` or `2w`, within `range`.
    pub fn duration(&mut self, name: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        self.get(name, |value| parameter::duration(value, &range))
    }

    /// Any other type: `read` gets a text of at most `max_chars` characters and answers with a value, or with the code
    /// and the detail of the rule that the text breaks.
    pub fn parsed<T>(
        &mut self,
        name: &'static str,
        max_chars: usize,
        read: impl FnOnce(&str) -> Result<T, (&'static str, String)>,
    ) -> Option<T> {
        self.get(name, |value| {
            parameter::text(value, max_chars).and_then(|text| read(&text))
        })
    }

    /// Whether the parameter is given, usable or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.given.iter().any(|given| given.name.as_deref() == Ok(name))
    }

    /// Notes a violation if the parameter is absent.
    pub fn require(&mut self, name: &'static str) {
        if !self.has(name) {
            self.refuse(name, "required", "is required");
        }
    }

    /// Notes a violation that only the handler can see, such as two parameters at odds.
    pub fn refuse(&mut self, name: &'static str, code: &'static str, detail: impl Into<String>) {
        self.violations.push(Violation::parameter(name, code, detail));
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// 400 `invalid-parameter` with every violation: first those of the getters, then the unknown parameters.
    pub fn finish(mut self) -> Result<(), Problem> {
        let known = if self.known.is_empty() {
            "no parameter is known here".to_owned()
        } else {
            format!("known are `{}`", self.known.join("`, `"))
        };
        for given in self.given.iter().filter(|given| !given.asked_for) {
            self.violations.push(match &given.name {
                Ok(name) => Violation::parameter(shorten(name), "unknown", format!("is unknown; {known}")),
                Err(raw) => Violation::parameter(shorten(raw), "invalid-encoding", INVALID_ENCODING),
            });
        }
        if self.violations.is_empty() {
            Ok(())
        } else {
            Err(Problem::invalid_parameters(self.violations))
        }
    }

    fn get<T>(&mut self, name: &'static str, read: impl FnOnce(&str) -> Result<T, Broken>) -> Option<T> {
        self.known.push(name);
        let given = self
            .given
            .iter_mut()
            .find(|given| given.name.as_deref() == Ok(name))?;
        given.asked_for = true;
        let value = match &given.value {
            _ if given.repeated => Err(("repeated", "must be given once".to_owned())),
            None => Err(("invalid-encoding", INVALID_ENCODING.to_owned())),
            Some(value) if value.contains('\0') => Err(("nul", "must not contain NUL".to_owned())),
            Some(value) if value.is_empty() => Err(("empty", "must not be empty".to_owned())),
            Some(value) => read(value),
        };
        value
            .map_err(|(code, detail)| self.refuse(name, code, detail))
            .ok()
    }
}

const INVALID_ENCODING: &str = "must be percent-encoded UTF-8";

/// Form decoding, but strict: `None` for a `%` without two hex digits and for bytes that are not UTF-8.
fn decode(raw: &str) -> Option<String> {
    if !raw.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Some(raw.to_owned());
    }
    let spaced = raw.replace('+', " ");
    let well_escaped = spaced.split('%').skip(1).all(|rest| {
        rest.as_bytes()
            .get(..2)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if !well_escaped {
        return None;
    }
    percent_decode_str(&spaced)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn violations(query: QueryParameters) -> Value {
        json!(query.finish().unwrap_err().violations())
    }

    #[test]
    fn parameters_are_decoded_and_typed() {
        let mut query = QueryParameters::parse(
            "kind=Deployment&name=a%2Fb+c&limit=5&since=2026-01-01T00%3A00%3A00Z&window=7d&order=asc&all=true&id=3&&",
        );
        assert_eq!(query.text("kind", 63).as_deref(), Some("Deployment"));
        assert_eq!(query.text("name", 253).as_deref(), Some("a/b c"));
        assert_eq!(query.integer("limit", 1..=100), Some(5));
        assert_eq!(
            query.timestamp("since"),
            Some("2026-01-01T00:00:00Z".parse().unwrap())
        );
        assert_eq!(
            query.duration("window", Duration::ZERO..=Duration::MAX),
            Some(Duration::from_secs(604_800))
        );
        assert_eq!(query.choice("order", &[("asc", 1), ("desc", -1)]), Some(1));
        assert_eq!(query.boolean("all"), Some(true));
        assert_eq!(query.id("id"), Some(3));
        assert_eq!(query.text("cluster", 63), None);
        assert!(query.finish().is_ok());
    }

    #[test]
    fn all_violations_are_reported_at_once_and_named() {
        let mut query = QueryParameters::parse(
            "limit=0&order=up&kind=a&kind=b&name=%00&cluster=%zz&workflow=%ff&actor=abcd&status=&colour=red&%q=1&colour=blue",
        );
        query.integer("limit", 1..=100);
        query.choice("order", &[("asc", 1), ("desc", -1)]);
        for name in ["kind", "name", "cluster", "workflow"] {
            assert_eq!(query.text(name, 63), None);
        }
        query.text("actor", 3);
        query.text("status", 63);
        query.require("since");
        let known = "known are `limit`, `order`, `kind`, `name`, `cluster`, `workflow`, `actor`, `status`";
        assert_eq!(
            violations(query),
            json!([
                {"parameter": "limit", "code": "out-of-range", "detail": "must be an integer from 1 to 100"},
                {"parameter": "order", "code": "not-an-option", "detail": "must be one of `asc`, `desc`"},
                {"parameter": "kind", "code": "repeated", "detail": "must be given once"},
                {"parameter": "name", "code": "nul", "detail": "must not contain NUL"},
                {"parameter": "cluster", "code": "invalid-encoding", "detail": "must be percent-encoded UTF-8"},
                {"parameter": "workflow", "code": "invalid-encoding", "detail": "must be percent-encoded UTF-8"},
                {"parameter": "actor", "code": "too-long", "detail": "must have at most 3 characters"},
                {"parameter": "status", "code": "empty", "detail": "must not be empty"},
                {"parameter": "since", "code": "required", "detail": "is required"},
                {"parameter": "colour", "code": "unknown", "detail": format!("is unknown; {known}")},
                {"parameter": "%q", "code": "invalid-encoding", "detail": "must be percent-encoded UTF-8"},
            ])
        );
    }

    #[test]
    fn rules_of_the_handler_join_the_others() {
        let mut query = QueryParameters::parse("since=2026-02-01T00:00:00Z&word=x");
        let word = query.parsed("word", 9, |text| {
            Err::<(), _>(("odd", format!("{} is odd", text.len())))
        });
        assert_eq!(word, None);
        query.timestamp("since");
        query.refuse("since", "after-until", "must be before `until`");
        assert_eq!(
            violations(query),
            json!([
                {"parameter": "word", "code": "odd", "detail": "1 is odd"},
                {"parameter": "since", "code": "after-until", "detail": "must be before `until`"},
            ])
        );
    }

    #[test]
    fn the_number_of_parameters_is_bounded() {
        let many: Vec<_> = (0..70).map(|n| format!("p{n}")).collect();
        let violations = violations(QueryParameters::parse(&many.join("&")));
        assert_eq!(violations.as_array().unwrap().len(), 65);
        assert_eq!(
            violations[0],
            json!({"parameter": "p64", "code": "too-many", "detail": "is one too many; a query has at most 64 parameters"})
        );
    }

    #[test]
    fn an_endpoint_without_parameters_says_so() {
        assert_eq!(
            violations(QueryParameters::parse("x")),
            json!([{"parameter": "x", "code": "unknown", "detail": "is unknown; no parameter is known here"}])
        );
    }
}
