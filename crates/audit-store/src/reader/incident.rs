//! One incident with everything recorded about it.
//!
//! The serialised form of these types is their form on the wire.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{Incident, Reader};
use crate::StoreError;

/// The latest state of an AI analysis.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    /// Surrogate key.
    pub id: i64,
    /// Name of the custom resource.
    pub name: String,
    /// Namespace of the custom resource.
    pub namespace: String,
    /// Name of the remediation request.
    pub remediation_request_ref: String,
    /// Type of the analysed signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_type: Option<String>,
    /// Context given to the analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_context: Option<Value>,
    /// Provider of the language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_provider: Option<String>,
    /// Language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_model: Option<String>,
    /// Sampling temperature, 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Root cause found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_cause: Option<String>,
    /// Confidence, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Action recommended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recommended_action: Option<String>,
    /// Whether a person must approve the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_approval: Option<bool>,
    /// Id of the investigation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub investigation_id: Option<String>,
    /// Tokens used by the language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_used: Option<i64>,
    /// Duration of the investigation in seconds.
    #[serde(rename = "investigationTimeSeconds", skip_serializing_if = "Option::is_none")]
    pub investigation_seconds: Option<f64>,
    /// Phase.
    pub phase: String,
    /// Human-readable state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// createdAt of the custom resource.
    pub created_at: DateTime<Utc>,
    /// When work started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it reached a terminal phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<DateTime<Utc>>,
    /// Correlation id.
    pub correlation_id: String,
    /// Writer of the state.
    pub recorded_by: String,
    /// When the state was accepted.
    pub updated_at: DateTime<Utc>,
}

/// The latest state of a workflow execution.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowState {
    /// Surrogate key.
    pub id: i64,
    /// Name of the custom resource.
    pub name: String,
    /// Namespace of the custom resource.
    pub namespace: String,
    /// Name of the remediation request.
    pub remediation_request_ref: String,
    /// Name of the analysis that chose the workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ai_analysis_ref: Option<String>,
    /// Name of the workflow definition.
    pub workflow_name: String,
    /// Whether it was approved by policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_auto_approved: Option<bool>,
    /// Whether a person must approve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_approval: Option<bool>,
    /// Number of the step reached, 0 before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step: Option<i32>,
    /// Number of steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_count: Option<i32>,
    /// Steps completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_count: Option<i32>,
    /// Steps failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_count: Option<i32>,
    /// Steps skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped_count: Option<i32>,
    /// State of each step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_statuses: Option<Value>,
    /// Phase.
    pub phase: String,
    /// Human-readable state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// createdAt of the custom resource.
    pub created_at: DateTime<Utc>,
    /// When work started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it reached a terminal phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<DateTime<Utc>>,
    /// Correlation id.
    pub correlation_id: String,
    /// Writer of the state.
    pub recorded_by: String,
    /// When the state was accepted.
    pub updated_at: DateTime<Utc>,
}

/// The latest state of an action on the cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionState {
    /// Surrogate key.
    pub id: i64,
    /// Name of the custom resource.
    pub name: String,
    /// Namespace of the custom resource.
    pub namespace: String,
    /// Name of the workflow execution.
    pub workflow_execution_ref: String,
    /// Step of the workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_name: Option<String>,
    /// Kind of action.
    pub action_type: String,
    /// Input of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_data: Option<Value>,
    /// Cluster of the resource acted on.
    #[serde(rename = "clusterName")]
    pub cluster: String,
    /// Kind of the resource acted on.
    #[serde(rename = "targetType")]
    pub target_kind: String,
    /// Name of the resource acted on.
    pub target_name: String,
    /// Namespace of the resource acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_namespace: Option<String>,
    /// Whether a dry run was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_dry_run: Option<bool>,
    /// Whether validation was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_validation: Option<bool>,
    /// Whether a failure is to be rolled back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_rollback: Option<bool>,
    /// Result of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_result: Option<String>,
    /// resourceVersion of the target after the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// resourceVersion of the target before the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_version: Option<String>,
    /// Result of the dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run_result: Option<String>,
    /// Result of the validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_result: Option<String>,
    /// Warnings of the validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_warnings: Option<Vec<String>>,
    /// Whether the action was rolled back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_rolled_back: Option<bool>,
    /// Phase.
    pub phase: String,
    /// Human-readable state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// createdAt of the custom resource.
    pub created_at: DateTime<Utc>,
    /// When work started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it reached a terminal phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<DateTime<Utc>>,
    /// Correlation id.
    pub correlation_id: String,
    /// Writer of the state.
    pub recorded_by: String,
    /// When the state was accepted.
    pub updated_at: DateTime<Utc>,
}

