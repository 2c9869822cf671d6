//! What the catalogs say: guards of the ledger, indexes, views, grants, partitions.

use sqlx::PgConnection;

use super::Options;
use super::report::{Check, Report, ask};
use crate::StoreError;
use crate::compatibility::CONTRACT_VERSION;

/// A trigger as `pg_trigger.tgtype` has it: BEFORE (2) UPDATE (16) or DELETE (8) for each row (1); BEFORE TRUNCATE (32).
const APPEND_ONLY: (Check, &str) = (
    Check::error(
        "ledger.append_only",
        "enabled triggers on the ledger and on each of its partitions refuse UPDATE, DELETE and TRUNCATE",
    ),
    "SELECT t.oid::regclass::text, 'no enabled trigger refuses ' || n.what
     FROM (SELECT 'audit_events'::regclass::oid
           UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = 'audit_events'::regclass) AS t (oid)
     CROSS JOIN (VALUES ('UPDATE and DELETE', 27), ('TRUNCATE', 34)) AS n (what, type)
     WHERE NOT EXISTS (
         SELECT 1 FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
         WHERE g.tgrelid = t.oid AND g.tgtype = n.type AND g.tgenabled IN ('O', 'A') AND g.tgqual IS NULL
           AND g.tgattr = ''::int2vector AND p.proname = 'refuse_ledger_change' AND p.prosrc LIKE '%RAISE EXCEPTION%')
     ORDER BY 1, 2",
);

const INDEXES_VALID: (Check, &str) = (
    Check::error("indexes.valid", "every index is valid, or is being built"),
    "SELECT i.indexrelid::regclass::text, 'is not valid: REINDEX it'
     FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
     WHERE c.relnamespace = current_schema()::regnamespace AND NOT (i.indisvalid AND i.indisready)
       AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
     ORDER BY 1",
);

const INDEXES_PRESENT: (Check, &str) = (
    Check::error(
        "indexes.present",
        "the unique keys that writes rely on, and the index of the vectors, exist",
    ),
    "SELECT n.name, 'does not exist'
     FROM (VALUES ('audit_events_pkey'), ('audit_events_idempotency_key'), ('resource_references_identity'),
                  ('action_histories_identity'), ('remediation_requests_instance'),
                  ('resource_action_traces_instance'), ('ai_analyses_instance'), ('workflow_executions_instance'),
                  ('action_executions_instance'), ('incident_embeddings_text_key'), ('incident_embeddings_nearest')
          ) AS n (name)
     WHERE to_regclass(n.name) IS NULL",
);

