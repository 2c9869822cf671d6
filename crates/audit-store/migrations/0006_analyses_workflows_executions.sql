-- Analyses: the latest state of each AI analysis.
CREATE TABLE ai_analyses (
    id                     bigint      GENERATED ALWAYS AS IDENTITY,
    namespace              text        NOT NULL,
    name                   text        NOT NULL,
    record_created_at      timestamptz NOT NULL,
    remediation_request_ref text        NOT NULL,
    signal_type            text,
    signal_context         jsonb,
    llm_provider           text,
    llm_model              text,
    temperature            double precision,
    root_cause             text,
    confidence             double precision,
    recommended_action     text,
    requires_approval      boolean,
    investigation_id       text,
    tokens_used            bigint,
    investigation_seconds  double precision,
    phase                  text        NOT NULL,
    phase_rank             smallint    NOT NULL GENERATED ALWAYS AS (
                               CASE phase WHEN 'Pending' THEN 0 WHEN 'Processing' THEN 1 ELSE 2 END) STORED,
    message                text,
    started_at             timestamptz,
    completed_at           timestamptz,
    correlation_id         text        NOT NULL,
    embedding_id           bigint,
    last_event_id          bigint      NOT NULL,
    recorded_by            text        NOT NULL,
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL,
    CONSTRAINT ai_analyses_pkey PRIMARY KEY (id),
    CONSTRAINT ai_analyses_instance UNIQUE (namespace, name, record_created_at),
    CONSTRAINT ai_analyses_temperature_range CHECK (temperature BETWEEN 0 AND 2),
    CONSTRAINT ai_analyses_confidence_range CHECK (confidence BETWEEN 0 AND 1),
    CONSTRAINT ai_analyses_tokens_used_positive CHECK (tokens_used > 0),
    CONSTRAINT ai_analyses_investigation_seconds_not_negative CHECK (investigation_seconds >= 0),
    CONSTRAINT ai_analyses_signal_context_is_object CHECK (jsonb_typeof(signal_context) = 'object'),
    CONSTRAINT ai_analyses_phase_known CHECK (phase IN ('Pending', 'Processing', 'Completed', 'Failed')),
    CONSTRAINT ai_analyses_times_in_order CHECK (
        record_created_at <= started_at AND started_at <= completed_at AND record_created_at <= completed_at)
);

COMMENT ON TABLE ai_analyses IS 'The latest state of each AI analysis, folded from the ledger.';
COMMENT ON COLUMN ai_analyses.id IS 'Surrogate key.';
COMMENT ON COLUMN ai_analyses.namespace IS 'Namespace of the analysis.';
COMMENT ON COLUMN ai_analyses.name IS 'Name of the analysis.';
COMMENT ON COLUMN ai_analyses.record_created_at IS 'createdAt of the analysis.';
COMMENT ON COLUMN ai_analyses.remediation_request_ref IS 'Name of the remediation request analysed, in the same namespace. It may be recorded later, so this is no foreign key.';
COMMENT ON COLUMN ai_analyses.signal_type IS 'Type of the analysed signal.';
COMMENT ON COLUMN ai_analyses.signal_context IS 'Context given to the analysis.';
COMMENT ON COLUMN ai_analyses.llm_provider IS 'Provider of the language model.';
COMMENT ON COLUMN ai_analyses.llm_model IS 'Language model.';
COMMENT ON COLUMN ai_analyses.temperature IS 'Sampling temperature, 0 to 2.';
COMMENT ON COLUMN ai_analyses.root_cause IS 'Root cause found.';
COMMENT ON COLUMN ai_analyses.confidence IS 'Confidence of the analysis, 0 to 1.';
COMMENT ON COLUMN ai_analyses.recommended_action IS 'Action recommended.';
COMMENT ON COLUMN ai_analyses.requires_approval IS 'Whether a person must approve the action.';
COMMENT ON COLUMN ai_analyses.investigation_id IS 'Id of the investigation.';
COMMENT ON COLUMN ai_analyses.tokens_used IS 'Tokens used by the language model.';
COMMENT ON COLUMN ai_analyses.investigation_seconds IS 'Duration of the investigation in seconds.';
COMMENT ON COLUMN ai_analyses.phase IS 'Pending, Processing, Completed or Failed. Moves forward only.';
COMMENT ON COLUMN ai_analyses.phase_rank IS 'Order of the phases: 0 Pending, 1 Processing, 2 Completed or Failed.';
COMMENT ON COLUMN ai_analyses.message IS 'Human-readable state, as given.';
COMMENT ON COLUMN ai_analyses.started_at IS 'startedAt of the analysis.';
COMMENT ON COLUMN ai_analyses.completed_at IS 'completedAt of the analysis.';
COMMENT ON COLUMN ai_analyses.correlation_id IS 'Correlation id the writer gave.';
COMMENT ON COLUMN ai_analyses.embedding_id IS 'Row of incident_embeddings with this state''s text.';
COMMENT ON COLUMN ai_analyses.last_event_id IS 'Ledger id of the event this state comes from.';
COMMENT ON COLUMN ai_analyses.recorded_by IS 'Writer of the event this state comes from.';
COMMENT ON COLUMN ai_analyses.created_at IS 'When this row was made; not part of the fold.';
COMMENT ON COLUMN ai_analyses.updated_at IS 'When Data Storage accepted the event this state comes from.';

