-- A page of the incident list costs what it gives.

-- Incident list by cluster: GET /api/v1/incidents?cluster=. The index it had put environment and severity before the
-- time, which each have their own index since, so that a page read every incident of the cluster and sorted them. Legal
-- holds of a cluster find its incidents by it too.
CREATE INDEX resource_action_traces_by_cluster ON resource_action_traces (cluster_name, action_timestamp DESC, id DESC);
DROP INDEX resource_action_traces_by_scope;

-- The view of 0007 with a fence in its status; its columns are the same.
SELECT set_config('search_path', format('%I, %I, public', current_schema() || '_context', current_schema()), true);

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
       t.action_timestamp AS created_at, t.updated_at, t.embedding_id, v.embedding, t.last_event_id
FROM resource_action_traces t
-- Outer joins, though every row has its partner: the planner then drops those a query does not use.
LEFT JOIN action_histories h ON h.id = t.action_history_id
LEFT JOIN resource_references r ON r.id = h.resource_id
LEFT JOIN incident_embeddings v ON v.id = t.embedding_id;
