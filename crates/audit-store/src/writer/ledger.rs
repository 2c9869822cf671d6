//! The ledger: append new versions, find replayed ones.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::texts::StoredText;
use super::{EmbeddingStatus, NewRecord};
use crate::StoreError;
use crate::record::RecordKind;

/// A ledger row: its id and the partition it lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRef {
    /// Ledger id.
    pub id: i64,
    /// createdAt of the instance.
    pub event_time: DateTime<Utc>,
}

/// What the ledger says of one record of a batch.
#[derive(Clone, Copy)]
pub(super) struct Appended {
    pub(super) event: EventRef,
    pub(super) embedding_id: Option<i64>,
    pub(super) embedding_status: EmbeddingStatus,
    pub(super) received_at: DateTime<Utc>,
    pub(super) replayed: bool,
}

/// The idempotency key.
type Key = (String, String, String, DateTime<Utc>, Vec<u8>);

fn key(record: &NewRecord) -> Key {
    let head = record.record.head();
    (
        record.record.kind().as_str().to_owned(),
        head.namespace.clone(),
        head.name.clone(),
        head.created_at.to_utc(),
        record.payload_sha256.to_vec(),
    )
}

/// The columns of the idempotency key, one array each.
#[derive(Default)]
struct KeyColumns {
    kinds: Vec<String>,
    namespaces: Vec<String>,
    names: Vec<String>,
    times: Vec<DateTime<Utc>>,
    hashes: Vec<Vec<u8>>,
}

impl KeyColumns {
    fn push(&mut self, (kind, namespace, name, time, hash): Key) {
        self.kinds.push(kind);
        self.namespaces.push(namespace);
        self.names.push(name);
        self.times.push(time);
        self.hashes.push(hash);
    }
}

/// Appends the versions the ledger does not hold, and finds those it does. Answers each record in its place.
pub(super) async fn append(
    connection: &mut PgConnection,
    records: &[&NewRecord],
    texts: &HashMap<[u8; 32], StoredText>,
) -> Result<Vec<Appended>, StoreError> {
    let text_of = |record: &NewRecord| {
        record
            .text
            .as_ref()
            .and_then(|text| texts.get(&text.sha256))
            .copied()
    };
    let mut keys = KeyColumns::default();
    records.iter().for_each(|record| keys.push(key(record)));
    let phases: Vec<String> = records
        .iter()
        .map(|r| r.record.head().phase.as_str().to_owned())
        .collect();
    let correlation_ids: Vec<String> = records
        .iter()
        .map(|r| r.record.head().correlation_id.clone())
        .collect();
    let actors: Vec<String> = records.iter().map(|r| r.actor.clone()).collect();
    let payloads: Vec<Value> = records.iter().map(|r| r.payload.clone()).collect();
    let policies: Vec<i16> = records.iter().map(|r| r.redaction_policy).collect();
    let embedding_ids: Vec<Option<i64>> = records.iter().map(|r| text_of(r).map(|text| text.id)).collect();
    let received: Vec<DateTime<Utc>> = records.iter().map(|r| r.received_at).collect();
    let rows = sqlx::query!(
        "INSERT INTO audit_events (record_kind, namespace, name, event_time, payload_sha256, phase, correlation_id,
                                   actor, payload, redaction_policy, embedding_id, received_at)
         SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bytea[], $6::text[], $7::text[],
                              $8::text[], $9::jsonb[], $10::smallint[], $11::bigint[], $12::timestamptz[])
             AS e (record_kind, namespace, name, event_time, payload_sha256, phase, correlation_id,
                   actor, payload, redaction_policy, embedding_id, received_at)
         ORDER BY e.event_time, e.record_kind, e.namespace, e.name, e.payload_sha256
         ON CONFLICT (event_time, record_kind, namespace, name, payload_sha256) DO NOTHING
         RETURNING id, record_kind, namespace, name, event_time, payload_sha256",
        &keys.kinds,
        &keys.namespaces,
        &keys.names,
        &keys.times,
        &keys.hashes,
        &phases,
        &correlation_ids,
        &actors,
        &payloads,
        &policies,
        &embedding_ids as _,
        &received,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut inserted: HashMap<Key, i64> = rows
        .into_iter()
        .map(|row| {
            (
                (
                    row.record_kind,
                    row.namespace,
                    row.name,
                    row.event_time,
                    row.payload_sha256,
                ),
                row.id,
            )
        })
        .collect();

    let mut appended: HashMap<Key, Appended> = HashMap::new();
    let mut order = Vec::with_capacity(records.len());
    let mut missing = KeyColumns::default();
    for record in records {
        let key = key(record);
        // The first record of a batch with a new key made the row; a second one repeats it.
        let created = inserted.remove(&key);
        match (created, appended.entry(key.clone())) {
            (Some(id), Entry::Vacant(entry)) => {
                let text = text_of(record);
                entry.insert(Appended {
                    event: EventRef {
                        id,
                        event_time: key.3,
                    },
                    embedding_id: text.map(|text| text.id),
                    embedding_status: text.map_or(EmbeddingStatus::None, |text| text.status),
                    received_at: record.received_at,
                    replayed: false,
                });
                order.push((key, true));
            }
            (_, Entry::Vacant(_)) => {
                missing.push(key.clone());
                order.push((key, false));
            }
            (_, Entry::Occupied(_)) => order.push((key, false)),
        }
    }
    find(connection, &missing, &mut appended).await?;
    order
        .into_iter()
        .map(|(key, created)| {
            let row = appended.get(&key).ok_or_else(|| {
                StoreError::Inconsistent("the ledger neither took nor holds a record".to_owned())
            })?;
            Ok(Appended {
                replayed: !created,
                ..*row
            })
        })
        .collect()
}

