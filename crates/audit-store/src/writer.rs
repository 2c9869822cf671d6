//! A batch of records into the ledger and, by the same transaction, into the read model.
//!
//! The order of one transaction:
//!
//! 1. texts that are not there yet, with their vectors (`texts`);
//! 2. the ledger: every new version; a replay finds the row it repeats (`ledger`);
//! 3. the read model, folded in SQL from the ledger rows just made (`fold`).
//!
//! A transaction touches keys in sorted order, table after table, so that two of them cannot deadlock.

mod fold;
mod ledger;
mod texts;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use crate::compatibility::ModelIdentity;
use crate::record::{Record, RecordKind};
use crate::{StoreError, WriteStore};

pub use ledger::EventRef;

/// A validated record on its way into the store.
#[derive(Debug, Clone)]
pub struct NewRecord {
    record: Record,
    payload: Value,
    payload_sha256: [u8; 32],
    /// Identity of the writer.
    pub actor: String,
    /// When the service accepted it.
    pub received_at: DateTime<Utc>,
    /// Version of the redaction policy it went through; 0 for none.
    pub redaction_policy: i16,
    /// Its canonical text; `None` where nothing in it can be searched by meaning.
    pub text: Option<RecordText>,
}

/// The canonical text of a record, with its vector where there was time to make it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordText {
    /// The text.
    pub text: String,
    /// SHA-256 of the text.
    pub sha256: [u8; 32],
    /// The vector, of the model's dimension and unit length.
    pub vector: Option<Vec<f32>>,
}

impl NewRecord {
    /// Prepares a record for the ledger.
    ///
    /// # Errors
    /// `serde_json`'s error where a value has no JSON form; a validated record always has one.
    pub fn new(record: Record, actor: String, received_at: DateTime<Utc>) -> Result<Self, serde_json::Error> {
        let (payload, payload_sha256) = record.payload()?;
        Ok(Self {
            record,
            payload,
            payload_sha256,
            actor,
            received_at,
            redaction_policy: 0,
            text: None,
        })
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Ledger id of this version; of the first one for a replay.
    pub event_id: i64,
    /// Id of the incident, for a remediation.
    pub incident_id: Option<i64>,
    /// Id of the text, where the record has one.
    pub embedding_id: Option<i64>,
    /// Whether the text can already be found by meaning.
    pub embedding_status: EmbeddingStatus,
    /// When this version was accepted first.
    pub received_at: DateTime<Utc>,
    /// Whether the ledger held this version before.
    pub replayed: bool,
}

/// State of the vector of a record's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddingStatus {
    /// The vector is stored.
    Stored,
    /// The vector will be stored by the worker.
    Pending,
    /// The record has no text.
    None,
}

impl EmbeddingStatus {
    /// The status as spelled on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Pending => "pending",
            Self::None => "none",
        }
    }
}

/// Writes records in one transaction, answering each in its place. Vectors come from `model`; where the database holds
/// vectors of another one, the texts are stored without.
///
/// # Errors
/// [`StoreError`] for the batch as a whole; then nothing of it is stored. Only after [`StoreError::Unavailable`] is
/// that not certain: the answer to the COMMIT may have been lost. Writing the batch again finds out, as replays.
pub async fn write_batch(
    store: &WriteStore,
    model: &ModelIdentity,
    records: &[NewRecord],
) -> Result<Vec<Receipt>, StoreError> {
    let mut connection = store.pool().acquire().await?;
    match tokio::time::timeout(
        store.batch_timeout(),
        in_transaction(&mut connection, model, records),
    )
    .await
    {
        Ok(result) => result,
        Err(_) => {
            // Cut off in the middle of a statement: the server cancels it by its own timeout, and this connection,
            // on which an answer may still be under way, is never used again.
            drop(connection.detach());
            Err(StoreError::Unavailable(sqlx::Error::Io(
                std::io::ErrorKind::TimedOut.into(),
            )))
        }
    }
}

