-- What changed since a reader last looked, whatever order transactions commit in: ids come in order of insertion, so that
-- a smaller one may become visible after a greater one. The number of the inserting transaction, held against the oldest
-- one that was still running at the last look, tells which rows a reader cannot have seen.
ALTER TABLE audit_events ADD COLUMN transaction_id xid8;
-- Rows that were there before keep NULL: every reader that asks came later.
ALTER TABLE audit_events ALTER COLUMN transaction_id SET DEFAULT pg_current_xact_id();
COMMENT ON COLUMN audit_events.transaction_id IS 'Transaction that inserted the row, in the numbering of this server; NULL before this was recorded. It says nothing after a dump was restored elsewhere.';

-- Context API: what was committed since the last look, once a second.
CREATE INDEX audit_events_by_transaction ON audit_events (transaction_id) WHERE transaction_id IS NOT NULL;

SELECT set_config('search_path', format('%I, %I, public', current_schema() || '_context', current_schema()), true);

-- An event concerns every incident that shows its record, now or under an earlier version. Names decide who belongs to
-- whom, and a new namesake takes children from an older one, so all namesakes are concerned.
CREATE VIEW changes AS
SELECT e.transaction_id, e.record_kind, k.id AS incident_id
FROM audit_events e
LEFT JOIN LATERAL (
    SELECT e.name WHERE e.record_kind = 'remediation'
    UNION
    -- The remediation request that any version of the record names.
    SELECT v.payload ->> 'remediationRequestRef'
    FROM audit_events v
    WHERE e.record_kind IN ('aianalysis', 'workflow') AND v.event_time = e.event_time
      AND v.record_kind = e.record_kind AND v.namespace = e.namespace AND v.name = e.name
    UNION
    -- Executions find their workflow by name.
    SELECT w.remediation_request_ref
    FROM workflow_executions w
    WHERE e.record_kind = 'workflow' AND w.namespace = e.namespace AND w.name = e.name
    UNION
    SELECT w.remediation_request_ref
    FROM audit_events v
    JOIN workflow_executions w ON w.namespace = v.namespace AND w.name = v.payload ->> 'workflowExecutionRef'
    WHERE e.record_kind = 'execution' AND v.event_time = e.event_time
      AND v.record_kind = e.record_kind AND v.namespace = e.namespace AND v.name = e.name
) r (name) ON true
LEFT JOIN remediation_requests k ON k.namespace = e.namespace AND k.name = r.name
WHERE e.transaction_id IS NOT NULL AND e.record_kind <> 'hold';
COMMENT ON VIEW changes IS 'The ledger as a list of changes: the transaction of each event, and the incidents it concerns (NULL for none, or for a month that retention dropped).';
