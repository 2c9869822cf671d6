//! Search by words: what is typed literally is found, within the hard filters, beside what is meant.

use std::time::Duration;

use embedding::{
    CacheOptions, Embedder, EmbedderOptions, EmbeddingCache, Hashed, Model, ModelError, ModelInfo,
};
use serde_json::{Value, json};
use service_kit::metrics::registry;
use sqlx::AssertSqlSafe;
use testkit::records::{self, with};
use testkit::request;

use crate::both::{Both, open};
use crate::prepared;

/// Six incidents that differ in everything that is typed literally.
async fn history() -> (Both, Vec<i64>) {
    let both = Both::new().await;
    let mut ids = Vec::new();
    for (name, fields) in [
        (
            "rr-checkout-oom-1",
            json!({"signalName": "KubePodCrashLooping", "message": "container was OOMKilled, exit code 137"}),
        ),
        (
            "rr-checkout-oom-2",
            json!({"signalName": "KubePodCrashLooping", "message": "exit code 1 after 137 seconds",
                   "reason": "CrashLoopBackOff"}),
        ),
        (
            "rr-images",
            json!({"signalName": "KubeContainerWaiting", "reason": "ImagePullBackOff",
                   "message": "back-off pulling image registry.local/shop/api:1.2.3"}),
        ),
        (
            "rr-disk",
            json!({"signalName": "NodeFilesystemSpaceFillingUp", "phase": "Failed",
                   "errorMessage": "write /var/lib/data: ENOSPC (no space left on device)"}),
        ),
        (
            "rr-slow",
            json!({"signalName": "HighLatency", "message": "p99 above 2s", "correlationId": "trace-4711"}),
        ),
        (
            "rr-cert",
            json!({"signalName": "CertExpiry", "message": "certificate renewal failed"}),
        ),
    ] {
        ids.push(both.incident(&with(records::remediation(name), fields)).await);
    }
    (both, ids)
}

fn matched_by(answer: &Value, way: &str) -> Vec<i64> {
    let matches = answer["matches"].as_array().expect("matches").iter();
    matches
        .filter(|hit| hit["matchedBy"].as_array().expect("ways").contains(&json!(way)))
        .map(|hit| hit["incident"]["id"].as_i64().expect("an id"))
        .collect()
}

#[tokio::test]
async fn names_ids_and_codes_are_found_by_exactly_what_was_typed() {
    let (both, ids) = history().await;
    for (typed, expected) in [
        ("OOMKilled", &[0][..]),
        ("oomkilled", &[0]),
        ("exit code 137", &[1, 0]),
        ("CrashLoopBackOff", &[1]),
        ("ImagePullBackOff", &[2]),
        ("rr-checkout-oom-1", &[0]),
        ("what about rr-checkout-oom-1 and rr-checkout-oom-2?", &[1, 0]),
        ("KubePodCrashLooping", &[1, 0]),
        ("NodeFilesystemSpaceFillingUp", &[3]),
        ("it says ENOSPC again", &[3]),
        ("registry.local", &[2]),
        ("trace-4711", &[4]),
        ("the p99 is bad", &[4]),
        ("the certificate was not renewed", &[]),
        // A part of a name is none.
        ("rr-checkout", &[]),
    ] {
        let answer = both.search(&json!({"description": typed})).await.body;
        let mut found = matched_by(&answer, "text");
        let mut expected: Vec<i64> = expected.iter().map(|place| ids[*place]).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{typed}");
        assert_eq!(answer["searchedBy"], json!(["vector", "text"]));
        // Everything has a vector, so everything is ranked by it.
        assert_eq!(matched_by(&answer, "vector").len(), ids.len(), "{typed}");
    }
    // What means nothing by itself has no vector, and is found all the same.
    let answer = both.search(&json!({"description": "1.2.3"})).await.body;
    assert_eq!(matched_by(&answer, "text"), [ids[2]]);
    assert_eq!(answer["searchedBy"], json!(["text"]));
}

#[tokio::test]
async fn words_of_analyses_workflows_and_executions_find_their_incident() {
    let (both, ids) = history().await;
    let analysis = with(
        records::analysis("ai-1", "rr-slow"),
        json!({"rootCause": "ECONNREFUSED from the pool"}),
    );
    let workflow = with(
        records::workflow("wf-1", "rr-slow"),
        json!({"workflowName": "restart-connection-pool"}),
    );
    let execution = with(
        records::execution("ex-1", "wf-1"),
        json!({"message": "patched by job-runner-7"}),
    );
    both.record("aianalysis", &analysis).await;
    both.record("workflow", &workflow).await;
    both.record("execution", &execution).await;
    for typed in [
        "ECONNREFUSED",
        "restart-connection-pool",
        "job-runner-7",
        "ai-1",
        "wf-1",
        "ex-1",
    ] {
        let answer = both
            .search(&json!({"description": typed, "maxResults": 1}))
            .await
            .body;
        assert_eq!(matched_by(&answer, "text"), [ids[4]], "{typed}");
    }
}

