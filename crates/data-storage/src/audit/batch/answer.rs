//! The answer to a batch: what became of each record, in the order of the request.

use audit_store::writer::Receipt;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use service_kit::Problem;
use service_kit::problem::{Occurrence, ProblemKind};

use super::super::{Stored, status};
use crate::idempotency::KEY_REUSED;

/// What became of one record.
pub(super) type Outcome = Result<Receipt, Problem>;

/// What became of a batch.
#[derive(Debug, Default, Serialize)]
struct BatchAnswer {
    /// Records that are new versions.
    created: usize,
    /// Records that the ledger held already.
    replayed: usize,
    /// Records that are not stored.
    refused: usize,
    /// One for each record, in the order of the request.
    results: Vec<BatchResult>,
}

/// What became of one record: `record` if it is stored, else `problem`.
#[derive(Debug, Serialize)]
struct BatchResult {
    /// The status that the record would have been answered with alone.
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Stored>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Value>,
}

impl BatchAnswer {
    fn of(outcomes: Vec<Outcome>) -> Result<Self, Problem> {
        let mut answer = Self::default();
        for (index, outcome) in outcomes.into_iter().enumerate() {
            let result = match outcome {
                Ok(receipt) if receipt.replayed => {
                    answer.replayed += 1;
                    BatchResult::stored(receipt)
                }
                Ok(receipt) => {
                    answer.created += 1;
                    BatchResult::stored(receipt)
                }
                Err(problem) => {
                    answer.refused += 1;
                    BatchResult::refused(index, &problem)?
                }
            };
            answer.results.push(result);
        }
        Ok(answer)
    }
}

impl BatchResult {
    fn stored(receipt: Receipt) -> Self {
        Self {
            status: status(&receipt).as_u16(),
            record: Some(receipt.into()),
            problem: None,
        }
    }

    fn refused(index: usize, problem: &Problem) -> Result<Self, Problem> {
        // The boundary logs the cause of a whole answer; this problem is only a part of one.
        if let Some(cause) = problem.cause_chain() {
            tracing::warn!(
                index,
                problem = problem.code(),
                cause,
                "a record of a batch was not stored"
            );
        }
        let document = problem.body(Occurrence::default());
        Ok(Self {
            status: problem.status().as_u16(),
            record: None,
            problem: Some(serde_json::from_str(&document).map_err(Problem::internal)?),
        })
    }
}

/// The answer to an atomic batch that is stored: 201 if anything in it is new, else 200.
pub(super) fn stored(receipts: Vec<Receipt>) -> Result<Response, Problem> {
    let answer = BatchAnswer::of(receipts.into_iter().map(Ok).collect())?;
    let status = if answer.created > 0 {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(answer)).into_response())
}

/// The answer to a batch whose records were stored each by itself: 200 whatever became of them. Only where none is
/// stored for a reason that they share, a passing one or the key of the request, it is that problem.
pub(super) fn each(outcomes: Vec<Outcome>) -> Result<Response, Problem> {
    let of_all = |outcome: &Outcome| match outcome {
        Err(problem) if [ProblemKind::SERVICE_UNAVAILABLE, KEY_REUSED].contains(&problem.kind()) => {
            Some(problem.clone())
        }
        _ => None,
    };
    let shared: Option<Vec<Problem>> = outcomes.iter().map(of_all).collect();
    match shared.and_then(|problems| problems.into_iter().next()) {
        Some(problem) => Err(problem),
        None => Ok(Json(BatchAnswer::of(outcomes)?).into_response()),
    }
}
