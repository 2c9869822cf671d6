//! The write endpoints, one file each: for the four kinds of record their fields, their rules, the handler; and the
//! batch of any of them.

pub(crate) mod ai_analysis;
pub(crate) mod batch;
pub(crate) mod execution;
pub(crate) mod remediation;
pub(crate) mod workflow;

use audit_store::record::{Record, RecordKind, Timestamp};
use audit_store::writer::Receipt;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use service_kit::auth::Caller;
use service_kit::boundary::Correlation;
use service_kit::{Problem, Violation};

use crate::idempotency::RequestKey;
use crate::state::State;
use crate::validation::Context;

/// Answer to a record that was stored: 201 for a new version, 200 for a replay, which gets the first answer's ids.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    /// Ledger id of the version.
    id: i64,
    /// Id of the incident in Context API; of a remediation only.
    #[serde(skip_serializing_if = "Option::is_none")]
    incident_id: Option<i64>,
    /// Id of the text that the record can be found by.
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding_id: Option<i64>,
    /// `stored`, `pending` (the vector follows) or `none` (nothing in the record can be searched by meaning).
    embedding_status: &'static str,
    /// When the version was accepted first.
    created_at: Timestamp,
    /// Whether the ledger held it already.
    replayed: bool,
}

impl From<Receipt> for Stored {
    fn from(receipt: Receipt) -> Self {
        Self {
            id: receipt.event_id,
            incident_id: receipt.incident_id,
            embedding_id: receipt.embedding_id,
            embedding_status: receipt.embedding_status.as_str(),
            created_at: Timestamp::new(receipt.received_at),
            replayed: receipt.replayed,
        }
    }
}

/// Validation of one kind of record.
type Parse = fn(&Map<String, Value>, &Context) -> Result<Record, Vec<Violation>>;

/// The validation of a kind of record.
fn parser(kind: RecordKind) -> Parse {
    match kind {
        RecordKind::Remediation => remediation::parse,
        RecordKind::AiAnalysis => ai_analysis::parse,
        RecordKind::Workflow => workflow::parse,
        RecordKind::Execution => execution::parse,
    }
}

/// What the handlers of the four kinds have in common: validate, store, answer.
async fn store(
    state: &State,
    caller: &Caller,
    correlation: &Correlation,
    key: RequestKey,
    kind: RecordKind,
    body: Map<String, Value>,
) -> Result<Response, Problem> {
    let now = state.clock.now();
    let record = parser(kind)(&body, &state.validation_context(now)).map_err(|violations| {
        state.metrics.count_violations(&violations);
        Problem::validation(violations)
    })?;
    correlation.tell(&record.head().correlation_id);
    let key = key.of(
        kind.as_str(),
        Value::Object(body),
        &caller.username,
        now,
        state.keys_kept_for,
    );
    let actor = caller.username.to_string();
    let receipt = state.ingest.store_one(record, actor, now, key).await?;
    Ok((status(&receipt), Json(Stored::from(receipt))).into_response())
}

/// 201 for a new version, 200 for one that the ledger held.
fn status(receipt: &Receipt) -> StatusCode {
    if receipt.replayed {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    }
}

#[cfg(test)]
mod tests;
