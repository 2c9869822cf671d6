//! Records find their incident by name, in any order of arrival, also when a name is used again.

use serde_json::json;
use testkit::records::{self, with};

use crate::both::Both;

fn names(detail: &serde_json::Value, field: &str) -> Vec<String> {
    let records = detail[field].as_array().expect("records").iter();
    records
        .map(|record| record["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[tokio::test]
async fn an_execution_before_its_workflow_before_its_remediation_ends_up_with_its_incident() {
    let both = Both::new().await;
    both.record("execution", &records::full_execution("ex-1", "wf-1"))
        .await;
    both.record("workflow", &records::full_workflow("wf-1", "rr-1", "ai-1"))
        .await;
    both.record("aianalysis", &records::full_analysis("ai-1", "rr-1"))
        .await;
    let incident = both.incident(&records::full_remediation("rr-1")).await;
    let detail = both.get(&format!("/api/v1/incidents/{incident}")).await.body;
    assert_eq!(names(&detail, "analyses"), ["ai-1"]);
    assert_eq!(names(&detail, "workflows"), ["wf-1"]);
    assert_eq!(names(&detail, "executions"), ["ex-1"]);
    assert_eq!(detail["status"], "rolled-back");
    assert_eq!(detail["timeline"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn a_name_used_again_keeps_two_families_apart() {
    let both = Both::new().await;
    let at = |hour: u32| json!({"createdAt": format!("2026-06-15T{hour:02}:00:00Z")});
    let first = both.incident(&with(records::remediation("rr-1"), at(6))).await;
    let second = both.incident(&with(records::remediation("rr-1"), at(9))).await;
    both.record("workflow", &with(records::workflow("wf-a", "rr-1"), at(7)))
        .await;
    both.record("workflow", &with(records::workflow("wf-b", "rr-1"), at(10)))
        .await;
    // The clock of the one who analysed was behind: there is no older incident it could belong to.
    both.record("aianalysis", &with(records::analysis("ai-a", "rr-1"), at(5)))
        .await;
    let first = both.get(&format!("/api/v1/incidents/{first}")).await.body;
    let second = both.get(&format!("/api/v1/incidents/{second}")).await.body;
    assert_eq!(
        (names(&first, "workflows"), names(&first, "analyses")),
        (vec!["wf-a".into()], vec!["ai-a".into()])
    );
    assert_eq!(names(&second, "workflows"), ["wf-b"]);
    assert_eq!(names(&second, "analyses").len(), 0);
}

#[tokio::test]
async fn a_failed_remediation_is_rolled_back_only_by_an_execution_of_its_own() {
    let both = Both::new().await;
    let failed = json!({"phase": "Failed"});
    let mine = both
        .incident(&with(records::remediation("rr-1"), failed.clone()))
        .await;
    let other = both.incident(&with(records::remediation("rr-2"), failed)).await;
    both.record("workflow", &records::workflow("wf-1", "rr-1")).await;
    let execution = with(
        records::execution("ex-1", "wf-1"),
        json!({"isRolledBack": true, "phase": "Failed"}),
    );
    both.record("execution", &execution).await;
    assert_eq!(both.list("status=rolled-back").await, (vec![mine], 1));
    assert_eq!(both.list("status=failed").await, (vec![other], 1));
    assert_eq!(both.list("phase=Failed").await.1, 2);
}

#[tokio::test]
async fn the_newest_analysis_with_a_root_cause_gives_the_root_cause() {
    let both = Both::new().await;
    let incident = both.incident(&records::remediation("rr-1")).await;
    for (name, minute, cause) in [
        ("ai-1", 1, Some("first guess")),
        ("ai-2", 2, Some("second guess")),
        ("ai-3", 3, None),
    ] {
        let mut body = with(
            records::analysis(name, "rr-1"),
            json!({"createdAt": format!("2026-06-15T10:{minute:02}:00Z")}),
        );
        if let Some(cause) = cause {
            body = with(body, json!({"rootCause": cause}));
        }
        both.record("aianalysis", &body).await;
    }
    let detail = both.get(&format!("/api/v1/incidents/{incident}")).await.body;
    assert_eq!(detail["rootCause"], "second guess");
    assert_eq!(names(&detail, "analyses"), ["ai-1", "ai-2", "ai-3"]);
}
