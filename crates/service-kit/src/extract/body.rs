//! A request body, read within a limit of size and time.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderValue, header},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::budget::Share;
use crate::problem::{Problem, ProblemKind};

/// When to come back after other bodies took up the room.
const NO_ROOM_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How much of a body that is too large is read and thrown away, and for how long, before the refusal is sent.
///
/// A connection closed with unread input is reset, and a reset can overtake the answer: without this most clients
/// would see a broken pipe instead of the 413 or 503. On a saturated machine a body takes seconds that is on its way
/// already; waiting for it costs a connection and no memory.
const DISCARD_BYTES: usize = 4 * 1024 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Limits of one request's body. [`boundary::stack`](crate::boundary::stack) sets them for all routes; a route may
/// narrow or widen them with a layer of `axum::Extension(BodyLimits { … })`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes of the largest body accepted.
    pub max_bytes: usize,
    /// How long the whole body may take to arrive.
    pub read_timeout: Duration,
}

impl Default for BodyLimits {
    /// 1 MiB within 10 s.
    fn default() -> Self {
        Self {
            max_bytes: 1024 * 1024,
            read_timeout: Duration::from_secs(10),
        }
    }
}

/// The whole body, whatever its media type.
///
/// # Errors
///
/// 413 beyond [`BodyLimits::max_bytes`], however the body is framed; 408 beyond [`BodyLimits::read_timeout`]; 400
/// `incomplete-body` if it ends early or is framed wrongly; 415 if it is compressed; 503 with `Retry-After` while other
/// bodies take up all the room there is.
#[derive(Clone, Debug)]
pub struct BodyBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for BodyBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        require_identity_coding(&parts.headers)?;
        let limits = parts.extensions.get::<BodyLimits>().copied().unwrap_or_default();
        let share = parts.extensions.get::<Share>().cloned();
        read(body, &parts.headers, limits, share).await.map(Self)
    }
}

async fn read(
    mut body: Body,
    headers: &HeaderMap,
    limits: BodyLimits,
    share: Option<Share>,
) -> Result<Bytes, Problem> {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    if declared > limits.max_bytes {
        discard_sent(&mut body, headers).await;
        return Err(too_large(limits));
    }
    let grow = |bytes| share.as_ref().is_none_or(|share| share.grow(bytes));
    if !grow(declared) {
        discard_sent(&mut body, headers).await;
        return Err(no_room());
    }
    match timeout(
        limits.read_timeout,
        collect(&mut body, declared, limits.max_bytes, grow),
    )
    .await
    {
        Ok(Ok(Collected::All(bytes))) => Ok(bytes),
        Ok(Ok(Collected::TooLarge)) => {
            discard(&mut body).await;
            Err(too_large(limits))
        }
        Ok(Ok(Collected::NoRoom)) => {
            discard(&mut body).await;
            Err(no_room())
        }
        Ok(Err(error)) => Err(Problem::new(ProblemKind::INCOMPLETE_BODY)
            .with_detail("The body could not be read to its announced end.")
            .with_header(header::CONNECTION, HeaderValue::from_static("close"))
            .with_cause(error)),
        Err(_elapsed) => Err(Problem::new(ProblemKind::REQUEST_TIMEOUT)
            .with_detail(format!(
                "The body did not arrive within {}.",
                humantime::format_duration(limits.read_timeout)
            ))
            .with_header(header::CONNECTION, HeaderValue::from_static("close"))),
    }
}

/// What came of collecting a body.
enum Collected {
    All(Bytes),
    TooLarge,
    NoRoom,
}

/// The body. `grow` makes room for bytes that were not declared.
async fn collect(
    body: &mut Body,
    declared: usize,
    max_bytes: usize,
    grow: impl Fn(usize) -> bool,
) -> Result<Collected, axum::Error> {
    let mut bytes = BytesMut::with_capacity(declared);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            let length = bytes.len() + data.len();
            if length > max_bytes {
                return Ok(Collected::TooLarge);
            }
            if length > declared && !grow(length - bytes.len().max(declared)) {
                return Ok(Collected::NoRoom);
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(Collected::All(bytes.freeze()))
}

/// Reads away the body of a request that is refused for its head.
pub(crate) async fn discard_body(request: Request) {
    let (parts, mut body) = request.into_parts();
    discard_sent(&mut body, &parts.headers).await;
}

async fn discard_sent(body: &mut Body, headers: &HeaderMap) {
    // A client that waits for `100 Continue` has sent nothing yet: reading would invite it to.
    if !headers.contains_key(header::EXPECT) {
        discard(body).await;
    }
}

async fn discard(body: &mut Body) {
    let until = Instant::now() + DISCARD_TIMEOUT;
    let mut discarded = 0;
    while discarded < DISCARD_BYTES {
        match timeout_at(until, body.frame()).await {
            Ok(Some(Ok(frame))) => discarded += frame.data_ref().map_or(0, Bytes::len),
            _ended_or_late => return,
        }
    }
}

fn no_room() -> Problem {
    Problem::unavailable("Other bodies take up all the room there is.", NO_ROOM_RETRY_AFTER)
        .with_header(header::CONNECTION, HeaderValue::from_static("close"))
}

fn too_large(limits: BodyLimits) -> Problem {
    Problem::new(ProblemKind::PAYLOAD_TOO_LARGE)
        .with_detail(format!("The body may have at most {} bytes.", limits.max_bytes))
        .with_header(header::CONNECTION, HeaderValue::from_static("close"))
}

fn require_identity_coding(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(Problem::new(ProblemKind::UNSUPPORTED_MEDIA_TYPE)
                .with_detail("The body must not be compressed.")
                .with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity")))
        }
        _ => Ok(()),
    }
}
