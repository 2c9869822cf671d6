//! Why a request is not let in, and what its sender reads of it.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderValue, header::WWW_AUTHENTICATE};

use super::{Access, bearer::MAX_TOKEN_BYTES};
use crate::problem::{Problem, ProblemKind};

/// When to come back after the queue was full: it moves on within milliseconds.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// When to come back after the API server gave no verdict.
const UNDECIDED_RETRY: Duration = Duration::from_secs(2);

/// Why a request is not let in.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// There is no `Authorization` header, or it has another scheme.
    NoToken,
    /// There are several `Authorization` headers: who reads which one is anybody's guess.
    SeveralHeaders,
    /// The token is empty, too long, or has characters that no token has.
    MalformedToken,
    /// The API server does not accept the token for us; the reason is for the log.
    TokenRefused(Arc<str>),
    /// The API server knows the caller and does not allow the access; the reason is for the log.
    Forbidden(Arc<str>),
    /// As many reviews wait as may.
    Busy,
    /// There was no verdict. Nobody is let in on a doubt.
    Undecided(Arc<Undecided>),
}

/// Why there was no verdict.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undecided {
    #[error("the API server cannot be asked for a {review}: {reason}")]
    Unreachable { review: &'static str, reason: String },
    #[error("the API server answered a {review} with status {status}: {message}")]
    Status {
        review: &'static str,
        status: u16,
        message: String,
    },
    #[error("the API server's answer to a {review} is not understood: {reason}")]
    Malformed { review: &'static str, reason: String },
    #[error("the API server neither allows nor denies {access} to {username:?}: {error}")]
    NoOpinion {
        access: Access,
        username: String,
        error: String,
    },
    #[error("there was no verdict within {}, of which the review waited {} for its turn",
        humantime::format_duration(*.limit), humantime::format_duration(*.waited))]
    TimedOut { limit: Duration, waited: Duration },
    #[error("the review broke down: {0}")]
    BrokeDown(String),
}

impl From<Undecided> for Refusal {
    fn from(undecided: Undecided) -> Self {
        Self::Undecided(Arc::new(undecided))
    }
}

impl Refusal {
    /// The answer to the request that asked for `access`. The challenge follows RFC 6750, section 3.1: without a
    /// token no error code is given.
    pub(super) fn problem(self, access: Access) -> Problem {
        match self {
            Self::NoToken => unauthenticated(
                "Bearer",
                "The request needs the header `Authorization: Bearer <token>`.".to_owned(),
            ),
            Self::SeveralHeaders => unauthenticated(
                r#"Bearer error="invalid_request""#,
                "The request has more than one `Authorization` header.".to_owned(),
            ),
            Self::MalformedToken => unauthenticated(
                r#"Bearer error="invalid_token""#,
                format!(
                    "A bearer token has 1 to {MAX_TOKEN_BYTES} characters of `A-Z a-z 0-9 - . _ ~ + /`, \
                     and may end in `=`."
                ),
            ),
            Self::TokenRefused(reason) => unauthenticated(
                r#"Bearer error="invalid_token""#,
                "The token is not accepted: it may have expired, or be meant for another audience."
                    .to_owned(),
            )
            .with_cause(&*reason),
            Self::Forbidden(reason) => Problem::new(ProblemKind::FORBIDDEN)
                .with_detail(format!("The caller lacks a role that grants {access}."))
                .with_header(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static(r#"Bearer error="insufficient_scope""#),
                )
                .with_cause(&*reason),
            Self::Busy => Problem::unavailable("Too many callers wait to be identified.", BUSY_RETRY),
            Self::Undecided(undecided) => Problem::unavailable(
                "Who sends the request, and whether they may, cannot be found out at the moment.",
                UNDECIDED_RETRY,
            )
            .with_cause(Shared(undecided)),
        }
    }
}

fn unauthenticated(challenge: &'static str, detail: String) -> Problem {
    Problem::new(ProblemKind::UNAUTHENTICATED)
        .with_detail(detail)
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

/// A cause that several problems share.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Shared(Arc<Undecided>);