-- Analyses of one incident, newest first.
CREATE INDEX ai_analyses_by_remediation ON ai_analyses (namespace, remediation_request_ref, record_created_at DESC);
-- From a text found by similarity to its analyses.
CREATE INDEX ai_analyses_by_embedding ON ai_analyses (embedding_id) WHERE embedding_id IS NOT NULL;

-- Workflow executions: the latest state of each.
CREATE TABLE workflow_executions (
    id                     bigint      GENERATED ALWAYS AS IDENTITY,
    namespace              text        NOT NULL,
    name                   text        NOT NULL,
    record_created_at      timestamptz NOT NULL,
    remediation_request_ref text        NOT NULL,
    ai_analysis_ref        text,
    workflow_name          text        NOT NULL,
    is_auto_approved       boolean,
    requires_approval      boolean,
    current_step           integer,
    step_count             integer,
    completed_count        integer,
    failed_count           integer,
    skipped_count          integer,
    step_statuses          jsonb,
    phase                  text        NOT NULL,
    phase_rank             smallint    NOT NULL GENERATED ALWAYS AS (
                               CASE phase WHEN 'Pending' THEN 0 WHEN 'Processing' THEN 1 ELSE 2 END) STORED,
    message                text,
    started_at             timestamptz,
    completed_at           timestamptz,
    correlation_id         text        NOT NULL,
    embedding_id           bigint,
    last_event_id          bigint      NOT NULL,
    recorded_by            text        NOT NULL,
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL,
    CONSTRAINT workflow_executions_pkey PRIMARY KEY (id),
    CONSTRAINT workflow_executions_instance UNIQUE (namespace, name, record_created_at),
    CONSTRAINT workflow_executions_step_count_positive CHECK (step_count >= 1),
    CONSTRAINT workflow_executions_current_step_range CHECK (current_step BETWEEN 0 AND step_count),
    CONSTRAINT workflow_executions_counts_not_negative CHECK (
        completed_count >= 0 AND failed_count >= 0 AND skipped_count >= 0),
    CONSTRAINT workflow_executions_counts_within_steps CHECK (
        coalesce(completed_count, 0) + coalesce(failed_count, 0) + coalesce(skipped_count, 0) <= step_count),
    CONSTRAINT workflow_executions_step_statuses_is_array CHECK (jsonb_typeof(step_statuses) = 'array'),
    CONSTRAINT workflow_executions_phase_known CHECK (phase IN ('Pending', 'Processing', 'Completed', 'Failed')),
    CONSTRAINT workflow_executions_times_in_order CHECK (
        record_created_at <= started_at AND started_at <= completed_at AND record_created_at <= completed_at)
);

