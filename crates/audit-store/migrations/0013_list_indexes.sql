-- A page of the incident list costs what it gives only where an index has the filter's column first and then the list's
-- order. Cluster, alert, fingerprint, kind of action, resource and open incidents had one. Each index here serves a
-- filter that may let through few of very many incidents; read backwards it serves `order=asc`.

-- Incident list by severity, in any cluster: GET /api/v1/incidents?severity=.
CREATE INDEX resource_action_traces_by_severity ON resource_action_traces (alert_severity, action_timestamp DESC, id DESC)
    WHERE alert_severity IS NOT NULL;
-- Incident list by environment, in any cluster: GET /api/v1/incidents?environment=.
CREATE INDEX resource_action_traces_by_environment ON resource_action_traces (environment, action_timestamp DESC, id DESC)
    WHERE environment IS NOT NULL;
-- Incident list of failures: GET /api/v1/incidents?phase=Failed, and status=failed or rolled-back. Most incidents are
-- Completed, and the order by time finds those.
CREATE INDEX resource_action_traces_failed ON resource_action_traces (action_timestamp DESC, id DESC)
    WHERE phase = 'Failed';
