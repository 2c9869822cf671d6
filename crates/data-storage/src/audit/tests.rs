//! What the tests of the four kinds share: a body to start from, and what each rule accepts and refuses.
//!
//! A kind lists which rule each of its fields has; [`Kind::check_fields`] sends every value of the rule through the
//! field. So the rules stand here once, and that a field has its rule is proved for every field of every kind.

use std::collections::BTreeSet;

use audit_store::record::{Record, Timestamp};
use chrono::DateTime;
use serde_json::{Value, json};
use service_kit::Violation;

use super::Parse;
use crate::validation::Context;

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

/// What a rule accepts, to be stored as it is, and what it refuses.
pub(super) struct Rule {
    accepted: Vec<Value>,
    refused: Vec<Refusal>,
}

struct Refusal {
    value: Value,
    within: String,
    code: &'static str,
    detail: String,
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
        record.payload().unwrap().0[field].clone()
    }

    /// That each field has its rule, and that no field is without one.
    pub(super) fn check_fields(&self, fields: impl IntoIterator<Item = (&'static str, Rule)>) {
        let mut checked = BTreeSet::new();
        for (field, rule) in head_fields().into_iter().chain(fields) {
            checked.insert(field.to_owned());
            for value in rule.accepted {
                assert_eq!(self.stored(field, &value), value, "{field}");
            }
            for refusal in rule.refused {
                assert_eq!(
                    self.with(&json!({ field: refusal.value })).unwrap_err(),
                    [Violation::pointer(
                        format!("/{field}{}", refusal.within),
                        refusal.code,
                        refusal.detail
                    )],
                    "{field}: {}",
                    refusal.value
                );
            }
        }
        let all: BTreeSet<String> = self.full.as_object().unwrap().keys().cloned().collect();
        assert_eq!(checked, all);
    }

    /// That `null` is the same as leaving a field out, and that the payload of a full body is that body.
    pub(super) fn check_absence(&self) {
        let minimal = self.parse(&self.minimal).unwrap();
        let required = self.minimal.as_object().unwrap();
        for field in self.full.as_object().unwrap().keys() {
            let result = self.with(&json!({ field: null }));
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
        let (payload, _) = self.parse(&self.full).unwrap().payload().unwrap();
        assert_eq!(payload, self.full);
    }

    /// That unknown fields are refused beside everything else, whatever they hold.
    pub(super) fn check_unknown_fields(&self) {
        let unknown = "is not a field of this record";
        assert_eq!(
            self.with(&json!({"Name": "x", "a~/b": null, "id\u{0}": 1, "phase": "Done"}))
                .unwrap_err(),
            violations([
                (
                    "/phase",
                    "not-allowed",
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

impl Rule {
    fn new(accepted: impl IntoIterator<Item = Value>) -> Self {
        Self {
            accepted: accepted.into_iter().collect(),
            refused: Vec::new(),
        }
    }

    fn strings<'a>(accepted: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(accepted.into_iter().map(Value::from))
            .refuses(
                "type",
                "must be a string",
                [json!(1), json!(true), json!(["a"]), json!({"a": "b"})],
            )
            .refuses(
                "nul-byte",
                "must not contain U+0000",
                [json!("a\u{0}b"), json!("\u{0}")],
            )
    }

    fn refuses(self, code: &'static str, detail: &str, values: impl IntoIterator<Item = Value>) -> Self {
        values
            .into_iter()
            .fold(self, |rule, value| rule.refuses_within("", code, detail, value))
    }

    fn refuses_strings<'a>(
        self,
        code: &'static str,
        detail: &str,
        values: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.refuses(code, detail, values.into_iter().map(Value::from))
    }

    fn refuses_within(mut self, within: &str, code: &'static str, detail: &str, value: Value) -> Self {
        self.refused.push(Refusal {
            value,
            within: within.to_owned(),
            code,
            detail: detail.to_owned(),
        });
        self
    }
}

pub(super) fn object_name() -> Rule {
    let (longest, too_long) = ("a".repeat(253), "a".repeat(254));
    let long_part = format!("{}.b", "a".repeat(64));
    Rule::strings(["a", "0", "a-b.c-1.2", &long_part, &longest]).refuses_strings(
        "format",
        "must be an RFC 1123 subdomain: at most 253 of a-z, 0-9, - and ., starting and ending with a letter or digit",
        [
            "", &too_long, "A", "a_b", "a b", "-a", "a-", ".a", "a.", "a..b", "a.-b", "a-.b", "é", "a/b", "a\n",
        ],
    )
}

pub(super) fn namespace() -> Rule {
    let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
    Rule::strings(["a", "0", "a-b-1", &longest]).refuses_strings(
        "format",
        "must be an RFC 1123 label: 1 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit",
        ["", &too_long, "A", "a.b", "a_b", "a b", "-a", "a-", "é"],
    )
}

pub(super) fn correlation_id() -> Rule {
    let (longest, too_long) = ("a".repeat(128), "a".repeat(129));
    Rule::strings(["-", "Az09._:-", &longest]).refuses_strings(
        "format",
        "must be 1 to 128 of A-Z, a-z, 0-9, ., _, : and -",
        ["", &too_long, "a b", "a/b", "é", "a\n"],
    )
}

/// What is refused is the same for all three times; what is accepted besides depends on the others.
fn timestamp(bound: &str) -> Rule {
    Rule::strings([bound, "2026-03-01T11:59:59.000001Z"])
        .refuses_strings(
            "out-of-range",
            "must be between the years 1970 and 9998 in UTC",
            [
                "1969-12-31T23:59:59.999999Z",
                "1970-01-01T00:59:59+01:00",
                "9999-01-01T00:00:00Z",
                "9998-12-31T23:00:00-01:00",
            ],
        )
        .refuses_strings(
            "format",
            "must be an RFC 3339 time such as 2026-01-31T12:00:00Z",
            [
                "",
                "yesterday",
                "2026-02-29T00:00:00Z",
                "2026-03-01",
                "2026-03-01T11:00:00",
                "2026-03-01T24:00:00Z",
                "2026-03-01T11:00Z",
                "2026-03-01T11:00:00+0100",
                " 2026-03-01T11:00:00Z",
                "1772362800",
            ],
        )
}

/// Strings that are kept to the letter wherever text is free.
const VERBATIM: [&str; 8] = [
    "delete_pod",
    "it's \"quoted\" and \\escaped\\",
    "<script>alert(1)</script>; DROP TABLE x; --",
    " spaces ",
    "🔥 müde 注意 שלום",
    "e\u{301} is not é",
    "👩\u{200d}🔧\u{fffd}\u{10ffff}",
    "%s ${HOME} $1 {{ .Values }}",
];

pub(super) fn text() -> Rule {
    let (longest, longest_wide) = ("a".repeat(10_240), "é".repeat(5_120));
    let (too_long, too_long_wide) = ("a".repeat(10_241), format!("{longest_wide}a"));
    Rule::strings(VERBATIM.into_iter().chain([
        "",
        "two\nlines\r\n\tand \u{1b}[31mcontrol\u{7f}",
        &longest,
        &longest_wide,
    ]))
    .refuses_strings(
        "too-long",
        "must be at most 10240 bytes long",
        [too_long.as_str(), &too_long_wide],
    )
}

pub(super) fn identifier() -> Rule {
    let (longest, too_long) = ("é".repeat(253), "é".repeat(254));
    identifier_like(
        VERBATIM.into_iter().chain(["x", "a/b", "..", &longest]),
        &too_long,
    )
}

pub(super) fn resource_name() -> Rule {
    let (longest, too_long) = ("é".repeat(253), "é".repeat(254));
    identifier_like(
        ["a", "system:kube-proxy", "...", ".a", "A_b", &longest],
        &too_long,
    )
    .refuses_strings(
        "format",
        "must be a path segment: not . or .., without / and %",
        [".", "..", "a/b", "/", "a%2fb"],
    )
}

fn identifier_like<'a>(accepted: impl IntoIterator<Item = &'a str>, too_long: &str) -> Rule {
    Rule::strings(accepted)
        .refuses_strings("empty", "must not be empty", ["", " ", "\t\n\u{a0}"])
        .refuses_strings("too-long", "must be at most 253 characters long", [too_long])
        .refuses_strings(
            "format",
            "must not contain control characters",
            ["a\nb", "a\tb", "a\u{1f}", "a\u{7f}", "a\u{85}b"],
        )
}

pub(super) fn resource_kind() -> Rule {
    let (longest, too_long) = ("K".repeat(63), "K".repeat(64));
    Rule::strings(["Pod", "PersistentVolumeClaim", "x", "KafkaTopic2", &longest]).refuses_strings(
        "format",
        "must be a Kubernetes kind: 1 to 63 letters and digits starting with a letter",
        [
            "",
            &too_long,
            "2Pod",
            "Po-d",
            "apps/Deployment",
            "Pöd",
            " Pod",
            "Deployment.apps",
        ],
    )
}

pub(super) fn fingerprint() -> Rule {
    let digits = "0123456789abcdef".repeat(4);
    let too_long = format!("{digits}0");
    Rule::strings(["0123456789abcdef", &digits]).refuses_strings(
        "format",
        "must be 16 to 64 lower-case hexadecimal digits",
        [
            "",
            "0123456789abcde",
            &too_long,
            "0123456789ABCDEF",
            "0123456789abcdeg",
        ],
    )
}

/// One of a closed vocabulary: every value, and none in another case.
pub(super) fn choice(names: &[&str]) -> Rule {
    let other_case: Vec<String> = names
        .iter()
        .map(|name| name.chars().map(swapped_case).collect())
        .collect();
    let refused = other_case
        .iter()
        .map(String::as_str)
        .chain(["", " ", "other", "null"]);
    Rule::strings(names.iter().copied()).refuses_strings(
        "not-allowed",
        &format!("must be one of {}", names.join(", ")),
        refused,
    )
}

fn swapped_case(c: char) -> char {
    if c.is_ascii_uppercase() {
        c.to_ascii_lowercase()
    } else {
        c.to_ascii_uppercase()
    }
}

pub(super) fn boolean() -> Rule {
    Rule::new([json!(true), json!(false)]).refuses(
        "type",
        "must be true or false",
        [json!("true"), json!(0), json!(1), json!([]), json!({})],
    )
}

pub(super) fn integer(least: i64, most: i64) -> Rule {
    let mut beyond = vec![json!(least - 1), json!(i64::MIN), json!(u64::MAX), json!(1e300)];
    beyond.extend(most.checked_add(1).map(Value::from));
    Rule::new([json!(least), json!(most)])
        .refuses(
            "out-of-range",
            &format!("must be between {least} and {most}"),
            beyond,
        )
        .refuses(
            "type",
            "must be a whole number",
            [json!("1"), json!(1.5), json!(true), json!([1]), json!({})],
        )
}

pub(super) fn number(least: f64, most: f64) -> Rule {
    Rule::new([json!(least), json!(most), json!(least + 0.25)])
        .refuses(
            "out-of-range",
            &format!("must be between {least} and {most}"),
            [
                json!(least.next_down()),
                json!(most.next_up()),
                json!(-1e300),
                json!(u64::MAX),
            ],
        )
        .refuses(
            "type",
            "must be a number",
            [json!("0.5"), json!(true), json!([0.5]), json!({})],
        )
}

/// An object that holds others, `levels` of them in all.
fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({}), |inner, _| json!({ "x": inner }))
}

pub(super) fn json_object() -> Rule {
    let free = json!({
        "": null, "a/b~c": [true, -1, 0.5, 1e-7, u64::MAX, "🔥", [[]]], "<b>": {"nested": {"Ünïcode": ""}},
    });
    Rule::new([json!({}), free, nested(32), json!({"x": [nested(30)]})])
        .refuses(
            "too-deep",
            "must be nested at most 32 deep",
            [nested(33), json!({"x": [nested(31)]}), nested(126)],
        )
        .refuses(
            "type",
            "must be an object",
            [json!("{}"), json!(1), json!(true), json!([{}])],
        )
        .refuses_within(
            "/a/1/b\u{0}",
            "nul-byte",
            "must not contain U+0000",
            json!({"a": [0, {"b\u{0}": 1}]}),
        )
        .refuses_within(
            "/a~1b/x/0",
            "nul-byte",
            "must not contain U+0000",
            json!({"a/b": {"x": ["\u{0}"]}}),
        )
}

pub(super) fn texts() -> Rule {
    let longest = "a".repeat(10_240);
    let many = |count| Value::from(vec!["w"; count]);
    Rule::new([json!([]), json!(["", longest, "🔥"]), many(1_000)])
        .refuses("too-long", "must have at most 1000 entries", [many(1_001)])
        .refuses(
            "type",
            "must be an array",
            [json!("w"), json!(1), json!({"0": "w"})],
        )
        .refuses_within("/1", "type", "must be a string", json!(["w", null]))
        .refuses_within("/0", "type", "must be a string", json!([1]))
        .refuses_within(
            "/1",
            "too-long",
            "must be at most 10240 bytes long",
            json!(["w", format!("{longest}a")]),
        )
        .refuses_within(
            "/2",
            "nul-byte",
            "must not contain U+0000",
            json!(["", "w", "\u{0}"]),
        )
}

pub(super) fn base64() -> Rule {
    Rule::strings(["", "AA==", "AAA=", "AAAA", "+/+/", "eyJhIjoxfQ=="]).refuses_strings(
        "format",
        "must be standard base64 with padding",
        [
            "A", "AA", "AA=", "AAA", "AAAA=", "-_-_", "AA ==", "AA==\n", "AB==", "é",
        ],
    )
}

/// Labels as Kubernetes defines them.
pub(super) fn labels() -> Rule {
    let part = |length| "L".repeat(length);
    let prefix = |length: usize| format!("{}.{}/x", "p".repeat(63), "p".repeat(length - 64));
    let accepted_keys = [
        "a",
        "A.b_c-9",
        "app.kubernetes.io/name",
        &part(63),
        &format!("example.com/{}", part(63)),
        &prefix(253),
    ];
    let refused_keys = [
        "",
        &part(64),
        &format!("example.com/{}", part(64)),
        &prefix(254),
        "-a",
        "a-",
        ".a",
        "a b",
        "é",
        "/a",
        "a/",
        "a/b/c",
        "A/b",
        "a_b/c",
        "a..b/c",
    ];
    let many = |count: usize| Value::Object((0..count).map(|n| (format!("k{n}"), json!("v"))).collect());
    let mut rule = Rule::new(
        ["", "v", "0", "A.b_c-9", &part(63)]
            .map(|value| json!({ "k": value }))
            .into_iter()
            .chain(accepted_keys.map(|key| json!({ key: "v" })))
            .chain([json!({}), many(1_000)]),
    )
    .refuses(
        "type",
        "must be an object of strings",
        [json!("a=b"), json!(1), json!(["a"])],
    )
    .refuses("too-long", "must have at most 1000 entries", [many(1_001)]);
    let not_a_value = "must be a Kubernetes label value: at most 63 of A-Z, a-z, 0-9, -, _ and ., starting and ending with a letter or digit";
    for value in [
        &part(64),
        "-a",
        "a-",
        "_a",
        "a.",
        " ",
        "a b",
        "a/b",
        "é",
        "🔥",
        "\n",
    ] {
        rule = rule.refuses_within("/k", "format", not_a_value, json!({ "k": value }));
    }
    for value in [json!(1), json!(true), json!(null), json!(["v"]), json!({})] {
        rule = rule.refuses_within("/k", "type", "must be a string", json!({ "k": value }));
    }
    for key in refused_keys {
        rule = rule.refuses_within(
            &format!("/{}", key.replace('/', "~1")),
            "format",
            "has a key that is no Kubernetes label key",
            json!({ key: "v" }),
        );
    }
    rule.refuses_within("/k", "nul-byte", "must not contain U+0000", json!({"k": "\u{0}"}))
        .refuses_within(
            "/k\u{0}",
            "nul-byte",
            "must not contain U+0000",
            json!({"k\u{0}": "v"}),
        )
}

/// Entries of `stepStatuses`: the rules of their fields, one entry at a time.
pub(super) fn step_statuses() -> Rule {
    let step = |fields: Value| json!([merged(&json!({"name": "a", "phase": "Pending"}), &fields)]);
    let mut rule = Rule::new([json!([]), Value::from(vec![step(json!({}))[0].clone(); 1_000])])
        .refuses(
            "too-long",
            "must have at most 1000 entries",
            [Value::from(vec![step(json!({}))[0].clone(); 1_001])],
        )
        .refuses(
            "type",
            "must be an array",
            [json!("a"), json!(1), json!({"0": {}})],
        );
    for item in [json!("a"), json!(1), json!(null), json!([])] {
        rule = rule.refuses_within("/0", "type", "must be an object", json!([item]));
    }
    for required in ["name", "phase"] {
        let within = format!("/0/{required}");
        rule = rule.refuses_within(
            &within,
            "required",
            "is required",
            step(json!({ required: null })),
        );
    }
    for (field, inner) in [
        ("name", identifier()),
        (
            "phase",
            choice(&["Pending", "Processing", "Completed", "Failed", "Skipped"]),
        ),
        ("startedAt", timestamp("1970-01-01T00:00:00.000000Z")),
        ("completedAt", timestamp("9998-12-31T23:59:59.999999Z")),
        ("retryCount", integer(0, i64::from(i32::MAX))),
        ("message", text()),
    ] {
        let wrapped = |value: &Value| step(json!({ field: value }));
        rule.accepted.extend(inner.accepted.iter().map(wrapped));
        for refusal in inner.refused {
            rule = rule.refuses_within(
                &format!("/0/{field}"),
                refusal.code,
                &refusal.detail,
                wrapped(&refusal.value),
            );
        }
    }
    let (at, after) = ("2026-03-01T11:00:00.000000Z", "2026-03-01T11:00:00.000001Z");
    rule.accepted
        .push(step(json!({"startedAt": at, "completedAt": at})));
    rule.accepted
        .push(step(json!({"startedAt": at, "completedAt": after})));
    rule.refuses_within(
        "/0/completedAt",
        "inconsistent",
        "must not be before startedAt",
        step(json!({"startedAt": after, "completedAt": at})),
    )
    .refuses_within(
        "/0/stepName",
        "unknown-field",
        "is not a field of this record",
        step(json!({"stepName": "a"})),
    )
}
