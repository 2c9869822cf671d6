//! Which other incidents may have to do with one.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::StoreError;
use crate::reader::Incident;

/// How many are told.
const MOST: i64 = 20;
/// How far from the incident, before and after, others on the same resource are related for that alone.
const SAME_RESOURCE_WITHIN: TimeDelta = TimeDelta::hours(1);

/// Why an incident is related, the strongest reason first; an incident is told once, with its strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correlation {
    /// It has the same correlation id.
    CorrelationId,
    /// Its signal has the same fingerprint.
    Fingerprint,
    /// It is on the same resource and was created at most an hour before or after.
    ResourceWithinHour,
}

/// Another incident that may have to do with the one asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelatedAlert {
    /// Its id.
    pub incident_id: i64,
    /// Name of its alert.
    pub alert_name: String,
    /// Fingerprint of its signal.
    pub fingerprint: Option<String>,
    /// Why it is related.
    pub correlation: Correlation,
    /// Its createdAt.
    pub created_at: DateTime<Utc>,
}

/// The incidents related to one, newest first.
pub(super) async fn related(
    connection: &mut PgConnection,
    incident: &Incident,
    since: DateTime<Utc>,
) -> Result<Vec<RelatedAlert>, StoreError> {
    // Each reason has an index of its own and is bounded by itself.
    let rows = sqlx::query!(
        r#"WITH found AS (
               (SELECT 1 AS reason, i.id, i.alert_name, i.alert_fingerprint, i.created_at FROM incidents i
                WHERE i.correlation_id = $2 AND i.created_at >= $9 AND i.id <> $1
                ORDER BY i.created_at DESC, i.id DESC LIMIT $10)
               UNION ALL
               (SELECT 2, i.id, i.alert_name, i.alert_fingerprint, i.created_at FROM incidents i
                WHERE i.alert_fingerprint = $3 AND i.created_at >= $9 AND i.id <> $1
                ORDER BY i.created_at DESC, i.id DESC LIMIT $10)
               UNION ALL
               (SELECT 3, i.id, i.alert_name, i.alert_fingerprint, i.created_at FROM incidents i
                WHERE i.resource_name = $4 AND i.resource_kind = $5 AND i.resource_cluster = $6
                  AND i.resource_namespace IS NOT DISTINCT FROM $7
                  AND i.created_at >= $9 AND i.created_at BETWEEN $8 AND $11 AND i.id <> $1
                ORDER BY i.created_at DESC, i.id DESC LIMIT $10)
           ), strongest AS (
               SELECT DISTINCT ON (id) reason, id, alert_name, alert_fingerprint, created_at FROM found
               ORDER BY id, reason
           )
           SELECT reason AS "reason!", id AS "id!", alert_name AS "alert_name!", alert_fingerprint,
                  created_at AS "created_at!"
           FROM strongest ORDER BY created_at DESC, id DESC LIMIT $10"#,
        incident.id,
        incident.correlation_id,
        incident.alert_fingerprint.as_deref() as _,
        incident.resource_name,
        incident.resource_kind,
        incident.cluster,
        incident.resource_namespace.as_deref() as _,
        incident.created_at - SAME_RESOURCE_WITHIN,
        since,
        MOST,
        incident.created_at + SAME_RESOURCE_WITHIN,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RelatedAlert {
            incident_id: row.id,
            alert_name: row.alert_name,
            fingerprint: row.alert_fingerprint,
            correlation: match row.reason {
                1 => Correlation::CorrelationId,
                2 => Correlation::Fingerprint,
                _ => Correlation::ResourceWithinHour,
            },
            created_at: row.created_at,
        })
        .collect())
}
