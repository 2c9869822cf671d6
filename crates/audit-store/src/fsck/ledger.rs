//! One pass over the ledger: every row is checked, and folded into the scratch tables.
//!
//! Partition by partition, in order of ids, some thousand rows at a time. Payloads are looked at as they arrive and not
//! kept, so that memory does not depend on their size.

use std::collections::HashSet;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures::TryStreamExt;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::report::{Check, Outcome, Report, ask};
use super::session::{analyze_scratch, live_first, scratch_first};
use super::{Listener, Options, Progress};
use crate::record::{RecordKind, canonical};
use crate::writer::{EventRef, fold};
use crate::{SchemaName, StoreError};

/// Rows that are folded by one statement.
const CHUNK: i64 = 2_000;
/// How far clocks may differ. Validation lets a createdAt be as far ahead.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(5);

/// Ledger ids of a pass: greater than the first, up to and with the second.
pub(super) type Ids = (i64, i64);
/// The whole ledger.
pub(super) const ALL: Ids = (i64::MIN, i64::MAX);

const PAYLOAD_HASH: Check = Check::error(
    "ledger.payload_hash",
    "payload_sha256 is the SHA-256 of the payload's canonical form",
);
const OLDER_HASH: Check = Check::warning(
    "ledger.payload_hash_older_form",
    "no payload was hashed before its numbers were brought to their canonical form",
);
const COLUMNS: Check = Check::error(
    "ledger.columns",
    "kind, namespace, name, event time, phase and correlation id are those of the payload",
);
const FOLDABLE: Check = Check::error("ledger.foldable", "the read model can be made from every event");
const PHASE_RANK: Check = Check::error("ledger.phase_rank", "phase_rank is the rank of the phase");
const PARTITION: Check = Check::error("ledger.partition", "every event is in the partition of its month");
const RECEIVED_AT: Check = Check::warning(
    "ledger.received_at",
    "no event was received before it happened, nor after now, give or take 5 minutes",
);

/// A partition of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    name: String,
    /// The condition that its rows meet.
    condition: String,
}

/// The partitions of the ledger, by name.
pub(super) async fn partitions(connection: &mut PgConnection) -> Result<Vec<Partition>, StoreError> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT i.inhrelid::regclass::text, coalesce(pg_get_partition_constraintdef(i.inhrelid), 'true')
         FROM pg_inherits i WHERE i.inhparent = 'audit_events'::regclass ORDER BY 1",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(name, condition)| Partition { name, condition })
        .collect())
}

/// What a pass found.
pub(super) struct Pass {
    pub(super) events: u64,
    pub(super) other_events: u64,
    keep: usize,
    now: DateTime<Utc>,
    payload_hash: Outcome,
    older_hash: Outcome,
    columns: Outcome,
    foldable: Outcome,
    phase_rank: Outcome,
    partition: Outcome,
    received_at: Outcome,
}

impl Pass {
    fn new(options: &Options) -> Self {
        Self {
            events: 0,
            other_events: 0,
            keep: options.examples,
            now: options.now,
            payload_hash: Outcome::of(PAYLOAD_HASH),
            older_hash: Outcome::of(OLDER_HASH),
            columns: Outcome::of(COLUMNS),
            foldable: Outcome::of(FOLDABLE),
            phase_rank: Outcome::of(PHASE_RANK),
            partition: Outcome::of(PARTITION),
            received_at: Outcome::of(RECEIVED_AT),
        }
    }

    /// The results of the checks of this pass.
    pub(super) fn into_outcomes(self) -> [Outcome; 7] {
        [
            self.payload_hash,
            self.older_hash,
            self.columns,
            self.foldable,
            self.phase_rank,
            self.partition,
            self.received_at,
        ]
    }

