//! A read model that was damaged is found to be so, and made again.

use audit_store::fsck::{Rebuilt, rebuild};
use audit_store::reader::{IncidentFilter, Order, PageRequest, Search, Start};
use audit_store::{Reader, WriteStore};
use testkit::Database;

use super::{findings, history, number, options, tamper};

/// Everything the reader answers: the list, every incident in detail, and a search.
async fn answers(reader: &Reader, database: &Database) -> String {
    let page = reader
        .incidents(
            &IncidentFilter::default(),
            PageRequest {
                order: Order::Descending,
                limit: 100,
                start: Start::Offset(0),
                with_total: true,
            },
        )
        .await
        .unwrap();
    let mut details = Vec::new();
    for incident in &page.incidents {
        details.push(reader.incident(incident.id).await.unwrap());
    }
    let hits = reader
        .search(&Search {
            vector: (0..64).map(|index| if index < 2 { 0.7 } else { 0.0 }).collect(),
            model: database.model().clone(),
            filter: IncidentFilter::default(),
            max_results: 10,
            min_similarity: 0.1,
            except: None,
        })
        .await
        .unwrap();
    assert_eq!((page.total, page.incidents.len(), hits.len()), (Some(3), 3, 1));
    format!("{page:#?}\n{details:#?}\n{hits:#?}")
}

async fn rebuilt(database: &Database) -> Rebuilt {
    rebuild(&database.writer_options(), &options(), &mut |_| {})
        .await
        .unwrap()
}

/// What changed, as `table: written, removed`.
fn changes(rebuilt: &Rebuilt) -> Vec<String> {
    rebuilt
        .tables
        .iter()
        .filter(|table| (table.written, table.removed) != (0, 0))
        .map(|table| format!("{}: {}, {}", table.table, table.written, table.removed))
        .collect()
}

struct Filled {
    database: Database,
    store: WriteStore,
    reader: Reader,
}

async fn filled() -> Filled {
    let database = Database::new("fsck").await;
    let store = database.store().await;
    history::write(&store, &database).await;
    let reader = database.reader().await;
    Filled {
        database,
        store,
        reader,
    }
}

const RR_1: &str = r#"["kubernaut-system", "rr-1", "2026-06-15T11:00:00+00:00"]"#;

#[tokio::test]
async fn a_sound_read_model_is_left_as_it_is() {
    let Filled { database, reader, .. } = filled().await;
    let before = answers(&reader, &database).await;
    let rebuilt = rebuilt(&database).await;
    assert_eq!(rebuilt.events, 12);
    assert_eq!(changes(&rebuilt), Vec::<String>::new());
    assert_eq!(answers(&reader, &database).await, before);
}

