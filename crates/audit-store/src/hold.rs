//! Legal holds: rules that keep whole months from retention.
//!
//! A hold names conditions, and what meets all of them is held, with everything that shares a correlation id with it:
//! the family of a held incident. Retention asks the rules when it runs, so what is recorded after a hold was placed
//! is held as well. Nothing is ever overwritten: a hold ends by a release, and both stand in the ledger.

mod keeping;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::system_event::{SystemEvent, SystemEventKind, append};
use crate::{StoreError, WriteStore};

pub(crate) use keeping::holds_on;

/// How long placing or releasing waits for a month that is being dropped at that moment.
const WAIT_FOR_RETENTION: Duration = Duration::from_mins(1);

/// What a hold holds: what meets every condition given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// Records with this correlation id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Records in this namespace, or about a resource or a signal in it; with a name, records in it only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Records of this name; only with a namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Records about this cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Instances created at or after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// Instances created before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut conditions = Vec::new();
        if let Some(id) = &self.correlation_id {
            conditions.push(format!("correlation id {id}"));
        }
        match (&self.namespace, &self.name) {
            (Some(namespace), Some(name)) => conditions.push(format!("record {namespace}/{name}")),
            (Some(namespace), None) => conditions.push(format!("namespace {namespace}")),
            (None, _) => {}
        }
        if let Some(cluster) = &self.cluster {
            conditions.push(format!("cluster {cluster}"));
        }
        if let Some(since) = self.since {
            conditions.push(format!("since {}", since.to_rfc3339()));
        }
        if let Some(until) = self.until {
            conditions.push(format!("until {}", until.to_rfc3339()));
        }
        if conditions.is_empty() {
            f.write_str("everything")
        } else {
            f.write_str(&conditions.join(", "))
        }
    }
}

/// A hold, with its release where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Number of the hold.
    pub id: i64,
    /// What it holds.
    pub scope: Scope,
    /// Why it was placed.
    pub reason: String,
    /// Who placed it.
    pub placed_by: String,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// Its end; `None` while it is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
}

/// The end of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Why it was released.
    pub reason: String,
    /// Who released it.
    pub released_by: String,
    /// When it was released.
    pub released_at: DateTime<Utc>,
}

/// Why a hold was not placed or released.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// There is no such hold.
    #[error("there is no hold {0}")]
    NotFound(i64),
    /// It was released before.
    #[error("hold {id} was released by {} at {}", .release.released_by, .release.released_at.to_rfc3339())]
    AlreadyReleased {
        /// Number of the hold.
        id: i64,
        /// Its release.
        release: Release,
    },
    /// The database refused it or cannot be reached. A timeout may mean that a month is being dropped.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for HoldError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Places a hold. It is in force when this returns: retention that was dropping a month has ended by then.
///
/// # Errors
/// [`HoldError::Store`]; the constraints of `legal_holds` refuse a name without a namespace, times out of order, and
/// a reason or an author that is empty.
pub async fn place(
    store: &WriteStore,
    scope: Scope,
    reason: &str,
    placed_by: &str,
    now: DateTime<Utc>,
) -> Result<Hold, HoldError> {
    let mut connection = store.pool().acquire().await?;
    let mut transaction = connection.begin().await?;
    wait_for_retention(&mut transaction).await?;
    let id = sqlx::query_scalar!(
        "INSERT INTO legal_holds (correlation_id, namespace, name, cluster_name, since, until, reason, placed_by, placed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
        scope.correlation_id,
        scope.namespace,
        scope.name,
        scope.cluster,
        scope.since,
        scope.until,
        reason,
        placed_by,
        now,
    )
    .fetch_one(&mut *transaction)
    .await?;
    let name = format!("hold-{id}");
    let event = SystemEvent {
        kind: SystemEventKind::Hold,
        name: &name,
        correlation_id: &name,
        actor: placed_by,
        payload: &json!({"event": "placed", "hold": id, "scope": scope, "reason": reason}),
        at: now,
    };
    append(&mut transaction, &event).await?;
    transaction.commit().await?;
    Ok(Hold {
        id,
        scope,
        reason: reason.to_owned(),
        placed_by: placed_by.to_owned(),
        placed_at: now,
        release: None,
    })
}

/// Releases a hold, which stays on record with its release.
///
/// # Errors
/// [`HoldError`].
pub async fn release(
    store: &WriteStore,
    id: i64,
    reason: &str,
    released_by: &str,
    now: DateTime<Utc>,
) -> Result<Hold, HoldError> {
    let mut connection = store.pool().acquire().await?;
    let mut transaction = connection.begin().await?;
    wait_for_retention(&mut transaction).await?;
    let released = sqlx::query!(
        "INSERT INTO legal_hold_releases (hold_id, reason, released_by, released_at)
         SELECT h.id, $2, $3, $4 FROM legal_holds h WHERE h.id = $1
         ON CONFLICT (hold_id) DO NOTHING",
        id,
        reason,
        released_by,
        now,
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    let hold = holds(&mut transaction, Some(id), true)
        .await?
        .pop()
        .ok_or(HoldError::NotFound(id))?;
    if released == 0 {
        return Err(match hold.release {
            Some(release) => HoldError::AlreadyReleased { id, release },
            None => StoreError::Inconsistent(format!("hold {id} took no release and has none")).into(),
        });
    }
    let name = format!("hold-{id}");
    let event = SystemEvent {
        kind: SystemEventKind::Hold,
        name: &name,
        correlation_id: &name,
        actor: released_by,
        payload: &json!({"event": "released", "hold": id, "scope": hold.scope, "reason": reason}),
        at: now,
    };
    append(&mut transaction, &event).await?;
    transaction.commit().await?;
    Ok(hold)
}

/// The holds in force, oldest first; with `released` also those that were released.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached.
pub async fn list(store: &WriteStore, released: bool) -> Result<Vec<Hold>, StoreError> {
    let mut connection = store.pool().acquire().await?;
    holds(&mut connection, None, released).await
}

async fn holds(
    connection: &mut PgConnection,
    id: Option<i64>,
    released: bool,
) -> Result<Vec<Hold>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT h.id, h.correlation_id, h.namespace, h.name, h.cluster_name, h.since, h.until, h.reason, h.placed_by,
                  h.placed_at, r.reason AS "release_reason?", r.released_by AS "released_by?", r.released_at AS "released_at?"
           FROM legal_holds h LEFT JOIN legal_hold_releases r ON r.hold_id = h.id
           WHERE ($1::bigint IS NULL OR h.id = $1) AND ($2 OR r.hold_id IS NULL)
           ORDER BY h.id"#,
        id,
        released,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Hold {
            id: row.id,
            scope: Scope {
                correlation_id: row.correlation_id,
                namespace: row.namespace,
                name: row.name,
                cluster: row.cluster_name,
                since: row.since,
                until: row.until,
            },
            reason: row.reason,
            placed_by: row.placed_by,
            placed_at: row.placed_at,
            release: match (row.release_reason, row.released_by, row.released_at) {
                (Some(reason), Some(released_by), Some(released_at)) => Some(Release {
                    reason,
                    released_by,
                    released_at,
                }),
                _ => None,
            },
        })
        .collect())
}

/// Retention locks the table of holds while it drops a month; a change of holds waits for its end.
async fn wait_for_retention(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT set_config('statement_timeout', $1, true)",
        WAIT_FOR_RETENTION.as_millis().to_string()
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}
