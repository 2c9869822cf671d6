//! What has been tried on a resource and failed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::StoreError;
use crate::reader::{Incident, Reader, error_class};

/// How many of the newest attempts of one remediation are looked at.
const MOST_ATTEMPTS: i64 = 20;
/// How many of the newest earlier remediations of the resource are looked at.
const MOST_EARLIER: i64 = 20;
/// How many failures of earlier remediations are told.
const MOST_EARLIER_FAILURES: usize = 20;

/// The records that a failure was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The incident.
    pub incident_id: i64,
    /// The workflow; `None` for a failed remediation without a failed workflow.
    pub workflow_id: Option<i64>,
    /// The execution that failed; `None` where none is recorded as such.
    pub execution_id: Option<i64>,
}

/// A failed attempt: a failed workflow, or a failed remediation none of whose workflows is recorded as failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Where it was read from.
    pub recorded: Recorded,
    /// Name of the workflow's custom resource.
    pub workflow_ref: Option<String>,
    /// Name of the workflow definition.
    pub workflow_name: Option<String>,
    /// Place of the workflow among those of its remediation by creation, from 1.
    pub attempt_number: Option<i64>,
    /// Place of the step that failed, from 0: the first failed one of the recorded steps, else the one that the failed
    /// execution names, else the one reached.
    pub failed_step: Option<i64>,
    /// Name of that step.
    pub failed_step_name: Option<String>,
    /// Kind of action that failed: the execution's, else the one that the remediation chose.
    pub action: Option<String>,
    /// Class of the error, from the first text that tells one: message and result of the execution, message of the
    /// step, message of the workflow; for the last attempt of a failed remediation also its error message, reason and
    /// message.
    pub error_type: &'static str,
    /// The first of these texts, the reason left out.
    pub reason: Option<String>,
    /// From start to end, in seconds.
    pub duration_seconds: Option<f64>,
    /// When it ended, else when it was created.
    pub at: DateTime<Utc>,
}

/// The number of the attempt that is due or under way, and the failures before it.
pub(super) async fn failures(
    connection: &mut PgConnection,
    incident: &Incident,
    since: DateTime<Utc>,
) -> Result<(i64, Vec<Failure>), StoreError> {
    let earlier = earlier(connection, incident, since).await?;
    let rows = newest_attempts(connection, std::iter::once(incident).chain(&earlier)).await?;
    let of = |incident: &Incident| -> Vec<&Attempt> {
        rows.iter().filter(|row| row.incident_id == incident.id).collect()
    };
    let own = of(incident);
    let current_attempt = own
        .last()
        .map_or(1, |newest| newest.number + i64::from(newest.phase == "Failed"));
    let mut failures = of_incident(incident, &own);
    failures.extend(
        earlier
            .iter()
            .flat_map(|earlier| of_incident(earlier, &of(earlier)))
            .take(MOST_EARLIER_FAILURES),
    );
    Ok((current_attempt, failures))
}

