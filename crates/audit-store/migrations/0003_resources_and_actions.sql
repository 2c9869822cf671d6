-- What was acted on.
CREATE TABLE resource_references (
    id           bigint      GENERATED ALWAYS AS IDENTITY,
    cluster_name text        NOT NULL,
    namespace    text,
    kind         text        NOT NULL,
    name         text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT resource_references_pkey PRIMARY KEY (id),
    -- NULLS NOT DISTINCT: a cluster-scoped resource has no namespace and is still one resource.
    -- Namespace comes last because a lookup that treats NULL as a value can only use it as a filter.
    CONSTRAINT resource_references_identity UNIQUE NULLS NOT DISTINCT (name, kind, cluster_name, namespace)
);

COMMENT ON TABLE resource_references IS 'The Kubernetes resources that incidents and actions are about.';
COMMENT ON COLUMN resource_references.id IS 'Surrogate key.';
COMMENT ON COLUMN resource_references.cluster_name IS 'Cluster the resource lives in.';
COMMENT ON COLUMN resource_references.namespace IS 'Namespace; NULL for a cluster-scoped resource.';
COMMENT ON COLUMN resource_references.kind IS 'Kubernetes kind in its canonical case, such as StatefulSet.';
COMMENT ON COLUMN resource_references.name IS 'Name of the resource.';
COMMENT ON COLUMN resource_references.created_at IS 'When the resource was first mentioned to Data Storage.';

-- Filter of the incident list by resource, in any cluster.
CREATE INDEX resource_references_by_name ON resource_references (namespace, kind, name);

-- Which workflow did which kind of action to which resource.
CREATE TABLE action_histories (
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    resource_id     bigint      NOT NULL,
    workflow_id     text,
    action_type     text,
    status          text        NOT NULL,
    status_rank     smallint    NOT NULL GENERATED ALWAYS AS (
                        CASE status WHEN 'Pending' THEN 0 WHEN 'Processing' THEN 1 ELSE 2 END) STORED,
    status_time     timestamptz NOT NULL,
    status_instance text        NOT NULL COLLATE "C",
    status_event_id bigint      NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT action_histories_pkey PRIMARY KEY (id),
    CONSTRAINT action_histories_resource_fkey FOREIGN KEY (resource_id) REFERENCES resource_references (id),
    CONSTRAINT action_histories_identity UNIQUE NULLS NOT DISTINCT (resource_id, workflow_id, action_type),
    CONSTRAINT action_histories_status_known CHECK (status IN ('Pending', 'Processing', 'Completed', 'Failed'))
);

COMMENT ON TABLE action_histories IS 'Which workflow did which kind of action to which resource, and how it went the last time.';
COMMENT ON COLUMN action_histories.id IS 'Surrogate key.';
COMMENT ON COLUMN action_histories.resource_id IS 'The resource acted on.';
COMMENT ON COLUMN action_histories.workflow_id IS 'Name of the workflow execution that acted; NULL where a remediation names no workflow.';
COMMENT ON COLUMN action_histories.action_type IS 'Kind of action, such as restart_pod; NULL where none has been chosen yet.';
COMMENT ON COLUMN action_histories.status IS 'Phase of the newest instance of this history.';
COMMENT ON COLUMN action_histories.status_rank IS 'Order of the phases: 0 Pending, 1 Processing, 2 Completed or Failed.';
COMMENT ON COLUMN action_histories.status_time IS 'createdAt of the instance that status comes from.';
COMMENT ON COLUMN action_histories.status_instance IS 'Namespace and name of that instance; decides between instances of one time.';
COMMENT ON COLUMN action_histories.status_event_id IS 'Ledger id of the event that status comes from.';
COMMENT ON COLUMN action_histories.created_at IS 'When this history was first recorded.';
