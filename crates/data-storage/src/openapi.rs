//! The contract of Data Storage: its operations, in OpenAPI 3.1.
//!
//! `records` describes the bodies, `rules` each rule of `validation::rules` by the same name, `examples` are bodies
//! and answers that tests send and compare.

mod examples;
pub(crate) mod records;
mod rules;

use std::time::Duration;

use audit_store::record::RecordKind;
use axum::http::StatusCode;
use serde_json::{Value, json};
use service_kit::openapi::schema::{array, boolean, count, integer, named, one_of, required, sent, time};
use service_kit::openapi::schema::{optional, received};
use service_kit::openapi::{
    Answer, Content, Contract, Operation, Parameter, Place, guarded, limited, standard,
};
use service_kit::{Problem, ProblemKind, Violation};

use crate::idempotency::KEY_REUSED;
use crate::ingest::STORAGE_FULL;

/// Version of the contract.
const VERSION: &str = "1.0.0";

/// What the document says of the service.
const DESCRIPTION: &str = "Durably records what auto-remediation did: remediation requests, AI analyses, workflow \
executions and actions on the cluster. An answer of 2xx means that the record is committed. Context API gives records \
back.

A record is one version of a custom resource. A version that the ledger holds already is answered with 200 and the ids \
of the first time, so that every request can be sent again. A body may have no other fields than those listed; `null` \
is the same as leaving an optional field out. No text may contain U+0000.

Every error is a problem document (RFC 9457) that lists everything that is wrong.

Not part of this contract: on the port of the API and on the port of metrics `GET /healthz` and `GET /readyz`, on the \
port of metrics `GET /metrics`; on the port of the API this document as `GET /openapi.json` and `GET /docs`.";

/// What a token must allow.
const TOKEN: &str = "A Kubernetes service-account token. The service account must be allowed the verb `create` on the \
resource `auditrecords` of the API group `kubernaut.ai`. A service whose `auth.mode` is `disabled` asks for no token.";

/// The contract.
#[must_use]
pub fn contract() -> Contract {
    let mut schemas: Vec<(&'static str, Value)> = RecordKind::ALL
        .iter()
        .map(|kind| (schema_name(*kind), records::schema(*kind)))
        .collect();
    schemas.extend([
        ("StepStatus", records::step_status()),
        ("BatchEntry", entry()),
        ("Stored", stored()),
        ("BatchAnswer", batch_answer()),
        ("BatchResult", batch_result()),
    ]);
    Contract {
        title: "Kubernaut Data Storage",
        version: VERSION,
        description: DESCRIPTION.to_owned(),
        token: Some(TOKEN),
        schemas,
        operations: RecordKind::ALL
            .iter()
            .map(|kind| one(*kind))
            .chain([batch()])
            .collect(),
        kept: None,
    }
}

/// Name of the schema of a kind of record.
pub(crate) fn schema_name(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Remediation => "Remediation",
        RecordKind::AiAnalysis => "AiAnalysis",
        RecordKind::Workflow => "Workflow",
        RecordKind::Execution => "Execution",
    }
}

