//! A JSON body, read strictly and complained about at once: what `QueryParameters` is to a query string.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};
use service_kit::problem::pointer_token;
use service_kit::{Problem, Violation};

use crate::filter::Broken;

/// The fields of a JSON object.
///
/// A handler asks for each field it knows, once and by type; a getter answers `None` when the field is absent *or*
/// unusable, and notes the violation. `null` is absent, as everywhere in Kubernetes. [`finish`](Self::finish) then
/// refuses the request with all violations, among them the fields that nobody asked for.
#[must_use = "violations are lost unless `finish` is called"]
pub(crate) struct BodyFields<'a> {
    object: &'a Map<String, Value>,
    known: Vec<&'static str>,
    violations: Vec<Violation>,
}

impl<'a> BodyFields<'a> {
    pub(crate) fn new(object: &'a Map<String, Value>) -> Self {
        Self {
            object,
            known: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// Whether the field is there, usable or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(|value| !value.is_null())
    }

    /// A string of 1 to `max_chars` characters without NUL, which `read` makes a value of.
    pub(crate) fn text<T>(
        &mut self,
        name: &'static str,
        max_chars: usize,
        read: impl FnOnce(&str) -> Result<T, Broken>,
    ) -> Option<T> {
        self.get(name, |value| {
            let text = value
                .as_str()
                .ok_or_else(|| ("type", "must be a string".to_owned()))?;
            if text.is_empty() {
                return Err(("empty", "must not be empty".to_owned()));
            }
            if text.contains('\0') {
                return Err(("nul", "must not contain NUL".to_owned()));
            }
            // A character has at least one byte: the count is only needed for long texts.
            if text.len() > max_chars && text.chars().count() > max_chars {
                return Err(("too-long", format!("must have at most {max_chars} characters")));
            }
            read(text)
        })
    }

    /// A whole number within `range`, written without fraction or exponent.
    pub(crate) fn integer(&mut self, name: &'static str, range: &RangeInclusive<i64>) -> Option<i64> {
        self.get(name, |value| {
            let expected = || format!("must be an integer from {} to {}", range.start(), range.end());
            match value.as_i64() {
                Some(number) if range.contains(&number) => Ok(number),
                // What fits only unsigned 64 bits is out of any range.
                _ if value.is_i64() || value.is_u64() => Err(("out-of-range", expected())),
                _ => Err(("type", expected())),
            }
        })
    }

    /// A number within `range`.
    pub(crate) fn number(&mut self, name: &'static str, range: &RangeInclusive<f64>) -> Option<f64> {
        self.get(name, |value| {
            let expected = || format!("must be a number from {} to {}", range.start(), range.end());
            match value.as_f64() {
                Some(number) if range.contains(&number) => Ok(number),
                Some(_) => Err(("out-of-range", expected())),
                None => Err(("type", expected())),
            }
        })
    }

    /// Notes a violation of a field that only the handler can see.
    pub(crate) fn refuse(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        self.violations.push(Violation::pointer(
            format!("/{}", pointer_token(name)),
            code,
            detail,
        ));
    }

    /// Notes a violation of the whole body.
    pub(crate) fn refuse_body(&mut self, code: &'static str, detail: impl Into<String>) {
        self.violations.push(Violation::pointer("", code, detail));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// 400 `validation-error` with every violation: first those of the getters, then the unknown fields.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        let known = format!("is unknown; known are `{}`", self.known.join("`, `"));
        let object = self.object;
        for name in object.keys() {
            if !self.known.contains(&name.as_str()) {
                self.refuse(name, "unknown-field", known.clone());
            }
        }
        if self.violations.is_empty() {
            Ok(())
        } else {
            Err(Problem::validation(self.violations))
        }
    }

    fn get<T>(&mut self, name: &'static str, read: impl FnOnce(&Value) -> Result<T, Broken>) -> Option<T> {
        self.known.push(name);
        let value = self.object.get(name).filter(|value| !value.is_null())?;
        read(value)
            .map_err(|(code, detail)| self.refuse(name, code, detail))
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_typed_and_null_is_absent() {
        let body = json!({"text": "né", "count": 5, "share": -0.5, "whole": 1, "none": null});
        let mut fields = BodyFields::new(body.as_object().unwrap());
        assert_eq!(
            fields.text("text", 2, |text| Ok(text.to_owned())),
            Some("né".to_owned())
        );
        assert_eq!(fields.integer("count", &(1..=5)), Some(5));
        assert_eq!(fields.number("share", &(-1.0..=1.0)), Some(-0.5));
        assert_eq!(fields.number("whole", &(-1.0..=1.0)), Some(1.0));
        assert!(fields.has("text") && !fields.has("none") && !fields.has("absent"));
        assert_eq!(fields.integer("none", &(1..=5)), None);
        assert_eq!(fields.integer("absent", &(1..=5)), None);
        assert!(fields.finish().is_ok());
    }

    #[test]
    fn all_violations_are_reported_at_once_and_pointed_to() {
        let body = json!({
            "a": 1, "b": "", "c": "x\0", "d": "éé", "e": 6, "f": 2.0, "g": 18_446_744_073_709_551_615_u64,
            "h": 1.5, "i": "1", "j~k/l": null,
        });
        let mut fields = BodyFields::new(body.as_object().unwrap());
        for name in ["a", "b", "c", "d"] {
            assert_eq!(fields.text(name, 1, |_| Ok(())), None);
        }
        for name in ["e", "f", "g"] {
            assert_eq!(fields.integer(name, &(1..=5)), None);
        }
        for name in ["h", "i"] {
            assert_eq!(fields.number(name, &(-1.0..=1.0)), None);
        }
        fields.refuse_body("odd", "is odd");
        let integer = "must be an integer from 1 to 5";
        let number = "must be a number from -1 to 1";
        let known = "is unknown; known are `a`, `b`, `c`, `d`, `e`, `f`, `g`, `h`, `i`";
        assert_eq!(
            json!(fields.finish().unwrap_err().violations()),
            json!([
                {"pointer": "/a", "code": "type", "detail": "must be a string"},
                {"pointer": "/b", "code": "empty", "detail": "must not be empty"},
                {"pointer": "/c", "code": "nul", "detail": "must not contain NUL"},
                {"pointer": "/d", "code": "too-long", "detail": "must have at most 1 characters"},
                {"pointer": "/e", "code": "out-of-range", "detail": integer},
                {"pointer": "/f", "code": "type", "detail": integer},
                {"pointer": "/g", "code": "out-of-range", "detail": integer},
                {"pointer": "/h", "code": "out-of-range", "detail": number},
                {"pointer": "/i", "code": "type", "detail": number},
                {"pointer": "", "code": "odd", "detail": "is odd"},
                {"pointer": "/j~0k~1l", "code": "unknown-field", "detail": known},
            ])
        );
    }
}
