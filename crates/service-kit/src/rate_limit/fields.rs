//! What an answer tells about the limits: draft-ietf-httpapi-ratelimit-headers-11 (23 May 2026, work in progress).
//!
//! Both fields are lists of structured fields (RFC 9651): a string names the policy, its parameters are integers.
//! `RateLimit-Policy` (section 3) says what each policy grants: `q` units, the burst, in each `w` seconds, the time in
//! which an empty bucket is refilled. `RateLimit` (section 4) says what is left: at most `r` units in the next `t`
//! seconds. `t` is always 1: at one unit a second or more, the next one is less than a second away, and there are only
//! whole seconds. That also keeps `Retry-After` from pointing before the end of `t` (section 6).
//!
//! There is no partition key (`pk`): it would be the name of the caller, who knows it.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::bucket::{Bucket, Policy};

/// Header that says what is granted.
pub const RATE_LIMIT_POLICY_HEADER: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Header that says what is left.
pub const RATE_LIMIT_HEADER: HeaderName = HeaderName::from_static("ratelimit");

/// Puts both headers into `headers`, as of now.
pub(super) fn put(headers: &mut HeaderMap, buckets: [&Bucket; 2]) {
    let policies = buckets.map(|bucket| granted(bucket.policy())).join(", ");
    let left = buckets
        .map(|bucket| format!("\"{}\";r={};t=1", bucket.policy().name, bucket.available()))
        .join(", ");
    for (name, value) in [(RATE_LIMIT_POLICY_HEADER, policies), (RATE_LIMIT_HEADER, left)] {
        // Names of policies are ours, the rest is digits: it is always a value.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

fn granted(policy: Policy) -> String {
    let window_seconds = policy.burst.get().div_ceil(policy.per_second.get());
    format!("\"{}\";q={};w={window_seconds}", policy.name, policy.burst)
}
