//! Every key of the configuration has an effect, and a test that shows it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

use audit_store::Reader;
use context_api::DEFAULTS;
use embedding::{Embedder, EmbedderOptions, Hashed, Model, ModelError, ModelInfo};
use serde_json::json;
use testkit::{Database, request};

use crate::app::App;
use crate::service::config;

/// Where the effect of each key is shown: file below `crates/`, and the test in it.
const SHOWN: &[(&str, &str, &str)] = &[
    (
        "auth.audiences",
        "context-api/tests/api/callers.rs",
        "each_operation_asks_the_api_server_for_its_own_verb",
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
        "context-api/tests/api/callers.rs",
        "nobody_else_is_told_anything",
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
        "cache.memory_max_bytes",
        "context-api/src/cache/memory.rs",
        "memory_is_bounded_in_bytes_and_keeps_what_was_used_last",
    ),
    (
        "cache.negative_ttl",
        "context-api/src/cache/tests.rs",
        "absence_is_kept_for_its_own_time_and_never_stale",
    ),
    (
        "cache.redis_timeout",
        "testkit/tests/recall/cache_redis.rs",
        "a_redis_that_hangs_or_is_slow_costs_its_limit_once",
    ),
    (
        "cache.redis_url",
        "testkit/tests/recall/cache_redis.rs",
        "replicas_share_answers_and_the_way_through_redis_makes_none_younger",
    ),
    (
        "cache.refresh_interval",
        "testkit/tests/recall/freshness.rs",
        "a_record_is_in_every_answer_after_a_look_and_without_looks_in_none",
    ),
    (
        "cache.renew_before",
        "context-api/src/cache/tests.rs",
        "an_answer_that_is_asked_for_often_is_renewed_before_its_time_and_nobody_waits",
    ),
    (
        "cache.stale_for",
        "context-api/src/cache/tests.rs",
        "a_stale_answer_is_told_only_while_the_database_is_away",
    ),
    (
        "cache.ttl",
        "context-api/src/cache/tests.rs",
        "an_answer_is_told_again_for_its_lifetime_and_not_after",
    ),
    (
        "database.acquire_timeout",
        "context-api/tests/api/settings.rs",
        "connections_are_as_many_and_as_patient_as_configured",
    ),
    (
        "database.connect_timeout",
        "context-api/tests/api/start.rs",
        "a_start_waits_for_its_database_as_long_as_configured",
    ),
    (
        "database.max_connections",
        "context-api/tests/api/settings.rs",
        "connections_are_as_many_and_as_patient_as_configured",
    ),
    (
        "database.max_replay_lag",
        "testkit/tests/recall/replica.rs",
        "a_replica_that_does_not_replay_says_how_old_its_answers_are_and_catches_up",
    ),
    (
        "database.schema",
        "context-api/tests/api/settings.rs",
        "connections_are_as_many_and_as_patient_as_configured",
    ),
    (
        "database.statement_timeout",
        "context-api/tests/api/settings.rs",
        "connections_are_as_many_and_as_patient_as_configured",
    ),
    (
        "database.url",
        "context-api/tests/api/start.rs",
        "a_start_waits_for_its_database_as_long_as_configured",
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
        "embedding.precision",
        "kubernaut/tests/binary/precision.rs",
        "vectors_of_8_bits_are_those_of_another_model",
    ),
    (
        "embedding.provider",
        "kubernaut/tests/binary/http_model.rs",
        "both_services_record_and_search_with_a_provider_and_no_other_model_may_follow",
    ),
    (
        "embedding.timeout",
        "context-api/tests/api/settings.rs",
        "a_search_waits_for_its_vector_as_long_as_configured",
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
        "rate_limit.burst",
        "context-api/tests/api/limits.rs",
        "by_default_1500_requests_pass_at_once_and_then_1000_a_second_whatever_is_asked_for",
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
        "context-api/tests/api/limits.rs",
        "by_default_1500_requests_pass_at_once_and_then_1000_a_second_whatever_is_asked_for",
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
        "context-api/tests/api/deadline.rs",
        "what_the_database_was_asked_ends_with_the_deadline_of_the_request",
    ),
    (
        "search.self_check_interval",
        "testkit/tests/recall/self_check.rs",
        "the_rounds_end_with_the_service_and_do_not_begin_when_they_are_off",
    ),
    (
        "search.self_check_sample",
        "testkit/tests/recall/self_check.rs",
        "a_sound_index_finds_all_ten_of_each_sample",
    ),
    (
        "search.self_check_timeout",
        "testkit/tests/recall/self_check.rs",
        "a_sample_that_takes_too_long_is_given_up",
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
        "context-api/tests/api/start.rs",
        "it_stops_when_what_it_was_asked_is_answered_and_another_replica_goes_on",
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

#[tokio::test]
async fn connections_are_as_many_and_as_patient_as_configured() {
    let database = Database::new("contextapi").await;
    let mut config = config(&database, database.reader_url());
    config.database.max_connections = NonZeroU32::MIN;
    config.database.acquire_timeout = Duration::from_millis(300);
    config.database.statement_timeout = Duration::from_millis(1_234);
    let reader = Reader::connect(&config.database.connect_options().unwrap())
        .await
        .unwrap();
    let only = reader.pool().acquire().await.unwrap();
    let began = Instant::now();
    assert!(reader.pool().acquire().await.is_err());
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_millis(300) && waited < Duration::from_secs(5),
        "{waited:?}"
    );
    drop(only);
    let (timeout, schema): (String, String) =
        sqlx::query_as("SELECT current_setting('statement_timeout'), current_schema()::text")
            .fetch_one(reader.pool())
            .await
            .unwrap();
    assert_eq!(timeout, "1234ms");
    assert_eq!(schema, database.schema().context());
}

/// A model that takes its time.
struct Slow(Hashed);

impl Model for Slow {
    fn info(&self) -> &ModelInfo {
        self.0.info()
    }

    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        std::thread::sleep(Duration::from_secs(1));
        self.0.embed(texts)
    }
}

#[tokio::test]
async fn a_search_waits_for_its_vector_as_long_as_configured() {
    let body = json!({"description": "out of memory", "minSimilarity": 0.5});
    for (milliseconds, status) in [(100, 503), (30_000, 200)] {
        let timeout = Duration::from_millis(milliseconds);
        let dimension = Database::embedder().model().dimension;
        let slow = Embedder::start(Slow(Hashed::new(dimension)), EmbedderOptions::default()).unwrap();
        let app = App::with_embedder(slow, |config| config.embedding.timeout = timeout).await;
        let answer = request::post(&app.router, "/api/v1/context/match", &body).await;
        assert_eq!(answer.status, status, "{timeout:?}: {}", answer.body);
    }
}
