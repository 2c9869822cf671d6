//! Every key of the configuration has an effect, and a test that shows it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use audit_store::WriteStore;
use data_storage::{Config, DEFAULTS, DataStorage};
use futures::future::join_all;
use serde_json::{Value, json};
use service_kit::config::Secret;
use service_kit::metrics::BuildInfo;
use service_kit::server::ServerConfig;
use service_kit::shutdown::Shutdown;
use service_kit::telemetry::TraceMetrics;
use service_kit::{Clock, Host};
use testkit::{Database, records};

use crate::app::App;

/// Where the effect of each key is shown: file below `crates/`, and the test in it.
const SHOWN: &[(&str, &str, &str)] = &[
    (
        "auth.audiences",
        "data-storage/tests/api/callers.rs",
        "the_ledger_names_the_caller_and_the_api_server_was_asked_the_right_thing",
    ),
    (
        "auth.cache_entries",
        "service-kit/tests/auth/start.rs",
        "every_key_is_required_and_zero_places_are_refused",
    ),
    (
        "auth.cache_ttl",
        "service-kit/src/auth/reviews/tests.rs",
        "a_verdict_holds_from_the_beginning_of_its_review",
    ),
    (
        "auth.kubeconfig",
        "data-storage/tests/api/callers.rs",
        "nobody_else_writes_anything_anywhere",
    ),
    (
        "auth.max_reviews_in_flight",
        "service-kit/tests/auth/flood.rs",
        "a_flood_of_bad_tokens_costs_those_known_nothing_and_is_bounded",
    ),
    (
        "auth.max_reviews_waiting",
        "service-kit/tests/auth/flood.rs",
        "who_finds_the_queue_full_is_told_to_come_back_soon",
    ),
    (
        "auth.mode",
        "service-kit/tests/auth/start.rs",
        "a_server_listens_where_others_reach_it_only_with_authentication",
    ),
    (
        "auth.review_timeout",
        "service-kit/src/auth/reviews/tests.rs",
        "a_review_ends_at_its_timeout_wherever_it_is",
    ),
    (
        "batches.body_max_bytes",
        "data-storage/tests/api/batches.rs",
        "a_batch_has_a_limit_of_its_own_for_its_size",
    ),
    (
        "batches.max_records",
        "data-storage/tests/api/settings.rs",
        "a_batch_may_be_as_large_as_configured_and_as_limits_allow",
    ),
    (
        "database.acquire_timeout",
        "data-storage/tests/api/settings.rs",
        "connections_are_as_many_and_as_patient_as_configured",
    ),
    (
        "database.connect_timeout",
        "data-storage/tests/api/settings.rs",
        "a_start_waits_for_its_database_as_long_as_configured",
    ),
    (
        "database.max_connections",
        "data-storage/tests/api/settings.rs",
        "connections_are_as_many_and_as_patient_as_configured",
    ),
    (
        "database.schema",
        "kubernaut/tests/binary/fsck.rs",
        "a_finding_is_1_until_the_read_model_is_made_again",
    ),
    (
        "database.statement_timeout",
        "data-storage/tests/api/settings.rs",
        "connections_are_as_many_and_as_patient_as_configured",
    ),
    (
        "database.url",
        "data-storage/tests/api/settings.rs",
        "a_start_waits_for_its_database_as_long_as_configured",
    ),
    (
        "embedding.backfill_interval",
        "data-storage/tests/api/late_vectors.rs",
        "a_record_is_stored_while_the_embedder_hangs_and_its_vector_follows",
    ),
    (
        "embedding.budget",
        "data-storage/tests/api/late_vectors.rs",
        "a_record_is_stored_while_the_embedder_hangs_and_its_vector_follows",
    ),
    (
        "embedding.cache_max_bytes",
        "embedding/src/cache/tests.rs",
        "memory_is_bounded_and_the_newest_stay",
    ),
    (
        "embedding.cache_ttl",
        "embedding/src/cache/tests.rs",
        "entries_expire",
    ),
    (
        "embedding.http.api_key",
        "embedding/tests/http/keys.rs",
        "a_key_is_sent_as_a_bearer_token",
    ),
    (
        "embedding.http.api_key_file",
        "embedding/tests/http/keys.rs",
        "a_key_that_is_rotated_in_its_file_is_used_from_the_next_request_on",
    ),
    (
        "embedding.http.breaker_cool_off",
        "embedding/tests/http/breaker.rs",
        "after_failures_in_a_row_no_request_is_made_until_a_probe_succeeds",
    ),
    (
        "embedding.http.breaker_failures",
        "embedding/tests/http/breaker.rs",
        "after_failures_in_a_row_no_request_is_made_until_a_probe_succeeds",
    ),
    (
        "embedding.http.ca_file",
        "embedding/tests/http/trust.rs",
        "an_authority_of_ones_own_is_trusted",
    ),
    (
        "embedding.http.dimension",
        "embedding/tests/http/answers.rs",
        "another_dimension_is_another_model_and_no_fault_of_the_text",
    ),
    (
        "embedding.http.max_batch",
        "embedding/tests/http/batches.rs",
        "what_waits_goes_together_and_no_request_is_too_large",
    ),
    (
        "embedding.http.max_in_flight",
        "embedding/tests/http/batches.rs",
        "several_requests_are_under_way_and_no_more_than_allowed",
    ),
    (
        "embedding.http.model",
        "kubernaut/tests/binary/http_model.rs",
        "both_services_record_and_search_with_a_provider_and_no_other_model_may_follow",
    ),
    (
        "embedding.http.queue",
        "embedding/tests/http/batches.rs",
        "a_full_queue_is_busy_and_recovers",
    ),
    (
        "embedding.http.retry_for",
        "embedding/tests/http/retries.rs",
        "nothing_is_tried_beyond_the_deadline",
    ),
    (
        "embedding.http.send_dimension",
        "embedding/tests/http/answers.rs",
        "the_request_is_what_openai_defined_and_no_more",
    ),
    (
        "embedding.http.timeout",
        "embedding/tests/http/retries.rs",
        "a_request_without_an_answer_times_out",
    ),
    (
        "embedding.http.url",
        "kubernaut/tests/binary/http_model.rs",
        "both_services_record_and_search_with_a_provider_and_no_other_model_may_follow",
    ),
    (
        "embedding.http.version",
        "kubernaut/tests/binary/http_model.rs",
        "both_services_record_and_search_with_a_provider_and_no_other_model_may_follow",
    ),
    (
        "embedding.provider",
        "kubernaut/tests/binary/http_model.rs",
        "both_services_record_and_search_with_a_provider_and_no_other_model_may_follow",
    ),
    (
        "idempotency.keep",
        "data-storage/tests/api/idempotency_keys.rs",
        "a_key_is_forgotten_when_its_time_is_up",
    ),
    (
        "log.directives",
        "service-kit/src/telemetry.rs",
        "dependencies_only_speak_up_when_they_warn",
    ),
    (
        "log.format",
        "service-kit/src/telemetry.rs",
        "a_json_line_carries_fields_and_span_flat",
    ),
    (
        "log.level",
        "service-kit/src/telemetry.rs",
        "dependencies_only_speak_up_when_they_warn",
    ),
    (
        "partitions.interval",
        "data-storage/tests/api/maintenance.rs",
        "by_default_partitions_are_made_as_time_passes_and_nothing_is_ever_dropped",
    ),
    (
        "partitions.months_ahead",
        "data-storage/tests/api/maintenance.rs",
        "by_default_partitions_are_made_as_time_passes_and_nothing_is_ever_dropped",
    ),
    (
        "partitions.months_back",
        "data-storage/tests/api/maintenance.rs",
        "by_default_partitions_are_made_as_time_passes_and_nothing_is_ever_dropped",
    ),
    (
        "rate_limit.burst",
        "data-storage/tests/api/limits.rs",
        "the_burst_passes_and_the_next_record_is_told_when_to_come_back",
    ),
    (
        "rate_limit.caller_burst",
        "service-kit/tests/kit/rate_limit.rs",
        "a_caller_that_floods_takes_nothing_of_another_callers_share",
    ),
    (
        "rate_limit.caller_per_second",
        "service-kit/tests/kit/rate_limit.rs",
        "retry_after_is_the_time_until_all_of_it_passes_rounded_up",
    ),
    (
        "rate_limit.per_second",
        "data-storage/tests/api/limits.rs",
        "the_burst_passes_and_the_next_record_is_told_when_to_come_back",
    ),
    (
        "records.default_cluster",
        "data-storage/tests/api/settings.rs",
        "a_record_that_names_no_cluster_is_of_the_configured_one",
    ),
    (
        "requests.bodies_max_bytes",
        "service-kit/tests/http/extract.rs",
        "bodies_together_have_room_until_their_requests_are_answered",
    ),
    (
        "requests.body_max_bytes",
        "service-kit/tests/http/server.rs",
        "an_oversize_body_is_413_however_it_is_framed",
    ),
    (
        "requests.body_read_timeout",
        "service-kit/tests/http/server.rs",
        "a_slow_body_is_408",
    ),
    (
        "requests.deadline",
        "service-kit/tests/http/boundary.rs",
        "the_deadline_ends_a_request_with_504",
    ),
    (
        "retention.dry_run",
        "data-storage/tests/api/maintenance.rs",
        "a_dry_run_drops_nothing",
    ),
    (
        "retention.interval",
        "data-storage/tests/api/maintenance.rs",
        "with_a_policy_old_months_are_dropped_once_and_counted",
    ),
    (
        "retention.keep_months",
        "data-storage/tests/api/maintenance.rs",
        "with_a_policy_old_months_are_dropped_once_and_counted",
    ),
    (
        "server.api_address",
        "kubernaut/tests/binary/refusals.rs",
        "an_address_that_cannot_be_served_is_named_with_its_option",
    ),
    (
        "server.drain_timeout",
        "service-kit/tests/http/shutdown.rs",
        "draining_ends_at_its_timeout",
    ),
    (
        "server.header_read_timeout",
        "service-kit/tests/http/server.rs",
        "a_slow_head_is_cut_off",
    ),
    (
        "server.max_connections",
        "service-kit/tests/http/server.rs",
        "a_connection_beyond_the_limit_waits_for_another_to_close",
    ),
    (
        "server.metrics_address",
        "service-kit/tests/http/server.rs",
        "a_taken_port_is_named_with_the_option_that_changes_it",
    ),
    (
        "server.readiness_delay",
        "service-kit/tests/http/shutdown.rs",
        "readiness_goes_first_then_the_port_and_requests_in_flight_are_answered",
    ),
    (
        "traces.batch",
        "service-kit/src/telemetry/traces/tests.rs",
        "the_end_sends_what_is_left",
    ),
    (
        "traces.endpoint",
        "service-kit/src/telemetry/traces/tests.rs",
        "a_request_continues_its_callers_trace",
    ),
    (
        "traces.interval",
        "service-kit/src/telemetry/traces/tests.rs",
        "a_collector_that_comes_late_gets_what_comes_later",
    ),
    (
        "traces.queue",
        "service-kit/tests/collector_away/main.rs",
        "a_collector_that_never_answers_delays_nothing_but_the_end_and_that_only_so_long",
    ),
    (
        "traces.sample_ratio",
        "service-kit/src/telemetry/traces/tests.rs",
        "the_ratio_is_about_the_traces_that_begin_here",
    ),
    (
        "traces.timeout",
        "service-kit/tests/collector_away/main.rs",
        "a_collector_that_never_answers_delays_nothing_but_the_end_and_that_only_so_long",
    ),
    (
        "writer.max_batch",
        "data-storage/tests/api/settings.rs",
        "transactions_are_as_large_and_as_many_as_configured",
    ),
    (
        "writer.queue",
        "data-storage/tests/api/errors.rs",
        "a_full_queue_is_answered_with_503_and_nothing_accepted_is_lost",
    ),
    (
        "writer.queue_bytes",
        "data-storage/tests/api/settings.rs",
        "records_on_their_way_have_as_much_room_as_configured",
    ),
    (
        "writer.retry_for",
        "data-storage/tests/faults/connections.rs",
        "a_black_hole_under_load_is_answered_in_time_and_loses_nothing",
    ),
    (
        "writer.tasks",
        "data-storage/tests/api/settings.rs",
        "transactions_are_as_large_and_as_many_as_configured",
    ),
];

