//! What the ledger tells of itself: events that are not records.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::StoreError;

/// The kinds of such events. They stand beside the kinds of records in `audit_events.record_kind`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SystemEventKind {
    /// Retention dropped a month.
    Retention,
    /// A hold was placed or released.
    Hold,
}

impl SystemEventKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Hold => "hold",
        }
    }
}

/// An event of the ledger itself.
pub(crate) struct SystemEvent<'a> {
    pub(crate) kind: SystemEventKind,
    /// What it is about: a partition, a hold.
    pub(crate) name: &'a str,
    pub(crate) correlation_id: &'a str,
    /// Who did it.
    pub(crate) actor: &'a str,
    /// An object.
    pub(crate) payload: &'a Value,
    pub(crate) at: DateTime<Utc>,
}

/// Appends an event to the ledger.
pub(crate) async fn append(connection: &mut PgConnection, event: &SystemEvent<'_>) -> Result<(), StoreError> {
    // The text of a value is the form that records are hashed in as well.
    let hash = Sha256::digest(event.payload.to_string());
    sqlx::query!(
        "INSERT INTO audit_events (record_kind, namespace, name, event_time, phase, correlation_id, actor, payload,
                                   payload_sha256, redaction_policy, received_at)
         VALUES ($1, '', $2, $3, 'Completed', $4, $5, $6, $7, 0, $3)",
        event.kind.as_str(),
        event.name,
        event.at,
        event.correlation_id,
        event.actor,
        event.payload,
        hash.as_slice(),
    )
    .execute(connection)
    .await?;
    Ok(())
}
