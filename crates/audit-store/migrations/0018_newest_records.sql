-- A search reads the newest records with a word or a text, and of the incidents they belong to one month each.

-- Search by words: the newest analyses, workflows and executions with a word that many have; the GIN indexes serve rare ones.
CREATE INDEX ai_analyses_by_time ON ai_analyses (record_created_at DESC, id DESC);
CREATE INDEX workflow_executions_by_time ON workflow_executions (record_created_at DESC, id DESC);
CREATE INDEX action_executions_by_time ON action_executions (record_created_at DESC, id DESC);

-- From a text found by similarity to its newest analyses, workflows and executions. The indexes they replace had the text
-- alone, so that the newest of a text that very many records speak were found by reading all of them.
DROP INDEX ai_analyses_by_embedding;
DROP INDEX workflow_executions_by_embedding;
DROP INDEX action_executions_by_embedding;
CREATE INDEX ai_analyses_by_embedding ON ai_analyses (embedding_id, record_created_at DESC, id DESC)
    WHERE embedding_id IS NOT NULL;
CREATE INDEX workflow_executions_by_embedding ON workflow_executions (embedding_id, record_created_at DESC, id DESC)
    WHERE embedding_id IS NOT NULL;
CREATE INDEX action_executions_by_embedding ON action_executions (embedding_id, record_created_at DESC, id DESC)
    WHERE embedding_id IS NOT NULL;

-- A reader of this version needs the views below.
UPDATE store_properties SET contract_version = 2;

SELECT set_config('search_path', format('%I, %I, public', current_schema() || '_context', current_schema()), true);

-- Where an incident is known by its id alone, every month was asked for it. Joined with its time, one is.
CREATE VIEW instances AS
SELECT id, created_at FROM remediation_requests;
COMMENT ON VIEW instances IS 'The time of each incident, which says in which month it is.';

-- For counting, which an index alone can do: of the view incidents the planner believes to need what its joins are made by,
-- although it leaves the joins out, and reads the rows.
CREATE VIEW remediations AS
SELECT t.id, t.cluster_name AS cluster, t.environment, t.alert_severity AS severity, t.phase, t.action_timestamp AS created_at
FROM resource_action_traces t;
COMMENT ON VIEW remediations IS 'Incidents with what most of them are counted by, and nothing joined.';

-- The view of 0017, which tells how to find the incidents of a resource: those have a history without a workflow, one for
-- each kind of action. A history with a workflow is that of its executions; a busy resource has hundreds of them, each of
-- which was looked for in every month.
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
       t.words, t.action_history_id, r.cluster_name AS resource_cluster
FROM resource_action_traces t
-- Outer joins, though every row has its partner: the planner then drops those a query does not use.
LEFT JOIN action_histories h ON h.id = t.action_history_id AND h.workflow_id IS NULL
LEFT JOIN resource_references r ON r.id = h.resource_id
LEFT JOIN incident_embeddings v ON v.id = t.embedding_id;