fn keys(prefix: &str, table: &toml::Table, into: &mut Vec<String>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(table) => keys(&format!("{prefix}{key}."), table, into),
            _ => into.push(format!("{prefix}{key}")),
        }
    }
}

#[test]
fn every_key_is_listed_with_a_test_that_exists() {
    let mut known = Vec::new();
    keys("", &DEFAULTS.parse().unwrap(), &mut known);
    known.sort();
    let listed: Vec<&str> = SHOWN.iter().map(|(key, ..)| *key).collect();
    assert_eq!(known, listed);
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for (key, file, test) in SHOWN {
        let text = files.entry(file).or_insert_with(|| {
            std::fs::read_to_string(crates.join(file)).unwrap_or_else(|_| panic!("{file}"))
        });
        assert!(
            text.contains(&format!("fn {test}(")),
            "{key}: no {test} in {file}"
        );
    }
}

/// A row of the ledger locked, so that a transaction with it waits until this one ends.
async fn locked(app: &App, table: &str) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut lock = app.store.pool().begin().await.unwrap();
    let statement = sqlx::AssertSqlSafe(format!("LOCK TABLE {table} IN EXCLUSIVE MODE"));
    sqlx::query(statement).execute(&mut *lock).await.unwrap();
    lock
}

#[tokio::test]
async fn transactions_are_as_large_and_as_many_as_configured() {
    for (max_batch, expected) in [(1, 9), (128, 2)] {
        let app = App::configured(|config| {
            config.writer.tasks = 1;
            config.writer.max_batch = max_batch;
        })
        .await;
        let lock = locked(&app, "ai_analyses").await;
        let first = records::analysis("ai-1", "rr-1");
        let others: Vec<Value> = (0..8)
            .map(|index| records::remediation(&format!("rr-{index}")))
            .collect();
        let release = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            // One task waits for the lock, so nothing else is written although nothing else is locked.
            assert_eq!(app.count("audit_events").await, 0);
            lock.rollback().await.unwrap();
        };
        let rest = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            join_all(others.iter().map(|body| app.post("remediation", body))).await
        };
        let (first, rest, ()) = tokio::join!(app.post("aianalysis", &first), rest, release);
        assert_eq!(first.status, 201);
        assert!(rest.iter().all(|answer| answer.status == 201));
        let transactions: i64 = sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM audit_events")
            .fetch_one(app.store.pool())
            .await
            .unwrap();
        assert_eq!(transactions, expected, "of at most {max_batch} records");
    }
    // With two tasks, what is not locked is written meanwhile.
    let app = App::configured(|config| config.writer.tasks = 2).await;
    let lock = locked(&app, "ai_analyses").await;
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let answer = app.post("remediation", &records::remediation("rr-1")).await;
        assert_eq!(answer.status, 201);
        lock.rollback().await.unwrap();
    };
    let first = records::analysis("ai-1", "rr-1");
    let (first, ()) = tokio::join!(app.post("aianalysis", &first), meanwhile);
    assert_eq!(first.status, 201);
}

