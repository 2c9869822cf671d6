//! What an answer tells about the limits: draft-ietf-httpapi-ratelimit-headers-11 (23 May 2026, work in progress).
//!
//! Both fields are lists of structured fields (RFC 9651): a string names the policy, its parameters are integers.
//! `RateLimit-Policy` (section 3) says what each policy grants: `q` units, the burst, in each `w` seconds, the time in
//! which an empty bucket is refilled. `RateLimit` (section 4) says what is left: at most `r` units in the next `t`
//! seconds. `t` is always 1: at one unit a second or more, the next one is less than a second away, and there are only
//! whole seconds. That also keeps `Retry-After` from pointing before the end of `t` (section 6).
//!
//! There is no partition key (`pk`): it would be the name of the caller, who knows it.

use std::fmt::Write as _;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::bucket::{Bucket, Policy};

/// Header that says what is granted.
pub const RATE_LIMIT_POLICY_HEADER: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Header that says what is left.
pub const RATE_LIMIT_HEADER: HeaderName = HeaderName::from_static("ratelimit");

/// Room for what is left of two policies.
const LEFT_BYTES: usize = 64;

/// Puts both headers into `headers`: what was [`granted`], and what is left of it as of now.
pub(super) fn put(headers: &mut HeaderMap, granted: HeaderValue, buckets: [&Bucket; 2]) {
    let mut left = String::with_capacity(LEFT_BYTES);
    for bucket in buckets {
        let separator = if left.is_empty() { "" } else { ", " };
        let (name, units) = (bucket.policy().name, bucket.available());
        // Writing to a string does not fail.
        let _ = write!(left, "{separator}\"{name}\";r={units};t=1");
    }
    headers.insert(RATE_LIMIT_POLICY_HEADER, granted);
    headers.insert(RATE_LIMIT_HEADER, value(left));
}

/// The value of the header that says what two policies grant.
pub(super) fn granted(policies: [Policy; 2]) -> HeaderValue {
    let told = policies.map(
        |Policy {
             name,
             per_second,
             burst,
         }| {
            let window_seconds = burst.get().div_ceil(per_second.get());
            format!("\"{name}\";q={burst};w={window_seconds}")
        },
    );
    value(told.join(", "))
}

fn value(text: String) -> HeaderValue {
    // Names of policies are ours, the rest is digits: it is always a value.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
