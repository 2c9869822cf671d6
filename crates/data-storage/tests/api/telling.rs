//! What the service tells of itself: every metric that is promised, with the value that it must have.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use data_storage::{Config, DataStorage};
use serde_json::{Value, json};
use service_kit::config::Secret;
use service_kit::metrics::BuildInfo;
use service_kit::server::ServerConfig;
use service_kit::shutdown::Shutdown;
use service_kit::telemetry::TraceMetrics;
use service_kit::{Clock, Host};
use testkit::wire::Wire;
use testkit::{Database, records};

/// How long the first round of maintenance may take.
const PATIENCE: Duration = Duration::from_secs(30);

async fn post(api: SocketAddr, body: &Value) -> u16 {
    let answer = Wire::new(api)
        .post("/api/v1/audit/remediation", body)
        .await
        .unwrap();
    answer.status.as_u16()
}

#[tokio::test]
async fn every_metric_has_help_and_the_value_of_what_happened() {
    let database = Database::new("datastorage").await;
    let mut config = Config::load(None, []).unwrap();
    config.server = ServerConfig::ephemeral();
    config.database.url = Secret::new(database.url());
    config.database.schema = database.schema().data().to_owned();
    config.embedding.budget = Duration::from_secs(30);
    let shutdown = Shutdown::new();
    let host = Host {
        clock: Clock::manual(Database::now()),
        build: BuildInfo {
            version: "1.2.3".to_owned(),
            revision: "abc".to_owned(),
        },
        traces: TraceMetrics::default(),
        shutdown: shutdown.clone(),
    };
    let service = DataStorage::bind(config, Database::embedder(), host)
        .await
        .unwrap();
    let (api, metrics) = (service.api_address(), service.metrics_address());
    let served = tokio::spawn(service.serve());

    while Wire::new(api).get("/startupz").await.unwrap().status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    // Two records of one text, one of them with a secret and sent twice; and one that breaks two rules.
    let secret = records::with(
        records::remediation("rr-1"),
        json!({"reason": "password=correct-horse-7"}),
    );
    assert_eq!(post(api, &secret).await, 201);
    assert_eq!(post(api, &secret).await, 200);
    let same_text = records::with(secret.clone(), json!({"name": "rr-2"}));
    assert_eq!(post(api, &same_text).await, 201);
    let invalid = records::with(records::remediation("rr-3"), json!({"phase": "Done", "extra": 1}));
    assert_eq!(post(api, &invalid).await, 400);

    // Maintenance tells of partitions when its first round is over.
    let deadline = Instant::now() + PATIENCE;
    let text = loop {
        let scrape = Wire::new(metrics).get("/metrics").await.unwrap();
        let text = scrape.body.as_str().unwrap().to_owned();
        if text.lines().any(|line| line == "datastorage_partitions_ahead 3") {
            break text;
        }
        assert!(Instant::now() < deadline, "no partitions in\n{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    for line in [
        r#"build_info{version="1.2.3",revision="abc"} 1"#,
        r#"writes_total{kind="remediation",result="created"} 2"#,
        r#"writes_total{kind="remediation",result="replayed"} 1"#,
        r#"validation_failures_total{rule="not-an-option"} 1"#,
        r#"validation_failures_total{rule="unknown-field"} 1"#,
        r#"redactions_total{rule="assignment"} 3"#,
        "commit_duration_seconds_count 3",
        "queue_wait_seconds_count 3",
        "batch_records_sum 3.0",
        "batch_records_count 3",
        "queue_depth 0",
        "embedding_duration_seconds_count 3",
        "embedding_cache_hits_total 2",
        "embedding_cache_misses_total 1",
        "embedding_cache_found_total 0",
        "embedding_cache_embedded_total 1",
        "embeddings_late_total 0",
        "embeddings_pending 0",
        "embeddings_oldest_pending_seconds 0",
        "embeddings_poisoned 0",
        "partitions_ahead 3",
        "partitions_missing 0",
        r#"default_partition_rows{table="audit_events"} 0"#,
        r#"default_partition_rows{table="resource_action_traces"} 0"#,
        "retention_dropped_partitions_total 0",
        "retention_held_months 0",
        r#"rate_limit_refused_requests_total{policy="replica"} 0"#,
        r#"trace_spans_total{outcome="dropped"} 0"#,
        r#"http_requests_total{method="POST",route="/api/v1/audit/remediation",status="201",problem=""} 2"#,
        r#"http_requests_total{method="POST",route="/api/v1/audit/remediation",status="400",problem="validation-error"} 1"#,
        "http_requests_in_flight 0",
    ] {
        let line = format!("datastorage_{line}");
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    // How many there are depends on what the tasks are doing; that they are counted does not.
    let connections = |name: &str| {
        let prefix = format!("datastorage_{name} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
        value
            .unwrap_or_else(|| panic!("no {name}"))
            .parse::<i64>()
            .unwrap()
    };
    let (open, idle) = (
        connections("database_connections"),
        connections("database_connections_idle"),
    );
    assert!(
        (1..=10).contains(&open) && (0..=open).contains(&idle),
        "{idle} of {open}"
    );
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
    shutdown.begin();
    served.await.unwrap();
}
