//! A JSON object as request body.

use std::{cell::Cell, fmt};

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{BodyBytes, parameter::shorten};
use crate::problem::{Problem, ProblemKind, Violation};

/// A body of media type `application/json` that is one JSON object.
///
/// An object that names one key twice is refused: which of the two counts would depend on the reader, and a record is
/// read by many. Nesting is limited to 127 levels, and the number of values by [`ValueBudget`].
///
/// # Errors
///
/// Those of [`BodyBytes`]; 415 without the media type; 400 `malformed-json`, with line and column, if it is not JSON;
/// 400 `validation-error` if it is JSON, but no object.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonObject(pub Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        media_type(request.headers(), &["application/json"])?;
        let BodyBytes(bytes) = BodyBytes::from_request(request, state).await?;
        Self::parse(&bytes)
    }
}

impl JsonObject {
    /// Reads the object from JSON text.
    ///
    /// # Errors
    ///
    /// The two 400s above.
    pub fn parse(text: &[u8]) -> Result<Self, Problem> {
        match parse_json(text)? {
            Value::Object(object) => Ok(Self(object)),
            _ => Err(Problem::validation([Violation::pointer(
                "",
                "type",
                "must be a JSON object",
            )])),
        }
    }
}

/// Reads a JSON value of any type, as strictly as [`JsonObject`].
///
/// # Errors
///
/// 400 `malformed-json`, with line and column.
pub fn parse_json(text: &[u8]) -> Result<Value, Problem> {
    ValueBudget::of(text.len()).parse(text)
}

/// How many JSON values a body may hold, so that its memory stays in proportion to its bytes.
///
/// A value takes up 32 bytes of memory, but only two in a body such as `[1,1,1]`; an object that is not empty takes up
/// the node of a tree, which is counted as 20 values. A body may hold 10,000, and one more for every 4 of its bytes: its
/// memory is then at most 320 kB and eight times its size, whatever is in it.
#[derive(Debug)]
pub struct ValueBudget(Cell<Option<usize>>);

impl ValueBudget {
    /// The budget of a body of so many bytes, however many texts are in it.
    pub fn of(bytes: usize) -> Self {
        Self(Cell::new(Some(10_000 + bytes / 4)))
    }

    /// Reads a text of the body, as [`parse_json`].
    ///
    /// # Errors
    ///
    /// 400 `malformed-json`, with line and column; 413 when the budget is used up.
    pub fn parse(&self, text: &[u8]) -> Result<Value, Problem> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        StrictValue(&self.0)
            .deserialize(&mut deserializer)
            .and_then(|value| deserializer.end().map(|()| value))
            .map_err(|error| {
                if self.0.get().is_none() {
                    Problem::new(ProblemKind::PAYLOAD_TOO_LARGE)
                        .with_detail("The body holds too many JSON values for its size.")
                } else {
                    Problem::new(ProblemKind::MALFORMED_JSON).with_detail(error.to_string())
                }
            })
    }
}

/// Which of the accepted media types a body is sent as; its charset, if it names one, must be UTF-8.
///
/// # Errors
///
/// 415 with a list of the accepted ones.
pub fn media_type(headers: &HeaderMap, accepted: &[&'static str]) -> Result<&'static str, Problem> {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            let mut parts = value.split(';').map(str::trim);
            let essence = parts.next()?;
            parts
                .filter(|parameter| !parameter.is_empty())
                .all(is_utf8_charset)
                .then(|| {
                    accepted
                        .iter()
                        .copied()
                        .find(|known| essence.eq_ignore_ascii_case(known))
                })?
        })
        .ok_or_else(|| {
            Problem::new(ProblemKind::UNSUPPORTED_MEDIA_TYPE).with_detail(format!(
                "The body must be sent as `Content-Type: {}`, in UTF-8.",
                accepted.join("` or `")
            ))
        })
}

fn is_utf8_charset(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

/// Reads a JSON value none of whose objects names a key twice, and counts down the values that are left; `None` when
/// there were too many.
#[derive(Clone, Copy)]
struct StrictValue<'a>(&'a Cell<Option<usize>>);

impl<'de> DeserializeSeed<'de> for StrictValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.take(1)?;
        deserializer.deserialize_any(self)
    }
}

impl StrictValue<'_> {
    fn take<E: serde::de::Error>(self, values: usize) -> Result<(), E> {
        let left = self.0.get().and_then(|left| left.checked_sub(values));
        self.0.set(left);
        left.map(drop).ok_or_else(|| E::custom("too many values"))
    }
}

