//! What a search tells beside the similarity: how often a text was seen, what was tried, what contradicts it, and which
//! ledger rows to cite.

use serde_json::{Value, json};
use testkit::records::{self, with};

use crate::both::Both;
use crate::prepared;

const QUESTION: &str = "Alert. memory limit exceeded";

fn tried(name: &str, day: u32, phase: &str, action: &str) -> Value {
    with(
        records::remediation(name),
        json!({
            "signalName": "Alert", "message": "memory limit exceeded", "phase": phase, "actionType": action,
            "createdAt": format!("2026-06-{day:02}T00:00:00Z"),
        }),
    )
}

/// The match of a remediation.
fn of<'a>(answer: &'a Value, name: &str) -> &'a Value {
    answer["matches"]
        .as_array()
        .expect("matches")
        .iter()
        .find(|hit| hit["incident"]["remediationName"] == name)
        .expect("the match")
}

#[tokio::test]
async fn a_match_tells_how_often_its_text_was_seen_and_how_the_actions_ended() {
    let both = Both::new().await;
    let mut recorded = Vec::new();
    for body in [
        tried("rr-1", 10, "Completed", "restart_pod"),
        tried("rr-2", 11, "Failed", "restart_pod"),
        tried("rr-3", 12, "Completed", "restart_pod"),
        // The action is part of a text: this is another one.
        tried("rr-4", 13, "Failed", "delete_pod"),
        tried("rr-5", 14, "Processing", "restart_pod"),
        // Of another resource: it contradicts nothing of the others.
        with(
            tried("rr-6", 14, "Failed", "restart_pod"),
            json!({"targetName": "billing"}),
        ),
        // Another text: it is not counted.
        with(
            tried("rr-7", 14, "Completed", "restart_pod"),
            json!({"message": "certificate renewal"}),
        ),
    ] {
        recorded.push(both.record("remediation", &body).await);
    }
    let answer = both.search(&json!({"description": QUESTION})).await.body;
    let hit = of(&answer, "rr-1");
    assert_eq!(hit["outcome"], "Completed");
    assert_eq!(hit["recordedBy"], hit["incident"]["recordedBy"]);
    assert_eq!(
        (&hit["timesSeen"], &hit["timesSeenExact"]),
        (&json!(5), &json!(true))
    );
    assert_eq!(hit["lastSeen"], "2026-06-14T00:00:00Z");
    let actions: Vec<_> = hit["actionsTried"]
        .as_array()
        .expect("actions")
        .iter()
        .map(|action| (&action["actionType"], &action["attempts"], &action["successes"]))
        .collect();
    // An attempt that has not ended is none yet.
    assert_eq!(actions, [(&json!("restart_pod"), &json!(4), &json!(2))]);
    // Two of four: the middle is one half, and the bounds lie (z √(1/16 + z²/64)) / (1 + z²/4) from it.
    let interval = &hit["actionsTried"][0]["confidenceInterval"];
    let low = interval["low"].as_f64().expect("a bound");
    assert!((low - 0.150_039).abs() < 1e-6, "{interval}");
    assert_eq!(
        hit["contradicted"],
        json!({"incidentId": recorded[1]["incidentId"]})
    );
    assert_eq!(hit["recordIds"], json!([recorded[0]["id"]]));
    for (name, why) in [
        ("rr-2", "failed itself"),
        (
            "rr-3",
            "the later failures are of another action and another resource",
        ),
        ("rr-5", "has not ended"),
    ] {
        assert_eq!(of(&answer, name).get("contradicted"), None, "{why}");
    }

    let filtered = json!({"description": QUESTION, "phase": "Completed", "until": "2026-06-12T00:00:00Z"});
    let answer = both.search(&filtered).await.body;
    let hit = of(&answer, "rr-1");
    assert_eq!(answer["totalMatches"], 1);
    assert_eq!(
        (
            &hit["timesSeen"],
            &hit["lastSeen"],
            &hit["actionsTried"][0]["attempts"]
        ),
        (&json!(1), &json!("2026-06-10T00:00:00Z"), &json!(1)),
        "only what passes the filters is counted"
    );
    // What speaks against a match is told whatever is filtered.
    assert_eq!(
        hit["contradicted"],
        json!({"incidentId": recorded[1]["incidentId"]})
    );
}

