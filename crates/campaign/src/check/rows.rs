//! What a database holds, as the check needs it.

use std::collections::HashMap;

use audit_store::WriteStore;
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

/// Kind and name. All instances of a load are in one namespace, and no name is used twice.
pub(super) type Instance = (String, String);

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) time: DateTime<Utc>,
    pub(super) phase: String,
    pub(super) rank: i16,
    pub(super) id: i64,
}

/// A row of the read model: the ledger id it carries, and the incident it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) event: i64,
    pub(super) incident: Option<i64>,
}

/// Ledger and read model by instance.
pub(super) struct Rows {
    pub(super) ledger: HashMap<Instance, Vec<Version>>,
    pub(super) states: HashMap<Instance, Vec<State>>,
    /// Ledger ids whose text is nowhere.
    pub(super) without_text: Vec<i64>,
}

const LEDGER: &str = "SELECT record_kind, name, event_time, phase, phase_rank, id FROM audit_events";
const READ_MODEL: &str = "
    SELECT 'remediation', t.remediation_name, t.last_event_id, r.id
    FROM resource_action_traces t LEFT JOIN remediation_requests r
        ON (r.id, r.namespace, r.name, r.created_at)
         = (t.id, t.remediation_namespace, t.remediation_name, t.action_timestamp)
    UNION ALL SELECT 'aianalysis', name, last_event_id, NULL FROM ai_analyses
    UNION ALL SELECT 'workflow', name, last_event_id, NULL FROM workflow_executions
    UNION ALL SELECT 'execution', name, last_event_id, NULL FROM action_executions";
const WITHOUT_TEXT: &str = "
    SELECT e.id FROM audit_events e
    WHERE NOT EXISTS (SELECT 1 FROM incident_embeddings t WHERE t.id = e.embedding_id)";

/// Reads everything in one snapshot, on a connection without the time limits of the service.
pub(super) async fn read(store: &WriteStore) -> Rows {
    let mut connection = store.pool().acquire().await.unwrap();
    let mut transaction = connection
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
        .unwrap();
    unlimited(&mut transaction).await;
    let mut ledger: HashMap<Instance, Vec<Version>> = HashMap::new();
    for row in sqlx::query(LEDGER).fetch_all(&mut *transaction).await.unwrap() {
        let versions = ledger.entry((row.get(0), row.get(1))).or_default();
        versions.push(Version {
            time: row.get(2),
            phase: row.get(3),
            rank: row.get(4),
            id: row.get(5),
        });
    }
    let mut states: HashMap<Instance, Vec<State>> = HashMap::new();
    for row in sqlx::query(READ_MODEL)
        .fetch_all(&mut *transaction)
        .await
        .unwrap()
    {
        let found = states.entry((row.get(0), row.get(1))).or_default();
        found.push(State {
            event: row.get(2),
            incident: row.get(3),
        });
    }
    let without_text = sqlx::query_scalar(WITHOUT_TEXT)
        .fetch_all(&mut *transaction)
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    Rows {
        ledger,
        states,
        without_text,
    }
}

async fn unlimited(connection: &mut PgConnection) {
    for setting in ["statement_timeout", "idle_in_transaction_session_timeout"] {
        sqlx::query(AssertSqlSafe(format!("SET LOCAL {setting} = 0")))
            .execute(&mut *connection)
            .await
            .unwrap();
    }
}
