-- The contract with Context API: read-only views in a schema of their own (the data schema's name plus _context).
-- The views name every column they give, so that a new column of a table changes nothing for a reader.
SELECT set_config('search_path', format('%I, %I, public', current_schema() || '_context', current_schema()), true);

CREATE VIEW contract AS
SELECT contract_version, embedding_model, embedding_model_version, embedding_dimension
FROM store_properties;
COMMENT ON VIEW contract IS 'Version of these views, and the model of the stored vectors.';

-- Children name their parent; a name can be used again after a deletion. A child belongs to the newest parent made
-- no later than itself, or to the oldest one where clocks disagree.
CREATE VIEW analyses AS
SELECT a.id,
       coalesce(
           (SELECT k.id FROM remediation_requests k
            WHERE k.namespace = a.namespace AND k.name = a.remediation_request_ref AND k.created_at <= a.record_created_at
            ORDER BY k.created_at DESC LIMIT 1),
           (SELECT k.id FROM remediation_requests k
            WHERE k.namespace = a.namespace AND k.name = a.remediation_request_ref
            ORDER BY k.created_at LIMIT 1)
       ) AS incident_id,
       a.namespace, a.name, a.record_created_at AS created_at, a.remediation_request_ref, a.signal_type, a.signal_context,
       a.llm_provider, a.llm_model, a.temperature, a.root_cause, a.confidence, a.recommended_action,
       a.requires_approval, a.investigation_id, a.tokens_used, a.investigation_seconds, a.phase, a.message,
       a.started_at, a.completed_at, a.correlation_id, a.embedding_id, a.last_event_id, a.recorded_by, a.updated_at
FROM ai_analyses a;
COMMENT ON VIEW analyses IS 'AI analyses with the incident they belong to (NULL while it is not recorded).';

CREATE VIEW workflows AS
SELECT w.id,
       coalesce(
           (SELECT k.id FROM remediation_requests k
            WHERE k.namespace = w.namespace AND k.name = w.remediation_request_ref AND k.created_at <= w.record_created_at
            ORDER BY k.created_at DESC LIMIT 1),
           (SELECT k.id FROM remediation_requests k
            WHERE k.namespace = w.namespace AND k.name = w.remediation_request_ref
            ORDER BY k.created_at LIMIT 1)
       ) AS incident_id,
       w.namespace, w.name, w.record_created_at AS created_at, w.remediation_request_ref, w.ai_analysis_ref,
       w.workflow_name, w.is_auto_approved, w.requires_approval, w.current_step, w.step_count, w.completed_count,
       w.failed_count, w.skipped_count, w.step_statuses, w.phase, w.message, w.started_at, w.completed_at,
       w.correlation_id, w.embedding_id, w.last_event_id, w.recorded_by, w.updated_at
FROM workflow_executions w;
COMMENT ON VIEW workflows IS 'Workflow executions with the incident they belong to (NULL while it is not recorded).';

CREATE VIEW executions AS
SELECT e.id,
       -- The newest workflow of that name made no later than the execution, else the oldest.
       (SELECT c.id FROM workflow_executions c
        WHERE c.namespace = e.namespace AND c.name = e.workflow_execution_ref
        ORDER BY (c.record_created_at <= e.record_created_at) DESC,
                 CASE WHEN c.record_created_at <= e.record_created_at THEN c.record_created_at END DESC,
                 c.record_created_at
        LIMIT 1) AS workflow_id,
       e.namespace, e.name, e.record_created_at AS created_at, e.workflow_execution_ref, e.step_name, e.action_type,
       e.action_data, r.cluster_name AS cluster, r.kind AS target_kind, r.name AS target_name,
       r.namespace AS target_namespace, e.enable_dry_run, e.enable_validation, e.enable_rollback, e.action_result,
       e.resource_version, e.previous_version, e.dry_run_result, e.validation_result, e.validation_warnings,
       e.is_rolled_back, e.phase, e.message, e.started_at, e.completed_at, e.correlation_id, e.embedding_id,
       e.last_event_id, e.recorded_by, e.updated_at
FROM action_executions e
-- Outer joins, though every row has its partner: the planner then drops those a query does not use.
LEFT JOIN action_histories h ON h.id = e.action_history_id
LEFT JOIN resource_references r ON r.id = h.resource_id;
COMMENT ON VIEW executions IS 'Action executions with the workflow execution they belong to (NULL while it is not recorded).';

CREATE VIEW incidents AS
SELECT t.id, t.remediation_name, t.remediation_namespace, t.signal_type, t.alert_name,
       t.alert_namespace AS signal_namespace, t.alert_fingerprint, t.alert_severity AS severity,
       t.cluster_name AS cluster, t.environment, r.namespace AS resource_namespace, r.kind AS resource_kind,
       r.name AS resource_name, t.action_type, t.action_parameters, t.phase,
       -- A failed remediation one of whose actions was rolled back has left the cluster as it was.
       CASE WHEN t.phase = 'Failed' AND EXISTS (
                SELECT 1 FROM workflows w
                JOIN executions x ON x.workflow_id = w.id
                WHERE w.namespace = t.remediation_namespace AND w.remediation_request_ref = t.remediation_name
                  AND w.incident_id = t.id AND x.namespace = w.namespace AND x.workflow_execution_ref = w.name
                  AND x.is_rolled_back)
            THEN 'rolled-back' ELSE t.execution_status END AS status,
       t.priority, t.message, t.reason, t.execution_error AS error_message,
       (SELECT a.root_cause FROM analyses a
        WHERE a.namespace = t.remediation_namespace AND a.remediation_request_ref = t.remediation_name
          AND a.root_cause IS NOT NULL AND a.incident_id = t.id
        ORDER BY a.created_at DESC, a.id DESC LIMIT 1) AS root_cause,
       (SELECT w.workflow_name FROM workflows w
        WHERE w.namespace = t.remediation_namespace AND w.remediation_request_ref = t.remediation_name
          AND w.incident_id = t.id
        ORDER BY w.created_at DESC, w.id DESC LIMIT 1) AS workflow,
       t.labels, t.original_payload, t.correlation_id, t.execution_start_time AS start_time,
       t.execution_end_time AS end_time, t.execution_duration_ms AS duration_ms, t.recorded_by,
       t.action_timestamp AS created_at, t.updated_at, t.embedding_id, v.embedding, t.last_event_id
FROM resource_action_traces t
-- Outer joins, though every row has its partner: the planner then drops those a query does not use.
LEFT JOIN action_histories h ON h.id = t.action_history_id
LEFT JOIN resource_references r ON r.id = h.resource_id
LEFT JOIN incident_embeddings v ON v.id = t.embedding_id;
COMMENT ON VIEW incidents IS 'One row per remediation request: its latest state, its root cause and its workflow.';

CREATE VIEW texts AS
SELECT id, model, text, embedding FROM incident_embeddings WHERE embedding IS NOT NULL;
COMMENT ON VIEW texts IS 'Distinct canonical texts that have a vector.';

CREATE VIEW incident_texts AS
SELECT 'remediation' AS record_kind, t.id AS incident_id, t.remediation_namespace, t.remediation_name, t.embedding_id
FROM resource_action_traces t WHERE t.embedding_id IS NOT NULL
UNION ALL
SELECT 'aianalysis', a.incident_id, a.namespace, a.remediation_request_ref, a.embedding_id
FROM analyses a WHERE a.embedding_id IS NOT NULL
UNION ALL
SELECT 'workflow', w.incident_id, w.namespace, w.remediation_request_ref, w.embedding_id
FROM workflows w WHERE w.embedding_id IS NOT NULL
UNION ALL
SELECT 'execution', w.incident_id, w.namespace, w.remediation_request_ref, x.embedding_id
-- Joined by name, for which both sides have an index, so that it can be walked from a text and from an incident.
FROM executions x JOIN workflows w ON w.namespace = x.namespace AND w.name = x.workflow_execution_ref
WHERE x.embedding_id IS NOT NULL AND w.id = x.workflow_id;
COMMENT ON VIEW incident_texts IS 'Which texts speak of which incident, and in which kind of record.';

CREATE VIEW events AS
SELECT e.id, e.record_kind, e.namespace, e.name, e.event_time AS created_at, e.phase,
       coalesce((e.payload ->> 'completedAt')::timestamptz, (e.payload ->> 'startedAt')::timestamptz, e.event_time) AS at,
       e.payload ->> 'message' AS message, e.payload ->> 'reason' AS reason,
       e.correlation_id, e.actor, e.received_at
FROM audit_events e;
COMMENT ON VIEW events IS 'The ledger without payloads: every accepted version of every record.';
