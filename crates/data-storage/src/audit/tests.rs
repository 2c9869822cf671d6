//! What the tests of the four kinds share: a body to start from, and what each rule accepts and refuses.
//!
//! A kind lists which rule each of its fields has; [`Kind::check_fields`] sends every value of the rule through the
//! field. So the rules stand here once, and that a field has its rule is proved for every field of every kind.

mod compound;
mod rule;

use std::collections::BTreeSet;

use audit_store::record::{Record, Timestamp};
use chrono::DateTime;
use jsonschema::Validator;
use serde_json::{Value, json};
use service_kit::Violation;

use super::Parse;
use crate::openapi;
use crate::validation::Context;

pub(super) use compound::{json_object, labels, step_statuses, texts};
use rule::{Refusal, correlation_id, timestamp};
pub(super) use rule::{
    Rule, base64, boolean, choice, fingerprint, identifier, integer, namespace, number, object_name,
    resource_kind, resource_name, text,
};

/// The time at which all tests take place.
const NOW: &str = "2026-03-01T12:00:00Z";

/// One kind of record under test.
pub(super) struct Kind {
    pub(super) parse: Parse,
    /// A body with the required fields and no others.
    pub(super) minimal: Value,
    /// A body with every field, in the form in which it is stored.
    pub(super) full: Value,
}

pub(super) fn time(text: &str) -> Timestamp {
    Timestamp::new(DateTime::parse_from_rfc3339(text).unwrap().to_utc())
}