/// The remediations of the same resource before this one, newest first.
async fn earlier(
    connection: &mut PgConnection,
    incident: &Incident,
    since: DateTime<Utc>,
) -> Result<Vec<Incident>, StoreError> {
    let ids: Vec<i64> = sqlx::query_scalar!(
        r#"SELECT i.id AS "id!" FROM incidents i
           WHERE i.resource_name = $1 AND i.resource_kind = $2 AND i.resource_cluster = $3
             AND i.resource_namespace IS NOT DISTINCT FROM $4
             AND i.created_at >= $5 AND i.created_at <= $6 AND (i.created_at, i.id) < ($6, $7)
           ORDER BY i.created_at DESC, i.id DESC
           LIMIT $8"#,
        incident.resource_name,
        incident.resource_kind,
        incident.cluster,
        incident.resource_namespace.as_deref() as _,
        since,
        incident.created_at,
        incident.id,
        MOST_EARLIER,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut incidents = Reader::incidents_by_id(connection, &ids).await?;
    incidents.sort_by_key(|incident| std::cmp::Reverse((incident.created_at, incident.id)));
    Ok(incidents)
}

/// A workflow with what failed in it.
struct Attempt {
    incident_id: i64,
    workflow_id: i64,
    name: String,
    workflow_name: String,
    phase: String,
    message: Option<String>,
    number: i64,
    is_newest: bool,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    completed_at: Option<DateTime<Utc>>,
    failed_step: Option<i64>,
    failed_step_name: Option<String>,
    step_message: Option<String>,
    execution_id: Option<i64>,
    action_type: Option<String>,
    execution_message: Option<String>,
    action_result: Option<String>,
}

/// The newest attempts of each incident, oldest first.
async fn newest_attempts(
    connection: &mut PgConnection,
    incidents: impl Iterator<Item = &Incident>,
) -> Result<Vec<Attempt>, StoreError> {
    let (mut ids, mut namespaces, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for incident in incidents {
        ids.push(incident.id);
        namespaces.push(incident.remediation_namespace.clone());
        names.push(incident.remediation_name.clone());
    }
    Ok(sqlx::query_as!(
        Attempt,
        r#"WITH numbered AS (
               SELECT w.incident_id, w.id, w.namespace, w.name, w.workflow_name, w.phase, w.message, w.current_step,
                      w.step_statuses, w.created_at, w.started_at, w.completed_at,
                      row_number() OVER (PARTITION BY w.incident_id ORDER BY w.created_at, w.id) AS number,
                      count(*) OVER (PARTITION BY w.incident_id) AS attempts
               FROM UNNEST($1::bigint[], $2::text[], $3::text[]) AS k (id, namespace, name)
               -- Fenced (OFFSET 0), lest the planner find the incident of every workflow there is.
               CROSS JOIN LATERAL (
                   SELECT * FROM workflows x
                   WHERE x.namespace = k.namespace AND x.remediation_request_ref = k.name AND x.incident_id = k.id
                   OFFSET 0
               ) w
           )
           SELECT n.incident_id AS "incident_id!", n.id AS "workflow_id!", n.name AS "name!",
                  n.workflow_name AS "workflow_name!", n.phase AS "phase!", n.message, n.number AS "number!",
                  n.number = n.attempts AS "is_newest!", n.created_at AS "created_at!", n.started_at, n.completed_at,
                  coalesce(s.place, y.place, CASE WHEN n.current_step > 0 THEN n.current_step::bigint END) - 1
                      AS failed_step,
                  coalesce(s.name, x.step_name) AS failed_step_name, s.message AS step_message,
                  x.id AS "execution_id?", x.action_type AS "action_type?", x.message AS "execution_message?",
                  x.action_result AS "action_result?"
           FROM numbered n
           LEFT JOIN LATERAL (
               SELECT e.place, e.step ->> 'name' AS name, e.step ->> 'message' AS message
               FROM jsonb_array_elements(n.step_statuses) WITH ORDINALITY AS e (step, place)
               WHERE e.step ->> 'phase' = 'Failed'
               ORDER BY e.place LIMIT 1
           ) s ON true
           -- A step may be tried again: the execution of the failed step that failed last.
           LEFT JOIN LATERAL (
               SELECT z.id, z.step_name, z.action_type, z.message, z.action_result
               FROM executions z
               WHERE z.namespace = n.namespace AND z.workflow_execution_ref = n.name AND z.workflow_id = n.id
                 AND z.phase = 'Failed'
               ORDER BY (z.step_name = s.name) IS TRUE DESC, z.created_at DESC, z.id DESC LIMIT 1
           ) x ON true
           LEFT JOIN LATERAL (
               SELECT e.place
               FROM jsonb_array_elements(n.step_statuses) WITH ORDINALITY AS e (step, place)
               WHERE e.step ->> 'name' = x.step_name
               ORDER BY e.place LIMIT 1
           ) y ON true
           WHERE n.number > n.attempts - $4
           ORDER BY n.incident_id, n.number"#,
        &ids,
        &namespaces,
        &names,
        MOST_ATTEMPTS,
    )
    .fetch_all(connection)
    .await?)
}

/// The failures of one incident, whose attempts come oldest first.
fn of_incident(incident: &Incident, attempts: &[&Attempt]) -> Vec<Failure> {
    let failed: Vec<Failure> = attempts
        .iter()
        .filter(|attempt| attempt.phase == "Failed")
        .map(|attempt| of_attempt(incident, attempt))
        .collect();
    if failed.is_empty() && incident.phase == "Failed" {
        return vec![of_remediation(incident)];
    }
    failed
}

fn of_attempt(incident: &Incident, attempt: &Attempt) -> Failure {
    // What is said of the remediation as a whole was said after its last attempt.
    let ended_it = attempt.is_newest && incident.phase == "Failed";
    let whole = |text: &Option<String>| ended_it.then(|| text.clone()).flatten();
    let texts = [
        attempt.execution_message.clone(),
        attempt.action_result.clone(),
        attempt.step_message.clone(),
        attempt.message.clone(),
        whole(&incident.error_message),
    ];
    let reason = whole(&incident.reason);
    let message = whole(&incident.message);
    let told = texts.iter().chain([&reason, &message]).flatten();
    Failure {
        recorded: Recorded {
            incident_id: incident.id,
            workflow_id: Some(attempt.workflow_id),
            execution_id: attempt.execution_id,
        },
        workflow_ref: Some(attempt.name.clone()),
        workflow_name: Some(attempt.workflow_name.clone()),
        attempt_number: Some(attempt.number),
        failed_step: attempt.failed_step,
        failed_step_name: attempt.failed_step_name.clone(),
        action: attempt
            .action_type
            .clone()
            .or_else(|| incident.action_type.clone()),
        error_type: error_class::classify(told.map(String::as_str)),
        reason: texts.iter().chain([&message]).flatten().next().cloned(),
        duration_seconds: seconds(attempt.started_at, attempt.completed_at),
        at: attempt.completed_at.unwrap_or(attempt.created_at),
    }
}

fn of_remediation(incident: &Incident) -> Failure {
    let told = [&incident.error_message, &incident.reason, &incident.message];
    Failure {
        recorded: Recorded {
            incident_id: incident.id,
            workflow_id: None,
            execution_id: None,
        },
        workflow_ref: None,
        workflow_name: None,
        attempt_number: None,
        failed_step: None,
        failed_step_name: None,
        action: incident.action_type.clone(),
        error_type: error_class::classify(told.into_iter().flatten().map(String::as_str)),
        reason: incident
            .error_message
            .clone()
            .or_else(|| incident.message.clone()),
        duration_seconds: seconds(incident.start_time, incident.end_time),
        at: incident.end_time.unwrap_or(incident.created_at),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of a remediation have far fewer than 53 bits"
)]
fn seconds(start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) -> Option<f64> {
    let microseconds = (end? - start?).num_microseconds()?;
    Some(microseconds as f64 / 1_000_000.0)
}
