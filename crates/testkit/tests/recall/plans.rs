//! What a page of the list costs: PostgreSQL's own plans of the very statements the reader runs, with what they read.

use std::collections::BTreeSet;

use audit_store::Reader;
use audit_store::reader::{
    IncidentFilter, IncidentPage, Order, PageRequest, Position, Recovery, RemediationKey, Start,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::volumes::{self, MONTHS, RARE, Volume};

/// What a page costs.
struct Cost {
    page: IncidentPage,
    /// Rows of incidents that its statement read, whether it gave them or not.
    incidents: f64,
    /// Rows of all tables that it read.
    rows: f64,
    /// Pages of 8 KiB that it asked for.
    buffers: i64,
    /// Partitions of incidents that its plan has.
    partitions: BTreeSet<String>,
    /// Those of them that it read from end to end, though they are not empty.
    sequential: Vec<String>,
}

/// Reads a page of ten, and has the statement that the reader ran explained in its session.
async fn cost(reader: &Reader, filter: &IncidentFilter, order: Order, after: Option<Position>) -> Cost {
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
    let explain = format!(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name} ({})",
        arguments.join(", ")
    );
    let mut transaction = reader.pool().begin().await.expect("a transaction");
    if kept {
        sqlx::raw_sql("SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_sort = off")
            .execute(&mut *transaction)
            .await
            .expect("the settings of kept plans");
    }
    let plan: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
        .fetch_one(&mut *transaction)
        .await
        .expect("a plan");
    transaction.rollback().await.expect("the end of it");
    let plan = plan[0]["Plan"].clone();
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

    fn ids(&self) -> Vec<i64> {
        self.page.incidents.iter().map(|incident| incident.id).collect()
    }
}

/// A filter, how many rows of incidents its page may read however many there are, and which incidents pass it.
struct Case {
    name: &'static str,
    most: f64,
    filter: IncidentFilter,
    passes: fn(i64) -> bool,
}

/// The ten incidents of a page and the one behind it, and of each month the first, which are compared.
const PAGE: f64 = 11.0 + MONTHS as f64;

fn case(name: &'static str, most: f64, set: fn(&mut IncidentFilter), passes: fn(i64) -> bool) -> Case {
    let mut filter = IncidentFilter::default();
    set(&mut filter);
    Case {
        name,
        most,
        filter,
        passes,
    }
}

fn failed(n: i64) -> bool {
    n % 3 == 0 && !open(n)
}

fn open(n: i64) -> bool {
    [7, 8].contains(&(n % RARE))
}

fn rolled_back(n: i64) -> bool {
    failed(n) && n % 9 == 0
}

