//! An incident with everything recorded about it: one statement for each kind of record, by the names that belong together.

use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::list::COLUMNS;

const ANALYSES: &str = "SELECT a.* FROM analyses a
 WHERE a.namespace = $1 AND a.remediation_request_ref = $2 AND a.incident_id = $3 ORDER BY a.created_at, a.id";
const WORKFLOWS: &str = "SELECT w.* FROM workflows w
 WHERE w.namespace = $1 AND w.remediation_request_ref = $2 AND w.incident_id = $3 ORDER BY w.created_at, w.id";
const EXECUTIONS: &str = "SELECT x.* FROM executions x
 WHERE x.namespace = $1 AND x.workflow_execution_ref = ANY($2) AND x.workflow_id = ANY($3) ORDER BY x.created_at, x.id";
const TIMELINE: &str = "SELECT e.* FROM unnest($2::text[], $3::text[], $4::timestamptz[]) AS k (kind, name, created_at)
 CROSS JOIN LATERAL (SELECT * FROM events x WHERE x.record_kind = k.kind AND x.namespace = $1 AND x.name = k.name
                       AND x.created_at = k.created_at OFFSET 0) e
 ORDER BY e.at, e.id";

/// Everything about one incident.
pub(super) async fn fetch(connection: &mut PgConnection, id: i64) -> Result<(), sqlx::Error> {
    let incident = format!("SELECT {COLUMNS}, i.original_payload FROM incidents i WHERE i.id = $1");
    let incident = sqlx::query(AssertSqlSafe(incident))
        .bind(id)
        .fetch_one(&mut *connection)
        .await?;
    let namespace: String = incident.try_get("remediation_namespace")?;
    let name: String = incident.try_get("remediation_name")?;
    let mut of_incident = Vec::new();
    for statement in [ANALYSES, WORKFLOWS] {
        let rows = sqlx::query(statement)
            .bind(&namespace)
            .bind(&name)
            .bind(id)
            .fetch_all(&mut *connection)
            .await?;
        of_incident.push(rows);
    }
    let names = |rows: &[sqlx::postgres::PgRow]| -> Result<Vec<String>, sqlx::Error> {
        rows.iter().map(|row| row.try_get("name")).collect()
    };
    let workflows = &of_incident[1];
    let ids = workflows.iter().map(|row| row.try_get("id"));
    let executions = sqlx::query(EXECUTIONS)
        .bind(&namespace)
        .bind(names(workflows)?)
        .bind(ids.collect::<Result<Vec<i64>, _>>()?)
        .fetch_all(&mut *connection)
        .await?;
    of_incident.insert(0, vec![incident]);
    of_incident.push(executions);
    let (mut kinds, mut all_names, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, rows) in ["remediation", "aianalysis", "workflow", "execution"]
        .into_iter()
        .zip(&of_incident)
    {
        for row in rows {
            kinds.push(kind);
            times.push(row.try_get::<chrono::DateTime<chrono::Utc>, _>("created_at")?);
            all_names.push(row.try_get::<String, _>(if kind == "remediation" {
                "remediation_name"
            } else {
                "name"
            })?);
        }
    }
    sqlx::query(TIMELINE)
        .bind(&namespace)
        .bind(kinds)
        .bind(all_names)
        .bind(times)
        .fetch_all(connection)
        .await?;
    Ok(())
}