/// Values that an object counts as beside itself, once it has an entry.
const OBJECT_VALUES: usize = 20;

impl<'de> Visitor<'de> for StrictValue<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let mut is_first = true;
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "the key {:?} is repeated",
                    shorten(&key)
                )));
            }
            if is_first {
                self.take(OBJECT_VALUES)?;
                is_first = false;
            }
            object.insert(key, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn detail(text: &str) -> String {
        let problem = JsonObject::parse(text.as_bytes()).unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::MALFORMED_JSON);
        problem.detail().unwrap().to_owned()
    }

    #[test]
    fn a_value_equals_what_serde_json_reads() {
        let text = r#"{"a":[1,-2,0.5,1e3,18446744073709551615,true,null,"\u00e9\"",{}],"b":{"a":{"a":[]}}}"#;
        let JsonObject(object) = JsonObject::parse(text.as_bytes()).unwrap();
        assert_eq!(
            Value::Object(object),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }

    #[test]
    fn malformed_json_is_located_by_line_and_column() {
        assert_eq!(detail(""), "EOF while parsing a value at line 1 column 0");
        assert_eq!(
            detail("{\n  \"a\": 1,\n  \"b\" 2\n}"),
            "expected `:` at line 3 column 7"
        );
        assert_eq!(detail("{} x"), "trailing characters at line 1 column 4");
        assert_eq!(
            detail("{\"a\": 1e999}"),
            "number out of range at line 1 column 11"
        );
    }

    #[test]
    fn a_body_of_more_values_than_bytes_for_them_is_too_large() {
        // The array is a value, too; 10,000 values are free, and 4 bytes pay for another.
        let array = |item: &str, count: usize| format!("[{}{item}]", format!("{item},").repeat(count - 1));
        let is_taken = |text: &str| match parse_json(text.as_bytes()) {
            Ok(_) => true,
            Err(problem) => {
                assert_eq!(problem.kind(), ProblemKind::PAYLOAD_TOO_LARGE);
                false
            }
        };
        assert!(is_taken(&array("1", 19_998)));
        assert!(!is_taken(&array("1", 20_002)));
        assert!(is_taken(&array("1", 20_002).replace(',', ", ")));
        // An object counts for 21, and for its entries; 8 bytes of it pay for 2.
        assert!(is_taken(&array(r#"{"a":1}"#, 499)));
        assert!(!is_taken(&array(r#"{"a":1}"#, 501)));
        let budget = ValueBudget::of(0);
        assert!(budget.parse(array("1", 6_000).as_bytes()).is_ok());
        assert!(
            budget.parse(array("1", 6_000).as_bytes()).is_err(),
            "texts of one body share"
        );
    }

    #[test]
    fn a_repeated_key_is_refused_at_any_depth() {
        assert_eq!(
            detail(r#"{"a":1,"a":2}"#),
            r#"the key "a" is repeated at line 1 column 10"#
        );
        assert_eq!(
            detail("{\"a\":\n[{\"b\":1,\"\\u0062\":2}]}"),
            r#"the key "b" is repeated at line 2 column 16"#
        );
    }

    #[test]
    fn invalid_utf_8_and_deep_nesting_are_malformed() {
        let problem = JsonObject::parse(b"{\"a\":\"\xff\"}").unwrap_err();
        assert_eq!(
            problem.detail(),
            Some("invalid unicode code point at line 1 column 7")
        );
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert!(detail(&deep).starts_with("recursion limit exceeded at line 1 column"));
    }

    #[test]
    fn a_value_that_is_no_object_is_a_violation_of_the_whole_body() {
        let problem = JsonObject::parse(b"[1]").unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::VALIDATION_ERROR);
        assert_eq!(
            json!(problem.violations()),
            json!([{"pointer": "", "code": "type", "detail": "must be a JSON object"}])
        );
    }

    #[test]
    fn only_json_in_utf_8_is_a_json_body() {
        let accepts = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]);
            media_type(&headers, &["application/json"]).is_ok()
        };
        let accepted = [
            "application/json",
            "Application/JSON;charset=UTF-8",
            "application/json; charset=\"utf-8\"",
            "application/json;",
        ];
        let refused = [
            "",
            "text/plain",
            "application/jsonp",
            "application/ld+json",
            "application/json; charset=latin1",
            "application/json; profile=x",
        ];
        assert_eq!(accepted.map(accepts), [true; 4]);
        assert_eq!(refused.map(accepts), [false; 6]);
        assert!(media_type(&HeaderMap::new(), &["application/json"]).is_err());
    }
}