    /// Checks a row. Answers where it is, and what kind of record it is, if it is one.
    fn look_at(&mut self, row: &PgRow) -> Result<(EventRef, Option<RecordKind>), sqlx::Error> {
        let event = EventRef {
            id: row.try_get("id")?,
            event_time: row.try_get("event_time")?,
        };
        let subject = || format!("audit_events {}", event.id);
        let kind = RecordKind::parse(row.try_get("record_kind")?);
        self.events += 1;
        self.other_events += u64::from(kind.is_none());
        if !row.try_get::<bool, _>("rank_right")? {
            self.phase_rank.add(self.keep, subject(), "another rank");
        }
        if !row.try_get::<bool, _>("in_place")? {
            let detail = format!(
                "of {} in {}",
                event.event_time,
                row.try_get::<String, _>("partition")?
            );
            self.partition.add(self.keep, subject(), detail);
        }
        let received_at: DateTime<Utc> = row.try_get("received_at")?;
        if received_at < event.event_time - CLOCKS_DIFFER || received_at > self.now + CLOCKS_DIFFER {
            let detail = format!("of {}, received at {received_at}", event.event_time);
            self.received_at.add(self.keep, subject(), detail);
        }
        let hash: &[u8] = row.try_get("payload_sha256")?;
        // A number beyond the range of floats can be in JSONB and in no record.
        let Ok(payload) = row.try_get::<Value, _>("payload") else {
            self.payload_hash
                .add(self.keep, subject(), "the payload cannot be read");
            return Ok((event, kind));
        };
        let of = |outcome: serde_json::Error| sqlx::Error::Decode(Box::new(outcome));
        if canonical::sha256(&payload).map_err(of)? != *hash {
            if canonical::is_older_sha256(&payload, hash).map_err(of)? {
                self.older_hash.add(
                    self.keep,
                    subject(),
                    "a repetition of this version is a new version",
                );
            } else {
                self.payload_hash
                    .add(self.keep, subject(), "the payload has another hash");
            }
        }
        if let Some(kind) = kind {
            let differing = differing_columns(row, kind, &payload)?;
            if !differing.is_empty() {
                self.columns.add(
                    self.keep,
                    subject(),
                    format!("differs in {}", differing.join(", ")),
                );
            }
        }
        Ok((event, kind))
    }
}

/// The columns that do not say what the payload says.
fn differing_columns(
    row: &PgRow,
    kind: RecordKind,
    payload: &Value,
) -> Result<Vec<&'static str>, sqlx::Error> {
    let event_time: DateTime<Utc> = row.try_get("event_time")?;
    let said: [(&str, &str, String); 5] = [
        ("namespace", "namespace", row.try_get("namespace")?),
        ("name", "name", row.try_get("name")?),
        (
            "event_time",
            "createdAt",
            event_time.to_rfc3339_opts(SecondsFormat::Micros, true),
        ),
        ("phase", "phase", row.try_get("phase")?),
        ("correlation_id", "correlationId", row.try_get("correlation_id")?),
    ];
    let mut differing: Vec<&'static str> = said
        .into_iter()
        .filter(|(_, field, value)| payload[field].as_str() != Some(value))
        .map(|(column, ..)| column)
        .collect();
    if kind_of(payload) != Some(kind) {
        differing.push("record_kind");
    }
    Ok(differing)
}

/// The kind of record that has these fields: each has a required one that the others have not.
fn kind_of(payload: &Value) -> Option<RecordKind> {
    let has = |field: &str| payload.get(field).is_some();
    if has("signalName") {
        Some(RecordKind::Remediation)
    } else if has("workflowExecutionRef") {
        Some(RecordKind::Execution)
    } else if has("workflowName") {
        Some(RecordKind::Workflow)
    } else {
        has("remediationRequestRef").then_some(RecordKind::AiAnalysis)
    }
}