/// Finds the rows that replays repeat.
async fn find(
    connection: &mut PgConnection,
    keys: &KeyColumns,
    into: &mut HashMap<Key, Appended>,
) -> Result<(), StoreError> {
    if keys.kinds.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        r#"SELECT e.id, e.record_kind, e.namespace, e.name, e.event_time, e.payload_sha256, e.received_at,
                  e.embedding_id, v.embedding IS NOT NULL AS "embedded!"
           FROM UNNEST($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bytea[])
                AS k (record_kind, namespace, name, event_time, payload_sha256)
           JOIN audit_events e USING (event_time, record_kind, namespace, name, payload_sha256)
           LEFT JOIN incident_embeddings v ON v.id = e.embedding_id"#,
        &keys.kinds,
        &keys.namespaces,
        &keys.names,
        &keys.times,
        &keys.hashes,
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        let embedding_status = match (row.embedding_id, row.embedded) {
            (None, _) => EmbeddingStatus::None,
            (Some(_), true) => EmbeddingStatus::Stored,
            (Some(_), false) => EmbeddingStatus::Pending,
        };
        into.insert(
            (
                row.record_kind,
                row.namespace,
                row.name,
                row.event_time,
                row.payload_sha256,
            ),
            Appended {
                event: EventRef {
                    id: row.id,
                    event_time: row.event_time,
                },
                embedding_id: row.embedding_id,
                embedding_status,
                received_at: row.received_at,
                replayed: true,
            },
        );
    }
    Ok(())
}

/// The incident of each remediation of the batch, in its place; `None` for the other kinds.
pub(super) async fn incident_ids(
    connection: &mut PgConnection,
    records: &[&NewRecord],
) -> Result<Vec<Option<i64>>, StoreError> {
    let remediations: Vec<_> = records
        .iter()
        .filter(|r| r.record.kind() == RecordKind::Remediation)
        .map(|r| r.record.head())
        .collect();
    if remediations.is_empty() {
        return Ok(vec![None; records.len()]);
    }
    let namespaces: Vec<String> = remediations.iter().map(|head| head.namespace.clone()).collect();
    let names: Vec<String> = remediations.iter().map(|head| head.name.clone()).collect();
    let times: Vec<DateTime<Utc>> = remediations.iter().map(|head| head.created_at.to_utc()).collect();
    let rows = sqlx::query!(
        "SELECT r.id, r.namespace, r.name, r.created_at
         FROM UNNEST($1::text[], $2::text[], $3::timestamptz[]) AS k (namespace, name, created_at)
         JOIN remediation_requests r USING (namespace, name, created_at)",
        &namespaces,
        &names,
        &times,
    )
    .fetch_all(connection)
    .await?;
    let ids: HashMap<(String, String, DateTime<Utc>), i64> = rows
        .into_iter()
        .map(|row| ((row.namespace, row.name, row.created_at), row.id))
        .collect();
    Ok(records
        .iter()
        .map(|record| {
            let head = record.record.head();
            let instance = (
                head.namespace.clone(),
                head.name.clone(),
                head.created_at.to_utc(),
            );
            (record.record.kind() == RecordKind::Remediation)
                .then(|| ids.get(&instance).copied())
                .flatten()
        })
        .collect())
}
