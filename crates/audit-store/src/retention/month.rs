//! Dropping one month.
//!
//! The transaction has two parts. The first takes its time and holds up nobody but a writer of that very month: it asks
//! the holds and deletes what only the month had. The second needs locks that all traffic takes, so it gets them all
//! before it does anything, tries again from a savepoint where one is not to be had in time, and is short once it has
//! them. Its order of locks is the writer's, so that writers are waited for and not blocked in a circle.
//!
//! # Why nothing that stays is touched
//!
//! * All versions of an instance have its createdAt as their partition key, so an instance is in the month as a whole.
//! * A text goes if the month spoke it and no row that is left does. No writer is between finding a text and
//!   referring to it: writers hold a lock on `incident_embeddings` from the one to the other, which excludes this one.
//! * `action_histories.status_time` is the createdAt of a history's newest instance. Where that is after the month the
//!   history stays as it is. Where it is in the month, the history takes its status from the newest instance that is
//!   left (in a month before, held or in DEFAULT), or goes.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{DroppedMonth, DroppedRows};
use crate::hold::holds_on;
use crate::maintenance::{Partition, begin, gave_up, partitions_of};
use crate::partitions::{INCIDENTS, LEDGER, month_of};
use crate::system_event::{SystemEvent, SystemEventKind, append};
use crate::{SchemaName, StoreError};

/// Deadline of a statement: the first part reads and deletes a month's rows.
const STATEMENT_TIMEOUT: Duration = Duration::from_mins(10);
/// How often the locks of the second part are tried for.
const LOCK_TRIES: u32 = 10;
/// Pause between the tries, in which traffic goes on.
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// What became of a month.
pub(super) enum Outcome {
    Dropped(DroppedMonth),
    /// Kept by these holds.
    Held(Vec<i64>),
    /// Another replica was faster.
    GoneByNow,
    /// Another replica is at work.
    Elsewhere,
}

/// Drops a month, or leaves it as it was.
pub(super) async fn drop(
    connection: &mut PgConnection,
    schema: &SchemaName,
    ledger: &Partition,
    keep_months: NonZeroU32,
    now: DateTime<Utc>,
    actor: &str,
) -> Result<Outcome, StoreError> {
    let Some(mut transaction) = begin(connection, schema, STATEMENT_TIMEOUT).await? else {
        return Ok(Outcome::Elsewhere);
    };
    if !partitions_of(&mut transaction, LEDGER.table)
        .await?
        .contains(ledger)
    {
        transaction.rollback().await?;
        return Ok(Outcome::GoneByNow);
    }
    let incidents = partitions_of(&mut transaction, INCIDENTS.table)
        .await?
        .into_iter()
        .find(|partition| (partition.from, partition.to) == (ledger.from, ledger.to));
    let names: Vec<String> = std::iter::once(ledger.name.clone())
        .chain(incidents.map(|partition| partition.name))
        .collect();
    // Nobody writes into the month and no hold comes or goes until this ends; readers read on.
    lock(&mut transaction, &names, "SHARE ROW EXCLUSIVE").await?;
    sqlx::query("LOCK TABLE legal_holds, legal_hold_releases IN SHARE MODE")
        .execute(&mut *transaction)
        .await?;
    let held_by = holds_on(&mut transaction, ledger.from, ledger.to).await?;
    if !held_by.is_empty() {
        transaction.rollback().await?;
        return Ok(Outcome::Held(held_by));
    }

    let month = Month {
        from: ledger.from,
        to: ledger.to,
    };
    let mut rows = month.count(&mut transaction).await?;
    let texts = month.texts(&mut transaction).await?;
    month.delete_instances(&mut transaction, &mut rows).await?;
    month.set_back_histories(&mut transaction).await?;
    let mut resources = month.delete_histories_of_workflows(&mut transaction).await?;
    let histories = month.histories_of_remediations(&mut transaction).await?;

    lock_all(&mut transaction, &names).await?;
    if names.len() == 1 {
        // The month's incidents have no partition of their own: they are in DEFAULT.
        month.delete_incidents(&mut transaction).await?;
    }
    // The names come from the catalog, for partitions that were made here.
    sqlx::query(AssertSqlSafe(format!("DROP TABLE {}", names.join(", "))))
        .execute(&mut *transaction)
        .await?;
    resources.extend(delete_histories(&mut transaction, &histories).await?);
    rows.action_histories = count(resources.len());
    rows.resource_references = delete_resources(&mut transaction, &resources).await?;
    rows.incident_embeddings = delete_texts(&mut transaction, &texts).await?;
    let event = SystemEvent {
        kind: SystemEventKind::Retention,
        name: &ledger.name,
        correlation_id: &format!("retention-{}", ledger.from.format("%Y-%m")),
        actor,
        payload: &json!({
            "event": "dropped",
            "partitions": names,
            "from": ledger.from.to_rfc3339_opts(SecondsFormat::Secs, true),
            "to": ledger.to.to_rfc3339_opts(SecondsFormat::Secs, true),
            "keepMonths": keep_months,
            "rows": rows,
        }),
        at: now,
    };
    append(&mut transaction, &event).await?;
    transaction.commit().await?;
    Ok(Outcome::Dropped(DroppedMonth {
        month: month_of(ledger.from),
        partitions: names,
        rows,
    }))
}

