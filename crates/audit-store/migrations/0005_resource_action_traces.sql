-- The instances of remediation requests. Not partitioned: it gives an incident its id, which stays when the read model
-- is made again, and finds the incident that another record names without asking every partition.
CREATE TABLE remediation_requests (
    id         bigint      GENERATED ALWAYS AS IDENTITY,
    namespace  text        NOT NULL,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT remediation_requests_pkey PRIMARY KEY (id),
    CONSTRAINT remediation_requests_instance UNIQUE (namespace, name, created_at)
);

COMMENT ON TABLE remediation_requests IS 'Every instance of a remediation request, with the id of its incident.';
COMMENT ON COLUMN remediation_requests.id IS 'Incident id.';
COMMENT ON COLUMN remediation_requests.namespace IS 'Namespace of the remediation request.';
COMMENT ON COLUMN remediation_requests.name IS 'Name of the remediation request.';
COMMENT ON COLUMN remediation_requests.created_at IS 'createdAt of the remediation request.';

-- Incidents: the latest state of each remediation request.
CREATE TABLE resource_action_traces (
    id                    bigint      NOT NULL,
    action_history_id     bigint      NOT NULL,
    action_timestamp      timestamptz NOT NULL,
    remediation_namespace text        NOT NULL,
    remediation_name      text        NOT NULL,
    signal_type           text        NOT NULL,
    alert_name            text        NOT NULL,
    alert_namespace       text,
    alert_fingerprint     text,
    alert_severity        text,
    cluster_name          text        NOT NULL,
    environment           text,
    priority              text,
    action_type           text,
    action_parameters     jsonb,
    phase                 text        NOT NULL,
    phase_rank            smallint    NOT NULL GENERATED ALWAYS AS (
                              CASE phase WHEN 'Pending' THEN 0 WHEN 'Processing' THEN 1 ELSE 2 END) STORED,
    execution_status      text        NOT NULL GENERATED ALWAYS AS (
                              CASE phase WHEN 'Pending' THEN 'pending' WHEN 'Processing' THEN 'executing'
                                         WHEN 'Completed' THEN 'completed' ELSE 'failed' END) STORED,
    execution_start_time  timestamptz,
    execution_end_time    timestamptz,
    execution_duration_ms bigint      GENERATED ALWAYS AS (
                              (extract(epoch FROM (execution_end_time - execution_start_time)) * 1000)::bigint) STORED,
    execution_error       text,
    message               text,
    reason                text,
    labels                jsonb,
    original_payload      bytea,
    correlation_id        text        NOT NULL,
    embedding_id          bigint,
    last_event_id         bigint      NOT NULL,
    recorded_by           text        NOT NULL,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL,
    CONSTRAINT resource_action_traces_pkey PRIMARY KEY (id, action_timestamp),
    CONSTRAINT resource_action_traces_instance UNIQUE (remediation_namespace, remediation_name, action_timestamp),
    CONSTRAINT resource_action_traces_action_history_fkey FOREIGN KEY (action_history_id) REFERENCES action_histories (id),
    CONSTRAINT resource_action_traces_phase_known CHECK (phase IN ('Pending', 'Processing', 'Completed', 'Failed')),
    CONSTRAINT resource_action_traces_environment_known CHECK (environment IN ('production', 'staging', 'development', 'test')),
    CONSTRAINT resource_action_traces_severity_known CHECK (alert_severity IN ('critical', 'high', 'warning', 'medium', 'low', 'info')),
    CONSTRAINT resource_action_traces_priority_known CHECK (priority IN ('P0', 'P1', 'P2', 'P3')),
    CONSTRAINT resource_action_traces_times_in_order CHECK (
        action_timestamp <= execution_start_time AND execution_start_time <= execution_end_time
        AND action_timestamp <= execution_end_time),
    CONSTRAINT resource_action_traces_labels_is_object CHECK (jsonb_typeof(labels) = 'object'),
    CONSTRAINT resource_action_traces_action_parameters_is_object CHECK (jsonb_typeof(action_parameters) = 'object')
) PARTITION BY RANGE (action_timestamp);

CREATE TABLE resource_action_traces_default PARTITION OF resource_action_traces DEFAULT;

