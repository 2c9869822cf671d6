//! Walking the list by cursor: everything once, whatever is recorded meanwhile, and as cheap at any depth.

use std::collections::HashSet;

use audit_store::Reader;
use audit_store::reader::{IncidentFilter, IncidentPage, Order, PageRequest, Position, Start};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use testkit::Database;
use testkit::records::{self, with};

use crate::both::{Both, ids};

/// Walks a list to its end, and gives the ids and the totals of each page.
async fn walk(both: &Both, query: &str) -> Vec<(Vec<i64>, Value)> {
    let mut pages = Vec::new();
    let mut next = String::new();
    loop {
        let answer = both.get(&format!("/api/v1/incidents?{query}{next}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        assert_eq!(answer.body.get("offset").is_some(), next.is_empty());
        assert!(pages.len() < 100, "{query}: the walk does not end");
        pages.push((ids(&answer.body["incidents"]), answer.body["total"].clone()));
        match answer.body.get("nextCursor") {
            Some(cursor) => next = format!("&cursor={}", cursor.as_str().expect("a text")),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn a_walk_gives_incidents_of_one_time_once_in_either_order_with_exact_totals() {
    let both = Both::new().await;
    let mut all = Vec::new();
    for index in 0..7 {
        all.push(both.incident(&records::remediation(&format!("rr-{index}"))).await);
    }
    all.sort_unstable();
    let page = |ids: &[i64], total: Value| (ids.to_vec(), total);
    assert_eq!(
        walk(&both, "limit=3&order=asc").await,
        [
            page(&all[..3], json!(7)),
            page(&all[3..6], json!(7)),
            page(&all[6..], json!(7)),
        ]
    );
    all.reverse();
    // The last page is full: that nothing is behind it is known all the same.
    assert_eq!(
        walk(&both, "limit=6&includeTotal=false").await,
        [page(&all[..6], Value::Null), page(&all[6..], Value::Null)]
    );
    assert_eq!(
        walk(&both, "limit=7&namespace=nowhere").await,
        [page(&[], json!(0))]
    );
    assert_eq!(walk(&both, "limit=7").await, [page(&all, json!(7))]);
}

#[tokio::test]
async fn a_walk_by_cursor_is_not_moved_by_what_is_recorded_meanwhile() {
    let both = Both::new().await;
    let at = |minute: i64| Database::now() - TimeDelta::hours(5) + TimeDelta::minutes(minute);
    let mut before = Vec::new();
    for index in 0..20 {
        let body = with(
            records::remediation(&format!("rr-{index}")),
            json!({"createdAt": at(index / 4).to_rfc3339()}),
        );
        before.push(both.incident(&body).await);
    }
    for order in ["asc", "desc"] {
        // A writer that goes on all the while, with times before, among and after those of the walk.
        let writing = async {
            let mut written = HashSet::new();
            for index in 0..40 {
                let body = with(
                    records::remediation(&format!("rr-{order}-{index}")),
                    json!({"createdAt": at(index % 8 - 2).to_rfc3339()}),
                );
                written.insert(both.incident(&body).await);
            }
            written
        };
        let query = format!("limit=3&order={order}&since=24h&includeTotal=false");
        let (written, pages) = tokio::join!(writing, walk(&both, &query));
        assert_eq!(written.len(), 40);
        let walked: Vec<i64> = pages.into_iter().flat_map(|(page, _)| page).collect();
        let distinct: HashSet<i64> = walked.iter().copied().collect();
        assert_eq!(distinct.len(), walked.len(), "{order}: an incident came twice");
        let missed: Vec<_> = before.iter().filter(|id| !distinct.contains(id)).collect();
        assert_eq!(missed, [&0_i64; 0], "{order}: an incident was left out");
        // The next walk must find these too.
        before.extend(written);
    }
}

#[tokio::test]
async fn an_insertion_between_two_pages_repeats_an_incident_by_offset_and_none_by_cursor() {
    let both = Both::new().await;
    let older = both.incident(&records::remediation("rr-1")).await;
    let newer = both.incident(&records::remediation("rr-2")).await;
    let first = both.get("/api/v1/incidents?limit=1").await.body;
    assert_eq!(ids(&first["incidents"]), [newer]);
    both.incident(&records::remediation("rr-3")).await;
    assert_eq!(both.list("limit=1&offset=1").await.0, [newer]);
    let cursor = first["nextCursor"].as_str().expect("a cursor");
    assert_eq!(
        both.list(&format!("limit=1&cursor={cursor}")).await,
        (vec![older], 3)
    );
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused_by_name() {
    let both = Both::new().await;
    both.incident(&records::remediation("rr-1")).await;
    both.incident(&records::remediation("rr-2")).await;
    let first = both.get("/api/v1/incidents?limit=1&kind=deployment").await.body;
    let cursor = first["nextCursor"].as_str().expect("a cursor");
    for (query, code) in [
        (format!("cursor={cursor}"), "other-filters"),
        (
            format!("cursor={cursor}&kind=Deployment&order=asc"),
            "other-order",
        ),
        (
            format!("cursor=B{}&kind=Deployment", &cursor[1..]),
            "not-a-cursor",
        ),
    ] {
        let answer = both.get(&format!("/api/v1/incidents?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        let told = &answer.body["errors"][0];
        assert_eq!(
            (&told["parameter"], &told["code"]),
            (&json!("cursor"), &json!(code))
        );
    }
}

/// Incidents in the database of [`many`].
const MANY: i64 = 30_000;

/// A database with many incidents, of every day of two years; every 3 000th is critical, every 1 000th failed, every
/// 2 000th is in the environment `test`.
async fn many() -> (Both, Reader) {
    let both = Both::new().await;
    for month in 0..24 {
        // What `ensure_partitions` makes for months in its window.
        let create = format!(
            "DO $$ DECLARE first date := date '2024-06-01' + interval '{month} months';
             BEGIN
                 IF to_regclass('resource_action_traces_y' || to_char(first, 'YYYY\"m\"MM')) IS NULL THEN
                     EXECUTE format('CREATE TABLE %I PARTITION OF resource_action_traces FOR VALUES FROM (%L) TO (%L)',
                         'resource_action_traces_y' || to_char(first, 'YYYY\"m\"MM'),
                         first::timestamp AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC');
                 END IF;
             END $$"
        );
        sqlx::query(sqlx::AssertSqlSafe(create))
            .execute(both.store.pool())
            .await
            .expect("a partition");
    }
    for insert in [
        "INSERT INTO remediation_requests (namespace, name, created_at)
         SELECT 'kubernaut-system', 'rr-' || n, timestamptz '2026-06-01T00:00:00Z' - n * interval '35 minutes'
         FROM generate_series(1, $1) n",
        "INSERT INTO resource_references (cluster_name, namespace, kind, name)
         SELECT 'default', 'shop-' || n % 50, 'Deployment', 'api-' || n FROM generate_series(1, least($1, 1000)) n",
        "INSERT INTO action_histories (resource_id, workflow_id, action_type, status, status_time, status_instance, status_event_id)
         SELECT id, NULL, 'restart_pod', 'Completed', now(), '', 1 FROM resource_references WHERE $1 > 0",
        "INSERT INTO resource_action_traces (id, action_history_id, action_timestamp, remediation_namespace,
             remediation_name, signal_type, alert_name, alert_severity, cluster_name, environment, phase,
             correlation_id, last_event_id, recorded_by, updated_at)
         SELECT k.id, h.id, k.created_at, k.namespace, k.name, 'prometheus', 'Alert' || k.id % 20,
                CASE WHEN k.id % 3000 = 0 THEN 'critical' ELSE 'warning' END, 'default',
                CASE WHEN k.id % 2000 = 0 THEN 'test' ELSE 'production' END,
                CASE WHEN k.id % 1000 = 0 THEN 'Failed' ELSE 'Completed' END, 'c', 1, 'test', k.created_at
         FROM remediation_requests k
         JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM action_histories) h ON h.n = k.id % 1000 + 1
         WHERE k.id <= $1",
    ] {
        sqlx::query(insert)
            .bind(MANY)
            .execute(both.store.pool())
            .await
            .expect("many rows");
    }
    sqlx::query("ANALYZE")
        .execute(both.store.pool())
        .await
        .expect("statistics");
    // One connection, so that the plans are asked of the session that ran the statements.
    let options = audit_store::ConnectOptions {
        max_connections: 1,
        ..both.database.reader_options()
    };
    let reader = Reader::connect(&options).await.expect("a connection");
    (both, reader)
}

/// What a page costs.
struct Cost {
    page: IncidentPage,
    /// Pages of 8 KiB that the page's statement asked for.
    buffers: i64,
    /// Partitions of incidents that were read, each with how.
    scans: Vec<(String, String)>,
}

impl Cost {
    fn sequential(&self) -> Vec<&str> {
        let sequential = self.scans.iter().filter(|(_, node)| node == "Seq Scan");
        sequential.map(|(table, _)| table.as_str()).collect()
    }
}

/// Reads a page, and has the very statement explained that the reader ran, in its session.
async fn cost(reader: &Reader, filter: &IncidentFilter, order: Order, after: Option<Position>) -> Cost {
    let start = after.map_or(Start::Offset(0), Start::After);
    let page = PageRequest {
        order,
        limit: 10,
        start,
        with_total: false,
    };
    let page = reader.incidents(filter, page).await.expect("a page");
    let direction = if order == Order::Descending {
        "i.created_at DESC, i.id DESC LIMIT"
    } else {
        "i.created_at, i.id LIMIT"
    };
    let name: String =
        sqlx::query_scalar("SELECT name FROM pg_prepared_statements WHERE position($1 IN statement) > 0")
            .bind(direction)
            .fetch_one(reader.pool())
            .await
            .expect("the statement of the page");
    let text = |value: &Option<String>| {
        value
            .as_ref()
            .map_or("NULL".to_owned(), |value| format!("'{value}'"))
    };
    let time = |value: Option<DateTime<Utc>>| text(&value.map(|value| value.to_rfc3339()));
    let arguments = [
        text(&filter.namespace),
        text(&filter.cluster),
        text(&filter.environment),
        text(&filter.severity),
        text(&filter.alert_name),
        text(&filter.fingerprint),
        text(&filter.action_type),
        text(&filter.kind),
        text(&filter.name),
        text(&filter.phase),
        text(&filter.status),
        text(&filter.workflow),
        text(&filter.correlation_id),
        time(filter.since),
        time(filter.until),
        "11".to_owned(),
        "0".to_owned(),
        time(after.map(|after| after.created_at)),
        after.map_or("NULL".to_owned(), |after| after.id.to_string()),
    ];
    let explain = format!(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name} ({})",
        arguments.join(", ")
    );
    let plan: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
        .fetch_one(reader.pool())
        .await
        .expect("a plan");
    let plan = &plan[0]["Plan"];
    let mut scans = Vec::new();
    collect(plan, &mut scans);
    let blocks = |key: &str| plan[key].as_i64().expect("a number");
    Cost {
        page,
        buffers: blocks("Shared Hit Blocks") + blocks("Shared Read Blocks"),
        scans,
    }
}

fn collect(node: &Value, scans: &mut Vec<(String, String)>) {
    if let Some(table) = node["Relation Name"].as_str()
        && table.starts_with("resource_action_traces")
        // Not run at all, such as the partitions behind those that filled the page.
        && node["Actual Loops"] != json!(0)
    {
        let name = node["Node Type"].as_str().expect("a node");
        // To read an empty partition through is to read nothing.
        let empty = node["Actual Rows"].as_f64() == Some(0.0)
            && node["Rows Removed by Filter"].as_f64().unwrap_or_default() == 0.0;
        if name != "Seq Scan" || !empty {
            scans.push((table.to_owned(), name.to_owned()));
        }
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        collect(child, scans);
    }
}

/// The place of an incident of [`many`].
fn place(number: i64) -> Position {
    let newest: DateTime<Utc> = "2026-06-01T00:00:00Z".parse().expect("a time");
    Position {
        created_at: newest - TimeDelta::minutes(35 * number),
        id: number,
    }
}

#[tokio::test]
async fn among_many_incidents_a_page_reads_what_it_gives_at_any_depth() {
    let (_both, reader) = many().await;
    let filter = |set: fn(&mut IncidentFilter)| {
        let mut filter = IncidentFilter::default();
        set(&mut filter);
        filter
    };
    let every = |step: i64| (1..=10).map(|n| n * step).collect::<Vec<_>>();
    let cases = [
        ("nothing", IncidentFilter::default(), every(1)),
        (
            "severity",
            filter(|it| it.severity = Some("critical".into())),
            every(3_000),
        ),
        (
            "environment",
            filter(|it| it.environment = Some("test".into())),
            every(2_000),
        ),
        (
            "phase",
            filter(|it| it.phase = Some("Failed".into())),
            every(1_000),
        ),
        (
            "status",
            filter(|it| it.status = Some("failed".into())),
            every(1_000),
        ),
        (
            "alert",
            filter(|it| it.alert_name = Some("Alert0".into())),
            every(20),
        ),
        (
            "resource",
            filter(|it| it.name = Some("api-1000".into())),
            (1..=10).map(|n| n * 1_000 - 1).collect(),
        ),
    ];
    for (name, filter, expected) in cases {
        let first = cost(&reader, &filter, Order::Descending, None).await;
        let found: Vec<i64> = first.page.incidents.iter().map(|incident| incident.id).collect();
        assert_eq!(found, expected, "{name}");
        assert_eq!(first.sequential(), [""; 0], "{name}: {:?}", first.scans);
        println!("{name}: {} buffers", first.buffers);
        assert!(
            first.buffers < 500,
            "{name}: {} buffers for ten incidents",
            first.buffers
        );
    }

    let all = IncidentFilter::default();
    let mut costs = Vec::new();
    for (order, depth) in [
        (Order::Descending, 10),
        (Order::Descending, MANY / 2),
        (Order::Descending, MANY - 20),
        (Order::Ascending, MANY - 10),
        (Order::Ascending, MANY / 2),
        (Order::Ascending, 20),
    ] {
        let deep = cost(&reader, &all, order, Some(place(depth))).await;
        let step = if order == Order::Descending { 1 } else { -1 };
        let expected: Vec<i64> = (1..=10).map(|n| depth + n * step).collect();
        let found: Vec<i64> = deep.page.incidents.iter().map(|incident| incident.id).collect();
        assert_eq!(found, expected, "{order:?} behind {depth}");
        assert_eq!(
            deep.sequential(),
            [""; 0],
            "{order:?} behind {depth}: {:?}",
            deep.scans
        );
        costs.push(deep.buffers);
    }
    println!("{costs:?}");
    let (least, most) = (costs.iter().min(), costs.iter().max());
    assert!(
        most.zip(least).is_some_and(|(most, least)| *most < 3 * least),
        "pages by cursor cost {costs:?} buffers"
    );
}

#[tokio::test]
async fn with_a_bound_of_time_only_the_partitions_within_it_are_read() {
    let (_both, reader) = many().await;
    let at = |text: &str| Some(text.parse().expect("a time"));
    let march = IncidentFilter {
        since: at("2026-03-01T00:00:00Z"),
        until: at("2026-04-01T00:00:00Z"),
        ..IncidentFilter::default()
    };
    let march = cost(&reader, &march, Order::Descending, None).await;
    assert_eq!(
        march.scans,
        [(
            "resource_action_traces_y2026m03".to_owned(),
            "Index Scan".to_owned()
        )]
    );
    // Ten of the last minutes of March, the newest first; 35 minutes before 1 June are number 1.
    let behind = place(march.page.incidents[9].id);
    assert_eq!(march.page.next, Some(behind));
    let open = IncidentFilter {
        since: at("2026-03-01T00:00:00Z"),
        ..IncidentFilter::default()
    };
    // A cursor is such a bound itself: nothing newer than it is read.
    let second = cost(&reader, &open, Order::Descending, Some(behind)).await;
    let mut tables: Vec<_> = second.scans.iter().map(|(table, _)| table.as_str()).collect();
    tables.sort_unstable();
    assert_eq!(tables, ["resource_action_traces_y2026m03"]);
}
