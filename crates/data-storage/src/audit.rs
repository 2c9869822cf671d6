//! The four write endpoints, one file each: the fields, their rules, the handler.

pub(crate) mod ai_analysis;
pub(crate) mod execution;
pub(crate) mod remediation;
pub(crate) mod workflow;

use audit_store::record::{Record, Timestamp};
use audit_store::writer::Receipt;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use service_kit::{Problem, Violation};

use crate::state::State;
use crate::validation::Context;

/// The actor of a caller who is not authenticated, by the name Kubernetes gives such a caller.
const ANONYMOUS: &str = "system:anonymous";

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

/// What the four handlers have in common: validate, store, answer.
async fn store(state: &State, body: &Map<String, Value>, parse: Parse) -> Result<Response, Problem> {
    let now = state.clock.now();
    let context = Context {
        now,
        default_cluster: state.default_cluster.clone(),
    };
    let record = parse(body, &context).map_err(|violations| {
        state.metrics.count_violations(&violations);
        Problem::validation(violations)
    })?;
    let receipt = state.ingest.store(record, ANONYMOUS.to_owned(), now).await?;
    let status = if receipt.replayed {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((status, Json(Stored::from(receipt))).into_response())
}

#[cfg(test)]
mod tests;
