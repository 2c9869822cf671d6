-- The words of a row are made once, when it is written. As an expression of the index they were made again wherever a plan
-- filtered by them: a search for a common word spent a tenth of a second on 2,000 incidents. ANALYZE made them again, too.
--
-- Adding the columns writes the tables anew.

ALTER TABLE resource_action_traces ADD COLUMN words text[] NOT NULL GENERATED ALWAYS AS (written_words(
    ARRAY[remediation_name, alert_name, alert_fingerprint, correlation_id, action_type, reason, message, execution_error])) STORED;
ALTER TABLE ai_analyses ADD COLUMN words text[] NOT NULL GENERATED ALWAYS AS (written_words(
    ARRAY[name, investigation_id, root_cause, recommended_action, message])) STORED;
ALTER TABLE workflow_executions ADD COLUMN words text[] NOT NULL GENERATED ALWAYS AS (written_words(
    ARRAY[name, workflow_name, message])) STORED;
ALTER TABLE action_executions ADD COLUMN words text[] NOT NULL GENERATED ALWAYS AS (written_words(
    ARRAY[name, step_name, action_type, action_result, message, dry_run_result, validation_result])) STORED;

COMMENT ON COLUMN resource_action_traces.words IS 'Words written in the fields of the incident.';
COMMENT ON COLUMN ai_analyses.words IS 'Words written in the fields of the analysis.';
COMMENT ON COLUMN workflow_executions.words IS 'Words written in the fields of the workflow execution.';
COMMENT ON COLUMN action_executions.words IS 'Words written in the fields of the action.';

-- Search by words: incidents by their own fields, then by those of their analyses, workflows and executions.
DROP INDEX resource_action_traces_by_words;
DROP INDEX ai_analyses_by_words;
DROP INDEX workflow_executions_by_words;
DROP INDEX action_executions_by_words;
CREATE INDEX resource_action_traces_by_words ON resource_action_traces USING gin (words);
CREATE INDEX ai_analyses_by_words ON ai_analyses USING gin (words);
CREATE INDEX workflow_executions_by_words ON workflow_executions USING gin (words);
CREATE INDEX action_executions_by_words ON action_executions USING gin (words);

SELECT set_config('search_path', format('%I, %I, public', current_schema() || '_context', current_schema()), true);

-- The views of 0007 and 0014 with the words of the columns.
CREATE OR REPLACE VIEW analyses AS
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
       a.started_at, a.completed_at, a.correlation_id, a.embedding_id, a.last_event_id, a.recorded_by, a.updated_at,
       a.words
FROM ai_analyses a;

CREATE OR REPLACE VIEW workflows AS
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
       w.correlation_id, w.embedding_id, w.last_event_id, w.recorded_by, w.updated_at,
       w.words
FROM workflow_executions w;

CREATE OR REPLACE VIEW executions AS
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
       e.last_event_id, e.recorded_by, e.updated_at, e.words
FROM action_executions e
-- Outer joins, though every row has its partner: the planner then drops those a query does not use.
LEFT JOIN action_histories h ON h.id = e.action_history_id
LEFT JOIN resource_references r ON r.id = h.resource_id;

CREATE OR REPLACE VIEW incidents AS
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
                  AND x.is_rolled_back
                -- Fenced (OFFSET 0), lest the planner, which counts the rows before a LIMIT, find the incident of every
                -- execution that was ever rolled back to tell the status of ten.
                OFFSET 0)
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
       t.action_timestamp AS created_at, t.updated_at, t.embedding_id, v.embedding, t.last_event_id,
       t.words
FROM resource_action_traces t
-- Outer joins, though every row has its partner: the planner then drops those a query does not use.
LEFT JOIN action_histories h ON h.id = t.action_history_id
LEFT JOIN resource_references r ON r.id = h.resource_id
LEFT JOIN incident_embeddings v ON v.id = t.embedding_id;

CREATE OR REPLACE VIEW related_words AS
SELECT 'aianalysis' AS record_kind, a.incident_id, a.embedding_id, a.words FROM analyses a
UNION ALL
SELECT 'workflow', w.incident_id, w.embedding_id, w.words FROM workflows w
UNION ALL
SELECT 'execution', w.incident_id, x.embedding_id, x.words
FROM executions x JOIN workflows w ON w.namespace = x.namespace AND w.name = x.workflow_execution_ref
WHERE w.id = x.workflow_id;
