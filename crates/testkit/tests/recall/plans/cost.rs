//! A page, and what its statement read by PostgreSQL's own plan of it.

use std::collections::BTreeSet;

use audit_store::Reader;
use audit_store::reader::{IncidentFilter, IncidentPage, Order, PageRequest, Position, Start};
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::prepared;

/// What a page costs.
pub(super) struct Cost {
    page: IncidentPage,
    /// Rows of incidents that its statement read, whether it gave them or not.
    pub(super) incidents: f64,
    /// Rows of all tables that it read.
    pub(super) rows: f64,
    /// Pages of 8 KiB that it asked for.
    pub(super) buffers: i64,
    /// Partitions of incidents that its plan has.
    pub(super) partitions: BTreeSet<String>,
    /// Those of them that it read from end to end, though they are not empty.
    pub(super) sequential: Vec<String>,
}

/// Reads a page of ten, and has the statement that the reader ran explained in its session.
pub(super) async fn cost(
    reader: &Reader,
    filter: &IncidentFilter,
    order: Order,
    after: Option<Position>,
) -> Cost {
    let page = PageRequest {
        order,
        limit: 10,
        start: after.map_or(Start::Offset(0), Start::After),
        with_total: false,
    };
    let before = runs(reader).await;
    let page = reader.incidents(filter, page).await.expect("a page");
    let direction = if order == Order::Descending {
        "i.created_at DESC, i.id DESC LIMIT"
    } else {
        "i.created_at, i.id LIMIT"
    };
    // A workflow with few runs is asked for by the ids of its incidents, one with many by a join.
    let ids: Option<Vec<i64>> = match &filter.workflow {
        None => None,
        Some(workflow) => Some(incidents_of(reader, workflow).await),
    };
    let last = match &ids {
        None => "",
        Some(ids) if ids.len() > 500 => "w.workflow_name = $20",
        Some(_) => "i.id = ANY($20)",
    };
    let ran: Vec<Statement> = runs(reader)
        .await
        .into_iter()
        .filter(|statement| {
            statement.text.contains(direction)
                && statement.text.contains(last)
                && statement.text.contains("$20") != last.is_empty()
                && !before.contains(statement)
        })
        .collect();
    let [Statement { name, kept, .. }] = ran.as_slice() else {
        panic!("not one statement gave the page: {ran:?}");
    };
    // A plan that the reader keeps is explained as it is kept, another one as it is made for these values.
    let kept = before
        .iter()
        .find(|statement| statement.name == *name)
        .map_or(*kept > 0, |before| before.kept < *kept);
    let text = |value: Option<&str>| value.map_or("NULL".to_owned(), |value| format!("'{value}'"));
    let time = |value: Option<DateTime<Utc>>| text(value.map(|value| value.to_rfc3339()).as_deref());
    let mut arguments = vec![
        text(filter.namespace.as_deref()),
        text(filter.cluster.as_deref()),
        text(filter.environment.as_deref()),
        text(filter.severity.as_deref()),
        text(filter.alert_name.as_deref()),
        text(filter.fingerprint.as_deref()),
        text(filter.action_type.as_deref()),
        text(filter.kind.as_deref()),
        text(filter.name.as_deref()),
        text(filter.phase.as_deref()),
        text(filter.status.as_deref()),
        "NULL".to_owned(),
        text(filter.correlation_id.as_deref()),
        time(filter.since),
        time(filter.until),
        "11".to_owned(),
        "0".to_owned(),
        time(after.map(|after| after.created_at)),
        after.map_or("NULL".to_owned(), |after| after.id.to_string()),
    ];
    arguments.extend(ids.map(|ids| {
        if ids.len() > 500 {
            text(filter.workflow.as_deref())
        } else {
            format!(
                "'{{{}}}'",
                ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
            )
        }
    }));
    let settings =
        kept.then_some("SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_sort = off");
    let plan = prepared::explained(reader, name, &arguments.join(", "), settings).await;
    let blocks = |key: &str| plan[key].as_i64().expect("a number");
    let mut cost = Cost {
        page,
        incidents: 0.0,
        rows: 0.0,
        buffers: blocks("Shared Hit Blocks") + blocks("Shared Read Blocks"),
        partitions: BTreeSet::new(),
        sequential: Vec::new(),
    };
    cost.add(&plan);
    cost
}

/// A statement of the reader's session, and how often it ran with a plan that is kept or with one of its own.
#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Statement {
    name: String,
    text: String,
    kept: i64,
    anew: i64,
}

async fn runs(reader: &Reader) -> Vec<Statement> {
    sqlx::query_as(
        "SELECT name, statement AS text, generic_plans AS kept, custom_plans AS anew FROM pg_prepared_statements",
    )
    .fetch_all(reader.pool())
    .await
    .expect("the prepared statements")
}

async fn incidents_of(reader: &Reader, workflow: &str) -> Vec<i64> {
    sqlx::query_scalar("SELECT incident_id FROM workflows WHERE workflow_name = $1")
        .bind(workflow)
        .fetch_all(reader.pool())
        .await
        .expect("the incidents of a workflow")
}

impl Cost {
    fn add(&mut self, node: &Value) {
        let number = |key: &str| node[key].as_f64().unwrap_or_default();
        let loops = number("Actual Loops");
        if let Some(table) = node["Relation Name"].as_str()
            && table.starts_with("resource_action_traces")
        {
            self.partitions.insert(table.to_owned());
        }
        if let Some(table) = node["Relation Name"].as_str()
            // Not run at all, such as the partitions behind those that filled the page.
            && loops > 0.0
        {
            let each = number("Actual Rows")
                + number("Rows Removed by Filter")
                + number("Rows Removed by Index Recheck");
            self.rows += each * loops;
            let of_incidents = table.starts_with("resource_action_traces");
            self.incidents += if of_incidents { each * loops } else { 0.0 };
            let sequential = node["Node Type"] == "Seq Scan";
            // To read an empty partition through is to read nothing.
            if of_incidents && sequential && each > 0.0 {
                self.sequential.push(table.to_owned());
            }
        }
        for child in node["Plans"].as_array().into_iter().flatten() {
            self.add(child);
        }
    }

    pub(super) fn ids(&self) -> Vec<i64> {
        self.page.incidents.iter().map(|incident| incident.id).collect()
    }
}
