//! From a request to an answer with its headers.

use std::convert::Infallible;
use std::fmt::Arguments;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use service_kit::Problem;

use super::changes::About;
use super::entry::Answer;
use super::{How, ReadCache, Served};
use crate::state::State;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Clients may keep an answer for themselves and must ask whether it still holds: they add nothing to its age.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Headers that an answer gets, here and by the layers around: room for them is made once.
const HEADERS: usize = 10;

/// What a request says to the cache: its path and query, and its conditions.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    uri: Uri,
    about: About,
    /// `Cache-Control: no-cache`.
    refresh: bool,
    if_none_match: Vec<HeaderValue>,
}

impl<S: Sync> FromRequestParts<S> for Question {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.uri, &parts.headers))
    }
}

impl Question {
    /// Says that nothing but the records of one incident changes the answer.
    pub(crate) fn about_incident(self, id: i64) -> Self {
        let about = About::Incident(id);
        Self { about, ..self }
    }

    fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let refresh = headers
            .get_all(header::CACHE_CONTROL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"));
        Self {
            uri: uri.clone(),
            about: About::Records,
            refresh,
            if_none_match: headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect(),
        }
    }

    /// Whether the client has this version. RFC 9110, section 13.1.2: a weak tag is as good as a strong one, `*` is any.
    fn has(&self, etag: &HeaderValue) -> bool {
        self.if_none_match
            .iter()
            .filter_map(|value| value.to_str().ok())
            // Tags of ours have no comma; one of somebody else's that is cut into pieces matches none of ours.
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == *etag)
    }
}

/// Answers a GET through the cache: 200 with the JSON of what `load` gives, 304 if the client has it already, or the
/// problem that `load` ends in. The request must be valid: a refusal would be computed for every request.
///
/// Every answer has `Cache-Status` (RFC 9211), every one but a failure also `Age`, and every 200 and 304 a strong `ETag`.
///
/// `load` makes its future only where an answer is loaded: it is thousands of bytes large, and would be moved from layer to
/// layer with every request.
pub(crate) async fn cached<T, Load>(
    state: &State,
    question: Question,
    load: impl FnOnce() -> Load + Send,
) -> Result<Response, Problem>
where
    T: Serialize,
    Load: Future<Output = Result<T, Problem>> + Send + 'static,
{
    let cache = &state.cache;
    let key = cache.key(&question.uri);
    match cache.get(key, question.about, question.refresh, load).await {
        Ok(served) => respond(cache, &question, &served),
        Err(problem) => {
            let why = if question.refresh { "request" } else { "miss" };
            Err(problem.with_header(CACHE_STATUS, status(format_args!("fwd={why}"))))
        }
    }
}

fn respond(cache: &ReadCache, question: &Question, served: &Served) -> Result<Response, Problem> {
    let (entry, now) = (&served.entry, cache.now());
    let age = HeaderValue::from(entry.age(now));
    let status = told(served, now);
    let body = match &entry.answer {
        Answer::Found(body) => body.clone(),
        Answer::Absent(detail) => {
            return Err(Problem::not_found(detail.clone())
                .with_header(header::AGE, age)
                .with_header(CACHE_STATUS, status));
        }
    };
    let mut response = if question.has(&entry.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let media_type = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, media_type)], body).into_response()
    };
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(header::ETAG, entry.etag.clone());
    headers.insert(header::AGE, age);
    headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
    headers.insert(CACHE_STATUS, status);
    Ok(response)
}

/// The parameters of RFC 9211, section 2. A stale answer is a hit whose time to live is negative, also if it was a
/// record that outdated it and not time.
fn told(served: &Served, now: DateTime<Utc>) -> HeaderValue {
    let ttl = (served.entry.fresh_until - now)
        .num_milliseconds()
        .div_euclid(1_000);
    match served.how {
        How::Hit(tier) => status(format_args!("hit; ttl={ttl}; detail={}", tier.as_str())),
        How::Stale => status(format_args!("hit; ttl={}; detail=stale", ttl.min(-1))),
        How::Missed { collapsed: false } => status(format_args!("fwd=miss; stored")),
        How::Missed { collapsed: true } => status(format_args!("fwd=miss; collapsed")),
        How::Bypassed => status(format_args!("fwd=request; stored")),
    }
}

fn status(parameters: Arguments<'_>) -> HeaderValue {
    // Nothing but ASCII goes in.
    HeaderValue::try_from(format!("context-api; {parameters}"))
        .unwrap_or_else(|_| HeaderValue::from_static("context-api"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(headers: &[(HeaderName, &'static str)]) -> Question {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        Question::of(&Uri::from_static("/"), &headers)
    }

    #[test]
    fn no_cache_is_found_among_other_directives() {
        for (value, expected) in [
            ("no-cache", true),
            ("max-age=0, No-Cache", true),
            ("no-store", false),
            ("x-no-cache", false),
        ] {
            let asked = question(&[(header::CACHE_CONTROL, value)]);
            assert_eq!(asked.refresh, expected, "{value}");
        }
    }

    #[test]
    fn any_of_the_tags_is_enough() {
        let tag = HeaderValue::from_static("\"a\"");
        for (value, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("a", false),
            ("\"ab\"", false),
        ] {
            let asked = question(&[(header::IF_NONE_MATCH, value)]);
            assert_eq!(asked.has(&tag), expected, "{value}");
        }
        assert!(!question(&[]).has(&tag));
    }
}
