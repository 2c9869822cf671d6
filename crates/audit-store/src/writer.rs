//! A batch of records into the ledger and, by the same transaction, into the read model.
//!
//! The order of one transaction:
//!
//! 1. the idempotency keys of the requests (`keys`);
//! 2. texts that are not there yet, with their vectors (`texts`);
//! 3. the ledger: every new version; a replay finds the row it repeats (`ledger`);
//! 4. the read model, folded in SQL from the ledger rows just made (`fold`).
//!
//! A transaction touches keys in sorted order, table after table, so that two of them cannot deadlock.

pub(crate) mod fold;
mod keys;
mod ledger;
mod texts;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use crate::compatibility::ModelIdentity;
use crate::record::{Payload, Record, RecordKind};
use crate::{StoreError, WriteStore};

pub use keys::{IdempotencyKey, remove_expired as remove_expired_keys};
pub use ledger::EventRef;

/// How a transaction begins, in one round trip. Nothing in it may fail or wait: the driver rolls back only what has begun.
///
/// It waits for a lock long enough for another write, and short enough that what DDL or a rebuild holds up does not hold up
/// everything that came with it.
///
/// A connection keeps one plan for each statement: planning for the values at hand took longer than running them. Such a
/// plan may be made while a table is empty, and live until the table is analyzed. So it may not have what is good for an
/// empty table only: rows are found by their keys, through indexes.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '1s'; SET LOCAL plan_cache_mode = force_generic_plan; \
                     SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
                     SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

/// A validated record on its way into the store.
#[derive(Debug, Clone)]
pub struct NewRecord {
    record: Record,
    /// As the ledger takes it: the text that the hash is of.
    payload: String,
    payload_sha256: [u8; 32],
    size: usize,
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
        let payload = record.payload()?;
        Ok(Self::with_payload(record, payload, actor, received_at))
    }

    /// Prepares a record whose [`Record::payload`] is known already.
    #[must_use]
    pub fn with_payload(record: Record, payload: Payload, actor: String, received_at: DateTime<Utc>) -> Self {
        Self {
            record,
            size: 2 * memory(&payload.value),
            payload: payload.text,
            payload_sha256: payload.sha256,
            actor,
            received_at,
            redaction_policy: 0,
            text: None,
        }
    }

    /// Bytes of memory that it takes up, by estimate: as a record and as a payload.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }
}