#[tokio::test]
async fn an_incident_in_both_lists_goes_first_and_scores_are_the_sums_of_its_places() {
    let (both, ids) = history().await;
    let answer = both
        .search(&json!({"description": "certificate renewal failed", "maxResults": 2}))
        .await
        .body;
    let first = &answer["matches"][0];
    assert_eq!(first["incident"]["id"], ids[5]);
    assert_eq!(first["matchedBy"], json!(["vector", "text"]));
    // 2 / 61, and the second place by vector: 1 / 62.
    assert_eq!(
        (&first["score"], &answer["matches"][1]["score"]),
        (&json!(0.032_787), &json!(0.016_129))
    );
    assert!(first["similarityScore"].as_f64() > answer["matches"][1]["similarityScore"].as_f64());
}

#[tokio::test]
async fn words_stay_within_the_filters_and_the_least_similarity() {
    let (both, ids) = history().await;
    let filtered = json!({"description": "KubePodCrashLooping", "alertName": "KubeContainerWaiting"});
    let answer = both.search(&filtered).await.body;
    assert_eq!(
        (matched_by(&answer, "text"), &answer["totalMatches"]),
        (vec![], &json!(1))
    );
    let related = with(
        records::analysis("ai-1", "rr-slow"),
        json!({"rootCause": "ECONNREFUSED"}),
    );
    both.record("aianalysis", &related).await;
    let filtered = json!({"description": "ECONNREFUSED", "phase": "Failed"});
    assert_eq!(matched_by(&both.search(&filtered).await.body, "text"), [0_i64; 0]);
    let near = json!({"description": "rr-checkout-oom-1", "minSimilarity": 0.99});
    assert_eq!(both.search(&near).await.body["totalMatches"], 0);
    let near = json!({"description": "rr-checkout-oom-1", "minSimilarity": -1});
    assert_eq!(matched_by(&both.search(&near).await.body, "text"), [ids[0]]);
}

#[tokio::test]
async fn an_incident_whose_text_waits_for_its_vector_is_found_by_its_words_and_has_no_similarity() {
    let (both, ids) = history().await;
    sqlx::query(
        "UPDATE incident_embeddings SET embedding = NULL, embedded_at = NULL
         WHERE id = (SELECT embedding_id FROM resource_action_traces WHERE id = $1)",
    )
    .bind(ids[3])
    .execute(both.store.pool())
    .await
    .expect("a text without a vector");
    let answer = both
        .search(&json!({"description": "ENOSPC", "maxResults": 10}))
        .await
        .body;
    let hit = &answer["matches"][0];
    assert_eq!(hit["incident"]["id"], ids[3]);
    assert_eq!(
        (&hit["matchedBy"], &hit["score"]),
        (&json!(["text"]), &json!(0.016_393))
    );
    assert_eq!((hit.get("similarityScore"), hit.get("matchedText")), (None, None));
    assert_eq!(
        (&hit["matchedOn"], &hit["timesSeen"]),
        (&json!("remediation"), &json!(1))
    );
    let near = both
        .search(&json!({"description": "ENOSPC", "minSimilarity": -1}))
        .await
        .body;
    assert_eq!(
        matched_by(&near, "text"),
        [0_i64; 0],
        "what has no similarity reaches none"
    );
}

#[tokio::test]
async fn a_rare_name_goes_before_a_common_code_and_equal_ones_are_newest_first() {
    let both = Both::new().await;
    let mut ids = Vec::new();
    for minute in 0..5 {
        let body = with(
            records::remediation(&format!("rr-{minute}-x")),
            json!({"reason": "OOMKilled", "createdAt": format!("2026-06-15T10:{minute:02}:00Z")}),
        );
        ids.push(both.incident(&body).await);
    }
    let words = text_only(&both, &json!({"description": "was rr-1-x OOMKilled too?"}))
        .await
        .body;
    assert_eq!(
        matched_by(&words, "text"),
        [ids[1], ids[4], ids[3], ids[2], ids[0]]
    );
}

/// A model that takes its time.
struct Slow(Hashed);

impl Model for Slow {
    fn info(&self) -> &ModelInfo {
        self.0.info()
    }

    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        std::thread::sleep(Duration::from_millis(500));
        self.0.embed(texts)
    }
}