/// The endpoint of one kind of record.
fn one(kind: RecordKind) -> Operation {
    let (path, id, summary, what) = match kind {
        RecordKind::Remediation => (
            "/api/v1/audit/remediation",
            "recordRemediation",
            "Record a remediation request",
            "Records one version of a remediation request: what happened to which resource, and what is being done about it.",
        ),
        RecordKind::AiAnalysis => (
            "/api/v1/audit/aianalysis",
            "recordAiAnalysis",
            "Record an AI analysis",
            "Records one version of an AI analysis: why it happened, and what should be done.",
        ),
        RecordKind::Workflow => (
            "/api/v1/audit/workflow",
            "recordWorkflow",
            "Record a workflow execution",
            "Records one version of a workflow execution: which steps are done.",
        ),
        RecordKind::Execution => (
            "/api/v1/audit/execution",
            "recordExecution",
            "Record an action on the cluster",
            "Records one version of an action on the cluster: what was done to which resource, and how it ended.",
        ),
    };
    let (full, least) = examples::records(kind);
    let answer = |status, description, examples| Answer {
        status,
        description,
        content: Content {
            media_type: "application/json",
            schema: named("Stored"),
            examples,
        },
    };
    Operation {
        method: "post",
        path,
        id,
        summary,
        description: format!("{what} Records may arrive in any order."),
        parameters: vec![idempotency_key(&["created", "replayed"], examples::key(kind))],
        bodies: vec![Content {
            media_type: "application/json",
            schema: named(schema_name(kind)),
            examples: vec![
                ("created", "A version with every field", full.clone()),
                ("least", "A version with the required fields only", least),
                ("replayed", "The first version once more, under its key", full),
            ],
        }],
        answers: vec![
            answer(
                201,
                "The version is new, and stored.",
                vec![
                    ("created", "It is stored", examples::stored(kind, 1, false)),
                    ("least", "It is stored", examples::stored(kind, 2, false)),
                ],
            ),
            answer(
                200,
                "The ledger held this version already; the answer has the ids of the first time.",
                vec![(
                    "replayed",
                    "It was stored before",
                    examples::stored(kind, 1, true),
                )],
            ),
        ],
        problems: problems(),
    }
}

fn batch() -> Operation {
    let answer = |status, description, examples| Answer {
        status,
        description,
        content: Content {
            media_type: "application/json",
            schema: named("BatchAnswer"),
            examples,
        },
    };
    let (created, refused) = (examples::batch_created(), examples::batch_each());
    Operation {
        method: "post",
        path: "/api/v1/audit/batch",
        id: "recordBatch",
        summary: "Record many versions of any kinds",
        description: "Records up to `batches.max_records` versions (500 unless it is configured otherwise), each by \
                      itself: the answer is 200 and tells what became of each one, also of those that are refused. Only \
                      where none could be stored for a passing reason it is 503.\n\nWith `atomic=true` all are stored, \
                      or none: then a broken rule of any record is an answer of 400."
            .to_owned(),
        parameters: vec![
            Parameter {
                name: "atomic",
                place: Place::Query,
                required: false,
                description: "Whether all records are stored or none. Without it each is stored by itself.".to_owned(),
                schema: json!({"type": "boolean", "default": false}),
                examples: vec![("atomic", json!(true)), ("each", json!(false))],
            },
            idempotency_key(&["atomic"], "b7f0a0de-6c0e-4f5e-9a0e-0d2f4c1f9d11"),
        ],
        bodies: vec![
            Content {
                media_type: "application/json",
                schema: json!({"type": "array", "minItems": 1, "items": named("BatchEntry")}),
                examples: vec![
                    ("atomic", "Two records that belong together", examples::batch(["rr-11", "rr-12"])),
                    ("each", "One record that is new, one that breaks a rule", examples::batch_with_a_wrong_one(["rr-13", "rr-14"])),
                ],
            },
            Content {
                media_type: "application/x-ndjson",
                schema: json!({
                    "type": "string",
                    "minLength": 1,
                    "description": "On each line a `BatchEntry`. Empty lines mean nothing. A line that is not JSON is a \
                                    record that is refused.",
                }),
                examples: vec![("lines", "One record", examples::lines("rr-15"))],
            },
        ],
        answers: vec![
            answer(
                200,
                "What became of each record, in the order of the request. With `atomic=true`: the ledger held them all.",
                vec![
                    ("each", "One is stored, one is refused", refused),
                    ("lines", "It is stored", examples::batch_line()),
                ],
            ),
            answer(
                201,
                "With `atomic=true`: all records are stored, and at least one of them is new.",
                vec![("atomic", "Both are stored", created)],
            ),
        ],
        problems: problems(),
    }
}