#[tokio::test]
async fn records_on_their_way_have_as_much_room_as_configured() {
    for (bytes, status) in [(6_000, 503), (60_000, 201)] {
        let app = App::configured(|config| config.writer.queue_bytes = bytes).await;
        let lock = locked(&app, "audit_events").await;
        let record =
            |name: &str| records::with(records::remediation(name), json!({"message": "x".repeat(4_000)}));
        let second = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let second = record("rr-2");
            let release = async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                lock.rollback().await.unwrap();
            };
            tokio::join!(app.post("remediation", &second), release).0
        };
        let first = record("rr-1");
        let (first, second) = tokio::join!(app.post("remediation", &first), second);
        assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, status));
    }
}

#[tokio::test]
async fn a_record_that_names_no_cluster_is_of_the_configured_one() {
    let app = App::configured(|config| config.records.default_cluster = "edge-7".to_owned()).await;
    let mut body = records::remediation("rr-1");
    body.as_object_mut().unwrap().remove("clusterName");
    assert_eq!(app.post("remediation", &body).await.status, 201);
    assert_eq!(
        app.count("resource_action_traces WHERE cluster_name = 'edge-7'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_batch_may_be_as_large_as_configured_and_as_limits_allow() {
    let app = App::configured(|config| config.batches.max_records = 2).await;
    let entry = |name: &str| json!({"kind": "remediation", "record": records::remediation(name)});
    let path = "/api/v1/audit/batch";
    let batch: Value = ["rr-1", "rr-2", "rr-3"].map(entry).into();
    assert_eq!(
        testkit::request::post(&app.router, path, &batch).await.status,
        400
    );
    let batch: Value = ["rr-1", "rr-2"].map(entry).into();
    assert_eq!(
        testkit::request::post(&app.router, path, &batch).await.status,
        200
    );

    let mut config = started(&Database::new("datastorage").await);
    config.batches.max_records = 501;
    let refused = DataStorage::bind(config, Database::embedder(), host())
        .await
        .err()
        .unwrap();
    assert_eq!(
        refused.to_string(),
        "batches.max_records is 501, but rate_limit.burst and rate_limit.caller_burst never grant more than 500 at once: raise them or lower it"
    );
}

fn started(database: &Database) -> Config {
    let mut config = Config::load(None, []).unwrap();
    config.server = ServerConfig::ephemeral();
    config.database.url = Secret::new(database.url());
    config.database.schema = database.schema().data().to_owned();
    config
}

fn host() -> Host {
    Host {
        clock: Clock::manual(Database::now()),
        build: BuildInfo {
            version: "0".to_owned(),
            revision: "test".to_owned(),
        },
        traces: TraceMetrics::default(),
        shutdown: Shutdown::new(),
    }
}

#[tokio::test]
async fn a_start_waits_for_its_database_as_long_as_configured() {
    let database = Database::new("datastorage").await;
    let mut config = started(&database);
    config.database.url = Secret::new("postgres://nobody:none@127.0.0.1:1/none");
    config.database.connect_timeout = Duration::from_millis(700);
    let began = Instant::now();
    let refused = DataStorage::bind(config, Database::embedder(), host())
        .await
        .err()
        .unwrap();
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_millis(700) && waited < Duration::from_secs(10),
        "{refused} after {waited:?}"
    );
    assert!(
        DataStorage::bind(started(&database), Database::embedder(), host())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn connections_are_as_many_and_as_patient_as_configured() {
    let database = Database::new("datastorage").await;
    let mut config = started(&database);
    config.database.max_connections = 1;
    config.database.acquire_timeout = Duration::from_millis(300);
    config.database.statement_timeout = Duration::from_millis(1_234);
    let store = WriteStore::connect(&config.database.connect_options().unwrap())
        .await
        .unwrap();
    let only = store.pool().acquire().await.unwrap();
    let began = Instant::now();
    assert!(store.pool().acquire().await.is_err());
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_millis(300) && waited < Duration::from_secs(5),
        "{waited:?}"
    );
    drop(only);
    let timeout: String = sqlx::query_scalar("SHOW statement_timeout")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(timeout, "1234ms");
}