COMMENT ON TABLE resource_action_traces IS 'Incidents: the latest state of each remediation request, folded from the ledger.';
COMMENT ON COLUMN resource_action_traces.id IS 'Incident id, from remediation_requests.';
COMMENT ON COLUMN resource_action_traces.action_history_id IS 'The resource and kind of action this incident belongs to.';
COMMENT ON COLUMN resource_action_traces.action_timestamp IS 'createdAt of the remediation request; the partition key, so it never changes.';
COMMENT ON COLUMN resource_action_traces.remediation_namespace IS 'Namespace of the remediation request.';
COMMENT ON COLUMN resource_action_traces.remediation_name IS 'Name of the remediation request.';
COMMENT ON COLUMN resource_action_traces.signal_type IS 'Where the signal came from: prometheus or kubernetes-event.';
COMMENT ON COLUMN resource_action_traces.alert_name IS 'Name of the alert or the event reason.';
COMMENT ON COLUMN resource_action_traces.alert_namespace IS 'Namespace the signal was raised in; NULL for a cluster-wide signal.';
COMMENT ON COLUMN resource_action_traces.alert_fingerprint IS 'Fingerprint of the signal; events have none.';
COMMENT ON COLUMN resource_action_traces.alert_severity IS 'critical, high, warning, medium, low or info.';
COMMENT ON COLUMN resource_action_traces.cluster_name IS 'Cluster of the target, for filters that need no join.';
COMMENT ON COLUMN resource_action_traces.environment IS 'production, staging, development or test.';
COMMENT ON COLUMN resource_action_traces.priority IS 'P0 (highest) to P3.';
COMMENT ON COLUMN resource_action_traces.action_type IS 'Kind of action chosen, such as restart_pod.';
COMMENT ON COLUMN resource_action_traces.action_parameters IS 'Parameters of the action, as given.';
COMMENT ON COLUMN resource_action_traces.phase IS 'Pending, Processing, Completed or Failed. Moves forward only.';
COMMENT ON COLUMN resource_action_traces.phase_rank IS 'Order of the phases: 0 Pending, 1 Processing, 2 Completed or Failed.';
COMMENT ON COLUMN resource_action_traces.execution_status IS 'The phase in the vocabulary of executions: pending, executing, completed or failed.';
COMMENT ON COLUMN resource_action_traces.execution_start_time IS 'startedAt of the remediation request.';
COMMENT ON COLUMN resource_action_traces.execution_end_time IS 'completedAt of the remediation request.';
COMMENT ON COLUMN resource_action_traces.execution_duration_ms IS 'From start to end in milliseconds; NULL until both are known.';
COMMENT ON COLUMN resource_action_traces.execution_error IS 'Error of a failed remediation.';
COMMENT ON COLUMN resource_action_traces.message IS 'Human-readable state, as given.';
COMMENT ON COLUMN resource_action_traces.reason IS 'Machine-readable reason of the state, as given.';
COMMENT ON COLUMN resource_action_traces.labels IS 'Kubernetes labels of the signal.';
COMMENT ON COLUMN resource_action_traces.original_payload IS 'The signal as it was received by the gateway.';
COMMENT ON COLUMN resource_action_traces.correlation_id IS 'Correlation id the writer gave.';
COMMENT ON COLUMN resource_action_traces.embedding_id IS 'Row of incident_embeddings with this state''s text.';
COMMENT ON COLUMN resource_action_traces.last_event_id IS 'Ledger id of the event this state comes from.';
COMMENT ON COLUMN resource_action_traces.recorded_by IS 'Writer of the event this state comes from.';
COMMENT ON COLUMN resource_action_traces.created_at IS 'When this row was made; not part of the fold.';
COMMENT ON COLUMN resource_action_traces.updated_at IS 'When Data Storage accepted the event this state comes from.';

-- Default order of the incident list, and since/until.
CREATE INDEX resource_action_traces_by_time ON resource_action_traces (action_timestamp DESC, id DESC);
-- Incidents of one resource, newest first.
CREATE INDEX resource_action_traces_by_action_history ON resource_action_traces (action_history_id, action_timestamp DESC);
-- Incidents of one alert, newest first.
CREATE INDEX resource_action_traces_by_alert ON resource_action_traces (alert_name, action_timestamp DESC);
-- Recurrences of one signal.
CREATE INDEX resource_action_traces_by_fingerprint ON resource_action_traces (alert_fingerprint, action_timestamp DESC)
    WHERE alert_fingerprint IS NOT NULL;
-- Everything that belongs together across services.
CREATE INDEX resource_action_traces_by_correlation ON resource_action_traces (correlation_id);
-- Filter by cluster, environment and severity, newest first.
CREATE INDEX resource_action_traces_by_scope
    ON resource_action_traces (cluster_name, environment, alert_severity, action_timestamp DESC);
-- Incidents by kind of action, newest first.
CREATE INDEX resource_action_traces_by_action_type ON resource_action_traces (action_type, action_timestamp DESC);
-- What is still open.
CREATE INDEX resource_action_traces_open ON resource_action_traces (action_timestamp DESC)
    WHERE phase IN ('Pending', 'Processing');
-- From a text found by similarity to its incidents, newest first.
CREATE INDEX resource_action_traces_by_embedding ON resource_action_traces (embedding_id, action_timestamp DESC)
    WHERE embedding_id IS NOT NULL;
