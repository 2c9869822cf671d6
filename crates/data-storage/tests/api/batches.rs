//! Many records in one request.

use axum::Router;
use serde_json::{Value, json};
use testkit::records;
use testkit::request::{self, Answer};

use crate::app::App;

fn entry(kind: &str, record: Value) -> Value {
    let mut entry = json!({"kind": kind});
    entry["record"] = record;
    entry
}

/// One record of each kind, of one family.
fn family(number: usize) -> Vec<Value> {
    let name = |prefix: &str| format!("{prefix}-{number}");
    vec![
        entry("remediation", records::full_remediation(&name("rr"))),
        entry("aianalysis", records::full_analysis(&name("ai"), &name("rr"))),
        entry(
            "workflow",
            records::full_workflow(&name("wf"), &name("rr"), &name("ai")),
        ),
        entry("execution", records::full_execution(&name("ex"), &name("wf"))),
    ]
}

fn invalid() -> Value {
    entry(
        "remediation",
        records::with(records::remediation("rr-x"), json!({"phase": "Done", "extra": 1})),
    )
}

async fn post(router: &Router, query: &str, entries: &[Value]) -> Answer {
    request::post(router, &format!("/api/v1/audit/batch{query}"), &json!(entries)).await
}

fn statuses(answer: &Answer) -> Vec<u64> {
    let results = answer.body["results"].as_array().unwrap();
    results
        .iter()
        .map(|result| result["status"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn records_of_all_kinds_are_stored_and_answered_in_their_order() {
    let app = App::new().await;
    let answer = post(&app.router, "", &family(1)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(statuses(&answer), [201; 4]);
    assert_eq!(
        (
            &answer.body["created"],
            &answer.body["replayed"],
            &answer.body["refused"]
        ),
        (&json!(4), &json!(0), &json!(0))
    );
    for (index, kind) in ["remediation", "aianalysis", "workflow", "execution"]
        .iter()
        .enumerate()
    {
        let record = &answer.body["results"][index]["record"];
        assert_eq!(record["replayed"], false);
        assert_eq!(record["incidentId"].is_i64(), *kind == "remediation");
        let id = record["id"].as_i64().unwrap();
        let row: String = sqlx::query_scalar("SELECT record_kind FROM audit_events WHERE id = $1")
            .bind(id)
            .fetch_one(app.store.pool())
            .await
            .unwrap();
        assert_eq!(row, *kind);
    }
    for table in [
        "resource_action_traces",
        "ai_analyses",
        "workflow_executions",
        "action_executions",
    ] {
        assert_eq!(app.count(table).await, 1, "{table}");
    }
    let again = post(&app.router, "", &family(1)).await;
    assert_eq!((again.status.as_u16(), statuses(&again)), (200, vec![200; 4]));
    assert_eq!(again.body["replayed"], 4);
    assert_eq!(app.count("audit_events").await, 4);
}

#[tokio::test]
async fn each_record_by_itself_is_what_it_would_have_been_alone() {
    let app = App::new().await;
    let mut entries = family(1);
    entries.insert(2, invalid());
    entries.push(json!("no object"));
    entries.push(json!({"kind": "pod", "record": {}}));
    entries.push(json!({"kind": "workflow"}));
    entries.extend(family(1).into_iter().take(1));
    let answer = post(&app.router, "", &entries).await;
    assert_eq!(answer.status, 200);
    assert_eq!(statuses(&answer), [201, 201, 400, 201, 201, 400, 400, 400, 200]);
    assert_eq!(
        (
            &answer.body["created"],
            &answer.body["replayed"],
            &answer.body["refused"]
        ),
        (&json!(4), &json!(1), &json!(4))
    );
    let problem = &answer.body["results"][2]["problem"];
    assert_eq!(problem["type"], "https://kubernaut.ai/problems/validation-error");
    let found: Vec<(&str, &str)> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            (
                error["pointer"].as_str().unwrap(),
                error["code"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("/record/phase", "not-an-option"),
            ("/record/extra", "unknown-field")
        ]
    );
    assert_eq!(
        answer.body["results"][6]["problem"]["errors"][0]["pointer"],
        "/kind"
    );
    assert_eq!(
        answer.body["results"][7]["problem"]["errors"][0]["pointer"],
        "/record"
    );
    assert_eq!(app.count("audit_events").await, 4);
}

#[tokio::test]
async fn an_atomic_batch_with_one_invalid_record_stores_nothing_and_says_where() {
    let app = App::new().await;
    let mut entries = family(1);
    entries.insert(2, invalid());
    let answer = post(&app.router, "?atomic=true", &entries).await;
    assert_eq!(answer.status, 400);
    let expected = [
        ("/2/record/phase", "not-an-option"),
        ("/2/record/extra", "unknown-field"),
    ];
    assert_eq!(
        answer.violations(),
        expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned()))
    );
    assert_eq!(app.count("audit_events").await, 0);
}

#[tokio::test]
async fn an_atomic_batch_is_one_transaction() {
    let app = App::new().await;
    let entries: Vec<Value> = (0..5).flat_map(family).collect();
    let answer = post(&app.router, "?atomic=true", &entries).await;
    assert_eq!((answer.status.as_u16(), statuses(&answer)), (201, vec![201; 20]));
    let transactions: i64 = sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM audit_events")
        .fetch_one(app.store.pool())
        .await
        .unwrap();
    assert_eq!((transactions, app.count("audit_events").await), (1, 20));
    let again = post(&app.router, "?atomic=true", &entries).await;
    assert_eq!((again.status.as_u16(), statuses(&again)), (200, vec![200; 20]));
}

#[tokio::test]
async fn an_atomic_batch_that_the_database_refuses_is_refused_as_a_whole() {
    let app = App::new().await;
    // Something that validation cannot know of: one name is refused by the table.
    sqlx::raw_sql("ALTER TABLE ai_analyses ADD CONSTRAINT not_this_one CHECK (name <> 'ai-3')")
        .execute(app.store.pool())
        .await
        .unwrap();
    let entries: Vec<Value> = (0..5).flat_map(family).collect();
    let atomic = post(&app.router, "?atomic=true", &entries).await;
    assert_eq!(atomic.status, 422);
    assert_eq!(app.count("audit_events").await, 0);
    let each = post(&app.router, "", &entries).await;
    assert_eq!(each.status, 200);
    let mut expected = vec![201; 20];
    expected[3 * 4 + 1] = 422;
    assert_eq!(statuses(&each), expected);
    assert_eq!(app.count("audit_events").await, 19);
}

#[tokio::test]
async fn lines_are_records_and_a_broken_line_is_refused_alone() {
    let app = App::new().await;
    let lines: Vec<String> = family(1).iter().map(Value::to_string).collect();
    let body = format!("{}\r\n\n{{\"kind\":\n{}\n", lines[0], lines[1..].join("\n"));
    let post =
        |query: &'static str| request::post_bytes(&app.router, query, "application/x-ndjson", body.clone());
    let atomic = post("/api/v1/audit/batch?atomic=true").await;
    assert_eq!(atomic.status, 400);
    assert_eq!(
        atomic.violations(),
        [("/1".to_owned(), "malformed-json".to_owned())]
    );
    assert_eq!(app.count("audit_events").await, 0);
    let each = post("/api/v1/audit/batch").await;
    assert_eq!(
        (each.status.as_u16(), statuses(&each)),
        (200, vec![201, 400, 201, 201, 201])
    );
    assert_eq!(
        each.body["results"][1]["problem"]["type"],
        "https://kubernaut.ai/problems/malformed-json"
    );
}

#[tokio::test]
async fn a_batch_has_at_least_one_record_and_at_most_five_hundred() {
    let app = App::new().await;
    let record = |index| entry("workflow", records::workflow(&format!("wf-{index}"), "rr-1"));
    let entries: Vec<Value> = (0..501).map(record).collect();
    let too_many = post(&app.router, "", &entries).await;
    assert_eq!(too_many.status, 400);
    assert_eq!(too_many.violations(), [(String::new(), "too-long".to_owned())]);
    let none = post(&app.router, "", &[]).await;
    assert_eq!(none.violations(), [(String::new(), "empty".to_owned())]);
    let object = request::post(&app.router, "/api/v1/audit/batch", &entries[0]).await;
    assert_eq!(object.violations(), [(String::new(), "type".to_owned())]);
    let odd = post(&app.router, "?atomic=perhaps", &entries[..1]).await;
    assert_eq!(
        (odd.status.as_u16(), odd.violations()[0].0.as_str()),
        (400, "atomic")
    );
    let text = request::post_bytes(&app.router, "/api/v1/audit/batch", "text/plain", "[]").await;
    assert_eq!(text.status, 415);
    assert_eq!(app.count("audit_events").await, 0);
    let all = post(&app.router, "", &entries[..500]).await;
    assert_eq!(statuses(&all), [201; 500]);
    assert_eq!(app.count("audit_events").await, 500);
}

#[tokio::test]
async fn a_batch_has_a_limit_of_its_own_for_its_size() {
    let app = App::configured(|config| config.batches.body_max_bytes = 2_000_000).await;
    let message = "x".repeat(10_000);
    let record = |index| {
        let record = records::with(
            records::workflow(&format!("wf-{index}"), "rr-1"),
            json!({"message": message}),
        );
        entry("workflow", record)
    };
    let entries: Vec<Value> = (0..210).map(record).collect();
    assert_eq!(post(&app.router, "", &entries).await.status, 413);
    // More than a single record may have.
    let fitting = post(&app.router, "", &entries[..150]).await;
    assert_eq!(statuses(&fitting), [201; 150]);
}

#[tokio::test]
async fn a_key_stands_for_the_whole_batch() {
    let app = App::new().await;
    let send = async |query: &str, entries: Vec<Value>| {
        let path = format!("/api/v1/audit/batch{query}");
        request::post_with_key(&app.router, &path, "key-1", &json!(entries)).await
    };
    let first = send("?atomic=true", family(1)).await;
    assert_eq!(first.status, 201);
    let again = send("?atomic=true", family(1)).await;
    assert_eq!((again.status.as_u16(), statuses(&again)), (200, vec![200; 4]));
    // Fewer records, other records, or the other mode are another request.
    assert_eq!(send("?atomic=true", family(1)[..3].to_vec()).await.status, 422);
    assert_eq!(send("?atomic=true", family(2)).await.status, 422);
    assert_eq!(send("", family(2)).await.status, 422);
    assert_eq!(app.count("audit_events").await, 4);
}

#[tokio::test]
async fn a_record_whose_month_is_locked_holds_up_no_other() {
    let app = App::new().await;
    let in_month = |name: &str, month: &str| {
        let times = json!({"createdAt": format!("2026-{month}-02T00:00:00Z")});
        entry("remediation", records::with(records::remediation(name), times))
    };
    let mut entries: Vec<Value> = (0..20)
        .map(|index| in_month(&format!("rr-{index}"), "06"))
        .collect();
    entries.insert(7, in_month("late", "05"));
    // As retention does while it empties a month.
    let mut lock = app.store.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE audit_events_y2026m05 IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    let release = async {
        let began = std::time::Instant::now();
        while app.count("audit_events").await < 20 {
            assert!(began.elapsed() < std::time::Duration::from_secs(13));
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(app.count("audit_events").await, 20);
        lock.rollback().await.unwrap();
    };
    let (answer, ()) = tokio::join!(post(&app.router, "", &entries), release);
    assert_eq!((answer.status.as_u16(), statuses(&answer)), (200, vec![201; 21]));
}