#[tokio::test]
async fn the_record_that_matched_is_cited_behind_the_incident() {
    let both = Both::new().await;
    for (kind, body) in [
        ("remediation", tried("rr-1", 15, "Processing", "restart_pod")),
        ("remediation", tried("rr-2", 15, "Completed", "delete_pod")),
    ] {
        both.record(kind, &body).await;
    }
    let mut cited = Vec::new();
    for (kind, body, field, text) in [
        (
            "aianalysis",
            records::analysis("ai-1", "rr-1"),
            "rootCause",
            "quota exhausted by batch jobs",
        ),
        (
            "workflow",
            records::workflow("wf-1", "rr-1"),
            "message",
            "evicting idle notebooks",
        ),
        (
            "execution",
            records::execution("ex-1", "wf-1"),
            "message",
            "taint removed from spare machine",
        ),
    ] {
        let id = both.record(kind, &with(body, json!({field: text}))).await["id"].clone();
        cited.push((kind, text, id));
    }
    // A second incident whose analysis says the same.
    let second = with(
        records::analysis("ai-2", "rr-2"),
        json!({"rootCause": "quota exhausted by batch jobs"}),
    );
    both.record("aianalysis", &second).await;
    // The remediation moved on: its last event is cited, not its first.
    let last = with(
        tried("rr-1", 15, "Completed", "restart_pod"),
        json!({"startedAt": "2026-06-15T10:00:00Z", "completedAt": "2026-06-15T11:00:00Z"}),
    );
    let last = both.record("remediation", &last).await["id"].clone();
    for (kind, text, id) in cited {
        let answer = both.search(&json!({"description": text})).await.body;
        let hit = of(&answer, "rr-1");
        assert_eq!(hit["matchedOn"], kind);
        assert_eq!(hit["recordIds"], json!([last, id]), "{kind}");
        // The analysis of another incident, in which something else was done, says the same.
        let others: &[&str] = if kind == "aianalysis" {
            &["delete_pod"]
        } else {
            &[]
        };
        assert_eq!(hit["timesSeen"], 1 + others.len(), "{kind}");
        let actions: Vec<_> = hit["actionsTried"]
            .as_array()
            .expect("actions")
            .iter()
            .map(|action| {
                (
                    action["actionType"].as_str().expect("a kind"),
                    &action["attempts"],
                )
            })
            .collect();
        let expected: Vec<_> = [others, &["restart_pod"]]
            .concat()
            .into_iter()
            .map(|action| (action, json!(1)))
            .collect();
        let expected: Vec<_> = expected.iter().map(|(action, one)| (*action, one)).collect();
        assert_eq!(actions, expected, "{kind}");
        assert_eq!(hit["lastSeen"], "2026-06-15T00:00:00Z", "{kind}");
    }
}

/// One failed incident, and 20 000 completed ones with its text, each a minute older than the one before.
async fn storm(both: &Both) -> i64 {
    let incident = both.incident(&tried("rr-0", 10, "Failed", "restart_pod")).await;
    sqlx::query(
        "WITH made AS (
             INSERT INTO remediation_requests (namespace, name, created_at)
             SELECT 'kubernaut-system', 'clone-' || n, timestamptz '2026-06-10T00:00:00Z' - n * interval '1 minute'
             FROM generate_series(1, 20000) n RETURNING id, namespace, name, created_at)
         INSERT INTO resource_action_traces (id, action_history_id, action_timestamp, remediation_namespace,
             remediation_name, signal_type, alert_name, cluster_name, action_type, phase, correlation_id,
             embedding_id, last_event_id, recorded_by, updated_at)
         SELECT m.id, t.action_history_id, m.created_at, m.namespace, m.name, t.signal_type, t.alert_name,
                t.cluster_name, t.action_type, 'Completed', t.correlation_id, t.embedding_id, t.last_event_id,
                t.recorded_by, t.updated_at
         FROM made m, resource_action_traces t WHERE t.id = $1",
    )
    .bind(incident)
    .execute(both.store.pool())
    .await
    .expect("many incidents of one text");
    incident
}

