-- Retention and legal hold.

-- The ledger also tells what was done to itself: a month that retention dropped, a hold that was placed or released.
-- Such an event has the phase Completed and an empty namespace, which no record has.
ALTER TABLE audit_events DROP CONSTRAINT audit_events_record_kind_known;
ALTER TABLE audit_events ADD CONSTRAINT audit_events_record_kind_known
    CHECK (record_kind IN ('remediation', 'aianalysis', 'workflow', 'execution', 'retention', 'hold'));
COMMENT ON COLUMN audit_events.record_kind IS 'remediation, aianalysis, workflow or execution; retention or hold for an event of the ledger itself.';
COMMENT ON COLUMN audit_events.namespace IS 'Namespace of the recorded custom resource; empty for an event of the ledger itself.';
COMMENT ON COLUMN audit_events.name IS 'Name of the recorded custom resource; of the dropped partition or the hold for an event of the ledger itself.';

-- Retention: whether a version that stays speaks a text that a dropped one spoke.
CREATE INDEX audit_events_by_embedding ON audit_events (embedding_id) WHERE embedding_id IS NOT NULL;
-- Retention: whether an execution that stays belongs to a history, which the foreign key asks of each history deleted.
CREATE INDEX action_executions_by_action_history ON action_executions (action_history_id);

-- Holds are rules: what meets every condition given is held, also what is recorded later.
CREATE TABLE legal_holds (
    id             bigint      GENERATED ALWAYS AS IDENTITY,
    correlation_id text,
    namespace      text,
    name           text,
    cluster_name   text,
    since          timestamptz,
    until          timestamptz,
    reason         text        NOT NULL,
    placed_by      text        NOT NULL,
    placed_at      timestamptz NOT NULL,
    CONSTRAINT legal_holds_pkey PRIMARY KEY (id),
    CONSTRAINT legal_holds_name_has_namespace CHECK (name IS NULL OR namespace IS NOT NULL),
    CONSTRAINT legal_holds_times_in_order CHECK (since < until),
    CONSTRAINT legal_holds_reason_given CHECK (reason <> ''),
    CONSTRAINT legal_holds_placed_by_given CHECK (placed_by <> '')
);

COMMENT ON TABLE legal_holds IS 'Rules that keep whole months from retention. Append-only; a hold without a release is in force.';
COMMENT ON COLUMN legal_holds.id IS 'Number of the hold.';
COMMENT ON COLUMN legal_holds.correlation_id IS 'Condition: records with this correlation id; NULL for any.';
COMMENT ON COLUMN legal_holds.namespace IS 'Condition: records in this namespace or about a resource or signal in it; with a name, records in it only; NULL for any.';
COMMENT ON COLUMN legal_holds.name IS 'Condition: records of this name in the namespace; NULL for any.';
COMMENT ON COLUMN legal_holds.cluster_name IS 'Condition: records about this cluster; NULL for any.';
COMMENT ON COLUMN legal_holds.since IS 'Condition: instances created at or after; NULL for any.';
COMMENT ON COLUMN legal_holds.until IS 'Condition: instances created before; NULL for any.';
COMMENT ON COLUMN legal_holds.reason IS 'Why it was placed.';
COMMENT ON COLUMN legal_holds.placed_by IS 'Who placed it.';
COMMENT ON COLUMN legal_holds.placed_at IS 'When it was placed.';

CREATE TABLE legal_hold_releases (
    hold_id     bigint      NOT NULL,
    reason      text        NOT NULL,
    released_by text        NOT NULL,
    released_at timestamptz NOT NULL,
    CONSTRAINT legal_hold_releases_pkey PRIMARY KEY (hold_id),
    CONSTRAINT legal_hold_releases_hold_fkey FOREIGN KEY (hold_id) REFERENCES legal_holds (id),
    CONSTRAINT legal_hold_releases_reason_given CHECK (reason <> ''),
    CONSTRAINT legal_hold_releases_released_by_given CHECK (released_by <> '')
);

COMMENT ON TABLE legal_hold_releases IS 'Releases of holds, at most one each. Append-only.';
COMMENT ON COLUMN legal_hold_releases.hold_id IS 'The hold released.';
COMMENT ON COLUMN legal_hold_releases.reason IS 'Why it was released.';
COMMENT ON COLUMN legal_hold_releases.released_by IS 'Who released it.';
COMMENT ON COLUMN legal_hold_releases.released_at IS 'When it was released.';

CREATE FUNCTION refuse_hold_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation',
              HINT = 'A hold ends by a release; another scope is another hold.';
END
$$;
COMMENT ON FUNCTION refuse_hold_change() IS 'Keeps the history of holds append-only.';

CREATE TRIGGER legal_holds_append_only BEFORE UPDATE OR DELETE ON legal_holds
    FOR EACH ROW EXECUTE FUNCTION refuse_hold_change();
CREATE TRIGGER legal_holds_no_truncate BEFORE TRUNCATE ON legal_holds
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_hold_change();
CREATE TRIGGER legal_hold_releases_append_only BEFORE UPDATE OR DELETE ON legal_hold_releases
    FOR EACH ROW EXECUTE FUNCTION refuse_hold_change();
CREATE TRIGGER legal_hold_releases_no_truncate BEFORE TRUNCATE ON legal_hold_releases
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_hold_change();

-- A reader of the ledger asks for records: events of the ledger itself are none.
SELECT set_config('search_path', format('%I, %I, public', current_schema() || '_context', current_schema()), true);

CREATE OR REPLACE VIEW events AS
SELECT e.id, e.record_kind, e.namespace, e.name, e.event_time AS created_at, e.phase,
       coalesce((e.payload ->> 'completedAt')::timestamptz, (e.payload ->> 'startedAt')::timestamptz, e.event_time) AS at,
       e.payload ->> 'message' AS message, e.payload ->> 'reason' AS reason,
       e.correlation_id, e.actor, e.received_at
FROM audit_events e
WHERE e.record_kind IN ('remediation', 'aianalysis', 'workflow', 'execution');
