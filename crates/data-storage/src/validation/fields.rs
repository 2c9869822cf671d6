//! Taking the fields of a JSON object one by one, and collecting what is wrong with them.

use std::collections::HashSet;

use serde_json::{Map, Value};
use service_kit::Violation;
use service_kit::problem::pointer_token;

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
        self.within = format!("/{}{}", pointer_token(token), self.within);
        self
    }
}

/// A rule of a whole field refuses once; a rule of many entries answers a `Vec`.
impl IntoIterator for Refused {
    type Item = Self;
    type IntoIter = std::iter::Once<Self>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self)
    }
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

    /// Takes the value of a field as it is, for a caller that looks into it. `null` is absent, as everywhere in
    /// Kubernetes.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.taken.insert(name);
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// Takes a field that may be absent.
    pub(crate) fn optional<T, E: IntoIterator<Item = Refused>>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.take(name)?;
        let nuls = nuls(value);
        let refused: Vec<Refused> = match rule(value) {
            Ok(value) if nuls.is_empty() => return Some(value),
            Ok(_) => Vec::new(),
            Err(refused) => {
                // A NUL breaks most other rules of its place too; once is enough.
                let places: HashSet<&str> = nuls.iter().map(|nul| nul.within.as_str()).collect();
                refused
                    .into_iter()
                    .filter(|refused| !places.contains(refused.within.as_str()))
                    .collect()
            }
        };
        for refused in nuls.into_iter().chain(refused) {
            self.refuse(name, refused);
        }
        None
    }

    /// Takes a field that must be there.
    pub(crate) fn required<T, E: IntoIterator<Item = Refused>>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&Value) -> Result<T, E>,
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
        let pointer = format!("{}/{}{}", self.pointer, pointer_token(name), refused.within);
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
                let pointer = format!("{}/{}", self.pointer, pointer_token(name));
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

/// The NULs of a value, at most one for each of its entries, which bounds the pointers by the size of the body.
fn nuls(value: &Value) -> Vec<Refused> {
    match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| Some(nul_free(item).err()?.within(&index.to_string())))
            .collect(),
        Value::Object(object) => object
            .iter()
            .filter_map(|(key, item)| nul_free_entry(key, item).err())
            .collect(),
        _ => nul_free(value).err().into_iter().collect(),
    }
}

/// Refuses a NUL anywhere in a value: PostgreSQL stores none, in text or in JSON.
fn nul_free(value: &Value) -> Result<(), Refused> {
    match value {
        Value::String(text) if text.contains('\0') => Err(nul()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| nul_free(item).map_err(|error| error.within(&index.to_string()))),
        Value::Object(object) => object
            .iter()
            .try_for_each(|(key, item)| nul_free_entry(key, item)),
        _ => Ok(()),
    }
}

fn nul_free_entry(key: &str, value: &Value) -> Result<(), Refused> {
    if key.contains('\0') {
        return Err(nul().within(key));
    }
    nul_free(value).map_err(|error| error.within(key))
}

fn nul() -> Refused {
    Refused::new("nul", "must not contain U+0000")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            _ => panic!("no object"),
        }
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
                Violation::pointer("/known/x/1", "nul", "must not contain U+0000"),
                Violation::pointer("/empty", "required", "is required"),
                Violation::pointer("/a~1b", "unknown-field", "is not a field of this record"),
            ]
        );
    }

    #[test]
    fn each_entry_with_a_nul_is_reported_and_what_else_its_rule_refuses_elsewhere() {
        let body = object(json!({"x": {"a\u{0}": 1, "b": [["\u{0}", "\u{0}"]], "c": 2}}));
        let mut fields = Fields::new(&body);
        let refuses_a_and_c = |_: &Value| -> Result<(), Vec<Refused>> {
            let odd = |key: &str| Refused::new("odd", "is odd").within(key);
            Err(vec![odd("a\u{0}"), odd("c")])
        };
        assert_eq!(fields.optional("x", refuses_a_and_c), None);
        assert_eq!(
            fields.finish(),
            [
                Violation::pointer("/x/a\u{0}", "nul", "must not contain U+0000"),
                Violation::pointer("/x/b/0/0", "nul", "must not contain U+0000"),
                Violation::pointer("/x/c", "odd", "is odd"),
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