const READER: (Check, &str) = (
    Check::error(
        "grants.reader",
        "a role that may use the context schema may read its views, and may do nothing else",
    ),
    "WITH data AS (SELECT current_schema()::regnamespace::oid AS oid),
          context AS (SELECT n.oid, n.nspname, n.nspacl, n.nspowner FROM pg_namespace n
                      WHERE n.nspname = current_schema() || '_context'),
          reader AS (SELECT DISTINCT r.oid, r.rolname FROM context n, aclexplode(n.nspacl) a, pg_roles r
                     WHERE r.oid = a.grantee AND a.grantee <> n.nspowner AND NOT r.rolsuper)
     SELECT current_schema() || '_context', 'no role may use it: run `kubernaut migrate`'
     WHERE NOT EXISTS (SELECT 1 FROM reader)
     UNION ALL
     SELECT r.rolname, 'may use the schema ' || current_schema() FROM reader r, data d
     WHERE has_schema_privilege(r.oid, d.oid, 'USAGE, CREATE')
     UNION ALL
     SELECT r.rolname, 'may make objects in ' || c.nspname FROM reader r, context c
     WHERE has_schema_privilege(r.oid, c.oid, 'CREATE')
     UNION ALL
     SELECT r.rolname, 'holds a privilege on ' || t.relname FROM reader r, data d, pg_class t
     WHERE t.relnamespace = d.oid AND t.relkind IN ('r', 'p', 'v', 'm', 'f')
       AND has_table_privilege(r.oid, t.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
     UNION ALL
     SELECT r.rolname, 'may not read ' || v.relname FROM reader r, context c, pg_class v
     WHERE v.relnamespace = c.oid AND v.relkind = 'v' AND NOT has_table_privilege(r.oid, v.oid, 'SELECT')
     UNION ALL
     SELECT r.rolname, 'may write ' || v.relname FROM reader r, context c, pg_class v
     WHERE v.relnamespace = c.oid AND v.relkind = 'v'
       AND has_table_privilege(r.oid, v.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
     ORDER BY 1, 2",
);

const DEFAULT_ROWS: (Check, &str) = (
    Check::warning(
        "partitions.default_rows",
        "the DEFAULT partitions are empty: the months of what they hold can have no partition of their own",
    ),
    "SELECT 'audit_events_default ' || to_char(event_time, 'YYYY-MM'), count(*) || ' rows'
     FROM audit_events_default GROUP BY 1
     UNION ALL
     SELECT 'resource_action_traces_default ' || to_char(action_timestamp, 'YYYY-MM'), count(*) || ' rows'
     FROM resource_action_traces_default GROUP BY 1
     ORDER BY 1",
);

const PROPERTIES: Check = Check::error(
    "properties.contract",
    "store_properties has one row, with the contract of this version and the dimension of the vector column",
);

fn properties() -> String {
    format!(
        "SELECT 'store_properties', (SELECT count(*) FROM store_properties) || ' rows'
         WHERE (SELECT count(*) FROM store_properties) <> 1
         UNION ALL
         SELECT 'store_properties', 'contract version ' || contract_version || ', this version knows {CONTRACT_VERSION}'
         FROM store_properties WHERE contract_version <> {CONTRACT_VERSION}
         UNION ALL
         SELECT 'store_properties', 'dimension ' || p.embedding_dimension || ', the column embedding has ' || a.atttypmod
         FROM store_properties p, pg_attribute a
         WHERE a.attrelid = 'incident_embeddings'::regclass AND a.attname = 'embedding'
           AND a.atttypmod <> p.embedding_dimension"
    )
}

const VIEWS: Check = Check::error(
    "properties.views",
    "the context schema has every view and column of the contract",
);

/// The contract, as far as names go: the views of the context schema with their columns.
const CONTRACT_VIEWS: [(&str, &str); 12] = [
    (
        "analyses",
        "id incident_id namespace name created_at remediation_request_ref signal_type signal_context llm_provider \
         llm_model temperature root_cause confidence recommended_action requires_approval investigation_id tokens_used \
         investigation_seconds phase message started_at completed_at correlation_id embedding_id last_event_id \
         recorded_by updated_at words dated_words",
    ),
    ("changes", "transaction_id record_kind incident_id"),
    (
        "contract",
        "contract_version embedding_model embedding_model_version embedding_dimension",
    ),
    (
        "events",
        "id record_kind namespace name created_at phase at message reason correlation_id actor received_at",
    ),
    (
        "executions",
        "id workflow_id namespace name created_at workflow_execution_ref step_name action_type action_data cluster \
         target_kind target_name target_namespace enable_dry_run enable_validation enable_rollback action_result \
         resource_version previous_version dry_run_result validation_result validation_warnings is_rolled_back phase \
         message started_at completed_at correlation_id embedding_id last_event_id recorded_by updated_at words \
         dated_words",
    ),
    (
        "incident_texts",
        "record_kind incident_id remediation_namespace remediation_name embedding_id",
    ),
    (
        "incidents",
        "id remediation_name remediation_namespace signal_type alert_name signal_namespace alert_fingerprint severity \
         cluster environment resource_namespace resource_kind resource_name action_type action_parameters phase status \
         priority message reason error_message root_cause workflow labels original_payload correlation_id start_time \
         end_time duration_ms recorded_by created_at updated_at embedding_id embedding last_event_id words \
         action_history_id resource_cluster",
    ),
    ("instances", "id created_at"),
    ("related_words", "record_kind incident_id embedding_id words"),
    ("remediations", "id cluster environment severity phase created_at"),
    ("texts", "id model text embedding"),
    (
        "workflows",
        "id incident_id namespace name created_at remediation_request_ref ai_analysis_ref workflow_name \
         is_auto_approved requires_approval current_step step_count completed_count failed_count skipped_count \
         step_statuses phase message started_at completed_at correlation_id embedding_id last_event_id recorded_by \
         updated_at words dated_words",
    ),
];

fn views() -> String {
    let contract = CONTRACT_VIEWS.map(|(view, columns)| format!("('{view}', '{columns}')"));
    format!(
        "WITH contract AS (
             SELECT view, columns, to_regclass(current_schema() || '_context.' || view)::oid AS oid
             FROM (VALUES {}) AS v (view, columns))
         SELECT view, 'does not exist' FROM contract WHERE oid IS NULL
         UNION ALL
         SELECT c.view, 'has no column ' || k.name FROM contract c, string_to_table(c.columns, ' ') AS k (name)
         WHERE c.oid IS NOT NULL AND NOT EXISTS (
             SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = k.name AND NOT a.attisdropped)
         ORDER BY 1, 2",
        contract.join(", ")
    )
}

const AHEAD: Check = Check::warning(
    "partitions.ahead",
    "the present month and the months ahead have partitions",
);

fn ahead(options: &Options) -> String {
    format!(
        "SELECT p.name, 'does not exist: Data Storage makes it'
         FROM generate_series(0, {}) AS m (month),
              (VALUES ('audit_events'), ('resource_action_traces')) AS t (name),
              format('%s_y%s', t.name, to_char('{}'::timestamptz + make_interval(months => m.month), 'YYYY\"m\"MM'))
                  AS p (name)
         WHERE to_regclass(p.name) IS NULL ORDER BY 1",
        options.partitions.months_ahead,
        options.now.format("%Y-%m-01 00:00:00+00")
    )
}

pub(super) async fn run(
    connection: &mut PgConnection,
    options: &Options,
    report: &mut Report,
) -> Result<(), StoreError> {
    for (check, faults) in [APPEND_ONLY, INDEXES_VALID, INDEXES_PRESENT, READER, DEFAULT_ROWS] {
        report
            .checks
            .push(ask(connection, check, options.examples, faults).await?);
    }
    for (check, faults) in [
        (PROPERTIES, properties()),
        (VIEWS, views()),
        (AHEAD, ahead(options)),
    ] {
        report
            .checks
            .push(ask(connection, check, options.examples, &faults).await?);
    }
    Ok(())
}
