//! `POST /api/v1/audit/batch`: many records of any kinds in one request.

mod answer;
mod body;

use audit_store::record::{Record, RecordKind};
use axum::Extension;
use axum::extract::State as Extract;
use axum::http::HeaderMap;
use axum::response::Response;
use futures::future::join_all;
use serde_json::Value;
use service_kit::auth::Caller;
use service_kit::extract::{BodyBytes, QueryParameters};
use service_kit::problem::Location;
use service_kit::rate_limit::Allowance;
use service_kit::{Problem, Violation};

use crate::idempotency::RequestKey;
use crate::ingest::Submission;
use crate::state::State;
use crate::validation::{Context, Refused, choice, validate};
use answer::Outcome;
use body::Entry;

/// Stores the records of a batch: with `atomic=true` all or none, else each by itself.
pub(crate) async fn post(
    Extract(state): Extract<State>,
    caller: Caller,
    Extension(allowance): Extension<Allowance>,
    headers: HeaderMap,
    key: RequestKey,
    mut parameters: QueryParameters,
    BodyBytes(bytes): BodyBytes,
) -> Result<Response, Problem> {
    let atomic = parameters.boolean("atomic").unwrap_or(false);
    parameters.finish()?;
    let entries = body::entries(&headers, &bytes, state.batches.max_records)?;
    // One of them was charged before the body was read.
    allowance.charge(entries.len() - 1)?;
    let now = state.clock.now();
    let context = state.validation_context(now);
    let parsed: Vec<Result<Record, Problem>> = entries.iter().map(|entry| parse(entry, &context)).collect();
    for problem in parsed.iter().filter_map(|parsed| parsed.as_ref().err()) {
        state.metrics.count_violations(problem.violations());
    }
    let request = if atomic { "batch atomic" } else { "batch" };
    let key = key.of(
        request,
        body::content(entries),
        &caller.username,
        now,
        state.keys_kept_for,
    );
    let actor = caller.username.to_string();
    if atomic {
        let submission = Submission {
            records: all(parsed)?,
            actor,
            received_at: now,
            key,
        };
        return answer::stored(state.ingest.store(submission).await?);
    }
    let outcomes = join_all(parsed.into_iter().map(async |record| -> Outcome {
        let (actor, key) = (actor.clone(), key.clone());
        state.ingest.store_one(record?, actor, now, key).await
    }))
    .await;
    answer::each(outcomes)
}

/// One entry: `{"kind": "workflow", "record": {…}}`. Pointers of violations begin at the entry.
fn parse(entry: &Entry, context: &Context) -> Result<Record, Problem> {
    let value = entry.as_ref().map_err(Clone::clone)?;
    let Value::Object(object) = value else {
        return Err(Problem::validation([Violation::pointer(
            "",
            "type",
            "must be a JSON object with kind and record",
        )]));
    };
    validate(object, |fields| {
        let kind = fields.required("kind", choice(RecordKind::ALL, RecordKind::as_str));
        let record = match fields.take("record") {
            Some(Value::Object(record)) => Some(record),
            Some(_) => {
                fields.refuse("record", Refused::new("type", "must be an object"));
                None
            }
            None => {
                fields.refuse("record", Refused::new("required", "is required"));
                None
            }
        };
        match super::parser(kind?)(record?, context) {
            Ok(record) => Some(record),
            Err(violations) => {
                fields.adopt(
                    violations
                        .into_iter()
                        .map(|found| within("/record", &found))
                        .collect(),
                );
                None
            }
        }
    })
    .map_err(Problem::validation)
}

/// The same violation, seen from further out.
fn within(prefix: &str, violation: &Violation) -> Violation {
    let inner = match &violation.location {
        Location::Pointer(pointer) => pointer.as_str(),
        Location::Parameter(_) | Location::Header(_) => "",
    };
    Violation::pointer(
        format!("{prefix}{inner}"),
        violation.code,
        violation.detail.clone(),
    )
}

/// The records, if all are valid; else everything that is wrong, each with its pointer into the batch.
fn all(parsed: Vec<Result<Record, Problem>>) -> Result<Vec<Record>, Problem> {
    let mut records = Vec::with_capacity(parsed.len());
    let mut violations = Vec::new();
    for (index, parsed) in parsed.into_iter().enumerate() {
        match parsed {
            Ok(record) => records.push(record),
            Err(problem) if problem.violations().is_empty() => {
                let detail = problem.detail().unwrap_or("is not JSON");
                violations.push(Violation::pointer(format!("/{index}"), "malformed-json", detail));
            }
            Err(problem) => {
                let prefix = format!("/{index}");
                violations.extend(problem.violations().iter().map(|found| within(&prefix, found)));
            }
        }
    }
    if violations.is_empty() {
        Ok(records)
    } else {
        Err(Problem::validation(violations))
    }
}
