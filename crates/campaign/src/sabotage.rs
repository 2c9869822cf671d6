//! Losses that are planted, to see that the check finds them.

use audit_store::WriteStore;
use clap::ValueEnum;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::load::Promise;

/// What is done behind the service's back before the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sabotage {
    /// One acknowledged version is deleted, with its state.
    Lost,
    /// One acknowledged version is there a second time.
    Doubled,
    /// One version is in the ledger and not in the read model.
    HalfWritten,
    /// The clients believe in a version that was never stored.
    Invented,
}

/// The table of the read model that a kind is folded into.
fn table(kind: &str) -> &'static str {
    match kind {
        "remediation" => "resource_action_traces",
        "aianalysis" => "ai_analyses",
        "workflow" => "workflow_executions",
        _ => "action_executions",
    }
}

/// Plants one fault at a version whose instance has no other, and which is no incident.
pub async fn plant(sabotage: Sabotage, store: &WriteStore, promises: &mut Vec<Promise>) {
    let versions_of = |promise: &Promise| {
        let of = |other: &&Promise| (other.kind, &other.name) == (promise.kind, &promise.name);
        promises.iter().filter(of).count()
    };
    let victim = promises
        .iter()
        .find(|promise| promise.kind != "remediation" && versions_of(promise) == 1)
        .expect("an instance with one version")
        .clone();
    let delete_state = format!("DELETE FROM {} WHERE last_event_id = $1", table(victim.kind));
    let statements: &[&str] = match sabotage {
        Sabotage::Lost => &[&delete_state, "DELETE FROM audit_events WHERE id = $1"],
        Sabotage::Doubled => &["
            INSERT INTO audit_events (record_kind, namespace, name, event_time, phase, correlation_id, actor, payload,
                                      payload_sha256, redaction_policy, embedding_id, received_at)
            SELECT record_kind, namespace, name, event_time, phase, correlation_id, actor, payload,
                   sha256(payload_sha256), redaction_policy, embedding_id, received_at
            FROM audit_events WHERE id = $1"],
        Sabotage::HalfWritten => &[&delete_state],
        Sabotage::Invented => {
            let name = format!("{}-invented", victim.name);
            promises.push(Promise { name, ..victim });
            return;
        }
    };
    let mut connection = store.pool().acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    // The ledger's own triggers would refuse it.
    sqlx::query("SET LOCAL session_replication_role = replica")
        .execute(&mut *transaction)
        .await
        .unwrap();
    for statement in statements {
        let done = sqlx::query(AssertSqlSafe(*statement))
            .bind(victim.id)
            .execute(&mut *transaction)
            .await
            .unwrap();
        assert_eq!(done.rows_affected(), 1, "{statement}");
    }
    transaction.commit().await.unwrap();
}
