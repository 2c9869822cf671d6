//! The latest states of all four kinds, by one statement: it reads the ledger's rows once, and asks the server once.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::columns;
use crate::StoreError;
use crate::writer::EventRef;

/// Brings the states up to ledger rows whose resources, histories and incident ids are there, and gives the incident of each
/// remediation among them, by its ledger id.
pub(super) async fn upsert(
    connection: &mut PgConnection,
    events: &[EventRef],
) -> Result<HashMap<i64, i64>, StoreError> {
    let (ids, times) = columns(events);
    let rows = sqlx::query!(
        r#"WITH e AS MATERIALIZED (
             SELECT e.*
             FROM UNNEST($1::bigint[], $2::timestamptz[]) AS n (id, event_time)
             JOIN audit_events e USING (id, event_time)
         ), acting AS MATERIALIZED (
             SELECT e.*, r.id AS resource_id, e.payload ->> 'workflowExecutionRef' AS workflow_id,
                    e.payload ->> 'actionType' AS action_type
             FROM e
             JOIN resource_references r
               ON r.name = e.payload ->> 'targetName' AND r.kind = e.payload ->> 'targetType'
              AND r.cluster_name = e.payload ->> 'clusterName'
              AND r.namespace IS NOT DISTINCT FROM e.payload ->> 'targetNamespace'
             WHERE e.record_kind IN ('remediation', 'execution')
         ), remediations AS (
             INSERT INTO resource_action_traces AS t (
                 id, action_history_id, action_timestamp, remediation_namespace, remediation_name, signal_type,
                 alert_name, alert_namespace, alert_fingerprint, alert_severity, cluster_name, environment,
                 priority, action_type, action_parameters, phase, execution_start_time, execution_end_time,
                 execution_error, message, reason, labels, original_payload, correlation_id, embedding_id,
                 last_event_id, recorded_by, updated_at)
             SELECT DISTINCT ON (e.namespace, e.name, e.event_time)
                 k.id, h.id, e.event_time, e.namespace, e.name, e.payload ->> 'signalType',
                 e.payload ->> 'signalName', e.payload ->> 'signalNamespace', e.payload ->> 'fingerprint',
                 e.payload ->> 'severity', e.payload ->> 'clusterName', e.payload ->> 'environment',
                 e.payload ->> 'priority', e.action_type, e.payload -> 'actionParameters', e.phase,
                 (e.payload ->> 'startedAt')::timestamptz, (e.payload ->> 'completedAt')::timestamptz,
                 e.payload ->> 'errorMessage', e.payload ->> 'message', e.payload ->> 'reason',
                 e.payload -> 'labels', decode(e.payload ->> 'originalPayload', 'base64'), e.correlation_id,
                 e.embedding_id, e.id, e.actor, e.received_at
             FROM acting e
             JOIN remediation_requests k ON k.namespace = e.namespace AND k.name = e.name AND k.created_at = e.event_time
             JOIN action_histories h
               ON h.resource_id = e.resource_id AND h.workflow_id IS NULL
              AND h.action_type IS NOT DISTINCT FROM e.action_type
             WHERE e.record_kind = 'remediation'
             ORDER BY e.namespace, e.name, e.event_time, e.phase_rank DESC, e.id DESC
             ON CONFLICT (remediation_namespace, remediation_name, action_timestamp) DO UPDATE
             SET action_history_id = EXCLUDED.action_history_id, signal_type = EXCLUDED.signal_type,
                 alert_name = EXCLUDED.alert_name, alert_namespace = EXCLUDED.alert_namespace,
                 alert_fingerprint = EXCLUDED.alert_fingerprint, alert_severity = EXCLUDED.alert_severity,
                 cluster_name = EXCLUDED.cluster_name, environment = EXCLUDED.environment,
                 priority = EXCLUDED.priority, action_type = EXCLUDED.action_type,
                 action_parameters = EXCLUDED.action_parameters, phase = EXCLUDED.phase,
                 execution_start_time = EXCLUDED.execution_start_time,
                 execution_end_time = EXCLUDED.execution_end_time, execution_error = EXCLUDED.execution_error,
                 message = EXCLUDED.message, reason = EXCLUDED.reason, labels = EXCLUDED.labels,
                 original_payload = EXCLUDED.original_payload, correlation_id = EXCLUDED.correlation_id,
                 embedding_id = EXCLUDED.embedding_id, last_event_id = EXCLUDED.last_event_id,
                 recorded_by = EXCLUDED.recorded_by, updated_at = EXCLUDED.updated_at
             WHERE (t.phase_rank, t.last_event_id) < (EXCLUDED.phase_rank, EXCLUDED.last_event_id)
         ), analyses AS (
             INSERT INTO ai_analyses AS t (
                 namespace, name, record_created_at, remediation_request_ref, signal_type, signal_context,
                 llm_provider, llm_model, temperature, root_cause, confidence, recommended_action,
                 requires_approval, investigation_id, tokens_used, investigation_seconds, phase, message,
                 started_at, completed_at, correlation_id, embedding_id, last_event_id, recorded_by, updated_at)
             SELECT DISTINCT ON (e.namespace, e.name, e.event_time)
                 e.namespace, e.name, e.event_time, e.payload ->> 'remediationRequestRef',
                 e.payload ->> 'signalType', e.payload -> 'signalContext', e.payload ->> 'llmProvider',
                 e.payload ->> 'llmModel', (e.payload ->> 'temperature')::double precision,
                 e.payload ->> 'rootCause', (e.payload ->> 'confidence')::double precision,
                 e.payload ->> 'recommendedAction', (e.payload ->> 'requiresApproval')::boolean,
                 e.payload ->> 'investigationId', (e.payload ->> 'tokensUsed')::bigint,
                 (e.payload ->> 'investigationTimeSeconds')::double precision, e.phase, e.payload ->> 'message',
                 (e.payload ->> 'startedAt')::timestamptz, (e.payload ->> 'completedAt')::timestamptz,
                 e.correlation_id, e.embedding_id, e.id, e.actor, e.received_at
             FROM e
             WHERE e.record_kind = 'aianalysis'
             ORDER BY e.namespace, e.name, e.event_time, e.phase_rank DESC, e.id DESC
             ON CONFLICT (namespace, name, record_created_at) DO UPDATE
             SET remediation_request_ref = EXCLUDED.remediation_request_ref, signal_type = EXCLUDED.signal_type,
                 signal_context = EXCLUDED.signal_context, llm_provider = EXCLUDED.llm_provider,
                 llm_model = EXCLUDED.llm_model, temperature = EXCLUDED.temperature,
                 root_cause = EXCLUDED.root_cause, confidence = EXCLUDED.confidence,
                 recommended_action = EXCLUDED.recommended_action,
                 requires_approval = EXCLUDED.requires_approval, investigation_id = EXCLUDED.investigation_id,
                 tokens_used = EXCLUDED.tokens_used, investigation_seconds = EXCLUDED.investigation_seconds,
                 phase = EXCLUDED.phase, message = EXCLUDED.message, started_at = EXCLUDED.started_at,
                 completed_at = EXCLUDED.completed_at, correlation_id = EXCLUDED.correlation_id,
                 embedding_id = EXCLUDED.embedding_id, last_event_id = EXCLUDED.last_event_id,
                 recorded_by = EXCLUDED.recorded_by, updated_at = EXCLUDED.updated_at
             WHERE (t.phase_rank, t.last_event_id) < (EXCLUDED.phase_rank, EXCLUDED.last_event_id)
         ), workflows AS (
             INSERT INTO workflow_executions AS t (
                 namespace, name, record_created_at, remediation_request_ref, ai_analysis_ref, workflow_name,
                 is_auto_approved, requires_approval, current_step, step_count, completed_count, failed_count,
                 skipped_count, step_statuses, phase, message, started_at, completed_at, correlation_id,
                 embedding_id, last_event_id, recorded_by, updated_at)
             SELECT DISTINCT ON (e.namespace, e.name, e.event_time)
                 e.namespace, e.name, e.event_time, e.payload ->> 'remediationRequestRef',
                 e.payload ->> 'aiAnalysisRef', e.payload ->> 'workflowName',
                 (e.payload ->> 'isAutoApproved')::boolean, (e.payload ->> 'requiresApproval')::boolean,
                 (e.payload ->> 'currentStep')::integer, (e.payload ->> 'stepCount')::integer,
                 (e.payload ->> 'completedCount')::integer, (e.payload ->> 'failedCount')::integer,
                 (e.payload ->> 'skippedCount')::integer, e.payload -> 'stepStatuses', e.phase,
                 e.payload ->> 'message', (e.payload ->> 'startedAt')::timestamptz,
                 (e.payload ->> 'completedAt')::timestamptz, e.correlation_id, e.embedding_id, e.id, e.actor,
                 e.received_at
             FROM e
             WHERE e.record_kind = 'workflow'
             ORDER BY e.namespace, e.name, e.event_time, e.phase_rank DESC, e.id DESC
             ON CONFLICT (namespace, name, record_created_at) DO UPDATE
             SET remediation_request_ref = EXCLUDED.remediation_request_ref,
                 ai_analysis_ref = EXCLUDED.ai_analysis_ref, workflow_name = EXCLUDED.workflow_name,
                 is_auto_approved = EXCLUDED.is_auto_approved, requires_approval = EXCLUDED.requires_approval,
                 current_step = EXCLUDED.current_step, step_count = EXCLUDED.step_count,
                 completed_count = EXCLUDED.completed_count, failed_count = EXCLUDED.failed_count,
                 skipped_count = EXCLUDED.skipped_count, step_statuses = EXCLUDED.step_statuses,
                 phase = EXCLUDED.phase, message = EXCLUDED.message, started_at = EXCLUDED.started_at,
                 completed_at = EXCLUDED.completed_at, correlation_id = EXCLUDED.correlation_id,
                 embedding_id = EXCLUDED.embedding_id, last_event_id = EXCLUDED.last_event_id,
                 recorded_by = EXCLUDED.recorded_by, updated_at = EXCLUDED.updated_at
             WHERE (t.phase_rank, t.last_event_id) < (EXCLUDED.phase_rank, EXCLUDED.last_event_id)
         ), executions AS (
             INSERT INTO action_executions AS t (
                 namespace, name, record_created_at, action_history_id, workflow_execution_ref, step_name,
                 action_type, action_data, enable_dry_run, enable_validation, enable_rollback, action_result,
                 resource_version, previous_version, dry_run_result, validation_result, validation_warnings,
                 is_rolled_back, phase, message, started_at, completed_at, correlation_id, embedding_id,
                 last_event_id, recorded_by, updated_at)
             SELECT DISTINCT ON (e.namespace, e.name, e.event_time)
                 e.namespace, e.name, e.event_time, h.id, e.workflow_id,
                 e.payload ->> 'stepName', e.action_type, e.payload -> 'actionData',
                 (e.payload ->> 'enableDryRun')::boolean, (e.payload ->> 'enableValidation')::boolean,
                 (e.payload ->> 'enableRollback')::boolean, e.payload ->> 'actionResult',
                 e.payload ->> 'resourceVersion', e.payload ->> 'previousVersion', e.payload ->> 'dryRunResult',
                 e.payload ->> 'validationResult',
                 CASE WHEN e.payload ? 'validationWarnings' THEN ARRAY(SELECT jsonb_array_elements_text(e.payload -> 'validationWarnings')) END,
                 (e.payload ->> 'isRolledBack')::boolean, e.phase, e.payload ->> 'message',
                 (e.payload ->> 'startedAt')::timestamptz, (e.payload ->> 'completedAt')::timestamptz,
                 e.correlation_id, e.embedding_id, e.id, e.actor, e.received_at
             FROM acting e
             JOIN action_histories h
               ON h.resource_id = e.resource_id AND h.workflow_id = e.workflow_id AND h.action_type = e.action_type
             WHERE e.record_kind = 'execution'
             ORDER BY e.namespace, e.name, e.event_time, e.phase_rank DESC, e.id DESC
             ON CONFLICT (namespace, name, record_created_at) DO UPDATE
             SET action_history_id = EXCLUDED.action_history_id,
                 workflow_execution_ref = EXCLUDED.workflow_execution_ref, step_name = EXCLUDED.step_name,
                 action_type = EXCLUDED.action_type, action_data = EXCLUDED.action_data,
                 enable_dry_run = EXCLUDED.enable_dry_run, enable_validation = EXCLUDED.enable_validation,
                 enable_rollback = EXCLUDED.enable_rollback, action_result = EXCLUDED.action_result,
                 resource_version = EXCLUDED.resource_version, previous_version = EXCLUDED.previous_version,
                 dry_run_result = EXCLUDED.dry_run_result, validation_result = EXCLUDED.validation_result,
                 validation_warnings = EXCLUDED.validation_warnings, is_rolled_back = EXCLUDED.is_rolled_back,
                 phase = EXCLUDED.phase, message = EXCLUDED.message, started_at = EXCLUDED.started_at,
                 completed_at = EXCLUDED.completed_at, correlation_id = EXCLUDED.correlation_id,
                 embedding_id = EXCLUDED.embedding_id, last_event_id = EXCLUDED.last_event_id,
                 recorded_by = EXCLUDED.recorded_by, updated_at = EXCLUDED.updated_at
             WHERE (t.phase_rank, t.last_event_id) < (EXCLUDED.phase_rank, EXCLUDED.last_event_id)
         )
         SELECT e.id, k.id AS incident_id
         FROM e
         JOIN remediation_requests k ON k.namespace = e.namespace AND k.name = e.name AND k.created_at = e.event_time
         WHERE e.record_kind = 'remediation'"#,
        &ids,
        &times,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.incident_id)).collect())
}
