//! What is too much is refused before it costs anything, and says when to come back.

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{records, request};

use crate::app::App;

/// A service that takes 10 records a second, 15 at once.
async fn limited() -> App {
    App::configured(|config| {
        config.rate_limit.per_second = NonZeroU32::new(10).unwrap();
        config.rate_limit.burst = NonZeroU32::new(15).unwrap();
    })
    .await
}

fn batch(count: usize) -> Value {
    let record =
        |index| json!({"kind": "workflow", "record": records::workflow(&format!("wf-{index}"), "rr-1")});
    (0..count).map(record).collect()
}

#[tokio::test]
async fn the_burst_passes_and_the_next_record_is_told_when_to_come_back() {
    let app = limited().await;
    for index in 0..15 {
        let answer = app
            .post("remediation", &records::remediation(&format!("rr-{index}")))
            .await;
        assert_eq!(answer.status, 201);
        let left = answer.headers["ratelimit"].to_str().unwrap();
        assert!(
            left.contains(&format!(r#""replica";r={};t=1"#, 14 - index)),
            "{left}"
        );
    }
    let refused = app.post("remediation", &records::remediation("rr-15")).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(
        refused.body["type"],
        "https://kubernaut.ai/problems/too-many-requests"
    );
    assert_eq!(app.count("audit_events").await, 15);
    app.steady.advance(Duration::from_millis(100));
    assert_eq!(
        app.post("remediation", &records::remediation("rr-15"))
            .await
            .status,
        201
    );
    assert_eq!(
        app.post("remediation", &records::remediation("rr-16"))
            .await
            .status,
        429
    );
}

#[tokio::test]
async fn a_batch_costs_as_much_as_its_records_and_is_taken_whole_or_not_at_all() {
    let app = limited().await;
    let path = "/api/v1/audit/batch";
    assert_eq!(request::post(&app.router, path, &batch(10)).await.status, 200);
    // Five are left: the sixth is one too many, and the one that was charged for looking at the request is gone.
    let refused = request::post(&app.router, path, &batch(6)).await;
    assert_eq!(refused.status, 429);
    assert_eq!(app.count("audit_events").await, 10);
    let fitting = request::post(&app.router, path, &batch(4)).await;
    assert_eq!(fitting.body["replayed"], 4);
    assert_eq!(request::post(&app.router, path, &batch(1)).await.status, 429);
}

#[tokio::test]
async fn an_unknown_path_costs_nothing() {
    let app = limited().await;
    for _ in 0..50 {
        assert_eq!(app.get("/api/v1/audit/unknown").await.status, 404);
    }
    assert_eq!(
        app.post("remediation", &records::remediation("rr-1"))
            .await
            .status,
        201
    );
}
