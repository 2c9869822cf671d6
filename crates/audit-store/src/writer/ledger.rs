//! The ledger: append new versions, find replayed ones.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::texts::StoredText;
use super::{EmbeddingStatus, NewRecord};
use crate::StoreError;

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
    /// Of a replay only: that of a new version is known once it is folded.
    pub(super) incident_id: Option<i64>,
    pub(super) embedding_id: Option<i64>,
    pub(super) embedding_status: EmbeddingStatus,
    pub(super) received_at: DateTime<Utc>,
    pub(super) replayed: bool,
}

/// The columns of the idempotency key, one array each.
#[derive(Default)]
struct KeyColumns<'a> {
    kinds: Vec<&'a str>,
    namespaces: Vec<&'a str>,
    names: Vec<&'a str>,
    times: Vec<DateTime<Utc>>,
    hashes: Vec<&'a [u8]>,
}

impl<'a> KeyColumns<'a> {
    fn push(&mut self, record: &'a NewRecord) {
        let head = record.record.head();
        self.kinds.push(record.record.kind().as_str());
        self.namespaces.push(&head.namespace);
        self.names.push(&head.name);
        self.times.push(head.created_at.to_utc());
        self.hashes.push(&record.payload_sha256);
    }
}

/// Appends the versions the ledger does not hold, and finds those it does. Answers each record in its place.
///
/// Among the records of a batch the hash of the payload alone is the key: the payload has the others in it, the kind as the
/// fields that only this kind must have.
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
    records.iter().for_each(|record| keys.push(record));
    let heads = || records.iter().map(|record| record.record.head());
    let phases: Vec<&str> = heads().map(|head| head.phase.as_str()).collect();
    let correlation_ids: Vec<&str> = heads().map(|head| head.correlation_id.as_str()).collect();
    let actors: Vec<&str> = records.iter().map(|r| r.actor.as_str()).collect();
    let payloads: Vec<&str> = records.iter().map(|r| r.payload.as_str()).collect();
    let policies: Vec<i16> = records.iter().map(|r| r.redaction_policy).collect();
    let embedding_ids: Vec<Option<i64>> = records.iter().map(|r| text_of(r).map(|text| text.id)).collect();
    let received: Vec<DateTime<Utc>> = records.iter().map(|r| r.received_at).collect();
    let rows = sqlx::query!(
        "INSERT INTO audit_events (record_kind, namespace, name, event_time, payload_sha256, phase, correlation_id,
                                   actor, payload, redaction_policy, embedding_id, received_at)
         SELECT record_kind, namespace, name, event_time, payload_sha256, phase, correlation_id,
                actor, payload::jsonb, redaction_policy, embedding_id, received_at
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bytea[], $6::text[], $7::text[],
                     $8::text[], $9::text[], $10::smallint[], $11::bigint[], $12::timestamptz[])
             AS e (record_kind, namespace, name, event_time, payload_sha256, phase, correlation_id,
                   actor, payload, redaction_policy, embedding_id, received_at)
         ORDER BY e.event_time, e.record_kind, e.namespace, e.name, e.payload_sha256
         ON CONFLICT (event_time, record_kind, namespace, name, payload_sha256) DO NOTHING
         RETURNING id, payload_sha256",
        &keys.kinds as _,
        &keys.namespaces as _,
        &keys.names as _,
        &keys.times,
        &keys.hashes as _,
        &phases as _,
        &correlation_ids as _,
        &actors as _,
        &payloads as _,
        &policies,
        &embedding_ids as _,
        &received,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut inserted: HashMap<Vec<u8>, i64> =
        rows.into_iter().map(|row| (row.payload_sha256, row.id)).collect();

    let mut appended: HashMap<[u8; 32], Appended> = HashMap::new();
    let mut created = Vec::with_capacity(records.len());
    let mut missing = KeyColumns::default();
    for record in records {
        // The first record of a batch with a new key made the row; a second one repeats it.
        let id = inserted.remove(record.payload_sha256.as_slice());
        match (id, appended.entry(record.payload_sha256)) {
            (Some(id), Entry::Vacant(entry)) => {
                let text = text_of(record);
                entry.insert(Appended {
                    event: EventRef {
                        id,
                        event_time: record.record.head().created_at.to_utc(),
                    },
                    incident_id: None,
                    embedding_id: text.map(|text| text.id),
                    embedding_status: text.map_or(EmbeddingStatus::None, |text| text.status),
                    received_at: record.received_at,
                    replayed: false,
                });
                created.push(true);
            }
            (_, Entry::Vacant(_)) => {
                missing.push(record);
                created.push(false);
            }
            (_, Entry::Occupied(_)) => created.push(false),
        }
    }
    find(connection, &missing, &mut appended).await?;
    records
        .iter()
        .zip(created)
        .map(|(record, created)| {
            let row = appended.get(&record.payload_sha256).ok_or_else(|| {
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
    keys: &KeyColumns<'_>,
    into: &mut HashMap<[u8; 32], Appended>,
) -> Result<(), StoreError> {
    if keys.kinds.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        r#"SELECT e.id, e.event_time, e.payload_sha256, e.received_at, e.embedding_id,
                  v.embedding IS NOT NULL AS "embedded!", r.id AS "incident_id?"
           FROM UNNEST($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bytea[])
                AS k (record_kind, namespace, name, event_time, payload_sha256)
           JOIN audit_events e USING (event_time, record_kind, namespace, name, payload_sha256)
           LEFT JOIN incident_embeddings v ON v.id = e.embedding_id
           LEFT JOIN remediation_requests r
             ON e.record_kind = 'remediation' AND r.namespace = e.namespace AND r.name = e.name
            AND r.created_at = e.event_time"#,
        &keys.kinds as _,
        &keys.namespaces as _,
        &keys.names as _,
        &keys.times,
        &keys.hashes as _,
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
            super::sha256(row.payload_sha256)?,
            Appended {
                event: EventRef {
                    id: row.id,
                    event_time: row.event_time,
                },
                incident_id: row.incident_id,
                embedding_id: row.embedding_id,
                embedding_status,
                received_at: row.received_at,
                replayed: true,
            },
        );
    }
    Ok(())
}
