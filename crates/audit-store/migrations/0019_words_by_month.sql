-- A word that very many records have costs a search what its newest months have of it. Incidents are partitioned by month, and so
-- is their index of words; here the month is a word itself, which the index intersects with the others.

-- Months since year 0, in UTC, behind a character that no word has. What it is made of is immutable, as an index demands.
CREATE FUNCTION written_month(at timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '@' || (extract(year FROM at AT TIME ZONE 'UTC') * 12 + extract(month FROM at AT TIME ZONE 'UTC'))::integer::text;
COMMENT ON FUNCTION written_month(timestamptz) IS 'The month of a time as a word: @ and 12 times its year plus its month, in UTC.';

-- Search by words: incidents by their own fields, then by those of their analyses, workflows and executions, and their months.
-- What is new waits in a list, which each search reads through and a writer merges when it is full. A list of the default
-- length, 4 MB, took a search 7 ms for each index.
-- Made beside the old ones, which readers use until the end.
CREATE INDEX resource_action_traces_by_words_new ON resource_action_traces USING gin (words) WITH (gin_pending_list_limit = 1024);
CREATE INDEX ai_analyses_by_words_new ON ai_analyses
    USING gin (array_append(words, written_month(record_created_at))) WITH (gin_pending_list_limit = 1024);
CREATE INDEX workflow_executions_by_words_new ON workflow_executions
    USING gin (array_append(words, written_month(record_created_at))) WITH (gin_pending_list_limit = 1024);
CREATE INDEX action_executions_by_words_new ON action_executions
    USING gin (array_append(words, written_month(record_created_at))) WITH (gin_pending_list_limit = 1024);
-- Of an expression nothing is known until then, and the planner would take every word for a frequent one.
ANALYZE ai_analyses, workflow_executions, action_executions;
DROP INDEX resource_action_traces_by_words;
DROP INDEX ai_analyses_by_words;
DROP INDEX workflow_executions_by_words;
DROP INDEX action_executions_by_words;
ALTER INDEX resource_action_traces_by_words_new RENAME TO resource_action_traces_by_words;
ALTER INDEX ai_analyses_by_words_new RENAME TO ai_analyses_by_words;
ALTER INDEX workflow_executions_by_words_new RENAME TO workflow_executions_by_words;
ALTER INDEX action_executions_by_words_new RENAME TO action_executions_by_words;

-- A reader of this version needs the columns below.
UPDATE store_properties SET contract_version = 3;

SELECT set_config('search_path', format('%I, %I, public', current_schema() || '_context', current_schema()), true);

-- The views of 0017 with the words and the month.
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
       a.words,
       array_append(a.words, written_month(a.record_created_at)) AS dated_words
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
       w.words,
       array_append(w.words, written_month(w.record_created_at)) AS dated_words
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
       e.last_event_id, e.recorded_by, e.updated_at, e.words,
       array_append(e.words, written_month(e.record_created_at)) AS dated_words
FROM action_executions e
-- Outer joins, though every row has its partner: the planner then drops those a query does not use.
LEFT JOIN action_histories h ON h.id = e.action_history_id
LEFT JOIN resource_references r ON r.id = h.resource_id;
