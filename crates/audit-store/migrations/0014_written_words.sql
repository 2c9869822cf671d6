-- Search by what was written: names, ids and error codes are found literally, which vectors do not promise. Canonical
-- texts have lost many of them, so the words come from the fields as they were received.

-- Words are ASCII, whatever the database's locale: an index must not change its mind when the locale does. The cost keeps
-- the planner from making the words of every row where the index has them.
CREATE FUNCTION written_words(texts text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 2000
    RETURN ARRAY(
        SELECT DISTINCT left(w.word, 64)
        FROM unnest(texts) AS t (text)
        CROSS JOIN LATERAL (SELECT lower(left(t.text, 4096) COLLATE "C") AS text) AS l
        CROSS JOIN LATERAL (
            SELECT m[1] FROM regexp_matches(l.text, '[a-z0-9]+', 'g') AS m
            UNION ALL
            SELECT m[1] FROM regexp_matches(l.text, '[a-z0-9]+(?:[-._][a-z0-9]+)+', 'g') AS m
        ) AS w (word));
COMMENT ON FUNCTION written_words(text[]) IS
    'Runs of ASCII letters and digits, in lower case, and what hyphens, dots and underscores join them to; of the first 4096 characters of each text, at most 64 characters of each word.';

-- Search by words: incidents by their own fields, then by those of their analyses, workflows and executions.
CREATE INDEX resource_action_traces_by_words ON resource_action_traces USING gin (written_words(
    ARRAY[remediation_name, alert_name, alert_fingerprint, correlation_id, action_type, reason, message, execution_error]));
CREATE INDEX ai_analyses_by_words ON ai_analyses USING gin (written_words(
    ARRAY[name, investigation_id, root_cause, recommended_action, message]));
CREATE INDEX workflow_executions_by_words ON workflow_executions USING gin (written_words(
    ARRAY[name, workflow_name, message]));
CREATE INDEX action_executions_by_words ON action_executions USING gin (written_words(
    ARRAY[name, step_name, action_type, action_result, message, dry_run_result, validation_result]));

SELECT set_config('search_path', format('%I, %I, public', current_schema() || '_context', current_schema()), true);

-- The view of 0007 with the words, and with a fence in its status.
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
       written_words(ARRAY[t.remediation_name, t.alert_name, t.alert_fingerprint, t.correlation_id, t.action_type,
                           t.reason, t.message, t.execution_error]) AS words
FROM resource_action_traces t
-- Outer joins, though every row has its partner: the planner then drops those a query does not use.
LEFT JOIN action_histories h ON h.id = t.action_history_id
LEFT JOIN resource_references r ON r.id = h.resource_id
LEFT JOIN incident_embeddings v ON v.id = t.embedding_id;

CREATE VIEW related_words AS
SELECT 'aianalysis' AS record_kind, a.incident_id, a.embedding_id,
       written_words(ARRAY[a.name, a.investigation_id, a.root_cause, a.recommended_action, a.message]) AS words
FROM analyses a
UNION ALL
SELECT 'workflow', w.incident_id, w.embedding_id, written_words(ARRAY[w.name, w.workflow_name, w.message])
FROM workflows w
UNION ALL
SELECT 'execution', w.incident_id, x.embedding_id,
       written_words(ARRAY[x.name, x.step_name, x.action_type, x.action_result, x.message, x.dry_run_result,
                           x.validation_result])
FROM executions x JOIN workflows w ON w.namespace = x.namespace AND w.name = x.workflow_execution_ref
WHERE w.id = x.workflow_id;
COMMENT ON VIEW related_words IS 'The words written in the analyses, workflows and executions of incidents.';
