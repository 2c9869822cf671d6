//! Taking the fields of a JSON object one by one, and collecting what is wrong with them.

use std::collections::HashSet;

use serde_json::{Map, Value};
use service_kit::Violation;

/// Why a value is refused: a static code and a sentence that continues "the field …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    /// Pointer from the field to the culprit inside of it; empty for the field itself.
    pub(crate) within: String,
}

impl Refused {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            within: String::new(),
        }
    }

    /// The same refusal, of something inside the field.
    pub(crate) fn within(mut self, token: &str) -> Self {
        self.within = format!("/{}{}", escape(token), self.within);
        self
    }
}

/// Escapes one reference token of a JSON pointer (RFC 6901).
fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// The fields of an object that have not been taken yet, and the violations found so far.
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
    pointer: String,
    taken: HashSet<&'static str>,
    violations: Vec<Violation>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(object: &'a Map<String, Value>) -> Self {
        Self {
            object,
            pointer: String::new(),
            taken: HashSet::new(),
            violations: Vec::new(),
        }
    }

    /// The fields of an object inside the body.
    pub(crate) fn nested(object: &'a Map<String, Value>, pointer: String) -> Self {
        Self {
            pointer,
            ..Self::new(object)
        }
    }

    /// Takes a field that may be absent. `null` is absent, as everywhere in Kubernetes.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&Value) -> Result<T, Refused>,
    ) -> Option<T> {
        self.taken.insert(name);
        let value = self.object.get(name).filter(|value| !value.is_null())?;
        match nul_free(value).and_then(|()| rule(value)) {
            Ok(value) => Some(value),
            Err(refused) => {
                self.refuse(name, refused);
                None
            }
        }
    }

    /// Takes a field that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&Value) -> Result<T, Refused>,
    ) -> Option<T> {
        if self.object.get(name).is_none_or(Value::is_null) {
            self.taken.insert(name);
            self.refuse(name, Refused::new("required", "is required"));
            return None;
        }
        self.optional(name, rule)
    }

    /// Whether a field is there, valid or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(|value| !value.is_null())
    }

    /// Reports a violation of a field.
    pub(crate) fn refuse(&mut self, name: &str, refused: Refused) {
        let pointer = format!("{}/{}{}", self.pointer, escape(name), refused.within);
        self.violations
            .push(Violation::pointer(pointer, refused.code, refused.detail));
    }

    /// Takes over the violations of a nested object.
    pub(crate) fn adopt(&mut self, violations: Vec<Violation>) {
        self.violations.extend(violations);
    }

    /// Refuses what was not taken, and answers all violations.
    pub(crate) fn finish(mut self) -> Vec<Violation> {
        for name in self.object.keys() {
            if !self.taken.contains(name.as_str()) {
                let pointer = format!("{}/{}", self.pointer, escape(name));
                self.violations.push(Violation::pointer(
                    pointer,
                    "unknown-field",
                    "is not a field of this record",
                ));
            }
        }
        self.violations
    }
}

/// Refuses a NUL anywhere in a value: PostgreSQL stores none, in text or in JSON.
fn nul_free(value: &Value) -> Result<(), Refused> {
    let refused = || Refused::new("nul-byte", "must not contain U+0000");
    match value {
        Value::String(text) if text.contains('\0') => Err(refused()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| nul_free(item).map_err(|error| error.within(&index.to_string()))),
        Value::Object(object) => object.iter().try_for_each(|(key, item)| {
            if key.contains('\0') {
                return Err(refused().within(key));
            }
            nul_free(item).map_err(|error| error.within(key))
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn any(_: &Value) -> Result<(), Refused> {
        Ok(())
    }

    #[test]
    fn missing_unknown_and_nul_are_all_reported_with_pointers() {
        let body = object(json!({"a/b": 1, "known": {"x": ["ok", "bad\u{0}"]}, "empty": null}));
        let mut fields = Fields::new(&body);
        assert_eq!(fields.optional("known", any), None);
        assert_eq!(fields.required("empty", any), None);
        assert_eq!(
            fields.finish(),
            [
                Violation::pointer("/known/x/1", "nul-byte", "must not contain U+0000"),
                Violation::pointer("/empty", "required", "is required"),
                Violation::pointer("/a~1b", "unknown-field", "is not a field of this record"),
            ]
        );
    }

    #[test]
    fn null_is_absent() {
        let body = object(json!({"x": null}));
        let mut fields = Fields::new(&body);
        assert_eq!(fields.optional("x", any), None);
        assert_eq!(fields.finish(), []);
    }
}