/// Bytes of memory that a JSON value takes up, by estimate: 32 for itself, its text, and for an object that is not
/// empty a node of its tree, which has room for 11 entries.
fn memory(value: &Value) -> usize {
    const NODE: usize = 640;
    32 + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(memory).sum(),
        Value::Object(entries) => {
            let contents = entries.iter().map(|(key, value)| 24 + key.len() + memory(value));
            entries.len().div_ceil(11) * NODE + contents.sum::<usize>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
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

/// Records that are stored together or not at all.
#[derive(Debug, Clone)]
pub struct Group {
    /// The records, in the order of their receipts.
    pub records: Vec<NewRecord>,
    /// The key of the request they came with.
    pub key: Option<IdempotencyKey>,
}

/// Writes records in one transaction, answering each in its place. Vectors come from `model`; where the database holds
/// vectors of another one, the texts are stored without.
///
/// # Errors
/// [`StoreError`] for the records as a whole; then nothing of them is stored. Only after [`StoreError::Unavailable`] is
/// that not certain: the answer to the COMMIT may have been lost. Writing the same again finds out, as replays.
pub async fn write_batch(
    store: &WriteStore,
    model: &ModelIdentity,
    records: &[NewRecord],
) -> Result<Vec<Receipt>, StoreError> {
    let group = Group {
        records: records.to_vec(),
        key: None,
    };
    let mut results = write_together(store, model, &[group]).await?;
    results.pop().unwrap_or(Ok(Vec::new()))
}

/// Writes groups, answering each in its place, in one transaction if the database takes them all.
///
/// A transaction that the database refuses, or that does not get its locks, is halved until the culprit is alone:
/// `log2(n)` transactions more for one bad group among n. Other errors fail all groups.
pub async fn write_groups(
    store: &WriteStore,
    model: &ModelIdentity,
    groups: &[Group],
) -> Vec<Result<Vec<Receipt>, StoreError>> {
    match write_together(store, model, groups).await {
        Ok(results) => results,
        Err(StoreError::Rejected { .. } | StoreError::Contention(_)) if groups.len() > 1 => {
            let (left, right) = groups.split_at(groups.len() / 2);
            let mut results = Box::pin(write_groups(store, model, left)).await;
            results.extend(Box::pin(write_groups(store, model, right)).await);
            results
        }
        Err(error) => shared(error, groups.len()),
    }
}

/// One transaction. The inner errors are of groups that it left out; the others are committed.
async fn write_together(
    store: &WriteStore,
    model: &ModelIdentity,
    groups: &[Group],
) -> Result<Vec<Result<Vec<Receipt>, StoreError>>, StoreError> {
    let mut connection = store.pool().acquire().await?;
    match tokio::time::timeout(
        store.batch_timeout(),
        in_transaction(&mut connection, model, groups),
    )
    .await
    {
        Ok(result) => result,
        Err(_) => {
            // Cut off in the middle of a statement: the server cancels it by its own timeout, and this connection,
            // on which an answer may still be under way, is never used again.
            drop(connection.detach());
            Err(StoreError::timed_out())
        }
    }
}

async fn in_transaction(
    connection: &mut PgConnection,
    model: &ModelIdentity,
    groups: &[Group],
) -> Result<Vec<Result<Vec<Receipt>, StoreError>>, StoreError> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    let may_go_on = keys::take(&mut transaction, groups).await?;
    let records: Vec<&NewRecord> = groups
        .iter()
        .zip(&may_go_on)
        .filter(|(_, may_go_on)| **may_go_on)
        .flat_map(|(group, _)| &group.records)
        .collect();
    let mut receipts = write_records(&mut transaction, model, &records)
        .await?
        .into_iter();
    transaction.commit().await?;
    Ok(groups
        .iter()
        .zip(may_go_on)
        .map(|(group, may_go_on)| {
            if may_go_on {
                Ok(receipts.by_ref().take(group.records.len()).collect())
            } else {
                Err(StoreError::KeyReused)
            }
        })
        .collect())
}

async fn write_records(
    connection: &mut PgConnection,
    model: &ModelIdentity,
    records: &[&NewRecord],
) -> Result<Vec<Receipt>, StoreError> {
    let texts = texts::insert(connection, model, records).await?;
    let events = ledger::append(connection, records, &texts).await?;
    let new: Vec<EventRef> = events
        .iter()
        .filter(|event| !event.replayed)
        .map(|event| event.event)
        .collect();
    let incidents = if new.is_empty() {
        HashMap::new()
    } else {
        fold::events(connection, &new_kinds(records, &events), &new).await?
    };
    Ok(events
        .into_iter()
        .map(|event| Receipt {
            event_id: event.event.id,
            incident_id: event
                .incident_id
                .or_else(|| incidents.get(&event.event.id).copied()),
            embedding_id: event.embedding_id,
            embedding_status: event.embedding_status,
            received_at: event.received_at,
            replayed: event.replayed,
        })
        .collect())
}

/// A hash as the database gives it back.
fn sha256(bytes: Vec<u8>) -> Result<[u8; 32], StoreError> {
    bytes
        .try_into()
        .map_err(|_| StoreError::Inconsistent("a hash has no 32 bytes".to_owned()))
}

/// The kinds of the records whose ledger rows are new.
fn new_kinds(records: &[&NewRecord], events: &[ledger::Appended]) -> HashSet<RecordKind> {
    records
        .iter()
        .zip(events)
        .filter(|(_, event)| !event.replayed)
        .map(|(record, _)| record.record.kind())
        .collect()
}

/// The same error for each group of a transaction.
fn shared(error: StoreError, count: usize) -> Vec<Result<Vec<Receipt>, StoreError>> {
    let again = |error: &StoreError| match error {
        StoreError::Contention(cause) => StoreError::Contention(sqlx::Error::Protocol(cause.to_string())),
        StoreError::Timeout(cause) => StoreError::Timeout(sqlx::Error::Protocol(cause.to_string())),
        StoreError::Full(cause) => StoreError::Full(sqlx::Error::Protocol(cause.to_string())),
        StoreError::OtherModel(model) => StoreError::OtherModel(model.clone()),
        StoreError::Inconsistent(what) => StoreError::Inconsistent(what.clone()),
        StoreError::KeyReused => StoreError::KeyReused,
        StoreError::Driver(cause) => StoreError::Driver(sqlx::Error::Protocol(cause.to_string())),
        StoreError::Rejected { constraint, source } => StoreError::Rejected {
            constraint: constraint.clone(),
            source: sqlx::Error::Protocol(source.to_string()),
        },
        StoreError::Unavailable(cause) => StoreError::Unavailable(sqlx::Error::Protocol(cause.to_string())),
    };
    let mut results: Vec<_> = (1..count).map(|_| Err(again(&error))).collect();
    results.push(Err(error));
    results
}