#[tokio::test]
async fn every_damage_is_found_and_mended_and_incidents_keep_their_ids() {
    let Filled {
        database,
        store,
        reader,
    } = filled().await;
    let before = answers(&reader, &database).await;
    let id = number(
        &store,
        "SELECT id FROM remediation_requests WHERE name = 'rr-1' ORDER BY created_at DESC LIMIT 1",
    )
    .await;
    let history = r#"["prod-eu-1", "shop", "Deployment", "checkout", null, "restart_pod"]"#;
    let cases: [(String, Vec<String>, &[&str]); 9] = [
        (
            format!("UPDATE resource_action_traces SET phase = 'Failed', labels = '{{}}' WHERE id = {id}"),
            vec![format!(
                "read_model.resource_action_traces: resource_action_traces {RR_1}: differs in execution_status, labels, phase (id {id})"
            )],
            &["resource_action_traces: 1, 0"],
        ),
        (
            format!("DELETE FROM resource_action_traces WHERE id = {id}"),
            vec![format!("read_model.resource_action_traces: resource_action_traces {RR_1}: missing")],
            &["resource_action_traces: 1, 0"],
        ),
        (
            format!(
                "INSERT INTO resource_action_traces (id, action_history_id, action_timestamp, remediation_namespace,
                     remediation_name, signal_type, alert_name, cluster_name, phase, correlation_id, last_event_id,
                     recorded_by, updated_at)
                 SELECT 77, action_history_id, action_timestamp, 'made-up', remediation_name, signal_type, alert_name,
                     cluster_name, phase, correlation_id, last_event_id, recorded_by, updated_at
                 FROM resource_action_traces WHERE id = {id}"
            ),
            vec![
                r#"read_model.resource_action_traces: resource_action_traces ["made-up", "rr-1", "2026-06-15T11:00:00+00:00"]: not in the ledger (id 77)"#.into(),
            ],
            &["resource_action_traces: 0, 1"],
        ),
        (
            format!("DELETE FROM remediation_requests WHERE id = {id}"),
            vec![
                format!("read_model.remediation_requests: remediation_requests {RR_1}: missing"),
                format!("read_model.resource_action_traces: resource_action_traces {RR_1}: differs in id (id {id})"),
            ],
            &["remediation_requests: 1, 0"],
        ),
        (
            "INSERT INTO remediation_requests (id, namespace, name, created_at) OVERRIDING SYSTEM VALUE
             VALUES (0, 'made-up', 'rr-1', '2026-06-15T11:00:00Z')"
                .into(),
            vec![
                r#"read_model.remediation_requests: remediation_requests ["made-up", "rr-1", "2026-06-15T11:00:00+00:00"]: not in the ledger (id 0)"#.into(),
            ],
            &["remediation_requests: 0, 1"],
        ),
        (
            "UPDATE action_histories SET status = 'Failed' WHERE action_type = 'restart_pod'".into(),
            vec![format!("read_model.action_histories: action_histories {history}: differs in status (id 2)")],
            &["action_histories: 1, 0"],
        ),
        (
            format!("UPDATE resource_action_traces SET action_history_id = 1 WHERE id = {id}"),
            vec![format!(
                "read_model.resource_action_traces: resource_action_traces {RR_1}: differs in action_history_id (id {id})"
            )],
            &["resource_action_traces: 1, 0"],
        ),
        (
            "UPDATE ai_analyses SET root_cause = 'cosmic rays', embedding_id = 4711 WHERE name = 'ai-1'".into(),
            vec![
                r#"read_model.ai_analyses: ai_analyses ["kubernaut-system", "ai-1", "2026-06-15T11:00:00+00:00"]: differs in embedding_id, root_cause (id 1)"#.into(),
                "embeddings.reference: ai_analyses 1: text 4711 does not exist".into(),
            ],
            &["ai_analyses: 1, 0"],
        ),
        (
            "UPDATE action_executions SET is_rolled_back = NULL, validation_warnings = '{}'".into(),
            vec![
                r#"read_model.action_executions: action_executions ["kubernaut-system", "ex-1", "2026-06-15T11:00:00+00:00"]: differs in is_rolled_back, validation_warnings (id 1)"#.into(),
            ],
            &["action_executions: 1, 0"],
        ),
    ];
    for (damage, expected, changed) in cases {
        tamper(&store, &damage).await;
        assert_eq!(findings(&database).await, expected, "{damage}");
        assert_eq!(changes(&rebuilt(&database).await), changed, "{damage}");
        assert_eq!(findings(&database).await, Vec::<String>::new(), "{damage}");
        assert_eq!(answers(&reader, &database).await, before, "{damage}");
    }
}

#[tokio::test]
async fn a_read_model_that_is_gone_is_made_again() {
    let Filled { database, store, .. } = filled().await;
    let ids = "SELECT string_agg(id || name || created_at, ',' ORDER BY id) FROM remediation_requests";
    let before: String = sqlx::query_scalar(ids).fetch_one(store.pool()).await.unwrap();
    tamper(
        &store,
        "TRUNCATE resource_references, action_histories, resource_action_traces, ai_analyses, workflow_executions,
             action_executions",
    )
    .await;
    assert_eq!(
        changes(&rebuilt(&database).await),
        [
            "resource_references: 2, 0",
            "action_histories: 5, 0",
            "resource_action_traces: 3, 0",
            "ai_analyses: 2, 0",
            "workflow_executions: 2, 0",
            "action_executions: 1, 0"
        ]
    );
    assert_eq!(findings(&database).await, Vec::<String>::new());
    let after: String = sqlx::query_scalar(ids).fetch_one(store.pool()).await.unwrap();
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_damaged_ledger_is_not_made_the_read_model_without_being_told_to() {
    let Filled { database, store, .. } = filled().await;
    tamper(
        &store,
        r#"UPDATE audit_events SET payload = payload || '{"message": "made up"}' WHERE id = 2;
           DELETE FROM ai_analyses"#,
    )
    .await;
    let error = rebuild(&database.writer_options(), &options(), &mut |_| {})
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ledger itself is damaged, and the read model would take the damage over; nothing was changed. \
         The first finding: ledger.payload_hash: audit_events 2, the payload has another hash"
    );
    assert_eq!(number(&store, "SELECT count(*) FROM ai_analyses").await, 0);
    let forced = audit_store::fsck::Options {
        force: true,
        ..options()
    };
    let rebuilt = rebuild(&database.writer_options(), &forced, &mut |_| {})
        .await
        .unwrap();
    assert_eq!(
        changes(&rebuilt),
        ["resource_action_traces: 1, 0", "ai_analyses: 2, 0"]
    );
    assert_eq!(
        findings(&database).await,
        ["ledger.payload_hash: audit_events 2: the payload has another hash"]
    );
}
