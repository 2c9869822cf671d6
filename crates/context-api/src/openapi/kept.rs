//! The headers of every GET, as `cache::respond` reads and writes them.

use serde_json::json;
use service_kit::openapi::{Kept, RequestHeader, ResponseHeader};

/// Answers to a request that was understood, whatever came of it.
const UNDERSTOOD: &[u16] = &[200, 304, 404, 409, 422, 500, 503, 504];
/// Answers that were computed at some time.
const COMPUTED: &[u16] = &[200, 304, 404];
/// Answers that a client may have already.
const VERSIONED: &[u16] = &[200, 304];

pub(super) fn kept() -> Kept {
    Kept {
        request: vec![
            RequestHeader {
                name: "Cache-Control",
                description: "With `no-cache` the database is asked, whatever is kept. Nothing else in it means anything \
                              here.",
                schema: json!({"type": "string"}),
                example: json!("no-cache"),
            },
            RequestHeader {
                name: "If-None-Match",
                description: "The `ETag` of answers that the client has, or `*`. If the answer is one of them, it is not \
                              sent again: 304.",
                schema: json!({"type": "string", "minLength": 1}),
                example: json!("\"an-older-one\""),
            },
        ],
        response: vec![
            ResponseHeader {
                name: "ETag",
                description: "Stands for this answer: equal bodies have equal ones, different bodies different ones.",
                schema: json!({"type": "string", "pattern": "^\"[!#-~]+\"$"}),
                statuses: VERSIONED,
            },
            ResponseHeader {
                name: "Cache-Control",
                description: "Always `private, no-cache`: a client may keep the answer for itself, and asks with \
                              `If-None-Match` before it uses it again.",
                schema: json!({"const": "private, no-cache"}),
                statuses: VERSIONED,
            },
            ResponseHeader {
                name: "Age",
                description: "Seconds since the database was asked for this answer, and how far a replica of the database \
                              lagged then.",
                schema: json!({"type": "integer", "minimum": 0}),
                statuses: COMPUTED,
            },
            ResponseHeader {
                name: "Cache-Status",
                description: "How the answer came about (RFC 9211): `hit` with its tier as `detail`, `hit` with \
                              `detail=stale` if it is past its time because the database is away, `fwd=miss`, or \
                              `fwd=request` after `no-cache`. A refusal of the guards has none.",
                schema: json!({"type": "string", "pattern": "^context-api; "}),
                statuses: UNDERSTOOD,
            },
        ],
        not_modified: "The client has the answer already, as one of the tags in `If-None-Match` says.",
    }
}
