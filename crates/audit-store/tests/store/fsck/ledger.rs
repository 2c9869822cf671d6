//! A ledger that was tampered with.

use testkit::Database;

use super::{findings, history, number, tamper};

/// Event 1 is a version that later ones have replaced, so that only the ledger knows it.
const OLD: &str = "UPDATE audit_events SET {} WHERE id = 1";

#[tokio::test]
async fn a_changed_row_is_found_by_its_id() {
    let database = Database::new("fsck").await;
    let store = database.store().await;
    history::write(&store, &database).await;
    let cases: [(&str, &str, &[&str]); 7] = [
        (
            r#"payload = jsonb_set(payload, '{message}', '"rr-1 is pending"')"#,
            r#"payload = jsonb_set(payload, '{message}', '"rr-1 is Pending"')"#,
            &["ledger.payload_hash: audit_events 1: the payload has another hash"],
        ),
        (
            "payload_sha256 = set_bit(payload_sha256, 7, 1 - get_bit(payload_sha256, 7))",
            "payload_sha256 = set_bit(payload_sha256, 7, 1 - get_bit(payload_sha256, 7))",
            &["ledger.payload_hash: audit_events 1: the payload has another hash"],
        ),
        (
            "phase = 'Processing', correlation_id = 'corr-2'",
            "phase = 'Pending', correlation_id = 'corr-rr-1'",
            // The history without an action type has nothing newer than this event.
            &[
                "ledger.columns: audit_events 1: differs in phase, correlation_id",
                r#"read_model.action_histories: action_histories ["prod-eu-1", "shop", "Deployment", "checkout", null, null]: differs in status, status_rank (id 1)"#,
            ],
        ),
        (
            "received_at = received_at + interval '1 year'",
            "received_at = received_at - interval '1 year'",
            &[
                "ledger.received_at: audit_events 1: of 2026-06-15 11:00:00 UTC, received at 2027-06-15 12:00:00 UTC",
            ],
        ),
        (
            "received_at = received_at - interval '2 hours'",
            "received_at = received_at + interval '2 hours'",
            &[
                "ledger.received_at: audit_events 1: of 2026-06-15 11:00:00 UTC, received at 2026-06-15 10:00:00 UTC",
            ],
        ),
        (
            "embedding_id = 4711",
            "embedding_id = 1",
            &["embeddings.reference: audit_events 1: text 4711 does not exist"],
        ),
        (
            r#"payload = payload || '{"startedAt": "yesterday evening"}'"#,
            "payload = payload - 'startedAt'",
            &[
                "ledger.payload_hash: audit_events 1: the payload has another hash",
                "ledger.foldable: audit_events 1: invalid input syntax for type timestamp with time zone: \"yesterday evening\"",
                // An event that cannot be folded leaves its history to an older one.
                r#"read_model.action_histories: action_histories ["prod-eu-1", "shop", "Deployment", "checkout", null, null]: differs in status_event_id, status_time (id 1)"#,
            ],
        ),
    ];
    for (change, undo, expected) in cases {
        tamper(&store, &OLD.replace("{}", change)).await;
        assert_eq!(findings(&database).await, expected, "{change}");
        tamper(&store, &OLD.replace("{}", undo)).await;
    }
    assert_eq!(findings(&database).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_deleted_row_is_missed_by_the_state_it_made() {
    let database = Database::new("fsck").await;
    let store = database.store().await;
    history::write(&store, &database).await;
    let versions = "FROM audit_events WHERE record_kind = 'workflow' AND name = 'wf-1'";
    let last = number(&store, &format!("SELECT max(id) {versions}")).await;
    let first = number(&store, &format!("SELECT min(id) {versions}")).await;
    let row = number(&store, "SELECT id FROM workflow_executions WHERE name = 'wf-1'").await;
    tamper(&store, &format!("DELETE FROM audit_events WHERE id = {last}")).await;
    assert_eq!(
        findings(&database).await,
        [
            format!(
                r#"read_model.workflow_executions: workflow_executions ["kubernaut-system", "wf-1", "2026-06-15T11:00:00+00:00"]: differs in last_event_id, message, phase (id {row})"#
            ),
            format!(
                "read_model.latest_state: workflow_executions {row}: is of event {last}, the greatest is {first}"
            ),
        ]
    );
}

#[tokio::test]
async fn rows_of_other_kinds_are_hashed_and_left_out_of_the_fold() {
    let database = Database::new("fsck").await;
    let store = database.store().await;
    history::write(&store, &database).await;
    let insert = |columns: &str, values: &str| {
        format!(
            "INSERT INTO audit_events (record_kind, namespace, name, event_time, phase, correlation_id, actor, payload,
                 payload_sha256, redaction_policy, received_at {columns}) OVERRIDING SYSTEM VALUE
             VALUES ('retention', '', 'n', '2026-05-31T00:00:00Z', 'Completed', 'c', 'a', '{{}}', {values})"
        )
    };
    tamper(
        &store,
        "ALTER TABLE audit_events DROP CONSTRAINT audit_events_record_kind_known",
    )
    .await;
    tamper(&store, &insert("", "sha256('{}'), 0, '2026-06-01T00:00:00Z'")).await;
    let report = super::report(&database).await;
    assert_eq!(super::found(&report), Vec::<String>::new());
    assert_eq!(report.other_events, 1);
    // Their hashes count, and so do their ids.
    tamper(
        &store,
        &insert(", id", "sha256('{ }'), 0, '2026-06-01T00:00:00Z', 1"),
    )
    .await;
    assert_eq!(
        findings(&database).await,
        [
            "ledger.payload_hash: audit_events 1: the payload has another hash",
            "ledger.unique_ids: audit_events 1: 2 events have this id",
        ]
    );
}

#[tokio::test]
async fn a_hash_of_an_older_form_is_told_from_a_wrong_one() {
    let database = Database::new("fsck").await;
    let store = database.store().await;
    history::write(&store, &database).await;
    // Event 1 has a zero and a large number in its parameters, which were once hashed as they were sent.
    let text: String = sqlx::query_scalar("SELECT payload::text FROM audit_events WHERE id = 1")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert!(
        text.contains("\"zero\": 0.0") && text.contains("\"large\": 100000000000000000"),
        "{text}"
    );
    let mut payload: serde_json::Value = serde_json::from_str(&text).unwrap();
    payload["actionParameters"]["zero"] = serde_json::json!(-0.0);
    payload["actionParameters"]["large"] = serde_json::json!(1e17);
    let hash = <sha2::Sha256 as sha2::Digest>::digest(payload.to_string());
    tamper(
        &store,
        &format!(
            "UPDATE audit_events SET payload_sha256 = decode('{}', 'hex') WHERE id = 1",
            hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        ),
    )
    .await;
    assert_eq!(
        findings(&database).await,
        ["ledger.payload_hash_older_form: audit_events 1: a repetition of this version is a new version"]
    );
}

#[tokio::test]
async fn a_row_in_the_partition_of_another_month_is_found() {
    let database = Database::new("fsck").await;
    let store = database.store().await;
    history::write(&store, &database).await;
    let event = number(&store, "SELECT id FROM audit_events WHERE name = 'wf-2'").await;
    // PostgreSQL refuses it, so it has to be told that the rows were looked at already.
    tamper(
        &store,
        &format!(
            "ALTER TABLE audit_events DETACH PARTITION audit_events_y2026m06;
             INSERT INTO audit_events_y2026m06 (id, record_kind, namespace, name, event_time, phase, correlation_id,
                    actor, payload, payload_sha256, redaction_policy, embedding_id, received_at)
             SELECT id, record_kind, namespace, name, event_time, phase, correlation_id, actor, payload, payload_sha256,
                    redaction_policy, embedding_id, received_at FROM audit_events WHERE id = {event};
             DELETE FROM audit_events WHERE id = {event};
             ALTER TABLE audit_events_y2026m06 ADD CONSTRAINT seen CHECK (event_time IS NOT NULL
                 AND event_time >= '2026-06-01T00:00:00Z' AND event_time < '2026-07-01T00:00:00Z') NOT VALID;
             UPDATE pg_constraint SET convalidated = true WHERE conname = 'seen'
                 AND conrelid = 'audit_events_y2026m06'::regclass;
             ALTER TABLE audit_events ATTACH PARTITION audit_events_y2026m06
                 FOR VALUES FROM ('2026-06-01T00:00:00Z') TO ('2026-07-01T00:00:00Z');"
        ),
    )
    .await;
    let found = findings(&database).await;
    assert_eq!(
        found[0],
        format!(
            "ledger.partition: audit_events {event}: of 2026-05-26 12:00:00 UTC in audit_events_y2026m06"
        )
    );
    // Whether the fold finds it depends on whether PostgreSQL looks only where it belongs.
    for other in &found[1..] {
        assert!(
            other.contains(r#""wf-2", "2026-05-26T12:00:00+00:00"]: not in the ledger"#),
            "{found:#?}"
        );
    }
}
