//! A request that is made step by step.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request};
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

pub(crate) const ODD_HEADERS: [(&str, &[u8]); 17] = [
    ("if-none-match", b"*"),
    ("if-none-match", b"\""),
    ("if-none-match", b"W/\"x\", , \"y"),
    ("if-none-match", b""),
    ("if-none-match", b"\xff\xfe"),
    ("cache-control", b"no-cache, no-store, max-age=-1"),
    ("cache-control", b"no-cache=\"a, b"),
    ("cache-control", b"only-if-cached"),
    ("cache-control", b"\xff,\t,="),
    ("accept", b"text/html;q=2"),
    ("accept-encoding", b"br;q=x, *;q=0"),
    ("authorization", b"Bearer \xc3("),
    ("x-request-id", b"\xf0\x9f"),
    ("traceparent", b"00-0-0-zz"),
    ("range", b"bytes=5-1"),
    ("expect", b"nothing"),
    ("content-type", b"application/json; charset=\xff"),
];

/// A request, and whether the contract leaves no other answer than a refusal.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<String>,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) refused: bool,
}

impl Case {
    pub(crate) fn request(&self) -> Request<Body> {
        let uri = if self.query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query.join("&"))
        };
        let mut request = Request::builder().method(&self.method).uri(uri);
        for (name, value) in &self.headers {
            request = request.header(*name, HeaderValue::from_bytes(value).expect("a value"));
        }
        request.body(Body::from(self.body.clone())).expect("a request")
    }

    /// As it would be typed; long ones by their beginning, for the seed has the rest.
    pub(crate) fn told(&self) -> String {
        let mut told = format!("{} {}?{}", self.method, self.path, self.query.join("&"));
        for (name, value) in &self.headers {
            write!(told, "\n{name}: {}", value.escape_ascii()).expect("room");
        }
        let begin = &self.body[..self.body.len().min(2000)];
        write!(told, "\n\n{}\n({} bytes)", begin.escape_ascii(), self.body.len()).expect("room");
        told
    }
}

/// Bodies that are no JSON, or are not called so.
pub(crate) fn break_body(case: &mut Case, random: &mut StdRng) {
    case.refused = true;
    match random.random_range(0..7) {
        0 => case.body.truncate(random.random_range(0..case.body.len())),
        1 => case.body.insert(1, 0xff),
        2 => case.body = b"[".repeat(100_000),
        3 => case.body.push(0),
        4 => case.body = random.random_iter().take(64).collect(),
        5 => case.body.resize(1024 * 1024 + 1, b' '),
        _ => {
            let media: [&[u8]; 4] = [b"text/plain", b"application/problem+json", b"", b"json"];
            let media = media.choose(random).expect("a type").to_vec();
            case.headers.retain(|(name, _)| *name != "content-type");
            case.headers.push(("content-type", media));
        }
    }
}
