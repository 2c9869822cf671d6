//! What the service tells of itself: every metric that is promised, with the value that it must have.

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::json;
use testkit::Database;
use testkit::wire::Wire;

use crate::service::{Service, wait_until};

#[tokio::test]
async fn every_metric_has_help_and_the_value_of_what_happened() {
    let database = Database::new("contextapi").await;
    let service = Service::on(&database, |config| {
        config.database.max_connections = NonZeroU32::MIN;
        // However slow the machine is, and whenever the first look for changes comes.
        config.cache.ttl = Duration::from_secs(600);
        config.cache.refresh_interval = Duration::ZERO;
    })
    .await;
    let mut client = Wire::new(service.api);
    let mut status = async |path: &str| client.get(path).await.unwrap().status.as_u16();
    // The second answer comes from memory.
    assert_eq!(status("/api/v1/incidents").await, 200);
    assert_eq!(status("/api/v1/incidents").await, 200);
    assert_eq!(status("/api/v1/incidents/1").await, 404);
    assert_eq!(status("/api/v1/incidents?limit=0").await, 400);
    let body = json!({"description": "out of memory"});
    let found = client.post("/api/v1/context/match", &body).await.unwrap();
    assert_eq!(found.status, 200);

    // The only connection is given back after the answer.
    wait_until("an idle connection", async || {
        let text = service.scrape().await;
        text.lines()
            .any(|line| line == "contextapi_database_connections_idle 1")
    })
    .await;
    let text = service.scrape().await;
    for line in [
        r#"build_info{version="1.2.3",revision="abc"} 1"#,
        r#"http_requests_total{method="GET",route="/api/v1/incidents",status="200",problem=""} 2"#,
        r#"http_requests_total{method="GET",route="/api/v1/incidents",status="400",problem="invalid-parameter"} 1"#,
        r#"http_requests_total{method="GET",route="/api/v1/incidents/{id}",status="404",problem="not-found"} 1"#,
        r#"http_requests_total{method="POST",route="/api/v1/context/match",status="200",problem=""} 1"#,
        r#"http_request_duration_seconds_count{method="GET",route="/api/v1/incidents",status_class="2xx"} 2"#,
        "http_requests_in_flight 0",
        r#"rate_limit_refused_requests_total{policy="caller"} 0"#,
        r#"rate_limit_refused_requests_total{policy="replica"} 0"#,
        r#"trace_spans_total{outcome="dropped"} 0"#,
        r#"cache_lookups_total{tier="memory",result="hit"} 1"#,
        r#"cache_loads_total{result="found"} 1"#,
        r#"cache_loads_total{result="absent"} 1"#,
        "search_duration_seconds_count 1",
        "query_embedding_duration_seconds_count 1",
        "database_connections 1",
        "database_connections_idle 1",
    ] {
        let line = format!("contextapi_{line}");
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    // Every metric says what it is.
    let names = |kind: &str| -> Vec<String> {
        let mut names: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix(kind)?.split(' ').next().map(str::to_owned))
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("# HELP "), names("# TYPE "));
    service.shutdown.begin();
    service.task.await.unwrap();
}
