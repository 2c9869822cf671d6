//! The rules of single values.

use serde_json::{Value, json};

/// What a rule accepts, to be stored as it is, and what it refuses.
pub(in crate::audit) struct Rule {
    pub(super) accepted: Vec<Value>,
    pub(super) refused: Vec<Refusal>,
}

pub(super) struct Refusal {
    pub(super) value: Value,
    pub(super) within: String,
    pub(super) code: &'static str,
    pub(super) detail: String,
}

impl Rule {
    pub(super) fn new(accepted: impl IntoIterator<Item = Value>) -> Self {
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
                "nul",
                "must not contain U+0000",
                [json!("a\u{0}b"), json!("\u{0}")],
            )
    }

    pub(super) fn refuses(
        self,
        code: &'static str,
        detail: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Self {
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

    pub(super) fn refuses_within(
        mut self,
        within: &str,
        code: &'static str,
        detail: &str,
        value: Value,
    ) -> Self {
        self.refused.push(Refusal {
            value,
            within: within.to_owned(),
            code,
            detail: detail.to_owned(),
        });
        self
    }
}

pub(in crate::audit) fn object_name() -> Rule {
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

pub(in crate::audit) fn namespace() -> Rule {
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
pub(super) fn timestamp(bound: &str) -> Rule {
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

pub(in crate::audit) fn text() -> Rule {
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

pub(in crate::audit) fn identifier() -> Rule {
    let (longest, too_long) = ("é".repeat(253), "é".repeat(254));
    identifier_like(
        VERBATIM.into_iter().chain(["x", "a/b", "..", &longest]),
        &too_long,
    )
}

pub(in crate::audit) fn resource_name() -> Rule {
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

pub(in crate::audit) fn resource_kind() -> Rule {
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

pub(in crate::audit) fn fingerprint() -> Rule {
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
pub(in crate::audit) fn choice(names: &[&str]) -> Rule {
    let other_case: Vec<String> = names
        .iter()
        .map(|name| name.chars().map(swapped_case).collect())
        .collect();
    let refused = other_case
        .iter()
        .map(String::as_str)
        .chain(["", " ", "other", "null"]);
    Rule::strings(names.iter().copied()).refuses_strings(
        "not-an-option",
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

pub(in crate::audit) fn boolean() -> Rule {
    Rule::new([json!(true), json!(false)]).refuses(
        "type",
        "must be true or false",
        [json!("true"), json!(0), json!(1), json!([]), json!({})],
    )
}

pub(in crate::audit) fn integer(least: i64, most: i64) -> Rule {
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

pub(in crate::audit) fn number(least: f64, most: f64) -> Rule {
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

pub(in crate::audit) fn base64() -> Rule {
    Rule::strings(["", "AA==", "AAA=", "AAAA", "+/+/", "eyJhIjoxfQ=="]).refuses_strings(
        "format",
        "must be standard base64 with padding",
        [
            "A", "AA", "AA=", "AAA", "AAAA=", "-_-_", "AA ==", "AA==\n", "AB==", "é",
        ],
    )
}
