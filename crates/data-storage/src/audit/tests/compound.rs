//! The rules of objects and arrays.

use serde_json::{Value, json};

use super::merged;
use super::rule::{Rule, choice, identifier, integer, text, timestamp};

/// An object of so many values, itself included, on two levels.
fn wide(values: usize) -> Value {
    json!({ "x": vec![0; values - 2] })
}

/// An object that holds others, `levels` of them in all.
fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({}), |inner, _| json!({ "x": inner }))
}

pub(in crate::audit) fn json_object() -> Rule {
    let free = json!({
        "": null, "a/b~c": [true, -1, 0.5, 1e-7, u64::MAX, "🔥", [[]]], "<b>": {"nested": {"Ünïcode": ""}},
    });
    Rule::new([
        json!({}),
        free,
        nested(32),
        json!({"x": [nested(30)]}),
        wide(10_000),
    ])
    .refuses("too-wide", "must hold at most 10000 values", [wide(10_001)])
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
        "nul",
        "must not contain U+0000",
        json!({"a": [0, {"b\u{0}": 1}]}),
    )
    .refuses_within(
        "/a~1b/x/0",
        "nul",
        "must not contain U+0000",
        json!({"a/b": {"x": ["\u{0}"]}}),
    )
}

pub(in crate::audit) fn texts() -> Rule {
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
        .refuses_within("/2", "nul", "must not contain U+0000", json!(["", "w", "\u{0}"]))
}

/// Labels as Kubernetes defines them.
pub(in crate::audit) fn labels() -> Rule {
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
    rule.refuses_within("/k", "nul", "must not contain U+0000", json!({"k": "\u{0}"}))
        .refuses_within(
            "/k\u{0}",
            "nul",
            "must not contain U+0000",
            json!({"k\u{0}": "v"}),
        )
}

/// Entries of `stepStatuses`: the rules of their fields, one entry at a time.
pub(in crate::audit) fn step_statuses() -> Rule {
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
