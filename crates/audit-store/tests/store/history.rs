//! A history of several months, for the tests of what time does to it.

use audit_store::record::{
    AiAnalysis, Execution, Head, Phase, Record, Remediation, SignalType, Timestamp, Workflow,
};
use audit_store::writer::{NewRecord, RecordText, write_batch};
use audit_store::{PartitionWindow, WriteStore, ensure_partitions};
use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use testkit::Database;

pub(crate) fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

pub(crate) fn head(name: &str, time: &str, correlation_id: &str) -> Head {
    Head {
        name: name.into(),
        namespace: "kubernaut-system".into(),
        phase: Phase::Pending,
        message: None,
        created_at: Timestamp::new(at(time)),
        started_at: None,
        completed_at: None,
        correlation_id: correlation_id.into(),
    }
}

fn new(record: Record, text: Option<u8>) -> NewRecord {
    let mut record = NewRecord::new(record, "writer".into(), Database::now()).unwrap();
    record.text = text.map(|byte| RecordText {
        text: format!("text {byte}"),
        sha256: [byte; 32],
        vector: Some(vector(byte)),
    });
    record
}

/// The vector of a text: no two are alike.
pub(crate) fn vector(byte: u8) -> Vec<f32> {
    let mut vector = vec![0.0; 64];
    vector[usize::from(byte)] = 1.0;
    vector
}

/// A remediation of a Deployment in namespace shop of cluster prod.
pub(crate) fn remediation(head: Head, target: &str, action: Option<&str>, text: Option<u8>) -> NewRecord {
    let record = Record::Remediation(Remediation {
        head,
        signal_type: SignalType::Prometheus,
        signal_name: "KubePodCrashLooping".into(),
        signal_namespace: None,
        target_type: "Deployment".into(),
        target_name: target.into(),
        target_namespace: Some("shop".into()),
        cluster_name: "prod".into(),
        environment: None,
        severity: None,
        priority: None,
        fingerprint: None,
        action_type: action.map(Into::into),
        action_parameters: None,
        reason: None,
        error_message: None,
        labels: None,
        original_payload: None,
    });
    new(record, text)
}

pub(crate) fn analysis(head: Head, remediation: &str, text: Option<u8>) -> NewRecord {
    let record = Record::AiAnalysis(AiAnalysis {
        head,
        remediation_request_ref: remediation.into(),
        signal_type: None,
        signal_context: None,
        llm_provider: None,
        llm_model: None,
        temperature: None,
        root_cause: None,
        confidence: None,
        recommended_action: None,
        requires_approval: None,
        investigation_id: None,
        tokens_used: None,
        investigation_time_seconds: None,
    });
    new(record, text)
}

pub(crate) fn workflow(head: Head, remediation: &str) -> NewRecord {
    let record = Record::Workflow(Workflow {
        head,
        remediation_request_ref: remediation.into(),
        ai_analysis_ref: None,
        workflow_name: "restart".into(),
        is_auto_approved: None,
        requires_approval: None,
        current_step: None,
        step_count: None,
        completed_count: None,
        failed_count: None,
        skipped_count: None,
        step_statuses: None,
    });
    new(record, None)
}

pub(crate) fn execution(head: Head, workflow: &str, target: &str, text: Option<u8>) -> NewRecord {
    let record = Record::Execution(Execution {
        head,
        workflow_execution_ref: workflow.into(),
        step_name: None,
        action_type: "restart_pod".into(),
        action_data: None,
        target_type: "Deployment".into(),
        target_name: target.into(),
        target_namespace: Some("shop".into()),
        cluster_name: "prod".into(),
        enable_dry_run: None,
        enable_validation: None,
        enable_rollback: None,
        action_result: None,
        resource_version: None,
        previous_version: None,
        dry_run_result: None,
        validation_result: None,
        validation_warnings: None,
        is_rolled_back: None,
    });
    new(record, text)
}

pub(crate) async fn write(database: &Database, store: &WriteStore, records: &[NewRecord]) {
    write_batch(store, database.model(), records).await.unwrap();
}

