//! Guards, indexes, views, grants, partitions, texts.

use audit_store::PartitionWindow;
use audit_store::compatibility::CONTRACT_VERSION;
use audit_store::fsck::{Options, check};
use testkit::Database;

use super::{findings, found, history, options, tamper};

#[tokio::test]
async fn what_the_catalogs_should_say_and_do_not_is_found() {
    let database = Database::new("fsck").await;
    let store = database.store().await;
    history::write(&store, &database).await;
    let context = database.schema().context();
    let view = format!("{context}.texts");
    let reader = "kubernaut_test_reader";
    let cases: [(String, String, Vec<String>); 10] = [
        (
            "DROP TRIGGER audit_events_no_truncate ON audit_events_y2026m06".into(),
            "CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events_y2026m06
                 FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change()"
                .into(),
            vec!["ledger.append_only: audit_events_y2026m06: no enabled trigger refuses TRUNCATE".into()],
        ),
        (
            "ALTER TABLE audit_events_y2026m05 DISABLE TRIGGER audit_events_append_only".into(),
            "ALTER TABLE audit_events_y2026m05 ENABLE TRIGGER audit_events_append_only".into(),
            vec!["ledger.append_only: audit_events_y2026m05: no enabled trigger refuses UPDATE and DELETE".into()],
        ),
        (
            format!(
                "ALTER VIEW {view} RENAME COLUMN text TO content; ALTER VIEW {context}.events RENAME TO incidences"
            ),
            format!(
                "ALTER VIEW {view} RENAME COLUMN content TO text; ALTER VIEW {context}.incidences RENAME TO events"
            ),
            vec![
                "properties.views: events: does not exist".into(),
                "properties.views: texts: has no column text".into(),
            ],
        ),
        (
            format!("GRANT SELECT ON audit_events TO {reader}; REVOKE SELECT ON {view} FROM {reader}"),
            format!("REVOKE SELECT ON audit_events FROM {reader}; GRANT SELECT ON {view} TO {reader}"),
            vec![
                format!("grants.reader: {reader}: holds a privilege on audit_events"),
                format!("grants.reader: {reader}: may not read texts"),
            ],
        ),
        (
            format!("REVOKE USAGE ON SCHEMA {context} FROM {reader}"),
            format!("GRANT USAGE ON SCHEMA {context} TO {reader}"),
            vec![format!("grants.reader: {context}: no role may use it: run `kubernaut migrate`")],
        ),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'incident_embeddings_nearest'::regclass".into(),
            "UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'incident_embeddings_nearest'::regclass".into(),
            vec!["indexes.valid: incident_embeddings_nearest: is not valid: REINDEX it".into()],
        ),
        (
            "ALTER TABLE ai_analyses RENAME CONSTRAINT ai_analyses_instance TO ai_analyses_other".into(),
            "ALTER TABLE ai_analyses RENAME CONSTRAINT ai_analyses_other TO ai_analyses_instance".into(),
            vec!["indexes.present: ai_analyses_instance: does not exist".into()],
        ),
        (
            "UPDATE store_properties SET contract_version = 99".into(),
            format!("UPDATE store_properties SET contract_version = {CONTRACT_VERSION}"),
            vec![format!(
                "properties.contract: store_properties: contract version 99, this version knows {CONTRACT_VERSION}"
            )],
        ),
        (
            "DELETE FROM store_properties".into(),
            format!(
                "INSERT INTO store_properties (contract_version, embedding_model, embedding_model_version, embedding_dimension)
                 VALUES ({CONTRACT_VERSION}, 'hashed', '1', 64)"
            ),
            vec!["properties.contract: store_properties: 0 rows".into()],
        ),
        (
            "ALTER SEQUENCE audit_events_id_seq RESTART; SELECT setval('remediation_requests_id_seq', 2)".into(),
            "SELECT setval('audit_events_id_seq', 1000), setval('remediation_requests_id_seq', 1000)".into(),
            vec![
                "ledger.sequences: audit_events: the sequence is at 0, the greatest id is 14".into(),
                "ledger.sequences: remediation_requests: the sequence is at 2, the greatest id is 3".into(),
            ],
        ),
    ];
    for (change, undo, expected) in cases {
        tamper(&store, &change).await;
        assert_eq!(findings(&database).await, expected, "{change}");
        tamper(&store, &undo).await;
    }
    assert_eq!(findings(&database).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_text_that_is_not_what_its_row_says_is_found() {
    let database = Database::new("fsck").await;
    let store = database.store().await;
    history::write(&store, &database).await;
    let cases = [
        (
            "UPDATE incident_embeddings SET text = 'other' WHERE id = 1",
            "UPDATE incident_embeddings SET text = 'crash loop' WHERE id = 1",
            vec!["embeddings.text_hash: incident_embeddings 1: text_sha256 is that of another text"],
        ),
        (
            "UPDATE incident_embeddings SET embedding = (SELECT array_agg(0.5)::vector FROM generate_series(1, 64)) WHERE id = 1",
            "UPDATE incident_embeddings SET embedding = l2_normalize(embedding) WHERE id = 1",
            vec!["embeddings.unit_length: incident_embeddings 1: length 4"],
        ),
        (
            "UPDATE store_properties SET embedding_dimension = 63",
            "UPDATE store_properties SET embedding_dimension = 64",
            vec![
                "properties.contract: store_properties: dimension 63, the column embedding has 64",
                "embeddings.dimension: incident_embeddings 1: 64 dimensions instead of 63",
                "embeddings.dimension: incident_embeddings 3: 64 dimensions instead of 63",
            ],
        ),
        (
            "ALTER TABLE incident_embeddings DROP CONSTRAINT incident_embeddings_embedded_at_with_vector;
             UPDATE incident_embeddings SET embedded_at = NULL WHERE id = 1",
            "UPDATE incident_embeddings SET embedded_at = created_at WHERE id = 1",
            vec!["embeddings.embedded_at: incident_embeddings 1: has only one of vector and embedded_at"],
        ),
        (
            "UPDATE incident_embeddings SET model = 'older' WHERE id = 1",
            "UPDATE incident_embeddings SET model = 'hashed' WHERE id = 1",
            vec!["embeddings.model: incident_embeddings 1: of model older"],
        ),
        (
            "INSERT INTO incident_embeddings (id, model, text, text_sha256, created_at) OVERRIDING SYSTEM VALUE
             VALUES (77, 'hashed', 'x', sha256('x'), now())",
            "DELETE FROM incident_embeddings WHERE id = 77",
            vec!["embeddings.orphan: incident_embeddings 77: no event points to it"],
        ),
    ];
    for (change, undo, expected) in cases {
        tamper(&store, change).await;
        assert_eq!(findings(&database).await, expected, "{change}");
        tamper(&store, undo).await;
    }
    assert_eq!(findings(&database).await, Vec::<String>::new());
}

#[tokio::test]
async fn months_without_partitions_are_warned_of() {
    let database = Database::new("fsck").await;
    let store = database.store().await;
    history::write(&store, &database).await;
    let late = history::new(
        history::remediation(
            history::head(
                "rr-9",
                audit_store::record::Phase::Pending,
                Database::now() - chrono::Days::new(400),
            ),
            "checkout",
            None,
        ),
        None,
    );
    audit_store::writer::write_batch(&store, database.model(), &[late])
        .await
        .unwrap();
    let options = Options {
        partitions: PartitionWindow {
            months_back: 0,
            months_ahead: 2,
        },
        ..options()
    };
    let report = check(&database.writer_options(), &options, &mut |_| {})
        .await
        .unwrap();
    assert_eq!(
        found(&report),
        [
            "partitions.default_rows: audit_events_default 2025-05: 1 rows",
            "partitions.default_rows: resource_action_traces_default 2025-05: 1 rows",
            "partitions.ahead: audit_events_y2026m08: does not exist: Data Storage makes it",
            "partitions.ahead: resource_action_traces_y2026m08: does not exist: Data Storage makes it",
        ]
    );
}

#[tokio::test]
async fn the_contract_lists_every_column_of_every_view() {
    // Each column is taken away in turn; one that the list lacks would not be missed.
    let database = Database::new("fsck").await;
    let store = database.store().await;
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relnamespace = (current_schema() || '_context')::regnamespace AND c.relkind = 'v' AND a.attnum > 0
         ORDER BY 1, 2",
    )
    .fetch_all(store.pool())
    .await
    .unwrap();
    let renames: String = columns
        .iter()
        .map(|(view, column)| {
            format!(
                "ALTER VIEW {}.{view} RENAME COLUMN {column} TO x_{column};",
                database.schema().context()
            )
        })
        .collect();
    tamper(&store, &renames).await;
    let options = Options {
        examples: 1_000,
        ..options()
    };
    let report = check(&database.writer_options(), &options, &mut |_| {})
        .await
        .unwrap();
    let mut missed = found(&report);
    missed.sort();
    let mut expected: Vec<String> = columns
        .iter()
        .map(|(view, column)| format!("properties.views: {view}: has no column {column}"))
        .collect();
    expected.sort();
    assert_eq!(missed, expected);
}