/// Asks a Context API whose embedder is too slow.
async fn text_only(both: &Both, body: &Value) -> request::Answer {
    let options = context_api::Options {
        embedding_timeout: Duration::from_millis(10),
    };
    let slow = Slow(Hashed::new(both.database.model().dimension));
    let embedder = Embedder::start(slow, EmbedderOptions::default()).expect("a thread");
    let cache = EmbeddingCache::new(embedder, CacheOptions::default());
    let state = context_api::State::new(both.reader.clone(), cache, both.clock.clone(), options);
    let mut registry = registry("contextapi");
    let api = open(state, &mut registry, 3);
    let answer = request::post(&api, "/api/v1/context/match", body).await;
    let told = crate::both::metrics(registry).await;
    let count = format!(
        "contextapi_searches_without_vector_total {}",
        u8::from(answer.status == 200)
    );
    assert!(told.contains(&count), "{told}");
    answer
}

#[tokio::test]
async fn without_an_embedder_words_are_searched_and_the_answer_says_so() {
    let (both, ids) = history().await;
    let answer = text_only(&both, &json!({"description": "ImagePullBackOff"})).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body["searchedBy"]),
        (200, &json!(["text"]))
    );
    assert_eq!(answer.body["totalMatches"], 1);
    let hit = &answer.body["matches"][0];
    assert_eq!(
        (&hit["incident"]["id"], &hit["matchedBy"]),
        (&json!(ids[2]), &json!(["text"]))
    );
    assert_eq!(
        (hit.get("similarityScore"), &hit["matchedOn"]),
        (None, &json!("remediation"))
    );
    assert!(
        hit["matchedText"]
            .as_str()
            .expect("a text")
            .contains("Image Pull Back Off")
    );
    let refused = text_only(
        &both,
        &json!({"description": "ImagePullBackOff", "minSimilarity": 0.1}),
    )
    .await;
    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.body["detail"],
        "The vector of the description was not ready in time."
    );
}

/// Incidents that say something else, with analyses, workflows and executions, 3 000 of each.
async fn crowd(both: &Both) {
    both.record("aianalysis", &records::analysis("ai-c", "rr-disk"))
        .await;
    both.record("workflow", &records::workflow("wf-c", "rr-disk"))
        .await;
    both.record("execution", &records::execution("ex-c", "wf-c"))
        .await;
    for statement in [
        "INSERT INTO remediation_requests (namespace, name, created_at)
         SELECT 'kubernaut-system', 'clone-' || n, timestamptz '2026-06-10T00:00:00Z' - n * interval '1 second'
         FROM generate_series(1, 3000) n",
        "INSERT INTO resource_action_traces (id, action_history_id, action_timestamp, remediation_namespace,
             remediation_name, signal_type, alert_name, cluster_name, phase, correlation_id, last_event_id, recorded_by,
             updated_at)
         SELECT m.id, t.action_history_id, m.created_at, m.namespace, m.name, t.signal_type, 'Crowd', t.cluster_name,
                'Completed', 'c', t.last_event_id, t.recorded_by, t.updated_at
         FROM remediation_requests m, resource_action_traces t
         WHERE m.name LIKE 'clone-%' AND t.remediation_name = 'rr-disk'",
        "INSERT INTO ai_analyses (namespace, name, record_created_at, remediation_request_ref, phase, correlation_id,
             last_event_id, recorded_by, updated_at)
         SELECT namespace, 'a-' || n, record_created_at, 'clone-' || n, phase, 'c', last_event_id, recorded_by, updated_at
         FROM ai_analyses, generate_series(1, 3000) n WHERE name = 'ai-c'",
        "INSERT INTO workflow_executions (namespace, name, record_created_at, remediation_request_ref, workflow_name, phase,
             correlation_id, last_event_id, recorded_by, updated_at)
         SELECT namespace, 'w-' || n, record_created_at, 'clone-' || n, workflow_name, phase, 'c', last_event_id,
                recorded_by, updated_at
         FROM workflow_executions, generate_series(1, 3000) n WHERE name = 'wf-c'",
        "INSERT INTO action_executions (namespace, name, record_created_at, action_history_id, workflow_execution_ref,
             action_type, phase, correlation_id, last_event_id, recorded_by, updated_at)
         SELECT namespace, 'e-' || n, record_created_at, action_history_id, 'w-' || n, action_type, phase, 'c',
                last_event_id, recorded_by, updated_at
         FROM action_executions, generate_series(1, 3000) n WHERE name = 'ex-c'",
    ] {
        sqlx::query(statement).execute(both.store.pool()).await.expect(statement);
    }
    // What was added to an index in bulk waits in its pending list, which every search would read through.
    for table in [
        "resource_action_traces",
        "ai_analyses",
        "workflow_executions",
        "action_executions",
    ] {
        let vacuum = AssertSqlSafe(format!("VACUUM (ANALYZE) {table}"));
        sqlx::raw_sql(vacuum)
            .execute(both.store.pool())
            .await
            .expect(table);
    }
}

