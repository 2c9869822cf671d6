//! The incident list.

use sqlx::PgConnection;

/// What an incident is shown by, as the views have it.
pub(super) const COLUMNS: &str = "i.id, i.remediation_name, i.remediation_namespace, i.signal_type, i.alert_name, i.severity, i.cluster,
        i.environment, i.resource_namespace, i.resource_kind, i.resource_name, i.action_type, i.phase, i.status, i.message,
        i.reason, i.error_message, i.root_cause, i.workflow, i.labels, i.correlation_id, i.created_at, i.updated_at";
/// And how many there are in all.
const TOTAL: &str = "SELECT count(*) FROM incidents";

/// The first page.
pub(super) async fn page(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let page = format!("SELECT {COLUMNS} FROM incidents i ORDER BY i.created_at DESC, i.id DESC LIMIT 20");
    sqlx::query(sqlx::AssertSqlSafe(page))
        .fetch_all(connection)
        .await?;
    Ok(())
}

/// The first page, and the total.
pub(super) async fn with_total(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    page(&mut *connection).await?;
    sqlx::query(TOTAL).fetch_one(connection).await?;
    Ok(())
}