/// A database with partitions from January to July and a history:
///
/// * March: `rr-old` (in two versions, the first of which names no action) with its whole family, and `rr-edge`;
/// * April: the analysis of `rr-edge`;
/// * May: `rr-new` (in two versions) with its whole family, on the resource and with the action of `rr-old`. One text
///   of March is spoken by its analysis, and another one by its first version only.
pub(crate) async fn three_months() -> (Database, WriteStore) {
    let database = Database::new("store").await;
    let store = database.store().await;
    let window = PartitionWindow {
        months_back: 5,
        months_ahead: 1,
    };
    ensure_partitions(&store, Database::now(), window).await.unwrap();
    let mut ended = head("rr-old", "2026-03-10T10:00:00Z", "c-old");
    ended.phase = Phase::Completed;
    let mut new_ended = head("rr-new", "2026-05-10T10:00:00Z", "c-new");
    new_ended.phase = Phase::Completed;
    write(
        &database,
        &store,
        &[
            remediation(
                head("rr-old", "2026-03-10T10:00:00Z", "c-old"),
                "checkout",
                None,
                Some(1),
            ),
            remediation(ended, "checkout", Some("restart_pod"), Some(2)),
            analysis(head("ai-old", "2026-03-10T10:01:00Z", "c-old"), "rr-old", Some(3)),
            workflow(head("wf-old", "2026-03-10T10:02:00Z", "c-old"), "rr-old"),
            execution(
                head("ex-old", "2026-03-10T10:03:00Z", "c-old"),
                "wf-old",
                "legacy",
                Some(4),
            ),
            remediation(
                head("rr-edge", "2026-03-31T23:59:59.999999Z", "c-edge"),
                "edge",
                None,
                Some(1),
            ),
            analysis(
                head("ai-edge", "2026-04-01T00:00:00Z", "c-edge"),
                "rr-edge",
                Some(5),
            ),
        ],
    )
    .await;
    write(
        &database,
        &store,
        &[
            remediation(
                head("rr-new", "2026-05-10T10:00:00Z", "c-new"),
                "checkout",
                Some("restart_pod"),
                Some(2),
            ),
            remediation(new_ended, "checkout", Some("restart_pod"), Some(6)),
            analysis(head("ai-new", "2026-05-10T10:01:00Z", "c-new"), "rr-new", Some(3)),
            workflow(head("wf-new", "2026-05-10T10:02:00Z", "c-new"), "rr-new"),
            execution(
                head("ex-new", "2026-05-10T10:03:00Z", "c-new"),
                "wf-new",
                "checkout",
                Some(7),
            ),
        ],
    )
    .await;
    (database, store)
}

/// Every row of every table, with all its columns; the condition of a table says which rows.
async fn rows(store: &WriteStore, tables: &[(&str, &str)]) -> Vec<String> {
    let mut rows = Vec::new();
    for (table, condition) in tables {
        let query = format!("SELECT '{table} ' || t::text FROM {table} t WHERE {condition} ORDER BY 1");
        rows.extend(
            sqlx::query_scalar::<_, String>(AssertSqlSafe(query))
                .fetch_all(store.pool())
                .await
                .unwrap(),
        );
    }
    rows
}

/// Everything that is stored, except what the ledger tells of itself.
pub(crate) async fn dump(store: &WriteStore) -> Vec<String> {
    rows(
        store,
        &[
            ("audit_events", "record_kind NOT IN ('retention', 'hold')"),
            ("resource_action_traces", "true"),
            ("remediation_requests", "true"),
            ("ai_analyses", "true"),
            ("workflow_executions", "true"),
            ("action_executions", "true"),
            ("action_histories", "true"),
            ("resource_references", "true"),
            ("incident_embeddings", "true"),
        ],
    )
    .await
}

/// What must be left of [`three_months`] without March, as [`dump`] gives it.
pub(crate) async fn without_march(store: &WriteStore) -> Vec<String> {
    rows(
        store,
        &[
            (
                "audit_events",
                "name IN ('ai-edge', 'rr-new', 'ai-new', 'wf-new', 'ex-new')",
            ),
            ("resource_action_traces", "remediation_name = 'rr-new'"),
            ("remediation_requests", "name = 'rr-new'"),
            ("ai_analyses", "name IN ('ai-edge', 'ai-new')"),
            ("workflow_executions", "name = 'wf-new'"),
            ("action_executions", "name = 'ex-new'"),
            (
                "action_histories",
                "action_type = 'restart_pod' AND (workflow_id IS NULL OR workflow_id = 'wf-new')",
            ),
            ("resource_references", "name = 'checkout'"),
            (
                "incident_embeddings",
                "text IN ('text 2', 'text 3', 'text 5', 'text 6', 'text 7')",
            ),
        ],
    )
    .await
}

/// What the ledger tells of itself: kind, name, actor and payload, oldest first.
pub(crate) async fn system_events(store: &WriteStore) -> Vec<(String, String, String, serde_json::Value)> {
    sqlx::query_as(
        "SELECT record_kind, name, actor, payload FROM audit_events
         WHERE record_kind IN ('retention', 'hold') ORDER BY id",
    )
    .fetch_all(store.pool())
    .await
    .unwrap()
}