/// One version of a record, as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Ledger id.
    pub id: i64,
    /// remediation, aianalysis, workflow or execution.
    #[serde(rename = "kind")]
    pub record_kind: String,
    /// Namespace of the custom resource.
    pub namespace: String,
    /// Name of the custom resource.
    pub name: String,
    /// Phase of this version.
    pub phase: String,
    /// When the phase was reached: completedAt, startedAt or createdAt.
    pub at: DateTime<Utc>,
    /// Human-readable state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Machine-readable reason of the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Writer.
    pub actor: String,
    /// When this version was accepted.
    pub received_at: DateTime<Utc>,
}

/// An incident with everything recorded about it.
#[derive(Debug, Clone, PartialEq)]
pub struct IncidentDetail {
    /// The incident.
    pub incident: Incident,
    /// The signal as received, in bytes.
    pub original_payload: Option<Vec<u8>>,
    /// Its analyses, oldest first.
    pub analyses: Vec<Analysis>,
    /// Its workflow executions, oldest first.
    pub workflows: Vec<WorkflowState>,
    /// The actions of its workflows, oldest first.
    pub executions: Vec<ExecutionState>,
    /// Every version of every record of it, by the time its phase was reached.
    pub timeline: Vec<Event>,
}

impl Reader {
    /// One incident, or `None` where there is none with this id.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached or takes too long.
    pub async fn incident(&self, id: i64) -> Result<Option<IncidentDetail>, StoreError> {
        let mut snapshot = self.snapshot_with_kept_plans().await?;
        let Some(incident) = Self::incidents_by_id(&mut snapshot, &[id]).await?.pop() else {
            return Ok(None);
        };
        let original_payload =
            // With its time, which says in which month it is.
            sqlx::query_scalar!(
                "SELECT original_payload FROM incidents WHERE id = $1 AND created_at = $2",
                id,
                incident.created_at
            )
            .fetch_one(&mut *snapshot)
            .await?;
        let analyses = sqlx::query_as!(
            Analysis,
            r#"SELECT a.id AS "id!", a.name AS "name!", a.namespace AS "namespace!",
               a.remediation_request_ref AS "remediation_request_ref!", a.signal_type, a.signal_context,
               a.llm_provider, a.llm_model, a.temperature, a.root_cause, a.confidence, a.recommended_action,
               a.requires_approval, a.investigation_id, a.tokens_used, a.investigation_seconds,
               a.phase AS "phase!", a.message, a.created_at AS "created_at!", a.started_at, a.completed_at,
               a.correlation_id AS "correlation_id!", a.recorded_by AS "recorded_by!",
               a.updated_at AS "updated_at!"
               FROM analyses a
               WHERE a.namespace = $1 AND a.remediation_request_ref = $2 AND a.incident_id = $3
               ORDER BY a.created_at, a.id"#,
            incident.remediation_namespace,
            incident.remediation_name,
            id,
        )
        .fetch_all(&mut *snapshot)
        .await?;
        let workflows = sqlx::query_as!(
            WorkflowState,
            r#"SELECT w.id AS "id!", w.name AS "name!", w.namespace AS "namespace!",
               w.remediation_request_ref AS "remediation_request_ref!", w.ai_analysis_ref,
               w.workflow_name AS "workflow_name!", w.is_auto_approved, w.requires_approval, w.current_step,
               w.step_count, w.completed_count, w.failed_count, w.skipped_count, w.step_statuses,
               w.phase AS "phase!", w.message, w.created_at AS "created_at!", w.started_at, w.completed_at,
               w.correlation_id AS "correlation_id!", w.recorded_by AS "recorded_by!",
               w.updated_at AS "updated_at!"
               FROM workflows w
               WHERE w.namespace = $1 AND w.remediation_request_ref = $2 AND w.incident_id = $3
               ORDER BY w.created_at, w.id"#,
            incident.remediation_namespace,
            incident.remediation_name,
            id,
        )
        .fetch_all(&mut *snapshot)
        .await?;
        let workflow_ids: Vec<i64> = workflows.iter().map(|workflow| workflow.id).collect();
        let workflow_names: Vec<String> = workflows.iter().map(|workflow| workflow.name.clone()).collect();
        let executions = sqlx::query_as!(
            ExecutionState,
            r#"SELECT x.id AS "id!", x.name AS "name!", x.namespace AS "namespace!",
               x.workflow_execution_ref AS "workflow_execution_ref!", x.step_name,
               x.action_type AS "action_type!", x.action_data, x.cluster AS "cluster!",
               x.target_kind AS "target_kind!", x.target_name AS "target_name!", x.target_namespace,
               x.enable_dry_run, x.enable_validation, x.enable_rollback, x.action_result,
               x.resource_version, x.previous_version, x.dry_run_result, x.validation_result,
               x.validation_warnings, x.is_rolled_back, x.phase AS "phase!", x.message,
               x.created_at AS "created_at!", x.started_at, x.completed_at,
               x.correlation_id AS "correlation_id!", x.recorded_by AS "recorded_by!",
               x.updated_at AS "updated_at!"
               FROM executions x
               WHERE x.namespace = $1 AND x.workflow_execution_ref = ANY($2) AND x.workflow_id = ANY($3)
               ORDER BY x.created_at, x.id"#,
            incident.remediation_namespace,
            &workflow_names,
            &workflow_ids,
        )
        .fetch_all(&mut *snapshot)
        .await?;

        let mut kinds = vec!["remediation".to_owned()];
        let mut names = vec![incident.remediation_name.clone()];
        let mut times = vec![incident.created_at];
        for analysis in &analyses {
            kinds.push("aianalysis".to_owned());
            names.push(analysis.name.clone());
            times.push(analysis.created_at);
        }
        for workflow in &workflows {
            kinds.push("workflow".to_owned());
            names.push(workflow.name.clone());
            times.push(workflow.created_at);
        }
        for execution in &executions {
            kinds.push("execution".to_owned());
            names.push(execution.name.clone());
            times.push(execution.created_at);
        }
        // Children live in the namespace of the remediation request, so one namespace serves all instances.
        let timeline = sqlx::query_as!(
            Event,
            r#"SELECT e.id AS "id!", e.record_kind AS "record_kind!", e.namespace AS "namespace!",
               e.name AS "name!", e.phase AS "phase!", e.at AS "at!", e.message, e.reason,
               e.actor AS "actor!", e.received_at AS "received_at!"
               FROM UNNEST($2::text[], $3::text[], $4::timestamptz[]) AS k (record_kind, name, created_at)
               -- Fenced (OFFSET 0), lest the planner, which does not count on a record being in one month, read all
               -- of the ledger for a family of a dozen.
               CROSS JOIN LATERAL (
                   SELECT * FROM events x
                   WHERE x.record_kind = k.record_kind AND x.namespace = $1 AND x.name = k.name
                     AND x.created_at = k.created_at
                   OFFSET 0
               ) e
               ORDER BY e.at, e.id"#,
            incident.remediation_namespace,
            &kinds,
            &names,
            &times,
        )
        .fetch_all(&mut *snapshot)
        .await?;
        snapshot.commit().await?;
        Ok(Some(IncidentDetail {
            incident,
            original_payload,
            analyses,
            workflows,
            executions,
            timeline,
        }))
    }
}
