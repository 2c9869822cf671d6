//! The bearer token of a request: RFC 6750, section 2.1.

use std::{fmt, sync::Arc};

use axum::http::{HeaderMap, header};

use super::refusal::Refusal;

/// Bytes of the longest token. Those of service accounts have about 1 KiB; the API server's own limit on all headers
/// of a request is 1 MiB.
pub(super) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A well-formed token. Prints as `***`.
#[derive(Clone)]
pub(super) struct Token(Arc<str>);

impl Token {
    /// The token of the request's one `Authorization` header.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().ok_or(Refusal::NoToken)?;
        if values.next().is_some() {
            return Err(Refusal::SeveralHeaders);
        }
        // Neither scheme nor token has characters beyond ASCII.
        let value = value.to_str().map_err(|_| Refusal::MalformedToken)?;
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refusal::NoToken);
        }
        let token = rest.trim_matches(' ');
        if token.len() > MAX_TOKEN_BYTES || !is_b64token(token) {
            return Err(Refusal::MalformedToken);
        }
        Ok(Self(Arc::from(token)))
    }

    /// The token itself.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// The text without the token and without the parts of a JWT that it may be.
    pub(super) fn scrub(&self, text: &str) -> String {
        /// Shorter parts are words that a text may have by chance.
        const PART_BYTES: usize = 8;
        let mut text = text.replace(&*self.0, MASK);
        for part in self.0.split('.').filter(|part| part.len() >= PART_BYTES) {
            text = text.replace(part, MASK);
        }
        text
    }
}

const MASK: &str = "***";

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    !body.is_empty()
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(values: &[&[u8]]) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        match Token::of(&headers) {
            Ok(token) => Ok(token.expose().to_owned()),
            Err(Refusal::NoToken) => Err("none"),
            Err(Refusal::SeveralHeaders) => Err("several"),
            Err(Refusal::MalformedToken) => Err("malformed"),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_is_taken_whatever_the_case_of_the_scheme() {
        for value in [
            "Bearer aZ09-._~+/==",
            "bearer aZ09-._~+/==",
            "BEARER   aZ09-._~+/== ",
        ] {
            assert_eq!(of(&[value.as_bytes()]).as_deref(), Ok("aZ09-._~+/=="), "{value}");
        }
        let longest = "a".repeat(MAX_TOKEN_BYTES);
        assert_eq!(of(&[format!("Bearer {longest}").as_bytes()]), Ok(longest));
    }

    #[test]
    fn what_is_no_token_is_not() {
        for value in [
            "",
            "Basic dTpw",
            "Bearertoken",
            "Bearer\ttoken",
            "token",
            "Bearers token",
        ] {
            assert_eq!(of(&[value.as_bytes()]), Err("none"), "{value}");
        }
        let long = format!("Bearer {}", "a".repeat(MAX_TOKEN_BYTES + 1));
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Bearer a,b",
            "Bearer a\"b",
            "Bearer =a",
            "Bearer ==",
            "Bearer a\tb",
            "Bearer a%20b",
            long.as_str(),
        ] {
            assert_eq!(of(&[value.as_bytes()]), Err("malformed"), "{value}");
        }
        assert_eq!(of(&[b"Bearer \xc3\xa9"]), Err("malformed"));
        assert_eq!(of(&[]), Err("none"));
        assert_eq!(of(&[b"Bearer a", b"Bearer a"]), Err("several"));
    }

    #[test]
    fn a_token_leaves_no_trace_in_texts() {
        let token = Token(Arc::from("eyJhbGciOi.eyJpc3MiOi.c2lnbmF0dXJl"));
        assert_eq!(format!("{token:?}"), "***");
        assert_eq!(
            token.scrub("eyJhbGciOi.eyJpc3MiOi.c2lnbmF0dXJl: the issuer of eyJpc3MiOi is not known"),
            "***: the issuer of *** is not known"
        );
    }
}
