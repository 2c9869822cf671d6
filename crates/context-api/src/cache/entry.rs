//! One answer with its times, in memory and as bytes in Redis.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::HeaderValue;
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::changes::Seen;
use super::key::Key;

/// Version of the bytes. Values of another version are ignored, and overwritten by the next load.
const FORMAT: u8 = 2;
const MAGIC: &[u8; 4] = b"KCA\n";
/// Magic, format, kind, three times, lag, horizon.
const HEADER_BYTES: usize = MAGIC.len() + 2 + 5 * 8;
const CHECKSUM_BYTES: usize = 32;

/// How far the clock of the replica that stored a value may be ahead of ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(1);

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// 200 with a JSON body.
    Found(Bytes),
    /// 404, with the detail of the problem.
    Absent(String),
}

/// An answer and when it may be used. The times are absolute and travel with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) answer: Answer,
    /// Strong: a digest of the body, in quotes. Empty for what was not found.
    pub(super) etag: HeaderValue,
    /// When its load began: whatever was committed before, less the lag, is in it.
    pub(super) stored: DateTime<Utc>,
    pub(super) fresh_until: DateTime<Utc>,
    /// Until then it may be told when the database is away.
    pub(super) stale_until: DateTime<Utc>,
    /// How far the database lagged behind its primary then: that much older is what it tells.
    pub(super) lag: Duration,
    /// What else is certainly in it. Nothing is, as far as it is not said.
    pub(super) seen: Seen,
}

impl Entry {
    pub(super) fn new(
        answer: Answer,
        stored: DateTime<Utc>,
        fresh_until: DateTime<Utc>,
        stale_until: DateTime<Utc>,
    ) -> Self {
        let etag = match &answer {
            Answer::Found(body) => etag(body),
            Answer::Absent(_) => HeaderValue::from_static(""),
        };
        Self {
            answer,
            etag,
            stored,
            fresh_until,
            stale_until,
            lag: Duration::ZERO,
            seen: Seen::default(),
        }
    }