/// A day in the newest month, one in the month before that, and one before the months that are looked at first.
const DAYS: [&str; 3] = ["2026-06-14", "2026-05-03", "2026-04-20"];

#[tokio::test]
async fn what_is_older_than_the_newest_months_is_found_by_words_as_well_and_comes_after() {
    let both = Both::new().await;
    let at = |day: &str, hour: u32| json!({"createdAt": format!("{day}T{hour:02}:00:00Z")});
    let mut expected: [Vec<i64>; 4] = Default::default();
    // The oldest first, so that the order of ids is not that of times.
    for day in DAYS.iter().rev() {
        for (place, word) in ["ENOSPC", "x509", "md3", "ip-10-1"].into_iter().enumerate() {
            let name = |kind: &str| format!("{kind}-{place}-{day}");
            let says = |kind: usize| if kind == place { word } else { "nothing" };
            let remediation = with(records::remediation(&name("rr")), at(day, 1));
            let remediation = with(remediation, json!({"message": says(0)}));
            expected[place].insert(0, both.incident(&remediation).await);
            let analysis = with(records::analysis(&name("ai"), &name("rr")), at(day, 2));
            both.record("aianalysis", &with(analysis, json!({"message": says(1)})))
                .await;
            let workflow = with(records::workflow(&name("wf"), &name("rr")), at(day, 3));
            both.record("workflow", &with(workflow, json!({"message": says(2)})))
                .await;
            let execution = with(records::execution(&name("ae"), &name("wf")), at(day, 4));
            both.record("execution", &with(execution, json!({"message": says(3)})))
                .await;
        }
    }
    for (word, expected) in ["ENOSPC", "x509", "md3", "ip-10-1"].into_iter().zip(&expected) {
        let question = audit_store::reader::Question {
            description: word.to_owned(),
            vector: None,
            filter: audit_store::reader::IncidentFilter::default(),
            max_results: 10,
            min_similarity: None,
        };
        let found = both.reader.search_fused(&question).await.expect("an answer");
        let found: Vec<i64> = found.iter().map(|found| found.incident.id).collect();
        assert_eq!(found, *expected, "{word}");
    }
}

#[tokio::test]
async fn each_index_of_words_serves_the_search() {
    let (both, _) = history().await;
    crowd(&both).await;
    let reader = audit_store::Reader::connect(&audit_store::ConnectOptions {
        max_connections: 1,
        ..both.database.reader_options()
    })
    .await
    .expect("a connection");
    let question = audit_store::reader::Question {
        description: "ENOSPC".to_owned(),
        vector: None,
        filter: audit_store::reader::IncidentFilter::default(),
        max_results: 10,
        min_similarity: None,
    };
    let found = reader.search_fused(&question).await.expect("an answer");
    assert_eq!(found.len(), 1);
    // Words of months that are written in two ways would find nothing in the newest, and then everything.
    let month: String = sqlx::query_scalar("SELECT written_month('2026-01-31T23:59:59Z')")
        .fetch_one(both.store.pool())
        .await
        .expect("a word");
    assert_eq!(month, "@24313");
    // Once in the newest months, once in what is before them.
    for (part, before, limit, indexes, times) in [
        (
            "i.words @> $16",
            15,
            "100, true",
            &["resource_action_traces"][..],
            1,
        ),
        ("i.words @> $16", 15, "100, false", &["resource_action_traces"], 1),
        (
            "a.dated_words @> $1",
            0,
            "300, ARRAY['@24313', '@24312']",
            &["ai_analyses", "workflow_executions", "action_executions"],
            2,
        ),
    ] {
        let name = prepared::name_of(&reader, part).await;
        let explain = format!(
            "EXPLAIN (COSTS OFF) EXECUTE {name} ({}ARRAY['enospc'], {limit})",
            "NULL, ".repeat(before)
        );
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain))
            .fetch_all(reader.pool())
            .await
            .expect("a plan");
        let plan = plan.join("\n");
        for index in indexes {
            // The index of a partition has a name made of the columns' names.
            let scans = plan.lines().filter(|line| {
                line.contains("Bitmap Index Scan") && line.contains(index) && line.contains("words")
            });
            assert!(scans.count() >= times, "{index}: {plan}");
        }
    }
}
