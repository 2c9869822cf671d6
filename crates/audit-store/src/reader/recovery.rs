//! What a controller needs that is about to try a failed remediation again.

mod alerts;
mod alike;
mod attempts;
mod strategies;

use chrono::{DateTime, TimeDelta, Utc};

use super::patterns::patterns_of;
use super::{Incident, Pattern, Reader};
use crate::StoreError;

pub use alerts::{Correlation, RelatedAlert};
pub use attempts::{Failure, Recorded};
pub use strategies::{Strategy, StrategyKind};

/// How many patterns are told.
const MOST_PATTERNS: i64 = 10;
/// How many namespaces are named where the name alone is not enough.
const MOST_NAMESPACES: i64 = 10;

/// Which remediation request is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemediationKey {
    /// Name of the custom resource.
    pub name: String,
    /// Its namespace; needed where several namespaces have the name.
    pub namespace: Option<String>,
    /// Its createdAt; the newest instance if absent.
    pub created_at: Option<DateTime<Utc>>,
}

/// What was found for a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Recovery {
    /// No remediation request has this key.
    Unknown,
    /// Several namespaces have the name: some of them, in alphabetical order.
    Ambiguous(Vec<String>),
    /// The one remediation request.
    Found(Box<RecoveryContext>),
}

/// Everything known that bears on the next attempt of a remediation.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveryContext {
    /// The incident of the remediation.
    pub incident: Incident,
    /// The number of the newest workflow of the remediation if that has not failed, else the next number: 1 is the
    /// first attempt.
    pub current_attempt: i64,
    /// The failed attempts of this remediation, oldest first, then those of earlier remediations of the same resource,
    /// newest remediation first.
    pub failures: Vec<Failure>,
    /// Other incidents that may have to do with it, newest first.
    pub related_alerts: Vec<RelatedAlert>,
    /// The patterns of the newest terminal incidents with the same alert on the same kind of resource.
    pub patterns: Vec<Pattern>,
    /// What helped in these, in no order.
    pub strategies: Vec<Strategy>,
}

impl Reader {
    /// The recovery context of a remediation, its history from `now - look_back` on.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached or takes too long.
    pub async fn recovery(
        &self,
        key: &RemediationKey,
        now: DateTime<Utc>,
        look_back: TimeDelta,
    ) -> Result<Recovery, StoreError> {
        let mut snapshot = self.snapshot_with_kept_plans().await?;
        let instances = sqlx::query!(
            r#"SELECT DISTINCT ON (i.remediation_namespace) i.remediation_namespace AS "namespace!", i.id AS "id!"
               FROM incidents i
               WHERE i.remediation_name = $1 AND ($2::text IS NULL OR i.remediation_namespace = $2)
                 AND ($3::timestamptz IS NULL OR i.created_at = $3)
               ORDER BY i.remediation_namespace, i.created_at DESC
               LIMIT $4"#,
            key.name,
            key.namespace.as_deref() as _,
            key.created_at as _,
            MOST_NAMESPACES,
        )
        .fetch_all(&mut *snapshot)
        .await?;
        let id = match instances.as_slice() {
            [] => return Ok(Recovery::Unknown),
            [one] => one.id,
            many => {
                let namespaces = many.iter().map(|one| one.namespace.clone()).collect();
                return Ok(Recovery::Ambiguous(namespaces));
            }
        };
        let Some(incident) = Self::incidents_by_id(&mut snapshot, &[id]).await?.pop() else {
            return Err(StoreError::Inconsistent(format!(
                "incident {id} vanished within a snapshot"
            )));
        };
        let since = now - look_back;
        let (current_attempt, failures) = attempts::failures(&mut snapshot, &incident, since).await?;
        let related_alerts = alerts::related(&mut snapshot, &incident, since).await?;
        let alike = alike::newest(&mut snapshot, &incident, since).await?;
        let strategies = strategies::successful(&mut snapshot, &alike).await?;
        let patterns = patterns_of(&mut snapshot, &alike, MOST_PATTERNS).await?;
        snapshot.commit().await?;
        Ok(Recovery::Found(Box::new(RecoveryContext {
            incident,
            current_attempt,
            failures,
            related_alerts,
            patterns,
            strategies,
        })))
    }
}