    pub(super) fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        now < self.fresh_until && self.stored <= now + CLOCK_SKEW
    }

    /// Fresh or stale, as opposed to forgotten.
    pub(super) fn is_usable(&self, now: DateTime<Utc>) -> bool {
        now < self.stale_until && self.stored <= now + CLOCK_SKEW
    }

    /// Whole seconds since what it tells was all there was.
    pub(super) fn age(&self, now: DateTime<Utc>) -> i64 {
        let since = (now - self.stored).max(TimeDelta::zero());
        let lag = TimeDelta::from_std(self.lag).unwrap_or(TimeDelta::MAX);
        since.checked_add(&lag).unwrap_or(TimeDelta::MAX).num_seconds()
    }

    /// Bytes of the answer.
    pub(super) fn len(&self) -> usize {
        match &self.answer {
            Answer::Found(body) => body.len(),
            Answer::Absent(detail) => detail.len(),
        }
    }

    /// Header, answer, and a SHA-256 of the key and both.
    pub(super) fn encode(&self, key: &Key) -> Vec<u8> {
        let (kind, content) = match &self.answer {
            Answer::Found(body) => (0, &body[..]),
            Answer::Absent(detail) => (1, detail.as_bytes()),
        };
        let mut bytes = Vec::with_capacity(HEADER_BYTES + content.len() + CHECKSUM_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[FORMAT, kind]);
        for time in [self.stored, self.fresh_until, self.stale_until] {
            bytes.extend_from_slice(&time.timestamp_micros().to_be_bytes());
        }
        let lag = i64::try_from(self.lag.as_millis()).unwrap_or(i64::MAX);
        for number in [lag, self.seen.horizon] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(content);
        let sum = checksum(key, &bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }

    /// `None` for what this version did not write under this key.
    pub(super) fn decode(key: &Key, bytes: &[u8]) -> Option<Self> {
        let (value, sum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
        let (header, content) = value.split_at_checked(HEADER_BYTES)?;
        let (prefix, numbers) = header.split_at_checked(MAGIC.len() + 2)?;
        if !prefix.starts_with(MAGIC) || prefix[MAGIC.len()] != FORMAT || sum != checksum(key, value) {
            return None;
        }
        let mut numbers = numbers
            .chunks_exact(8)
            .map(|number| number.try_into().map(i64::from_be_bytes));
        let mut number = || numbers.next().and_then(Result::ok);
        let mut time = || DateTime::from_timestamp_micros(number()?);
        let (stored, fresh_until, stale_until) = (time()?, time()?, time()?);
        let lag = Duration::from_millis(number()?.try_into().ok()?);
        let horizon = number()?;
        let answer = match prefix[MAGIC.len() + 1] {
            0 => Answer::Found(Bytes::copy_from_slice(content)),
            1 => Answer::Absent(String::from_utf8(content.to_vec()).ok()?),
            _ => return None,
        };
        Some(Self {
            lag,
            seen: Seen::through(horizon),
            ..Self::new(answer, stored, fresh_until, stale_until)
        })
    }
}

fn checksum(key: &Key, value: &[u8]) -> [u8; CHECKSUM_BYTES] {
    Sha256::new()
        .chain_update(key.as_bytes())
        .chain_update(value)
        .finalize()
        .into()
}

/// 128 bits of the body's SHA-256 as hexadecimal digits, in quotes.
fn etag(body: &[u8]) -> HeaderValue {
    let mut etag = String::from('"');
    for byte in &Sha256::digest(body)[..16] {
        // Writing to a string does not fail.
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    // Digits and quotes always are a value; an empty one would match no condition.
    HeaderValue::try_from(etag).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::super::key::tests::key;
    use super::*;

    fn at(second: u32) -> DateTime<Utc> {
        format!("2026-03-10T12:00:{second:02}.000001Z").parse().unwrap()
    }

    fn entry(answer: Answer) -> Entry {
        Entry {
            lag: Duration::from_millis(1_500),
            seen: Seen::through(1_234_567_890_123),
            ..Entry::new(answer, at(0), at(5), at(30))
        }
    }

    #[test]
    fn bytes_read_back_are_the_same_entry() {
        let key = key("/a");
        for answer in [
            Answer::Found(Bytes::from_static(b"{\"a\":1}")),
            Answer::Found(Bytes::new()),
            Answer::Absent("There is no incident 7.".into()),
        ] {
            let entry = entry(answer);
            assert_eq!(Entry::decode(&key, &entry.encode(&key)), Some(entry));
        }
    }

    #[test]
    fn a_flipped_bit_a_missing_byte_another_key_or_another_format_is_no_entry() {
        let (mine, other) = (key("/a"), key("/b"));
        let bytes = entry(Answer::Found(Bytes::from_static(b"{}"))).encode(&mine);
        for index in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1;
            assert_eq!(Entry::decode(&mine, &flipped), None, "byte {index}");
            assert_eq!(Entry::decode(&mine, &bytes[..index]), None, "{index} bytes");
        }
        assert_eq!(Entry::decode(&other, &bytes), None);

        // Even with a sum that is right.
        let mut older = bytes[..bytes.len() - CHECKSUM_BYTES].to_vec();
        older[MAGIC.len()] = 0;
        older.extend_from_slice(&checksum(&mine, &older.clone()));
        assert_eq!(Entry::decode(&mine, &older), None);
    }

    #[test]
    fn it_is_fresh_then_stale_then_forgotten_and_a_value_from_the_future_is_neither() {
        let entry = entry(Answer::Absent(String::new()));
        let told = |second| (entry.is_fresh(at(second)), entry.is_usable(at(second)));
        assert_eq!(
            [told(0), told(4), told(5), told(29), told(30)],
            [
                (true, true),
                (true, true),
                (false, true),
                (false, true),
                (false, false)
            ]
        );
        let before = at(0) - TimeDelta::milliseconds(1_001);
        assert!(!entry.is_fresh(before) && !entry.is_usable(before));
        assert!(entry.is_fresh(at(0) - CLOCK_SKEW));
        assert_eq!((entry.age(at(7)), entry.age(before)), (8, 1));
    }
}