COMMENT ON TABLE workflow_executions IS 'The latest state of each workflow execution, folded from the ledger.';
COMMENT ON COLUMN workflow_executions.id IS 'Surrogate key.';
COMMENT ON COLUMN workflow_executions.namespace IS 'Namespace of the workflow execution.';
COMMENT ON COLUMN workflow_executions.name IS 'Name of the workflow execution.';
COMMENT ON COLUMN workflow_executions.record_created_at IS 'createdAt of the workflow execution.';
COMMENT ON COLUMN workflow_executions.remediation_request_ref IS 'Name of the remediation request worked on, in the same namespace. It may be recorded later, so this is no foreign key.';
COMMENT ON COLUMN workflow_executions.ai_analysis_ref IS 'Name of the analysis that chose the workflow, in the same namespace.';
COMMENT ON COLUMN workflow_executions.workflow_name IS 'Name of the workflow definition.';
COMMENT ON COLUMN workflow_executions.is_auto_approved IS 'Whether it was approved by policy.';
COMMENT ON COLUMN workflow_executions.requires_approval IS 'Whether a person must approve it.';
COMMENT ON COLUMN workflow_executions.current_step IS 'Number of the step reached, 0 before the first.';
COMMENT ON COLUMN workflow_executions.step_count IS 'Number of steps.';
COMMENT ON COLUMN workflow_executions.completed_count IS 'Steps completed.';
COMMENT ON COLUMN workflow_executions.failed_count IS 'Steps failed.';
COMMENT ON COLUMN workflow_executions.skipped_count IS 'Steps skipped.';
COMMENT ON COLUMN workflow_executions.step_statuses IS 'State of each step, as given: an array of objects with name, phase, startedAt, completedAt, retryCount and message.';
COMMENT ON COLUMN workflow_executions.phase IS 'Pending, Processing, Completed or Failed. Moves forward only.';
COMMENT ON COLUMN workflow_executions.phase_rank IS 'Order of the phases: 0 Pending, 1 Processing, 2 Completed or Failed.';
COMMENT ON COLUMN workflow_executions.message IS 'Human-readable state, as given.';
COMMENT ON COLUMN workflow_executions.started_at IS 'startedAt of the workflow execution.';
COMMENT ON COLUMN workflow_executions.completed_at IS 'completedAt of the workflow execution.';
COMMENT ON COLUMN workflow_executions.correlation_id IS 'Correlation id the writer gave.';
COMMENT ON COLUMN workflow_executions.embedding_id IS 'Row of incident_embeddings with this state''s text.';
COMMENT ON COLUMN workflow_executions.last_event_id IS 'Ledger id of the event this state comes from.';
COMMENT ON COLUMN workflow_executions.recorded_by IS 'Writer of the event this state comes from.';
COMMENT ON COLUMN workflow_executions.created_at IS 'When this row was made; not part of the fold.';
COMMENT ON COLUMN workflow_executions.updated_at IS 'When Data Storage accepted the event this state comes from.';

-- Workflows of one incident, newest first.
CREATE INDEX workflow_executions_by_remediation
    ON workflow_executions (namespace, remediation_request_ref, record_created_at DESC);
-- Filter of the incident list by workflow.
CREATE INDEX workflow_executions_by_workflow ON workflow_executions (workflow_name);
-- From a text found by similarity to its workflows.
CREATE INDEX workflow_executions_by_embedding ON workflow_executions (embedding_id) WHERE embedding_id IS NOT NULL;

-- Executions: the latest state of each action on the cluster.
CREATE TABLE action_executions (
    id                     bigint      GENERATED ALWAYS AS IDENTITY,
    namespace              text        NOT NULL,
    name                   text        NOT NULL,
    record_created_at      timestamptz NOT NULL,
    action_history_id      bigint      NOT NULL,
    workflow_execution_ref text        NOT NULL,
    step_name              text,
    action_type            text        NOT NULL,
    action_data            jsonb,
    enable_dry_run         boolean,
    enable_validation      boolean,
    enable_rollback        boolean,
    action_result          text,
    resource_version       text,
    previous_version       text,
    dry_run_result         text,
    validation_result      text,
    validation_warnings    text[],
    is_rolled_back         boolean,
    phase                  text        NOT NULL,
    phase_rank             smallint    NOT NULL GENERATED ALWAYS AS (
                               CASE phase WHEN 'Pending' THEN 0 WHEN 'Processing' THEN 1 ELSE 2 END) STORED,
    message                text,
    started_at             timestamptz,
    completed_at           timestamptz,
    correlation_id         text        NOT NULL,
    embedding_id           bigint,
    last_event_id          bigint      NOT NULL,
    recorded_by            text        NOT NULL,
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL,
    CONSTRAINT action_executions_pkey PRIMARY KEY (id),
    CONSTRAINT action_executions_instance UNIQUE (namespace, name, record_created_at),
    CONSTRAINT action_executions_action_history_fkey FOREIGN KEY (action_history_id) REFERENCES action_histories (id),
    CONSTRAINT action_executions_action_data_is_object CHECK (jsonb_typeof(action_data) = 'object'),
    CONSTRAINT action_executions_phase_known CHECK (phase IN ('Pending', 'Processing', 'Completed', 'Failed')),
    CONSTRAINT action_executions_times_in_order CHECK (
        record_created_at <= started_at AND started_at <= completed_at AND record_created_at <= completed_at)
);