#[tokio::test]
async fn of_a_text_with_very_many_incidents_the_newest_thousand_are_counted() {
    let both = Both::new().await;
    let incident = storm(&both).await;
    let answer = both
        .search(&json!({"description": QUESTION, "maxResults": 2}))
        .await
        .body;
    assert_eq!(answer["matches"][0]["incident"]["id"], incident);
    for hit in answer["matches"].as_array().expect("matches") {
        assert_eq!(
            (&hit["timesSeen"], &hit["timesSeenExact"]),
            (&json!(1_000), &json!(false))
        );
        assert_eq!(hit["lastSeen"], "2026-06-10T00:00:00Z");
        let action = &hit["actionsTried"][0];
        assert_eq!(
            (&action["attempts"], &action["successes"]),
            (&json!(1_000), &json!(999))
        );
    }
    // All others are older than the failure.
    assert_eq!(
        answer["matches"][1]["contradicted"],
        json!({"incidentId": incident})
    );
}

/// How many rows of incidents the reader's last search reads in the statement that `part` occurs in: that very
/// statement is explained, in its session, for one text.
async fn rows_read(reader: &audit_store::Reader, part: &str, arguments: &str) -> i64 {
    let name = prepared::name_of(reader, part).await;
    let arguments = format!("{}{arguments}", "NULL, ".repeat(15));
    // As the reader ran it: with the plan that is kept for it.
    let settings = "SET LOCAL plan_cache_mode = force_generic_plan";
    let plan = prepared::explained(reader, &name, &arguments, Some(settings)).await;
    rows_of(&plan)
}

fn rows_of(node: &Value) -> i64 {
    let number = |key: &str| node[key].as_f64().unwrap_or_default();
    let table = node["Relation Name"].as_str().unwrap_or_default();
    let own = if table.starts_with("resource_action_traces") {
        (number("Actual Rows") + number("Rows Removed by Filter")) * number("Actual Loops")
    } else {
        0.0
    };
    let children = node["Plans"].as_array().into_iter().flatten();
    format!("{own:.0}").parse::<i64>().expect("a number") + children.map(rows_of).sum::<i64>()
}

#[tokio::test]
async fn a_text_with_very_many_incidents_is_not_expanded_whole() {
    let both = Both::new().await;
    storm(&both).await;
    both.database.analyze().await;
    let reader = audit_store::Reader::connect(&audit_store::ConnectOptions {
        max_connections: 1,
        ..both.database.reader_options()
    })
    .await
    .expect("a connection");
    let search = audit_store::reader::Search {
        vector: (0..64).map(|index| if index == 0 { 1.0 } else { 0.0 }).collect(),
        model: both.database.model().clone(),
        filter: audit_store::reader::IncidentFilter::default(),
        max_results: 2,
        min_similarity: -1.0,
        except: None,
    };
    let hits = reader.search(&search).await.expect("an answer");
    assert_eq!(hits.len(), 2);
    let text: i64 = sqlx::query_scalar("SELECT id FROM texts")
        .fetch_one(reader.pool())
        .await
        .expect("the one text");
    let expansion = rows_read(
        &reader,
        "SELECT o.id AS",
        &format!("ARRAY[{text}]::bigint[], ARRAY[0.5], NULL, 2"),
    )
    .await;
    // The two, and at most one more of each partition that was looked into for them.
    assert!((2..=8).contains(&expansion), "{expansion} rows for two results");
    let counting = rows_read(&reader, "AS place", &format!("ARRAY[{text}]::bigint[], 1000")).await;
    assert!(
        (1_001..=1_008).contains(&counting),
        "{counting} rows to count a thousand"
    );
}