async fn in_transaction(
    connection: &mut PgConnection,
    model: &ModelIdentity,
    records: &[NewRecord],
) -> Result<Vec<Receipt>, StoreError> {
    let mut transaction = connection.begin().await?;
    let texts = texts::insert(&mut transaction, model, records).await?;
    let events = ledger::append(&mut transaction, records, &texts).await?;
    let new: Vec<EventRef> = events
        .iter()
        .filter(|event| !event.replayed)
        .map(|event| event.event)
        .collect();
    if !new.is_empty() {
        fold_events(&mut transaction, records, &events, &new).await?;
    }
    let incidents = ledger::incident_ids(&mut transaction, records).await?;
    transaction.commit().await?;
    Ok(events
        .into_iter()
        .zip(incidents)
        .map(|(event, incident_id)| Receipt {
            event_id: event.event.id,
            incident_id,
            embedding_id: event.embedding_id,
            embedding_status: event.embedding_status,
            received_at: event.received_at,
            replayed: event.replayed,
        })
        .collect())
}

/// Brings the read model up to the new ledger rows; a kind that is not among them costs nothing.
async fn fold_events(
    connection: &mut PgConnection,
    records: &[NewRecord],
    events: &[ledger::Appended],
    new: &[EventRef],
) -> Result<(), StoreError> {
    let kinds: HashSet<RecordKind> = records
        .iter()
        .zip(events)
        .filter(|(_, event)| !event.replayed)
        .map(|(record, _)| record.record.kind())
        .collect();
    if kinds.contains(&RecordKind::Remediation) || kinds.contains(&RecordKind::Execution) {
        fold::resources(connection, new).await?;
        fold::action_histories(connection, new).await?;
    }
    if kinds.contains(&RecordKind::Remediation) {
        fold::remediation_requests(connection, new).await?;
        fold::remediations(connection, new).await?;
    }
    if kinds.contains(&RecordKind::AiAnalysis) {
        fold::analyses(connection, new).await?;
    }
    if kinds.contains(&RecordKind::Workflow) {
        fold::workflows(connection, new).await?;
    }
    if kinds.contains(&RecordKind::Execution) {
        fold::executions(connection, new).await?;
    }
    Ok(())
}

/// Writes records like [`write_batch`], but lets one that the database refuses fail alone.
///
/// A refused batch is halved until the culprit is found: `log2(n)` transactions more for one bad record among n.
/// Errors that are not about the data fail the whole batch.
pub async fn write_isolating(
    store: &WriteStore,
    model: &ModelIdentity,
    records: &[NewRecord],
) -> Vec<Result<Receipt, StoreError>> {
    match write_batch(store, model, records).await {
        Ok(receipts) => receipts.into_iter().map(Ok).collect(),
        Err(error @ StoreError::Rejected { .. }) if records.len() == 1 => vec![Err(error)],
        Err(StoreError::Rejected { .. }) => {
            let (left, right) = records.split_at(records.len() / 2);
            let mut results = Box::pin(write_isolating(store, model, left)).await;
            results.extend(Box::pin(write_isolating(store, model, right)).await);
            results
        }
        Err(error) => shared(error, records.len()),
    }
}

/// The same error for each record of a batch.
fn shared(error: StoreError, count: usize) -> Vec<Result<Receipt, StoreError>> {
    let again = |error: &StoreError| match error {
        StoreError::Contention(_) => StoreError::Contention(sqlx::Error::Protocol(error.to_string())),
        StoreError::Timeout(_) => StoreError::Timeout(sqlx::Error::Protocol(error.to_string())),
        StoreError::OtherModel(model) => StoreError::OtherModel(model.clone()),
        StoreError::Inconsistent(what) => StoreError::Inconsistent(what.clone()),
        StoreError::Driver(cause) => StoreError::Driver(sqlx::Error::Protocol(cause.to_string())),
        StoreError::Unavailable(cause) | StoreError::Rejected { source: cause, .. } => {
            StoreError::Unavailable(sqlx::Error::Protocol(cause.to_string()))
        }
    };
    let mut results: Vec<_> = (1..count).map(|_| Err(again(&error))).collect();
    results.push(Err(error));
    results
}
