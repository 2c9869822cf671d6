-- The ledger: every accepted version of every record, for ever (or until retention drops a whole month).
--
-- Partitioned by the instance's own creation time, so that all versions of one instance live in one partition:
-- looking an instance up touches one partition, and dropping a month never cuts a history in two.
CREATE TABLE audit_events (
    id               bigint      GENERATED ALWAYS AS IDENTITY,
    record_kind      text        NOT NULL,
    namespace        text        NOT NULL,
    name             text        NOT NULL,
    event_time       timestamptz NOT NULL,
    phase            text        NOT NULL,
    phase_rank       smallint    NOT NULL GENERATED ALWAYS AS (
                         CASE phase WHEN 'Pending' THEN 0 WHEN 'Processing' THEN 1 ELSE 2 END) STORED,
    correlation_id   text        NOT NULL,
    actor            text        NOT NULL,
    payload          jsonb       NOT NULL,
    payload_sha256   bytea       NOT NULL,
    redaction_policy smallint    NOT NULL,
    embedding_id     bigint,
    received_at      timestamptz NOT NULL,
    CONSTRAINT audit_events_pkey PRIMARY KEY (id, event_time),
    -- The idempotency key: the same instance with the same content is a replay, not a new version.
    CONSTRAINT audit_events_idempotency_key UNIQUE (event_time, record_kind, namespace, name, payload_sha256),
    CONSTRAINT audit_events_record_kind_known CHECK (record_kind IN ('remediation', 'aianalysis', 'workflow', 'execution')),
    CONSTRAINT audit_events_phase_known CHECK (phase IN ('Pending', 'Processing', 'Completed', 'Failed')),
    CONSTRAINT audit_events_payload_is_object CHECK (jsonb_typeof(payload) = 'object'),
    CONSTRAINT audit_events_payload_sha256_length CHECK (octet_length(payload_sha256) = 32)
) PARTITION BY RANGE (event_time);

CREATE TABLE audit_events_default PARTITION OF audit_events DEFAULT;

COMMENT ON TABLE audit_events IS 'The append-only ledger: one row per accepted version of a record. The read model is a fold of it.';
COMMENT ON COLUMN audit_events.id IS 'Ledger id, in order of insertion (not of commit).';
COMMENT ON COLUMN audit_events.record_kind IS 'remediation, aianalysis, workflow or execution.';
COMMENT ON COLUMN audit_events.namespace IS 'Namespace of the recorded custom resource.';
COMMENT ON COLUMN audit_events.name IS 'Name of the recorded custom resource.';
COMMENT ON COLUMN audit_events.event_time IS 'createdAt of the recorded instance. With kind, namespace and name it identifies the instance.';
COMMENT ON COLUMN audit_events.phase IS 'Phase of this version: Pending, Processing, Completed or Failed.';
COMMENT ON COLUMN audit_events.phase_rank IS 'Order of the phases: 0 Pending, 1 Processing, 2 Completed or Failed.';
COMMENT ON COLUMN audit_events.correlation_id IS 'Correlation id the writer gave.';
COMMENT ON COLUMN audit_events.actor IS 'Identity of the writer, as authenticated by the service.';
COMMENT ON COLUMN audit_events.payload IS 'The whole record as validated, in its wire form.';
COMMENT ON COLUMN audit_events.payload_sha256 IS 'SHA-256 of the canonical wire form of the payload.';
COMMENT ON COLUMN audit_events.redaction_policy IS 'Version of the redaction policy the payload went through; 0 where none was applied.';
COMMENT ON COLUMN audit_events.embedding_id IS 'Row of incident_embeddings that holds this version''s text; NULL where the record has no text.';
COMMENT ON COLUMN audit_events.received_at IS 'When Data Storage accepted this version.';

CREATE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_events is append-only: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation',
              HINT = 'A correction is a new version of the record. Retention drops whole partitions.';
END
$$;
COMMENT ON FUNCTION refuse_ledger_change() IS 'Keeps the ledger append-only.';

CREATE TRIGGER audit_events_append_only
    BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION refuse_ledger_change();

-- Row triggers are inherited by partitions; a TRUNCATE trigger is not.
CREATE TRIGGER audit_events_no_truncate
    BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

CREATE TRIGGER audit_events_no_truncate
    BEFORE TRUNCATE ON audit_events_default
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