/// Violations from pointers, codes and details.
pub(super) fn violations<const N: usize>(expected: [(&str, &'static str, &str); N]) -> Vec<Violation> {
    expected
        .map(|(pointer, code, detail)| Violation::pointer(pointer, code, detail))
        .into()
}

/// Whether a schema has no words for what is wrong: a length in bytes, a bound or the order of times, the inside of a free object.
fn beyond_schemas(refusal: &Refusal) -> bool {
    let in_bytes = refusal.code == "too-long" && refusal.detail.ends_with("bytes long");
    let of_time = refusal.detail.contains("years");
    in_bytes || of_time || matches!(refusal.code, "too-deep" | "too-wide" | "nul" | "inconsistent")
}

fn merged(body: &Value, fields: &Value) -> Value {
    let mut body = body.clone();
    let fields = fields.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body
}

impl Kind {
    pub(super) fn parse(&self, body: &Value) -> Result<Record, Vec<Violation>> {
        let context = Context {
            now: time(NOW).to_utc(),
            default_cluster: "home".to_owned(),
        };
        (self.parse)(body.as_object().unwrap(), &context)
    }

    /// The minimal body with other fields over it.
    pub(super) fn with(&self, fields: &Value) -> Result<Record, Vec<Violation>> {
        self.parse(&merged(&self.minimal, fields))
    }

    /// What is stored of one field of a valid body.
    fn stored(&self, field: &str, value: &Value) -> Value {
        let record = self
            .with(&json!({ field: value }))
            .unwrap_or_else(|violations| panic!("{field} {value}: {violations:?}"));
        record.payload().unwrap().value[field].clone()
    }

    /// What the contract says of this kind.
    fn contract(&self) -> Validator {
        let kind = self.parse(&self.minimal).unwrap().kind();
        let mut schema = openapi::contract().document();
        schema["$ref"] = json!(format!("#/components/schemas/{}", openapi::schema_name(kind)));
        jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .unwrap()
    }

    /// That each field has its rule, and that no field is without one; and that the contract says the same of each
    /// field, and has no other.
    pub(super) fn check_fields(&self, fields: impl IntoIterator<Item = (&'static str, Rule)>) {
        let mut checked = BTreeSet::new();
        let contract = self.contract();
        for (field, rule) in head_fields().into_iter().chain(fields) {
            checked.insert(field.to_owned());
            for value in rule.accepted {
                assert_eq!(self.stored(field, &value), value, "{field}");
                let body = merged(&self.minimal, &json!({ field: value }));
                assert!(contract.is_valid(&body), "the contract refuses {field}: {value}");
            }
            for refusal in rule.refused {
                assert_eq!(
                    self.with(&json!({ field: refusal.value })).unwrap_err(),
                    [Violation::pointer(
                        format!("/{field}{}", refusal.within),
                        refusal.code,
                        refusal.detail.as_str()
                    )],
                    "{field}: {}",
                    refusal.value
                );
                let body = merged(&self.minimal, &json!({ field: refusal.value }));
                assert!(
                    !contract.is_valid(&body) || beyond_schemas(&refusal),
                    "the contract allows {field}: {}",
                    refusal.value
                );
            }
        }
        let all: BTreeSet<String> = self.full.as_object().unwrap().keys().cloned().collect();
        assert_eq!(checked, all);
        let kind = self.parse(&self.minimal).unwrap().kind();
        let schema = openapi::records::schema(kind);
        let described: BTreeSet<String> = schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        assert_eq!(described, all);
    }

    /// That `null` is the same as leaving a field out, and that the payload of a full body is that body.
    pub(super) fn check_absence(&self) {
        let minimal = self.parse(&self.minimal).unwrap();
        let required = self.minimal.as_object().unwrap();
        let contract = self.contract();
        for field in self.full.as_object().unwrap().keys() {
            let result = self.with(&json!({ field: null }));
            let body = merged(&self.minimal, &json!({ field: null }));
            assert_eq!(contract.is_valid(&body), result.is_ok(), "{field}: null");
            if required.contains_key(field) {
                let pointer = format!("/{field}");
                assert_eq!(
                    result.unwrap_err(),
                    violations([(&pointer, "required", "is required")])
                );
            } else {
                assert_eq!(result.unwrap(), minimal, "{field}");
            }
        }
        let payload = self.parse(&self.full).unwrap().payload().unwrap().value;
        assert_eq!(payload, self.full);
    }

    /// That unknown fields are refused beside everything else, whatever they hold.
    pub(super) fn check_unknown_fields(&self) {
        let unknown_to_contract = merged(&self.minimal, &json!({"Name": "x"}));
        assert!(!self.contract().is_valid(&unknown_to_contract));
        let unknown = "is not a field of this record";
        assert_eq!(
            self.with(&json!({"Name": "x", "a~/b": null, "id\u{0}": 1, "phase": "Done"}))
                .unwrap_err(),
            violations([
                (
                    "/phase",
                    "not-an-option",
                    "must be one of Pending, Processing, Completed, Failed"
                ),
                ("/Name", "unknown-field", unknown),
                ("/a~0~1b", "unknown-field", unknown),
                ("/id\u{0}", "unknown-field", unknown),
            ])
        );
    }

    /// The rules among the three times of a record.
    pub(super) fn check_times(&self) {
        let times = |created: &str, started: Option<&str>, completed: Option<&str>| {
            self.with(&json!({"createdAt": created, "startedAt": started, "completedAt": completed}))
                .map(|record| record.head().clone())
        };
        let (before, at, after) = (
            "2026-03-01T11:00:00.000000Z",
            "2026-03-01T11:00:00.000001Z",
            "2026-03-01T11:00:00.000002Z",
        );
        for (created, started, completed) in [
            (at, Some(at), Some(at)),
            (before, Some(at), Some(after)),
            (at, None, Some(at)),
            (at, Some(at), None),
        ] {
            let head = times(created, started, completed).unwrap();
            assert_eq!(head.created_at, time(created));
            assert_eq!(head.started_at, started.map(time));
            assert_eq!(head.completed_at, completed.map(time));
        }
        let refused = |created, started, completed| times(created, started, completed).unwrap_err();
        let started = ("/startedAt", "inconsistent", "must not be before createdAt");
        let completed = ("/completedAt", "inconsistent", "must not be before startedAt");
        let completed_alone = ("/completedAt", "inconsistent", "must not be before createdAt");
        assert_eq!(refused(at, Some(before), None), violations([started]));
        assert_eq!(refused(before, Some(after), Some(at)), violations([completed]));
        assert_eq!(refused(at, None, Some(before)), violations([completed_alone]));
        assert_eq!(
            refused(after, Some(at), Some(before)),
            violations([started, completed])
        );
        // A time that is no time is left out of the comparison; the others are still compared.
        let format = "must be an RFC 3339 time such as 2026-01-31T12:00:00Z";
        assert_eq!(
            refused(at, Some("soon"), Some(before)),
            violations([("/startedAt", "format", format), completed_alone])
        );
        assert_eq!(
            refused("now", Some(at), Some(before)),
            violations([("/createdAt", "format", format), completed])
        );

        assert!(times("2026-03-01T12:05:00Z", None, None).is_ok());
        assert!(times("2026-03-01T13:05:00.000000999+01:00", None, None).is_ok());
        for late in ["2026-03-01T12:05:00.000001Z", "2026-03-01T11:05:00.000001-01:00"] {
            assert_eq!(
                refused(late, None, None),
                violations([("/createdAt", "in-future", "must not be more than 5 minutes ahead")])
            );
        }
        // Only createdAt is compared with the clock; the others may be a plan.
        assert!(times(at, Some("2026-03-02T00:00:00Z"), Some("2027-01-01T00:00:00Z")).is_ok());
    }
}

/// The fields that all kinds have.
fn head_fields() -> Vec<(&'static str, Rule)> {
    vec![
        ("name", object_name()),
        ("namespace", namespace()),
        ("phase", choice(&["Pending", "Processing", "Completed", "Failed"])),
        ("message", text()),
        ("createdAt", timestamp("1970-01-01T00:00:00.000000Z")),
        ("startedAt", timestamp("9998-12-31T23:59:59.999999Z")),
        ("completedAt", timestamp("9998-12-31T23:59:59.999999Z")),
        ("correlationId", correlation_id()),
    ]
}
