//! What may be sent for one schema.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};

use crate::contract::validator;
use crate::edge_values::{STRANGE, escaped};

/// Times and durations: most schemas refuse them, and those that take them have no example of their edges.
const TIMES: [&str; 10] = [
    "2026-06-15T10:00:00Z",
    "2026-06-15T10:00:00.123456789+14:00",
    "0000-01-01T00:00:00Z",
    "0001-03-02T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-02-30T00:00:00Z",
    "0s",
    "1h",
    "3651d",
    "99999999999999999999w",
];
/// What may be sent for one schema, apart.
pub(crate) struct Values {
    shown: Vec<Value>,
    valid: Vec<Value>,
    pub(crate) invalid: Vec<Value>,
}

impl Values {
    pub(crate) fn of(document: &Value, schema: &Value, shown: Vec<Value>) -> Self {
        let rule = validator(document, schema);
        let mut all: Vec<Value> = STRANGE.into_iter().chain(TIMES).map(Value::from).collect();
        all.extend([json!(""), json!("a\u{0}"), json!("a".repeat(8000)), json!(null)]);
        all.extend([
            json!(true),
            json!(-1),
            json!(0),
            json!(1.5),
            json!(1e300),
            json!(u64::MAX),
        ]);
        all.extend([
            json!([]),
            json!({}),
            json!([[{"a": [null]}]]),
            json!(["a"]),
            json!({"$gt": ""}),
        ]);
        for word in schema["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            all.extend([json!(word), json!(word.to_uppercase()), json!(format!("{word} "))]);
        }
        for bound in [&schema["minimum"], &schema["maximum"]] {
            if let Some(bound) = bound.as_i64() {
                let around = [-1, 0, 1].map(|step| i128::from(bound) + step);
                all.extend(
                    around
                        .iter()
                        .filter_map(|near| serde_json::from_str(&near.to_string()).ok()),
                );
            } else if let Some(bound) = bound.as_f64() {
                all.extend([bound - 1e-9, bound, bound + 1e-9].map(Value::from));
            }
        }
        for bound in [&schema["minLength"], &schema["maxLength"]] {
            let length = usize::try_from(bound.as_u64().unwrap_or(1)).expect("a length");
            // One byte and four bytes a character.
            for character in ["a", "🚑"] {
                all.extend([length - 1, length, length + 1].map(|length| json!(character.repeat(length))));
            }
        }
        let (valid, invalid) = all.into_iter().partition(|value| rule.is_valid(value));
        Self {
            shown,
            valid,
            invalid,
        }
    }

    /// Half of them as the examples have it: they find something.
    pub(crate) fn valid(&self, random: &mut StdRng) -> Value {
        let from = if self.valid.is_empty() || (!self.shown.is_empty() && random.random_bool(0.5)) {
            &self.shown
        } else {
            &self.valid
        };
        from.choose(random).expect("a valid value").clone()
    }

    pub(crate) fn invalid(&self, random: &mut StdRng) -> Value {
        self.invalid.choose(random).expect("an invalid value").clone()
    }
}

/// A value in a path or a query. A number or a boolean is written there like its text.
pub(crate) fn written(value: &Value) -> String {
    escaped(
        &value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned),
    )
}

/// Whether the text of a value that is no text may be taken for a text.
pub(crate) fn is_told_apart(schema: &Value, value: &Value) -> bool {
    value.is_string() || schema["type"] != "string"
}