/// Every filter of the list, where it lets many through and where it lets few through.
///
/// Most have an index in the order of the list and read a page. Where only every so many-th entry of an index passes,
/// so many pages are read. A namespace and a resource are of the resource and not of the incident: they are found by
/// the list's order where they are frequent, and by all of their own incidents where they are rare.
fn cases() -> Vec<Case> {
    vec![
        case("nothing", PAGE, |_| {}, |_| true),
        case(
            "namespace, many",
            4.0 * PAGE,
            |it| it.namespace = Some("shop".into()),
            |n| n % 4 == 0,
        ),
        case(
            "namespace, few",
            50.0 * PAGE,
            |it| it.namespace = Some("team-7".into()),
            |n| n % 50 == 7,
        ),
        case(
            "namespace, none",
            0.0,
            |it| it.namespace = Some("nowhere".into()),
            |_| false,
        ),
        case(
            "severity, few",
            PAGE,
            |it| it.severity = Some("critical".into()),
            |n| n % RARE == 2,
        ),
        case(
            "severity, many",
            PAGE,
            |it| it.severity = Some("warning".into()),
            |n| n % RARE != 2,
        ),
        case(
            "severity, none",
            0.0,
            |it| it.severity = Some("low".into()),
            |_| false,
        ),
        case(
            "cluster, few",
            PAGE,
            |it| it.cluster = Some("edge-1".into()),
            |n| n % RARE == 3,
        ),
        case(
            "cluster, many",
            PAGE,
            |it| it.cluster = Some("prod-1".into()),
            |n| n % RARE != 3,
        ),
        case(
            "environment, few",
            PAGE,
            |it| it.environment = Some("test".into()),
            |n| n % RARE == 4,
        ),
        case(
            "environment, many",
            PAGE,
            |it| it.environment = Some("production".into()),
            |n| n % RARE != 4,
        ),
        case(
            "kind",
            10.0 * PAGE,
            |it| it.kind = Some("StatefulSet".into()),
            |n| n % 10 == 0,
        ),
        case(
            "kind and name",
            // All incidents of the resource.
            40.0,
            |it| {
                it.kind = Some("Deployment".into());
                it.name = Some("api-9".into());
            },
            |n| n % 500 == 9,
        ),
        case(
            "alert, few",
            PAGE,
            |it| it.alert_name = Some("RareAlert".into()),
            |n| n % RARE == 1,
        ),
        case(
            "alert, many",
            20.0 * PAGE,
            |it| it.alert_name = Some("Alert3".into()),
            |n| n % 20 == 3,
        ),
        case(
            "fingerprint",
            PAGE,
            // MD5 of 11.
            |it| it.fingerprint = Some("6512bd43d9caa6e02c990b0a82652dca".into()),
            |n| n % RARE == 11,
        ),
        // Both open phases share an index.
        case(
            "phase Pending",
            2.0 * PAGE,
            |it| it.phase = Some("Pending".into()),
            |n| n % RARE == 7,
        ),
        case(
            "phase Processing",
            2.0 * PAGE,
            |it| it.phase = Some("Processing".into()),
            |n| n % RARE == 8,
        ),
        case(
            "phase Failed",
            PAGE,
            |it| it.phase = Some("Failed".into()),
            failed,
        ),
        case(
            "phase Completed",
            1.5 * PAGE,
            |it| it.phase = Some("Completed".into()),
            |n| n % 3 != 0 && !open(n),
        ),
        case(
            "status pending",
            2.0 * PAGE,
            |it| it.status = Some("pending".into()),
            |n| n % RARE == 7,
        ),
        case(
            "status failed",
            1.5 * PAGE,
            |it| it.status = Some("failed".into()),
            |n| failed(n) && !rolled_back(n),
        ),
        case(
            "status rolled-back",
            3.0 * PAGE,
            |it| it.status = Some("rolled-back".into()),
            rolled_back,
        ),
        case(
            "workflow, few",
            PAGE,
            |it| it.workflow = Some("rare-workflow".into()),
            |n| n % RARE == 6,
        ),
        case(
            "workflow, many",
            5.0 * PAGE,
            |it| it.workflow = Some("workflow-2".into()),
            |n| n % 5 == 2,
        ),
        case(
            "workflow, none",
            0.0,
            |it| it.workflow = Some("nothing-like-it".into()),
            |_| false,
        ),
        case(
            "action, few",
            PAGE,
            |it| it.action_type = Some("drain_node".into()),
            |n| n % RARE == 5,
        ),
        case(
            "action, many",
            PAGE,
            |it| it.action_type = Some("restart_pod".into()),
            |n| n % RARE != 5,
        ),
        // Four incidents, or a month that is smaller than its index is deep.
        case(
            "correlation",
            200.0,
            |it| it.correlation_id = Some("corr-100".into()),
            |n| n / 4 == 100,
        ),
        case(
            "severity and namespace",
            50.0 * PAGE,
            |it| {
                it.severity = Some("warning".into());
                it.namespace = Some("team-7".into());
            },
            |n| n % 50 == 7,
        ),
        case(
            "phase and workflow",
            5.0 * PAGE,
            |it| {
                it.phase = Some("Failed".into());
                it.workflow = Some("workflow-2".into());
            },
            |n| n % 5 == 2 && failed(n),
        ),
    ]
}

const ORDERS: [Order; 2] = [Order::Descending, Order::Ascending];

/// The page of a filter, of incidents from `from` up to `to`.
fn expected(case: &Case, order: Order, from: i64, to: i64) -> Vec<i64> {
    let passing = |n: &i64| (case.passes)(*n);
    match order {
        Order::Descending => (from..=to).filter(passing).take(10).collect(),
        Order::Ascending => (from..=to).rev().filter(passing).take(10).collect(),
    }
}

