//! How one target has fared lately.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Reader, error_class};
use crate::StoreError;

/// How many reasons of failures are told.
const MOST_FAILURES: i64 = 10;
/// How many remediations are told.
const MOST_RECENT: i64 = 10;

/// One resource, in any cluster and environment unless these are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetFilter {
    /// Namespace; `None` is a resource recorded without one, not any.
    pub namespace: Option<String>,
    /// Kind, in its canonical case.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Environment.
    pub environment: Option<String>,
    /// Cluster.
    pub cluster: Option<String>,
    /// Created at or after.
    pub since: DateTime<Utc>,
}

/// Figures over the incidents of a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// All incidents, those under way too.
    pub total: i64,
    /// Those that Completed.
    pub successful: i64,
    /// Those that Failed.
    pub failed: i64,
    /// Mean time from start to end of the Completed and Failed ones that have both, in seconds.
    pub average_duration_seconds: Option<f64>,
}

/// Failed incidents with one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommonFailure {
    /// The recorded reason; where there is none, the class of the error.
    pub reason: String,
    /// How many.
    pub count: i64,
    /// createdAt of the newest.
    pub last_occurrence: DateTime<Utc>,
}

/// One of the newest incidents.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentRemediation {
    /// Incident id.
    pub id: i64,
    /// createdAt of the remediation request.
    pub created_at: DateTime<Utc>,
    /// Phase.
    pub phase: String,
    /// Name of its newest workflow.
    pub workflow: Option<String>,
    /// From start to end, in seconds.
    pub duration_seconds: Option<f64>,
    /// Kubernetes labels of the signal.
    pub labels: Option<Value>,
}

/// What is known of a target.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetContext {
    /// Figures.
    pub statistics: Statistics,
    /// How many incidents have each priority, by priority; those without one are not told.
    pub priorities: Vec<(String, i64)>,
    /// Why remediations failed, most frequent first; equally frequent reasons in alphabetical order.
    pub common_failures: Vec<CommonFailure>,
    /// The newest incidents, newest first.
    pub recent: Vec<RecentRemediation>,
}

impl Reader {
    /// What is known of a target.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached or takes too long.
    pub async fn target(&self, filter: &TargetFilter) -> Result<TargetContext, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let statistics = sqlx::query_as!(
            Statistics,
            r#"SELECT count(*) AS "total!", count(*) FILTER (WHERE i.phase = 'Completed') AS "successful!",
                      count(*) FILTER (WHERE i.phase = 'Failed') AS "failed!",
                      (avg(i.duration_ms) FILTER (WHERE i.phase IN ('Completed', 'Failed')) / 1000)::double precision
                          AS average_duration_seconds
               FROM incidents i
               WHERE i.resource_name = $1 AND i.resource_kind = $2 AND i.resource_namespace IS NOT DISTINCT FROM $3
                 AND ($4::text IS NULL OR i.environment = $4) AND ($5::text IS NULL OR i.resource_cluster = $5)
                 AND i.created_at >= $6"#,
            filter.name,
            filter.kind,
            filter.namespace.as_deref() as _,
            filter.environment.as_deref() as _,
            filter.cluster.as_deref() as _,
            filter.since,
        )
        .fetch_one(&mut *snapshot)
        .await?;
        let priorities = sqlx::query!(
            r#"SELECT i.priority AS "priority!", count(*) AS "count!"
               FROM incidents i
               WHERE i.resource_name = $1 AND i.resource_kind = $2 AND i.resource_namespace IS NOT DISTINCT FROM $3
                 AND ($4::text IS NULL OR i.environment = $4) AND ($5::text IS NULL OR i.resource_cluster = $5)
                 AND i.created_at >= $6 AND i.priority IS NOT NULL
               GROUP BY i.priority ORDER BY i.priority"#,
            filter.name,
            filter.kind,
            filter.namespace.as_deref() as _,
            filter.environment.as_deref() as _,
            filter.cluster.as_deref() as _,
            filter.since,
        )
        .fetch_all(&mut *snapshot)
        .await?;
        let (classes, needles) = error_class::columns();
        let common_failures = sqlx::query_as!(
            CommonFailure,
            r#"SELECT coalesce(i.reason, e.class, $9) AS "reason!", count(*) AS "count!",
                      max(i.created_at) AS "last_occurrence!"
               FROM incidents i
               LEFT JOIN LATERAL (
                   SELECT r.class
                   FROM UNNEST(ARRAY[lower(i.error_message), lower(i.message)]) WITH ORDINALITY AS t (text, place)
                   JOIN UNNEST($7::text[], $8::text[]) WITH ORDINALITY AS r (class, needle, place)
                     ON strpos(t.text, r.needle) > 0
                   WHERE i.reason IS NULL
                   ORDER BY t.place, r.place LIMIT 1
               ) e ON true
               WHERE i.resource_name = $1 AND i.resource_kind = $2 AND i.resource_namespace IS NOT DISTINCT FROM $3
                 AND ($4::text IS NULL OR i.environment = $4) AND ($5::text IS NULL OR i.resource_cluster = $5)
                 AND i.created_at >= $6 AND i.phase = 'Failed'
               GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $10"#,
            filter.name,
            filter.kind,
            filter.namespace.as_deref() as _,
            filter.environment.as_deref() as _,
            filter.cluster.as_deref() as _,
            filter.since,
            &classes,
            &needles,
            error_class::UNKNOWN,
            MOST_FAILURES,
        )
        .fetch_all(&mut *snapshot)
        .await?;
        let recent = sqlx::query_as!(
            RecentRemediation,
            r#"SELECT i.id AS "id!", i.created_at AS "created_at!", i.phase AS "phase!", i.workflow,
                      i.duration_ms / 1000::double precision AS duration_seconds, i.labels
               FROM incidents i
               WHERE i.resource_name = $1 AND i.resource_kind = $2 AND i.resource_namespace IS NOT DISTINCT FROM $3
                 AND ($4::text IS NULL OR i.environment = $4) AND ($5::text IS NULL OR i.resource_cluster = $5)
                 AND i.created_at >= $6
               ORDER BY i.created_at DESC, i.id DESC LIMIT $7"#,
            filter.name,
            filter.kind,
            filter.namespace.as_deref() as _,
            filter.environment.as_deref() as _,
            filter.cluster.as_deref() as _,
            filter.since,
            MOST_RECENT,
        )
        .fetch_all(&mut *snapshot)
        .await?;
        snapshot.commit().await?;
        Ok(TargetContext {
            statistics,
            priorities: priorities
                .into_iter()
                .map(|row| (row.priority, row.count))
                .collect(),
            common_failures,
            recent,
        })
    }
}