/// Checks the ledger rows of these ids, and folds them into the scratch tables.
pub(super) async fn pass(
    connection: &mut PgConnection,
    schema: &SchemaName,
    options: &Options,
    (after, up_to): Ids,
    listener: &mut Listener<'_>,
) -> Result<Pass, StoreError> {
    let mut pass = Pass::new(options);
    let mut next_analyze = 1;
    for partition in partitions(connection).await? {
        // Name and condition come from the catalog, quoted there.
        let select = format!(
            "SELECT id, event_time, record_kind, namespace, name, phase, correlation_id, payload, payload_sha256,
                    received_at, '{}' AS partition, ({}) AS in_place,
                    phase_rank = CASE phase WHEN 'Pending' THEN 0 WHEN 'Processing' THEN 1 ELSE 2 END AS rank_right
             FROM ONLY {} WHERE id <= $3 AND (id, event_time) > ($1, $2) ORDER BY id, event_time LIMIT $4",
            partition.name.replace('\'', "''"),
            partition.condition,
            partition.name
        );
        let mut last = EventRef {
            id: after,
            // The latest time there is: ids begin behind `after`.
            event_time: DateTime::from_timestamp(MAX_SECONDS, 0).unwrap_or_default(),
        };
        loop {
            let (mut events, mut kinds, mut read) = (Vec::new(), HashSet::new(), 0);
            let mut rows = sqlx::query(AssertSqlSafe(select.clone()))
                .bind(last.id)
                .bind(last.event_time)
                .bind(up_to)
                .bind(CHUNK)
                .fetch(&mut *connection);
            while let Some(row) = rows.try_next().await? {
                let (event, kind) = pass.look_at(&row)?;
                last = event;
                read += 1;
                if let Some(kind) = kind {
                    events.push(event);
                    kinds.insert(kind);
                }
            }
            drop(rows);
            if !events.is_empty() {
                scratch_first(connection, schema).await?;
                let refused = fold_isolating(connection, &kinds, &events).await?;
                live_first(connection, schema).await?;
                for (event, error) in refused {
                    pass.foldable
                        .add(options.examples, format!("audit_events {}", event.id), error);
                }
            }
            listener(Progress {
                step: "ledger",
                events: pass.events,
            });
            if pass.events >= next_analyze {
                analyze_scratch(connection).await?;
                next_analyze = pass.events * 4;
            }
            if read < CHUNK {
                break;
            }
        }
    }
    Ok(pass)
}

/// 1 January 9999: behind any time that a record can carry, and a time to PostgreSQL and to chrono.
const MAX_SECONDS: i64 = 253_370_764_800;

/// Folds events; one that the tables refuse is left out alone, with the reason.
async fn fold_isolating(
    connection: &mut PgConnection,
    kinds: &HashSet<RecordKind>,
    events: &[EventRef],
) -> Result<Vec<(EventRef, String)>, StoreError> {
    let mut savepoint = connection.begin().await?;
    match (fold::events(&mut savepoint, kinds, events).await, events) {
        (Ok(_), _) => {
            savepoint.commit().await?;
            Ok(Vec::new())
        }
        (Err(StoreError::Rejected { source, .. }), [event]) => {
            savepoint.rollback().await?;
            let why = source
                .as_database_error()
                .map_or_else(|| source.to_string(), |error| error.message().to_owned());
            Ok(vec![(*event, why)])
        }
        (Err(StoreError::Rejected { .. }), _) => {
            savepoint.rollback().await?;
            let (left, right) = events.split_at(events.len() / 2);
            let mut refused = Box::pin(fold_isolating(connection, kinds, left)).await?;
            refused.extend(Box::pin(fold_isolating(connection, kinds, right)).await?);
            Ok(refused)
        }
        (Err(error), _) => Err(error),
    }
}

const CHECKS: [(Check, &str); 2] = [
    (
        Check::error("ledger.unique_ids", "no two events have one id"),
        "SELECT 'audit_events ' || id, count(*) || ' events have this id' FROM audit_events
         GROUP BY id HAVING count(*) > 1 ORDER BY id",
    ),
    (
        Check::error(
            "ledger.sequences",
            "new ledger ids and incident ids are greater than those there are",
        ),
        "SELECT s.name, 'the sequence is at ' || s.at || ', the greatest id is ' || s.greatest
         FROM (SELECT 'audit_events', (SELECT max(id) FROM audit_events),
                      coalesce(pg_sequence_last_value(pg_get_serial_sequence('audit_events', 'id')::regclass), 0)
               UNION ALL
               SELECT 'remediation_requests', (SELECT max(id) FROM remediation_requests),
                      coalesce(pg_sequence_last_value(pg_get_serial_sequence('remediation_requests', 'id')::regclass), 0)
              ) AS s (name, greatest, at)
         WHERE s.at < s.greatest",
    ),
];

/// The checks of the ledger as a whole.
pub(super) async fn run(
    connection: &mut PgConnection,
    options: &Options,
    report: &mut Report,
) -> Result<(), StoreError> {
    for (check, faults) in CHECKS {
        report
            .checks
            .push(ask(connection, check, options.examples, faults).await?);
    }
    Ok(())
}
