//! The name under which a request is logged here and at its caller's.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// The header that carries the id, in both directions.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

const MAX_LENGTH: usize = 128;

/// The id of a request; the boundary puts it into the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id as text: 1 to 128 of `[A-Za-z0-9._-]`.
    pub fn as_str(&self) -> &str {
        // Always ASCII: both constructors see to that.
        self.0.to_str().unwrap_or_default()
    }

    pub(super) fn header_value(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The caller's id, if there is exactly one and it is well formed.
    fn given(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(REQUEST_ID_HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        let well_formed = (1..=MAX_LENGTH).contains(&value.len())
            && value
                .as_bytes()
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        well_formed.then(|| Self(value.clone()))
    }
}

/// Makes ids: 128 random bits as 32 hex digits, with the version and variant of a UUIDv4. Clones share one generator.
#[derive(Clone)]
pub struct RequestIds(Arc<Mutex<StdRng>>);

impl RequestIds {
    /// Seeded by the operating system.
    ///
    /// # Panics
    ///
    /// If the operating system gives no randomness.
    pub fn from_os() -> Self {
        Self(Arc::new(Mutex::new(StdRng::from_os_rng())))
    }

    /// The same ids in every run; for tests.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A new id.
    pub fn make(&self) -> RequestId {
        const VERSION_4: u128 = 0x4 << 76;
        const VARIANT_RFC: u128 = 0b10 << 62;
        let random: u128 = self.0.lock().unwrap_or_else(PoisonError::into_inner).random();
        let bits = (random & !(0xf << 76) & !(0b11 << 62)) | VERSION_4 | VARIANT_RFC;
        let mut digits = [0; 32];
        for (at, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(bits >> (124 - 4 * at) & 0xf) as usize];
        }
        #[expect(clippy::expect_used, reason = "hex digits are a valid header value")]
        RequestId(HeaderValue::from_bytes(&digits).expect("hex digits are a header value"))
    }

    pub(super) fn take_or_make(&self, headers: &HeaderMap) -> RequestId {
        RequestId::given(headers).unwrap_or_else(|| self.make())
    }
}

impl fmt::Debug for RequestIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestIds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(values: &[&str]) -> Option<RequestId> {
        let headers = values
            .iter()
            .map(|value| (REQUEST_ID_HEADER, HeaderValue::from_str(value).unwrap()));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        RequestId::given(&map)
    }

    #[test]
    fn a_well_formed_id_is_taken() {
        assert_eq!(given(&["Gate-7_a.b"]).unwrap().as_str(), "Gate-7_a.b");
        assert!(given(&["a".repeat(128).as_str()]).is_some());
    }

    #[test]
    fn any_other_is_not() {
        let long = "a".repeat(129);
        for values in [
            &[][..],
            &[""],
            &["a b"],
            &["a\"b"],
            &["a/b"],
            &[long.as_str()],
            &["a", "a"],
        ] {
            assert_eq!(given(values), None, "{values:?}");
        }
    }

    #[test]
    fn ids_are_version_4_and_follow_the_seed() {
        let [one, other] = [RequestIds::seeded(7), RequestIds::seeded(7)];
        let (first, second) = (one.make(), one.make());
        assert_eq!(first, other.make());
        assert_ne!(first, second);
        for id in [first, second, RequestIds::from_os().make()] {
            let digits = id.as_str().as_bytes();
            assert_eq!(digits.len(), 32);
            assert_eq!(digits[12], b'4');
            assert!(b"89ab".contains(&digits[16]));
        }
    }
}
