//! Whether the database holds what was acknowledged, once and whole.

use std::collections::HashMap;

use audit_store::WriteStore;
use chrono::{DateTime, Utc};
use sqlx::Row as _;

use crate::load::Acknowledged;

/// Kind, name, time: what identifies an instance, all being in one namespace.
type Instance = (String, String, DateTime<Utc>);

/// Instances whose version in the ledger and state in the read model belong together.
const LEDGER: &str = "SELECT record_kind, name, event_time, id, NULL::bigint FROM audit_events";
const READ_MODEL: &str = "
    SELECT 'remediation', t.remediation_name, t.action_timestamp, t.last_event_id, r.id
    FROM resource_action_traces t LEFT JOIN remediation_requests r
        ON (r.id, r.namespace, r.name, r.created_at)
         = (t.id, t.remediation_namespace, t.remediation_name, t.action_timestamp)
    UNION ALL SELECT 'aianalysis', name, record_created_at, last_event_id, NULL FROM ai_analyses
    UNION ALL SELECT 'workflow', name, record_created_at, last_event_id, NULL FROM workflow_executions
    UNION ALL SELECT 'execution', name, record_created_at, last_event_id, NULL FROM action_executions";
/// Versions whose text is nowhere.
const WITHOUT_TEXT: &str = "
    SELECT count(*) FROM audit_events e
    WHERE NOT EXISTS (SELECT 1 FROM incident_embeddings t WHERE t.id = e.embedding_id)";

/// A row of either side: the ledger id it carries, and the incident it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    event: i64,
    incident: Option<i64>,
}

/// What is wrong with a database in which every instance has one version. Nothing, it is to be hoped.
pub(crate) async fn faults(store: &WriteStore, acknowledged: &[Acknowledged]) -> Vec<String> {
    let ledger = rows(store, LEDGER).await;
    let read_model = rows(store, READ_MODEL).await;
    let without_text: i64 = sqlx::query_scalar(WITHOUT_TEXT)
        .fetch_one(store.pool())
        .await
        .unwrap();
    let mut faults = Vec::new();
    if without_text > 0 {
        faults.push(format!("{without_text} versions have no text"));
    }
    for promised in acknowledged {
        let instance = (
            promised.kind.to_owned(),
            promised.name.clone(),
            promised.created_at,
        );
        let events: Vec<_> = of(&ledger, &instance).iter().map(|row| row.event).collect();
        if events != [promised.id] {
            faults.push(format!("{promised:?}: the ledger has {events:?}"));
        }
        let state = Row {
            event: promised.id,
            incident: promised.incident,
        };
        let states = of(&read_model, &instance);
        if states != [state] {
            faults.push(format!("{promised:?}: the read model has {states:?}"));
        }
    }
    // Also what was stored and not acknowledged is stored whole.
    for (instance, versions) in &ledger {
        let states = of(&read_model, instance);
        if versions.len() != 1 || states.len() != 1 || states[0].event != versions[0].event {
            faults.push(format!(
                "{instance:?}: {versions:?} in the ledger, {states:?} in the read model"
            ));
        }
    }
    for instance in read_model
        .keys()
        .filter(|instance| !ledger.contains_key(*instance))
    {
        faults.push(format!("{instance:?}: not in the ledger"));
    }
    if ledger.len() < acknowledged.len() {
        faults.push(format!(
            "{} instances, {} acknowledged",
            ledger.len(),
            acknowledged.len()
        ));
    }
    faults
}

fn of<'a>(rows: &'a HashMap<Instance, Vec<Row>>, instance: &Instance) -> &'a [Row] {
    rows.get(instance).map_or(&[], Vec::as_slice)
}

async fn rows(store: &WriteStore, query: &'static str) -> HashMap<Instance, Vec<Row>> {
    let mut rows: HashMap<Instance, Vec<Row>> = HashMap::new();
    for row in sqlx::query(query).fetch_all(store.pool()).await.unwrap() {
        let instance = rows.entry((row.get(0), row.get(1), row.get(2))).or_default();
        instance.push(Row {
            event: row.get(3),
            incident: row.get(4),
        });
    }
    rows
}