fn problems() -> Vec<Problem> {
    let mut problems = vec![
        Problem::validation([
            Violation::pointer("/targetName", "required", "is required"),
            Violation::pointer(
                "/phase",
                "not-an-option",
                "must be one of Pending, Processing, Completed, Failed",
            ),
        ]),
        Problem::invalid_parameters([Violation::header(
            "Idempotency-Key",
            "format",
            "must be 1 to 255 visible ASCII characters, quoted or not",
        )]),
        Problem::new(KEY_REUSED).with_violations([Violation::header(
            "Idempotency-Key",
            "reused",
            "must name one request only",
        )]),
        Problem::new(ProblemKind::UNPROCESSABLE).with_detail("The database refused the record."),
        Problem::unavailable("The database is not available.", Duration::from_secs(5)),
        Problem::new(STORAGE_FULL).with_retry_after(Duration::from_secs(5)),
    ];
    problems.extend(standard());
    problems.extend(guarded());
    problems.extend(limited());
    problems
}

/// The header, with the same key in the examples of these names.
fn idempotency_key(examples: &[&'static str], key: &str) -> Parameter {
    Parameter {
        name: "Idempotency-Key",
        place: Place::Header,
        required: false,
        description: "A name for this request, so that it can be sent again without a doubt: 1 to 255 visible ASCII \
                      characters, bare or quoted as a structured-field string. With the same request it gets the first \
                      answer's ids; with another request it is refused with 422. It is kept for `idempotency.keep`, 24 \
                      hours unless it is configured otherwise."
            .to_owned(),
        schema: json!({
            "type": "string",
            "minLength": 1,
            "maxLength": 257,
            // Inside of quotes there is neither a quote nor a backslash; a bare key does not begin with a quote.
            "pattern": r#"^("[!#-\[\]-~]{1,255}"|[!#-~][!-~]{0,254})$"#,
        }),
        examples: examples.iter().map(|name| (*name, json!(key))).collect(),
    }
}

fn entry() -> Value {
    // The kind of record decides which fields it has.
    let variants: Vec<Value> = RecordKind::ALL
        .iter()
        .map(|kind| {
            received(
                schema_name(*kind),
                [
                    required("kind", one_of([kind.as_str()]), "The kind of record."),
                    required("record", named(schema_name(*kind)), "The record."),
                ],
            )
        })
        .collect();
    json!({"description": "A record of a batch, and which kind it is.", "oneOf": variants})
}

fn stored() -> Value {
    sent(
        "Answer to a record that is stored.",
        [
            required("id", count(), "Ledger id of the version."),
            optional(
                "incidentId",
                count(),
                "Id of the incident in Context API; of a remediation only.",
            ),
            optional(
                "embeddingId",
                count(),
                "Id of the text that the record can be found by.",
            ),
            required(
                "embeddingStatus",
                one_of(["stored", "pending", "none"]),
                "`pending`: the vector of the text follows; `none`: nothing in the record can be searched by meaning.",
            ),
            required("createdAt", time(), "When the version was accepted first."),
            required(
                "replayed",
                boolean(),
                "Whether the ledger held the version already.",
            ),
        ],
    )
}

fn batch_answer() -> Value {
    sent(
        "What became of a batch.",
        [
            required("created", count(), "Records that are new versions."),
            required("replayed", count(), "Records that the ledger held already."),
            required("refused", count(), "Records that are not stored."),
            required(
                "results",
                array(named("BatchResult")),
                "One for each record, in the order of the request.",
            ),
        ],
    )
}

fn batch_result() -> Value {
    sent(
        "What became of one record: `record` if it is stored, else `problem`.",
        [
            required(
                "status",
                integer(200, i64::from(StatusCode::GATEWAY_TIMEOUT.as_u16())),
                "The status that the record would have been answered with alone.",
            ),
            optional("record", named("Stored"), "What is stored."),
            optional("problem", named("Problem"), "Why it is not stored."),
        ],
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_path_of_the_router_is_in_the_contract() {
        let router = include_str!("router.rs");
        let served: BTreeSet<&str> = router
            .split('"')
            .filter(|literal| literal.starts_with("/api/"))
            .collect();
        let documented = contract()
            .operations
            .iter()
            .map(|operation| operation.path)
            .collect();
        assert_eq!(served, documented);
    }
}