async fn lock(connection: &mut PgConnection, tables: &[String], mode: &str) -> Result<(), StoreError> {
    sqlx::query(AssertSqlSafe(format!(
        "LOCK TABLE {} IN {mode} MODE",
        tables.join(", ")
    )))
    .execute(connection)
    .await?;
    Ok(())
}

/// Everything that dropping partitions and deleting what is shared needs, or nothing.
async fn lock_all(connection: &mut PgConnection, partitions: &[String]) -> Result<(), StoreError> {
    let incidents = partitions
        .get(1)
        .map(|name| format!(", {name}"))
        .unwrap_or_default();
    let locks = format!(
        // EXCLUSIVE, because the worker that embeds late texts locks rows it has read.
        "LOCK TABLE incident_embeddings IN EXCLUSIVE MODE; \
         LOCK TABLE ONLY audit_events, audit_events_default, {} IN ACCESS EXCLUSIVE MODE; \
         LOCK TABLE resource_references, action_histories IN SHARE ROW EXCLUSIVE MODE; \
         LOCK TABLE ONLY resource_action_traces, resource_action_traces_default{incidents} IN ACCESS EXCLUSIVE MODE",
        partitions.first().map_or("", String::as_str),
    );
    let mut tries = 1;
    loop {
        let mut savepoint = connection.begin().await?;
        let result = sqlx::raw_sql(AssertSqlSafe(locks.clone()))
            .execute(&mut *savepoint)
            .await
            .map_err(StoreError::from);
        match result {
            Ok(_) => return Ok(savepoint.commit().await?),
            Err(error) if gave_up(&error) && tries < LOCK_TRIES => {
                savepoint.rollback().await?;
                tokio::time::sleep(LOCK_PAUSE).await;
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A range of createdAt, the end excluded.
struct Month {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Month {
    /// The rows that go with the partitions.
    async fn count(&self, connection: &mut PgConnection) -> Result<DroppedRows, StoreError> {
        Ok(sqlx::query!(
            r#"SELECT (SELECT count(*) FROM audit_events WHERE event_time >= $1 AND event_time < $2) AS "events!",
                      (SELECT count(*) FROM resource_action_traces
                       WHERE action_timestamp >= $1 AND action_timestamp < $2) AS "incidents!""#,
            self.from,
            self.to,
        )
        .map(|row| DroppedRows {
            audit_events: row.events,
            resource_action_traces: row.incidents,
            ..DroppedRows::default()
        })
        .fetch_one(connection)
        .await?)
    }

    /// The texts that versions of this month speak.
    async fn texts(&self, connection: &mut PgConnection) -> Result<Vec<i64>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT DISTINCT embedding_id AS "id!" FROM audit_events
               WHERE event_time >= $1 AND event_time < $2 AND embedding_id IS NOT NULL"#,
            self.from,
            self.to,
        )
        .fetch_all(connection)
        .await?)
    }

    /// The month's instances in the tables that are not partitioned.
    async fn delete_instances(
        &self,
        connection: &mut PgConnection,
        rows: &mut DroppedRows,
    ) -> Result<(), StoreError> {
        let (from, to) = (self.from, self.to);
        let deleted = sqlx::query!(
            "DELETE FROM remediation_requests WHERE created_at >= $1 AND created_at < $2",
            from,
            to
        )
        .execute(&mut *connection)
        .await?;
        rows.remediation_requests = affected(&deleted);
        let deleted = sqlx::query!(
            "DELETE FROM ai_analyses WHERE record_created_at >= $1 AND record_created_at < $2",
            from,
            to
        )
        .execute(&mut *connection)
        .await?;
        rows.ai_analyses = affected(&deleted);
        let deleted = sqlx::query!(
            "DELETE FROM workflow_executions WHERE record_created_at >= $1 AND record_created_at < $2",
            from,
            to
        )
        .execute(&mut *connection)
        .await?;
        rows.workflow_executions = affected(&deleted);
        let deleted = sqlx::query!(
            "DELETE FROM action_executions WHERE record_created_at >= $1 AND record_created_at < $2",
            from,
            to
        )
        .execute(&mut *connection)
        .await?;
        rows.action_executions = affected(&deleted);
        Ok(())
    }

    /// Histories whose newest instance is in the month and that older instances have, too, take the status of the
    /// newest of those. The conditions are those of the fold.
    async fn set_back_histories(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE action_histories h
             SET status = n.phase, status_time = n.event_time, status_instance = n.instance, status_event_id = n.id
             FROM (
                 SELECT DISTINCT ON (r.id, e.payload ->> 'workflowExecutionRef', e.payload ->> 'actionType')
                        r.id AS resource_id, e.payload ->> 'workflowExecutionRef' AS workflow_id,
                        e.payload ->> 'actionType' AS action_type, e.phase, e.event_time,
                        e.namespace || '/' || e.name AS instance, e.id
                 FROM audit_events e
                 JOIN resource_references r
                   ON r.name = e.payload ->> 'targetName' AND r.kind = e.payload ->> 'targetType'
                  AND r.cluster_name = e.payload ->> 'clusterName'
                  AND r.namespace IS NOT DISTINCT FROM e.payload ->> 'targetNamespace'
                 WHERE e.record_kind IN ('remediation', 'execution') AND e.event_time < $1
                 ORDER BY r.id, e.payload ->> 'workflowExecutionRef', e.payload ->> 'actionType',
                          e.event_time DESC, (e.namespace || '/' || e.name) COLLATE \"C\" DESC, e.phase_rank DESC, e.id DESC
             ) n
             WHERE h.resource_id = n.resource_id AND h.workflow_id IS NOT DISTINCT FROM n.workflow_id
               AND h.action_type IS NOT DISTINCT FROM n.action_type
               AND h.status_time >= $1 AND h.status_time < $2",
            self.from,
            self.to,
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Deletes the month's histories that name a workflow execution, and gives their resources, one for each. They are
    /// most of all histories, and nothing but a late execution of that workflow would touch them.
    async fn delete_histories_of_workflows(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Vec<i64>, StoreError> {
        Ok(sqlx::query_scalar!(
            "DELETE FROM action_histories h
             WHERE h.status_time >= $1 AND h.status_time < $2 AND h.workflow_id IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM action_executions x WHERE x.action_history_id = h.id)
               AND NOT EXISTS (SELECT 1 FROM resource_action_traces t WHERE t.action_history_id = h.id)
             RETURNING h.resource_id",
            self.from,
            self.to,
        )
        .fetch_all(connection)
        .await?)
    }

    /// The month's other histories. An incident of today may wake one up, so they are deleted under the table's lock.
    async fn histories_of_remediations(&self, connection: &mut PgConnection) -> Result<Vec<i64>, StoreError> {
        Ok(sqlx::query_scalar!(
            "SELECT id FROM action_histories
             WHERE status_time >= $1 AND status_time < $2 AND workflow_id IS NULL",
            self.from,
            self.to,
        )
        .fetch_all(connection)
        .await?)
    }

    /// The month's incidents, by their time and nothing else.
    async fn delete_incidents(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        sqlx::query!(
            "DELETE FROM resource_action_traces WHERE action_timestamp >= $1 AND action_timestamp < $2",
            self.from,
            self.to,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Deletes those histories that nothing refers to, and gives their resources, one for each.
async fn delete_histories(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<i64>, StoreError> {
    Ok(sqlx::query_scalar!(
        "DELETE FROM action_histories h
         WHERE h.id = ANY($1)
           AND NOT EXISTS (SELECT 1 FROM action_executions x WHERE x.action_history_id = h.id)
           AND NOT EXISTS (SELECT 1 FROM resource_action_traces t WHERE t.action_history_id = h.id)
         RETURNING h.resource_id",
        ids,
    )
    .fetch_all(connection)
    .await?)
}

/// Deletes those resources that have no history left.
async fn delete_resources(connection: &mut PgConnection, ids: &[i64]) -> Result<i64, StoreError> {
    let deleted = sqlx::query!(
        "DELETE FROM resource_references r
         WHERE r.id = ANY($1) AND NOT EXISTS (SELECT 1 FROM action_histories h WHERE h.resource_id = r.id)",
        ids,
    )
    .execute(connection)
    .await?;
    Ok(affected(&deleted))
}

/// Deletes those texts that no row speaks any more.
async fn delete_texts(connection: &mut PgConnection, ids: &[i64]) -> Result<i64, StoreError> {
    let deleted = sqlx::query!(
        "DELETE FROM incident_embeddings v
         WHERE v.id = ANY($1)
           AND NOT EXISTS (SELECT 1 FROM audit_events e WHERE e.embedding_id = v.id)
           AND NOT EXISTS (SELECT 1 FROM resource_action_traces t WHERE t.embedding_id = v.id)
           AND NOT EXISTS (SELECT 1 FROM ai_analyses a WHERE a.embedding_id = v.id)
           AND NOT EXISTS (SELECT 1 FROM workflow_executions w WHERE w.embedding_id = v.id)
           AND NOT EXISTS (SELECT 1 FROM action_executions x WHERE x.embedding_id = v.id)",
        ids,
    )
    .execute(connection)
    .await?;
    Ok(affected(&deleted))
}

fn affected(result: &sqlx::postgres::PgQueryResult) -> i64 {
    i64::try_from(result.rows_affected()).unwrap_or(i64::MAX)
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
