//! The rows that a recovery context is made of, in the numbers in which Context API looks at them. What these rows say,
//! such as the class of an error, is not worked out.

use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::list::COLUMNS;

/// How far back earlier incidents count.
const SINCE: &str = "now() - interval '90 days'";

/// Earlier incidents of the same resource.
fn earlier() -> String {
    format!(
        "SELECT {COLUMNS} FROM incidents i
         WHERE i.resource_name = $2 AND i.resource_kind = $3 AND i.cluster = $4
           AND i.resource_namespace IS NOT DISTINCT FROM $5 AND i.created_at >= {SINCE}
           AND i.created_at <= $6 AND (i.created_at, i.id) < ($6, $1)
         ORDER BY i.created_at DESC, i.id DESC LIMIT 20"
    )
}

/// The workflows of some incidents, and their failed executions.
const ATTEMPTS: &str = "SELECT w.*, x.id AS execution_id, x.step_name, x.action_type, x.message AS execution_message, x.action_result
 FROM unnest($1::bigint[], $2::text[], $3::text[]) AS k (id, namespace, name)
 CROSS JOIN LATERAL (SELECT * FROM workflows v WHERE v.namespace = k.namespace AND v.remediation_request_ref = k.name
                       AND v.incident_id = k.id OFFSET 0) w
 LEFT JOIN LATERAL (SELECT * FROM executions z WHERE z.namespace = w.namespace AND z.workflow_execution_ref = w.name
                      AND z.workflow_id = w.id AND z.phase = 'Failed' ORDER BY z.created_at DESC, z.id DESC LIMIT 1) x ON true
 ORDER BY w.incident_id, w.created_at, w.id";

/// Incidents that may have to do with it: by correlation, by fingerprint, by resource and time.
fn related() -> String {
    let of = |condition: &str| {
        format!(
            "(SELECT i.id, i.alert_name, i.alert_fingerprint, i.created_at FROM incidents i
              WHERE {condition} AND i.created_at >= {SINCE} AND i.id <> $1 ORDER BY i.created_at DESC, i.id DESC LIMIT 20)"
        )
    };
    [
        of("i.correlation_id = $7"),
        of("i.alert_fingerprint = $8"),
        of("i.resource_name = $2 AND i.resource_kind = $3 AND i.cluster = $4
            AND i.resource_namespace IS NOT DISTINCT FROM $5
            AND i.created_at BETWEEN $6 - interval '1 hour' AND $6 + interval '1 hour'"),
    ]
    .join(" UNION ALL ")
}

/// The newest 300 incidents with the same alert on the same kind of resource that are over.
fn alike(columns: &str) -> String {
    format!(
        "SELECT {columns} FROM incidents i
         WHERE i.alert_name = $2 AND i.resource_kind = $3 AND i.phase IN ('Completed', 'Failed')
           AND i.created_at >= {SINCE} AND i.id <> $1
         ORDER BY i.created_at DESC, i.id DESC LIMIT 300"
    )
}

/// How they went.
fn patterns() -> String {
    let alike =
        alike("i.alert_name, i.phase, i.reason, i.root_cause, i.workflow, i.duration_ms, i.created_at");
    format!(
        "WITH considered AS MATERIALIZED ({alike})
         SELECT c.alert_name, c.reason, count(*), count(*) FILTER (WHERE c.phase = 'Completed'),
                mode() WITHIN GROUP (ORDER BY c.root_cause COLLATE \"C\"), mode() WITHIN GROUP (ORDER BY c.workflow COLLATE \"C\"),
                avg(c.duration_ms), max(c.created_at)
         FROM considered c GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10"
    )
}

/// Which workflows helped.
fn strategies() -> String {
    let alike =
        alike("i.id, i.remediation_namespace, i.remediation_name, i.phase, i.action_type, i.created_at");
    format!(
        "WITH alike AS MATERIALIZED ({alike})
         SELECT coalesce(w.workflow_name, a.action_type),
                count(*) FILTER (WHERE coalesce(w.phase, a.phase) = 'Completed' AND a.phase = 'Completed'), count(*),
                max(coalesce(w.created_at, a.created_at))
         FROM alike a
         LEFT JOIN LATERAL (SELECT * FROM workflows x WHERE x.namespace = a.remediation_namespace
                              AND x.remediation_request_ref = a.remediation_name AND x.incident_id = a.id OFFSET 0) w ON true
         GROUP BY 1 ORDER BY 2 DESC LIMIT 100"
    )
}

/// Everything for one remediation.
pub(super) async fn fetch(
    connection: &mut PgConnection,
    name: &str,
    namespace: &str,
) -> Result<(), sqlx::Error> {
    let incident = format!(
        "SELECT {COLUMNS}, i.alert_fingerprint FROM incidents i WHERE i.remediation_name = $1 AND i.remediation_namespace = $2
         ORDER BY i.created_at DESC LIMIT 1"
    );
    let incident = sqlx::query(AssertSqlSafe(incident))
        .bind(name)
        .bind(namespace)
        .fetch_one(&mut *connection)
        .await?;
    let text = |column: &str| incident.try_get::<Option<String>, _>(column);
    let id: i64 = incident.try_get("id")?;
    let created_at: chrono::DateTime<chrono::Utc> = incident.try_get("created_at")?;
    let (resource, kind) = (text("resource_name")?, text("resource_kind")?);
    let earlier = sqlx::query(AssertSqlSafe(earlier()))
        .bind(id)
        .bind(&resource)
        .bind(&kind)
        .bind(text("cluster")?)
        .bind(text("resource_namespace")?)
        .bind(created_at)
        .fetch_all(&mut *connection)
        .await?;
    let (mut ids, mut namespaces, mut names) = (vec![id], vec![namespace.to_owned()], vec![name.to_owned()]);
    for row in &earlier {
        ids.push(row.try_get("id")?);
        namespaces.push(row.try_get("remediation_namespace")?);
        names.push(row.try_get("remediation_name")?);
    }
    sqlx::query(ATTEMPTS)
        .bind(ids)
        .bind(namespaces)
        .bind(names)
        .fetch_all(&mut *connection)
        .await?;
    sqlx::query(AssertSqlSafe(related()))
        .bind(id)
        .bind(&resource)
        .bind(&kind)
        .bind(text("cluster")?)
        .bind(text("resource_namespace")?)
        .bind(created_at)
        .bind(text("correlation_id")?)
        .bind(text("alert_fingerprint")?)
        .fetch_all(&mut *connection)
        .await?;
    for statement in [patterns(), strategies()] {
        sqlx::query(AssertSqlSafe(statement))
            .bind(id)
            .bind(text("alert_name")?)
            .bind(&kind)
            .fetch_all(&mut *connection)
            .await?;
    }
    Ok(())
}
