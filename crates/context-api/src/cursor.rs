//! Where a page of the incident list ended, as an opaque text that the next request brings back.
//!
//! The text is 62 bytes in base64url without padding (RFC 4648, section 5); numbers are big-endian:
//!
//! | bytes | what |
//! |-------|------|
//! | 1     | version of this layout, 1 |
//! | 1     | order: 0 newest first, 1 oldest first |
//! | 8     | createdAt of the last incident, microseconds since 1970 |
//! | 8     | its id |
//! | 8     | the time the walk began at, microseconds since 1970 |
//! | 32    | [`filter::digest`] of the filters |
//! | 4     | the first bytes of the SHA-256 of all before |
//!
//! `since=24h` counts back from the time the walk began at, on its last page as on its first: otherwise incidents that
//! were there in the beginning would leave the window before the walk reaches them.
//!
//! The checksum has no key. It tells a cursor that was damaged or made up by mistake; who makes one on purpose reads
//! nothing but what the same filters give anyway.

use audit_store::reader::{IncidentFilter, Order, Position};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::filter::{self, Broken};

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
/// Without the checksum.
const CONTENT_BYTES: usize = 1 + 1 + 8 + 8 + 8 + 32;
/// Of the text: four characters for three bytes.
pub(crate) const CHARS: usize = ((CONTENT_BYTES + CHECKSUM_BYTES) * 4).div_ceil(3);

/// The schema of the text.
pub(crate) fn schema() -> Value {
    json!({"type": "string", "minLength": CHARS, "maxLength": CHARS, "pattern": "^[A-Za-z0-9_-]+$"})
}

/// The end of a page, and the list it was a page of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Order of the list.
    pub(crate) order: Order,
    /// Place of the last incident given.
    pub(crate) after: Position,
    /// When the walk began.
    pub(crate) began: DateTime<Utc>,
    filters: [u8; 32],
}

impl Cursor {
    /// The end of a page of the list with this filter.
    pub(crate) fn new(order: Order, after: Position, began: DateTime<Utc>, filter: &IncidentFilter) -> Self {
        Self {
            order,
            after,
            began,
            filters: filter::digest(filter),
        }
    }

    /// Whether it comes from the list with this filter.
    pub(crate) fn is_of(&self, filter: &IncidentFilter) -> bool {
        self.filters == filter::digest(filter)
    }

    /// The cursor as text.
    pub(crate) fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(CONTENT_BYTES + CHECKSUM_BYTES);
        bytes.push(VERSION);
        bytes.push(match self.order {
            Order::Descending => 0,
            Order::Ascending => 1,
        });
        bytes.extend(self.after.created_at.timestamp_micros().to_be_bytes());
        bytes.extend(self.after.id.to_be_bytes());
        bytes.extend(self.began.timestamp_micros().to_be_bytes());
        bytes.extend(self.filters);
        let checksum = checksum(&bytes);
        bytes.extend(checksum);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads the text.
    ///
    /// # Errors
    /// `not-a-cursor` for everything that [`Self::encode`] of this version does not give.
    pub(crate) fn decode(text: &str) -> Result<Self, Broken> {
        Self::read(text).ok_or_else(|| {
            (
                "not-a-cursor",
                "must be the `nextCursor` of an earlier page, unchanged".to_owned(),
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (content, given) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        if checksum(content) != *given {
            return None;
        }
        let (&[version, order], rest) = content.split_first_chunk()?;
        let (created_at, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (began, filters) = rest.split_first_chunk()?;
        if version != VERSION {
            return None;
        }
        Some(Self {
            order: match order {
                0 => Order::Descending,
                1 => Order::Ascending,
                _ => return None,
            },
            after: Position {
                created_at: DateTime::from_timestamp_micros(i64::from_be_bytes(*created_at))?,
                id: i64::from_be_bytes(*id),
            },
            began: DateTime::from_timestamp_micros(i64::from_be_bytes(*began))?,
            filters: filters.try_into().ok()?,
        })
    }
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [first, second, third, fourth, ..] = <[u8; 32]>::from(Sha256::digest(content));
    [first, second, third, fourth]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(filter: &IncidentFilter) -> Cursor {
        Cursor::new(
            Order::Ascending,
            Position {
                created_at: "2026-03-10T12:00:00.000001Z".parse().unwrap(),
                id: 7,
            },
            "2026-03-10T13:00:00Z".parse().unwrap(),
            filter,
        )
    }

    #[test]
    fn a_cursor_comes_back_as_it_was_and_knows_its_filters() {
        let filter = IncidentFilter {
            namespace: Some("shop".into()),
            ..IncidentFilter::default()
        };
        let given = cursor(&filter);
        let text = given.encode();
        assert_eq!(text.len(), CHARS);
        assert_eq!(Cursor::decode(&text), Ok(given));
        assert!(given.is_of(&filter));
        assert!(!given.is_of(&IncidentFilter::default()));
        // The same text under another name, and texts that are only alike when put together.
        assert!(!given.is_of(&IncidentFilter {
            cluster: Some("shop".into()),
            ..IncidentFilter::default()
        }));
        let split = |namespace: &str, cluster: &str| IncidentFilter {
            namespace: Some(namespace.into()),
            cluster: Some(cluster.into()),
            ..IncidentFilter::default()
        };
        assert!(!cursor(&split("ab", "c")).is_of(&split("a", "bc")));
    }

    #[test]
    fn a_cursor_with_any_bit_changed_is_none() {
        let text = cursor(&IncidentFilter::default()).encode();
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        assert_eq!(bytes.len(), 62);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = Cursor::decode(&URL_SAFE_NO_PAD.encode(changed));
            assert_eq!(changed.unwrap_err().0, "not-a-cursor", "bit {bit}");
        }
        for other in [
            "",
            "x",
            "AAAA",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}="),
        ] {
            assert_eq!(Cursor::decode(other).unwrap_err().0, "not-a-cursor", "{other}");
        }
    }

    #[test]
    fn a_cursor_of_another_version_is_none_though_its_checksum_is_right() {
        let bytes = URL_SAFE_NO_PAD
            .decode(cursor(&IncidentFilter::default()).encode())
            .unwrap();
        let mut content = bytes[..CONTENT_BYTES].to_vec();
        content[0] = 2;
        let checksum = checksum(&content);
        content.extend(checksum);
        assert!(Cursor::decode(&URL_SAFE_NO_PAD.encode(content)).is_err());
    }
}