COMMENT ON TABLE action_executions IS 'The latest state of each action execution, folded from the ledger.';
COMMENT ON COLUMN action_executions.id IS 'Surrogate key.';
COMMENT ON COLUMN action_executions.namespace IS 'Namespace of the execution.';
COMMENT ON COLUMN action_executions.name IS 'Name of the execution.';
COMMENT ON COLUMN action_executions.record_created_at IS 'createdAt of the execution.';
COMMENT ON COLUMN action_executions.action_history_id IS 'The target resource, the workflow execution and the kind of action.';
COMMENT ON COLUMN action_executions.workflow_execution_ref IS 'Name of the workflow execution, in the same namespace. It may be recorded later, so this is no foreign key.';
COMMENT ON COLUMN action_executions.step_name IS 'Step of the workflow.';
COMMENT ON COLUMN action_executions.action_type IS 'Kind of action, such as restart_pod.';
COMMENT ON COLUMN action_executions.action_data IS 'Input of the action.';
COMMENT ON COLUMN action_executions.enable_dry_run IS 'Whether a dry run was asked for.';
COMMENT ON COLUMN action_executions.enable_validation IS 'Whether validation was asked for.';
COMMENT ON COLUMN action_executions.enable_rollback IS 'Whether a failure is to be rolled back.';
COMMENT ON COLUMN action_executions.action_result IS 'Result of the action.';
COMMENT ON COLUMN action_executions.resource_version IS 'resourceVersion of the target after the action.';
COMMENT ON COLUMN action_executions.previous_version IS 'resourceVersion of the target before the action.';
COMMENT ON COLUMN action_executions.dry_run_result IS 'Result of the dry run.';
COMMENT ON COLUMN action_executions.validation_result IS 'Result of the validation.';
COMMENT ON COLUMN action_executions.validation_warnings IS 'Warnings of the validation.';
COMMENT ON COLUMN action_executions.is_rolled_back IS 'Whether the action was rolled back.';
COMMENT ON COLUMN action_executions.phase IS 'Pending, Processing, Completed or Failed. Moves forward only.';
COMMENT ON COLUMN action_executions.phase_rank IS 'Order of the phases: 0 Pending, 1 Processing, 2 Completed or Failed.';
COMMENT ON COLUMN action_executions.message IS 'Human-readable state, as given.';
COMMENT ON COLUMN action_executions.started_at IS 'startedAt of the execution.';
COMMENT ON COLUMN action_executions.completed_at IS 'completedAt of the execution.';
COMMENT ON COLUMN action_executions.correlation_id IS 'Correlation id the writer gave.';
COMMENT ON COLUMN action_executions.embedding_id IS 'Row of incident_embeddings with this state''s text.';
COMMENT ON COLUMN action_executions.last_event_id IS 'Ledger id of the event this state comes from.';
COMMENT ON COLUMN action_executions.recorded_by IS 'Writer of the event this state comes from.';
COMMENT ON COLUMN action_executions.created_at IS 'When this row was made; not part of the fold.';
COMMENT ON COLUMN action_executions.updated_at IS 'When Data Storage accepted the event this state comes from.';

-- Executions of one workflow, in order.
CREATE INDEX action_executions_by_workflow ON action_executions (namespace, workflow_execution_ref, record_created_at);
-- Incidents whose status is rolled-back.
CREATE INDEX action_executions_rolled_back ON action_executions (namespace, workflow_execution_ref) WHERE is_rolled_back;
-- From a text found by similarity to its executions.
CREATE INDEX action_executions_by_embedding ON action_executions (embedding_id) WHERE embedding_id IS NOT NULL;
