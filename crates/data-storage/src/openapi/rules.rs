//! The rules of `validation::rules` as schemas, each by the name of its rule.
//!
//! What a schema cannot say, such as a length in bytes, a depth, or the order of two times, the descriptions of the
//! fields say. The tests of the rules hold each schema against everything that its rule accepts and refuses.

use serde_json::{Value, json};

use crate::validation::rules::{
    MAX_ENTRIES, MAX_IDENTIFIER_CHARS, MAX_LABEL_CHARS, MAX_NAME_CHARS, MAX_TEXT_BYTES,
};

/// One part of an RFC 1123 subdomain; with a limit of its length a label.
const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

pub(super) fn text() -> Value {
    // A character has at least one byte.
    json!({"type": "string", "maxLength": MAX_TEXT_BYTES, "pattern": r"^[^\u0000]*$"})
}

pub(super) fn texts() -> Value {
    json!({"type": "array", "maxItems": MAX_ENTRIES, "items": text()})
}

pub(super) fn identifier() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_IDENTIFIER_CHARS,
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$",
    })
}

pub(super) fn object_name() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_NAME_CHARS,
        "pattern": format!(r"^{LABEL}(\.{LABEL})*$"),
    })
}

pub(super) fn namespace() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": MAX_LABEL_CHARS, "pattern": format!("^{LABEL}$")})
}

pub(super) fn resource_name() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_IDENTIFIER_CHARS,
        "pattern": r"^[^/%\u0000-\u001f\u007f-\u009f]*[^/%\s\u0000-\u001f\u007f-\u009f][^/%\u0000-\u001f\u007f-\u009f]*$",
        "not": {"enum": [".", ".."]},
    })
}

pub(super) fn resource_kind() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": MAX_LABEL_CHARS, "pattern": "^[A-Za-z][A-Za-z0-9]*$"})
}

pub(super) fn correlation_id() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9._:-]+$"})
}

pub(super) fn fingerprint() -> Value {
    json!({"type": "string", "minLength": 16, "maxLength": 64, "pattern": "^[0-9a-f]+$"})
}

pub(super) fn json_object() -> Value {
    json!({"type": "object", "additionalProperties": true})
}

pub(super) fn labels() -> Value {
    const NAME: &str = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?";
    json!({
        "type": "object",
        "maxProperties": MAX_ENTRIES,
        "propertyNames": {
            "maxLength": MAX_NAME_CHARS + 1 + MAX_LABEL_CHARS,
            "pattern": format!(r"^({LABEL}(\.{LABEL})*/)?{NAME}$"),
            // Only the prefix may be that long: what stands before the slash.
            "not": {"pattern": format!("^[^/]{{{},}}/", MAX_NAME_CHARS + 1)},
        },
        "additionalProperties": {
            "type": "string",
            "maxLength": MAX_LABEL_CHARS,
            "pattern": format!("^({NAME})?$"),
        },
    })
}

pub(super) fn base64_text() -> Value {
    json!({
        "type": "string",
        "contentEncoding": "base64",
        // The last group leaves no bits over: its last digit before the padding is one of those that end in zeros.
        "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
    })
}