#[tokio::test]
async fn a_page_of_any_filter_is_found_by_index_and_reads_no_more_of_four_times_as_many() {
    let _alone = volumes::alone().await;
    for volume in [volumes::small().await, volumes::large().await] {
        let reader = volume.reader().await;
        for case in cases() {
            for order in ORDERS {
                let what = format!("{} {order:?} of {}", case.name, volume.incidents);
                let cost = cost(&reader, &case.filter, order, None).await;
                assert_eq!(cost.ids(), expected(&case, order, 1, volume.incidents), "{what}");
                assert!(
                    cost.incidents <= case.most,
                    "{what} reads {} incidents",
                    cost.incidents
                );
                // All resources and their histories, 1 500 rows, are sometimes read through to be joined.
                assert!(
                    cost.rows <= case.most + 2_000.0,
                    "{what} reads {} rows",
                    cost.rows
                );
                assert!(cost.buffers <= 4_000, "{what} reads {} pages", cost.buffers);
                // A month of a small volume is read as soon as its index.
                if volume.incidents == 20_000 {
                    assert_eq!(cost.sequential, [""; 0], "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn behind_a_cursor_a_page_costs_the_same_at_any_depth() {
    let _alone = volumes::alone().await;
    let volume = volumes::large().await;
    let reader = volume.reader().await;
    for case in cases() {
        for order in ORDERS {
            let places = if case.name == "nothing" {
                vec![
                    20,
                    volume.incidents / 2,
                    volume.incidents - 2_000,
                    volume.incidents - 20,
                ]
            } else {
                vec![volume.incidents / 2]
            };
            for place in places {
                let what = format!("{} {order:?} behind {place}", case.name);
                let behind = Position {
                    created_at: volume.created_at(place),
                    id: place,
                };
                let cost = cost(&reader, &case.filter, order, Some(behind)).await;
                let (from, to) = match order {
                    Order::Descending => (place + 1, volume.incidents),
                    Order::Ascending => (1, place - 1),
                };
                assert_eq!(cost.ids(), expected(&case, order, from, to), "{what}");
                assert!(
                    cost.incidents <= case.most,
                    "{what} reads {} incidents",
                    cost.incidents
                );
                assert_eq!(cost.sequential, [""; 0], "{what}");
            }
        }
    }
}

#[tokio::test]
async fn with_a_bound_of_time_only_the_months_within_it_are_looked_into() {
    let _alone = volumes::alone().await;
    let volume = volumes::large().await;
    let reader = volume.reader().await;
    let at = |text: &str| -> DateTime<Utc> { text.parse().expect("a time") };
    for (since, until, months) in [
        (
            "2026-03-01T00:00:00Z",
            Some("2026-04-01T00:00:00Z"),
            vec!["2026m03"],
        ),
        (
            "2026-03-15T00:00:00Z",
            Some("2026-03-15T06:00:00Z"),
            vec!["2026m03"],
        ),
        (
            "2025-12-31T23:00:00Z",
            Some("2026-02-01T00:00:00.000001Z"),
            vec!["2025m12", "2026m01", "2026m02"],
        ),
        (
            "2026-06-10T00:00:00Z",
            None,
            vec!["2026m06", "2026m07", "default"],
        ),
    ] {
        let (since, until) = (at(since), until.map(at));
        let within = |n: i64| {
            let created = volume.created_at(n);
            created >= since && until.is_none_or(|until| created < until)
        };
        let (Some(from), Some(to)) = (
            (1..=volume.incidents).find(|n| within(*n)),
            (1..=volume.incidents).rev().find(|n| within(*n)),
        ) else {
            panic!("no incident within {since} and {until:?}");
        };
        // Every filter in the first window, and no filter in every one.
        for case in cases() {
            for order in ORDERS {
                if case.name != "nothing"
                    && (until, order) != (Some(at("2026-04-01T00:00:00Z")), Order::Descending)
                {
                    continue;
                }
                let what = format!("{} {order:?} from {since}", case.name);
                let filter = IncidentFilter {
                    since: Some(since),
                    until,
                    ..case.filter.clone()
                };
                let cost = cost(&reader, &filter, order, None).await;
                assert_eq!(cost.ids(), expected(&case, order, from, to), "{what}");
                let looked: BTreeSet<String> = months
                    .iter()
                    .map(|month| format!("resource_action_traces_y{month}").replace("_ydefault", "_default"))
                    .collect();
                assert!(
                    cost.partitions.is_subset(&looked),
                    "{what}: {:?}",
                    cost.partitions
                );
                if case.name == "nothing" {
                    assert_eq!(cost.partitions, looked, "{what}");
                }
            }
        }
    }
    // A cursor is such a bound itself: nothing newer than it is read, or nothing older.
    let behind = Position {
        created_at: at("2025-05-20T00:00:00Z"),
        id: 1,
    };
    let cost = cost(
        &reader,
        &IncidentFilter::default(),
        Order::Descending,
        Some(behind),
    )
    .await;
    assert_eq!(
        cost.partitions.into_iter().collect::<Vec<_>>(),
        [
            "resource_action_traces_default",
            "resource_action_traces_y2025m05"
        ]
    );
}

/// What was read since the server began, of the tables of a volume: rows of incidents, those of them that were read by
/// reading a month through, and rows of the ledger.
async fn read(volume: &Volume, reader: &Reader) -> [i64; 3] {
    // What the session counted is told when its transaction ends.
    sqlx::query("SELECT pg_stat_force_next_flush()")
        .execute(reader.pool())
        .await
        .expect("a flush");
    let store = volume.database.store().await;
    let counted: (i64, i64, i64) = sqlx::query_as(
        "SELECT sum(rows) FILTER (WHERE relname LIKE 'resource_action_traces%')::bigint,
                sum(seq_tup_read) FILTER (WHERE relname LIKE 'resource_action_traces%')::bigint,
                sum(rows) FILTER (WHERE relname LIKE 'audit_events%')::bigint
         FROM (SELECT relname, seq_tup_read, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows
               FROM pg_stat_user_tables WHERE schemaname = $1) t",
    )
    .bind(volume.database.schema().data())
    .fetch_one(store.pool())
    .await
    .expect("statistics");
    store.close().await;
    counted.into()
}

#[tokio::test]
async fn what_is_known_of_one_incident_is_read_without_reading_the_others() {
    let _alone = volumes::alone().await;
    for volume in [volumes::small().await, volumes::large().await] {
        let reader = volume.reader().await;
        // Sessions of other tests tell what they counted when they end.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let before = read(volume, &reader).await;
        let detail = reader.incident(volume.incidents / 2).await;
        let detail = detail.expect("an answer").expect("an incident");
        assert_eq!(
            (
                detail.analyses.len(),
                detail.workflows.len(),
                detail.executions.len(),
                detail.timeline.len()
            ),
            (1, 1, 1, 2)
        );
        let between = read(volume, &reader).await;
        let key = RemediationKey {
            name: "rr-100".to_owned(),
            namespace: None,
            created_at: None,
        };
        let found = reader
            .recovery(&key, volume.created_at(0), TimeDelta::days(90))
            .await
            .expect("an answer");
        let Recovery::Found(recovery) = found else {
            panic!("{found:?}");
        };
        assert_eq!((recovery.incident.id, recovery.patterns.len()), (100, 1));
        let after = read(volume, &reader).await;
        let spent = |before: [i64; 3], after: [i64; 3]| [0, 1, 2].map(|index| after[index] - before[index]);
        let (of_detail, of_recovery) = (spent(before, between), spent(between, after));
        // Both versions in the ledger, and nothing else of it.
        assert_eq!((of_detail[2], of_recovery[2]), (2, 0), "{}", volume.incidents);
        // Those alike, a twentieth of 90 days of 400, are told of; the others are not.
        let alike = volume.incidents / 20 * 90 / 400;
        if volume.incidents == 20_000 {
            assert_eq!((of_detail[0], of_detail[1], of_recovery[1]), (2, 0, 0));
            assert!(of_recovery[0] <= 4 * alike, "{of_recovery:?} for {alike}");
        } else {
            // The month of the incident is so small that it is read through.
            assert!(
                of_detail[0] <= 1_000 && of_recovery[0] <= 2_000,
                "{of_detail:?} {of_recovery:?}"
            );
        }
    }
}
