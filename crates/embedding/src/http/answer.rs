//! What a provider answers, which nobody trusts.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use crate::error::InvalidAnswer;
use crate::vector::{InvalidVector, check_vector, normalise};

use super::shorten;

/// The vector of one text, of unit length, or what is wrong with it alone.
pub(super) type Judged = Result<Vec<f32>, InvalidVector>;

/// The body of an answer as OpenAI defined it; other fields are its own business.
#[derive(Deserialize)]
struct Body {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<Component>,
}

/// A number, or NaN for a null or a string that stands where a number should: JSON has neither NaN nor infinity, and
/// providers write something else for them. It spoils its own vector only.
struct Component(f32);

impl<'de> Deserialize<'de> for Component {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ComponentVisitor).map(Self)
    }
}

struct ComponentVisitor;

impl Visitor<'_> for ComponentVisitor {
    type Value = f32;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number")
    }

    fn visit_f64<E>(self, number: f64) -> Result<f32, E> {
        Ok(number as f32)
    }

    fn visit_i64<E>(self, number: i64) -> Result<f32, E> {
        Ok(number as f32)
    }

    fn visit_u64<E>(self, number: u64) -> Result<f32, E> {
        Ok(number as f32)
    }

    fn visit_unit<E>(self) -> Result<f32, E> {
        Ok(f32::NAN)
    }

    fn visit_str<E>(self, _: &str) -> Result<f32, E> {
        Ok(f32::NAN)
    }
}

/// One judged vector for each text, in the order of the texts, whatever order they came in.
pub(super) fn vectors(body: &[u8], texts: usize, dimension: usize) -> Result<Vec<Judged>, InvalidAnswer> {
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| InvalidAnswer::Unreadable(shorten(&error.to_string()).into()))?;
    if body.data.len() != texts {
        return Err(InvalidAnswer::Count {
            texts,
            vectors: body.data.len(),
        });
    }
    let mut items = body.data;
    items.sort_unstable_by_key(|item| item.index);
    if items.iter().enumerate().any(|(place, item)| item.index != place) {
        return Err(InvalidAnswer::Indexes { texts });
    }
    Ok(items
        .into_iter()
        .map(|item| {
            let mut vector: Vec<f32> = item
                .embedding
                .into_iter()
                .map(|Component(number)| number)
                .collect();
            // Before the check, since only the direction matters: what is too long or too short for f32 is fine then.
            normalise(&mut vector);
            check_vector(&vector, dimension)?;
            Ok(vector)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, texts: usize) -> Result<Vec<Judged>, InvalidAnswer> {
        vectors(body.as_bytes(), texts, 2)
    }

    /// How one embedding is judged.
    fn judged(embedding: &str) -> Judged {
        let body = format!(r#"{{"data": [{{"index": 0, "embedding": {embedding}}}]}}"#);
        read(&body, 1).unwrap().remove(0)
    }

    #[test]
    fn vectors_come_in_the_order_of_the_texts_and_have_length_one() {
        let body = r#"{"object": "list", "usage": {"total_tokens": 3}, "data": [
            {"object": "embedding", "index": 1, "embedding": [0, -2]},
            {"object": "embedding", "index": 0, "embedding": [3.0, 4.0]}
        ]}"#;
        assert_eq!(read(body, 2).unwrap(), [Ok(vec![0.6, 0.8]), Ok(vec![0.0, -1.0])]);
    }

    #[test]
    fn only_the_direction_matters() {
        assert_eq!(judged("[0, 4e30]"), Ok(vec![0.0, 1.0]));
        assert_eq!(judged("[-4e-30, 0]"), Ok(vec![-1.0, 0.0]));
    }

    #[test]
    fn a_bad_vector_is_bad_alone() {
        let not_finite = |index| Err(InvalidVector::NotFinite { index });
        assert_eq!(judged("[1, null]"), not_finite(1));
        assert_eq!(judged(r#"["NaN", 1]"#), not_finite(0));
        assert_eq!(judged("[1e40, 1]"), not_finite(0));
        assert_eq!(judged("[0, -0.0]"), Err(InvalidVector::NoDirection));
        for (embedding, found) in [("[1]", 1), ("[1, 2, 3]", 3), ("[]", 0)] {
            assert_eq!(
                judged(embedding),
                Err(InvalidVector::Dimension { expected: 2, found })
            );
        }
        let body = r#"{"data": [{"index": 0, "embedding": [1, null]}, {"index": 1, "embedding": [1, 0]}]}"#;
        assert_eq!(read(body, 2).unwrap(), [not_finite(1), Ok(vec![1.0, 0.0])]);
    }

    #[test]
    fn indexes_must_be_those_of_the_texts() {
        let item = |index| format!(r#"{{"index": {index}, "embedding": [1, 0]}}"#);
        let body = |items: &[String]| format!(r#"{{"data": [{}]}}"#, items.join(","));
        assert_eq!(
            read(&body(&[item(0), item(0)]), 2),
            Err(InvalidAnswer::Indexes { texts: 2 })
        );
        assert_eq!(
            read(&body(&[item(1), item(2)]), 2),
            Err(InvalidAnswer::Indexes { texts: 2 })
        );
        for items in [vec![item(0)], vec![item(0), item(1), item(2)]] {
            assert_eq!(
                read(&body(&items), 2),
                Err(InvalidAnswer::Count {
                    texts: 2,
                    vectors: items.len()
                })
            );
        }
    }

    #[test]
    fn anything_else_is_unreadable() {
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"data": null}"#,
            r#"{"data": [{"index": 0, "embedding": "AACAPw=="}]}"#,
            r#"{"data": [{"index": 0, "embedding": null}]}"#,
            r#"{"data": [{"index": 0, "embedding": [NaN, 1]}]}"#,
            r#"{"data": [{"index": 0, "embedding": [true, 1]}]}"#,
            r#"{"data": [{"index": -1, "embedding": [1, 1]}]}"#,
            r#"{"data": [{"embedding": [1, 1]}]}"#,
            r#"{"data": [{"index": 0, "embedding": [1, 1]}]} and more"#,
        ] {
            assert!(
                matches!(read(body, 1), Err(InvalidAnswer::Unreadable(_))),
                "{body}"
            );
        }
    }
}
