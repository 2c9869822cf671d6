//! Recall on the demo history, with the real model: what is meant ranks first, and a hard filter is hard.

use demo_history::{DemoRecord, HistoryOptions, RecordKind, history};
use serde_json::{Value, json};
use testkit::Database;
use testkit::request::post;

use crate::both::{Both, minilm};

/// Incidents loaded: enough for every kind of alert, few enough for a test.
const INCIDENTS: usize = 400;

/// Both services with the first part of the history: of each incident its newest version, and its analysis.
async fn with_history() -> Both {
    let both = Both::with_embedder(minilm().await).await;
    let records = history(&HistoryOptions {
        incidents: INCIDENTS,
        ..HistoryOptions::new(Database::now())
    });
    let wanted = |record: &&DemoRecord| match record.kind {
        RecordKind::Remediation => record.body["completedAt"].is_string(),
        RecordKind::AiAnalysis => true,
        RecordKind::Workflow | RecordKind::Execution => false,
    };
    let records: Vec<&DemoRecord> = records.iter().filter(wanted).collect();
    for batch in records.chunks(32) {
        let posts = batch
            .iter()
            .map(|record| post(&both.data_storage, record.kind.path(), &record.body));
        for answer in futures::future::join_all(posts).await {
            assert_eq!(answer.status, 201, "{}", answer.body);
        }
    }
    both
}

fn incidents(answer: &Value) -> Vec<Value> {
    answer["matches"]
        .as_array()
        .expect("matches")
        .iter()
        .map(|hit| hit["incident"].clone())
        .collect()
}

#[tokio::test]
async fn descriptions_in_other_words_rank_the_right_incidents_first_and_filters_hold() {
    let both = with_history().await;
    let cases: [(&str, &[&str]); 3] = [
        (
            "containers keep dying because they use too much memory",
            &["OOM", "Memory"],
        ),
        ("the disk of a node is filling up", &["Filesystem", "Disk"]),
        ("certificate about to run out", &["Cert"]),
    ];
    for (description, names) in cases {
        let answer = both
            .search(&json!({"description": description, "maxResults": 5}))
            .await
            .body;
        let found = incidents(&answer);
        assert_eq!(found.len(), 5, "{description}");
        for incident in &found {
            let alert = incident["alertName"].as_str().expect("an alert");
            assert!(
                names.iter().any(|name| alert.contains(name)),
                "{description}: {alert}"
            );
        }

        for (filter, value) in [
            ("cluster", "staging-eu-1"),
            ("kind", "Node"),
            ("namespace", "payments"),
            ("severity", "info"),
        ] {
            let body = json!({"description": description, "maxResults": 100, filter: value});
            let found = incidents(&both.search(&body).await.body);
            for incident in &found {
                let field = match filter {
                    "kind" | "namespace" => &incident["resource"][filter],
                    _ => &incident[filter],
                };
                assert_eq!(field, value, "{description}, {filter}");
            }
            // What passes the filter is found, however little it has to do with the description.
            let (_, total) = both.list(&format!("{filter}={value}")).await;
            assert!(total > 0, "{filter}={value} leaves something to find");
            assert_eq!(
                i64::try_from(found.len()).expect("few"),
                total.min(100),
                "{description}, {filter}"
            );
        }
    }
}
