//! Recall by meaning: with the test model where only the mechanics matter, with MiniLM where the meaning does.

use serde_json::{Value, json};
use testkit::records::{self, with};

use crate::both::{Both, minilm};

fn said(name: &str, message: &str) -> Value {
    with(
        records::remediation(name),
        json!({"signalName": "Alert", "message": message}),
    )
}

#[tokio::test]
async fn a_text_finds_its_incident_with_similarity_one_and_says_why() {
    let both = Both::new().await;
    let incident = both
        .incident(&said("rr-1", "the memory limit was exceeded"))
        .await;
    both.incident(&said("rr-2", "certificate renewal failed")).await;
    let answer = both
        .search(&json!({"description": "Alert. the memory limit was exceeded", "maxResults": 1}))
        .await;
    let hit = &answer.body["matches"][0];
    assert_eq!(hit["incident"]["id"], incident);
    assert_eq!(hit["similarityScore"], 1.0);
    assert_eq!(hit["matchedOn"], "remediation");
    assert_eq!(hit["matchedText"], "Alert. the memory limit was exceeded");
    // Created at 10:00, asked at 12:00.
    assert_eq!(hit["ageSeconds"], 7_200);
    assert_eq!(answer.body["totalMatches"], 1);
}

#[tokio::test]
async fn an_incident_is_found_by_its_analysis_its_workflow_and_its_executions() {
    let both = Both::new().await;
    let incident = both.incident(&said("rr-1", "pods restart")).await;
    both.record(
        "aianalysis",
        &with(
            records::analysis("ai-1", "rr-1"),
            json!({"rootCause": "quota exhausted by batch jobs"}),
        ),
    )
    .await;
    both.record(
        "workflow",
        &with(
            records::workflow("wf-1", "rr-1"),
            json!({"message": "evicting idle notebooks"}),
        ),
    )
    .await;
    both.record(
        "execution",
        &with(
            records::execution("ex-1", "wf-1"),
            json!({"message": "taint removed from spare machine"}),
        ),
    )
    .await;
    for (description, kind) in [
        ("quota exhausted by batch jobs", "aianalysis"),
        ("evicting idle notebooks", "workflow"),
        ("taint removed from spare machine", "execution"),
        ("pods restart", "remediation"),
    ] {
        let answer = both.search(&json!({"description": description})).await;
        // One incident, once, whichever of its records is nearest.
        assert_eq!(answer.body["totalMatches"], 1, "{description}");
        assert_eq!(answer.body["matches"][0]["incident"]["id"], incident);
        assert_eq!(answer.body["matches"][0]["matchedOn"], kind, "{description}");
    }
}

#[tokio::test]
async fn a_filter_that_leaves_few_incidents_still_returns_them_all() {
    let both = Both::new().await;
    let mut rare = Vec::new();
    for index in 0..300 {
        let namespace = if index % 100 == 0 { "rare" } else { "common" };
        // The rare ones say something else than what is asked for; the common ones are much nearer.
        let message = if namespace == "rare" {
            "certificate renewal"
        } else {
            "memory limit exceeded"
        };
        let body = with(
            said(&format!("rr-{index}"), message),
            json!({"targetNamespace": namespace}),
        );
        let incident = both.incident(&body).await;
        if namespace == "rare" {
            rare.push(incident);
        }
    }
    let mut found = both
        .found(&json!({"description": "memory limit exceeded", "namespace": "rare"}))
        .await;
    found.sort_unstable();
    assert_eq!(found, rare);
    let near = both
        .found(&json!({"description": "memory limit exceeded", "namespace": "rare", "minSimilarity": 0.9}))
        .await;
    assert_eq!(near, [0_i64; 0]);
}

#[tokio::test]
async fn among_many_texts_a_filter_still_returns_all_that_pass() {
    let both = Both::new().await;
    // Thousands of other texts, all nearer to the question than those of the incidents that pass the filter: enough
    // for the planner to want the vector index, whose scan would end long before them.
    sqlx::query(
        "INSERT INTO incident_embeddings (model, text_sha256, text, created_at, embedding, embedded_at)
         SELECT 'hashed', sha256(n::text::bytea), 'noise ' || n, now(), question.embedding, now()
         FROM generate_series(1, 5000) n,
              (SELECT array_agg(CASE WHEN i = 1 THEN 1.0 ELSE n.f END)::vector AS embedding
               FROM generate_series(1, 64) i, (SELECT 0.001 AS f) n) question",
    )
    .execute(both.store.pool())
    .await
    .expect("five thousand texts");
    let mut expected = Vec::new();
    for index in 0..20 {
        let body = with(
            said(&format!("rr-{index}"), &format!("quiet message {index}x")),
            json!({"targetNamespace": "rare"}),
        );
        expected.push(both.incident(&body).await);
    }
    both.database.analyze().await;
    // A planner that is kept from sorting takes the vector index wherever the query lets it.
    let hostile = both.reader_with("-c enable_sort=off -c enable_seqscan=off").await;
    let mut vector = vec![0.001_f32; 64];
    vector[0] = 1.0;
    let search = audit_store::reader::Search {
        vector,
        model: both.reader.model().await.expect("a model"),
        filter: audit_store::reader::IncidentFilter {
            namespace: Some("rare".to_owned()),
            ..Default::default()
        },
        max_results: 100,
        min_similarity: -1.0,
        except: None,
    };
    let mut found: Vec<i64> = hostile
        .search(&search)
        .await
        .expect("an answer")
        .into_iter()
        .map(|hit| hit.incident.id)
        .collect();
    found.sort_unstable();
    assert_eq!(found, expected);
    // Without a filter the texts come first, and the incidents behind five thousand nearer texts are reached too.
    let search = audit_store::reader::Search {
        filter: audit_store::reader::IncidentFilter::default(),
        ..search
    };
    assert_eq!(both.reader.search(&search).await.expect("an answer").len(), 20);
}

#[tokio::test]
async fn without_a_filter_all_texts_are_reached_and_equal_ones_are_newest_first() {
    let both = Both::new().await;
    let mut incidents = Vec::new();
    for index in 0..40 {
        let body = with(
            said(&format!("rr-{index}"), "memory limit exceeded"),
            json!({"createdAt": format!("2026-06-15T10:{index:02}:00Z")}),
        );
        incidents.push(both.incident(&body).await);
    }
    incidents.reverse();
    let found = both
        .found(&json!({"description": "memory limit exceeded", "maxResults": 25}))
        .await;
    assert_eq!(found, incidents[..25]);
}

#[tokio::test]
async fn equally_similar_incidents_are_newest_first_with_a_filter_and_without() {
    let both = Both::new().await;
    let mut newest_first = Vec::new();
    // Recorded from the newest to the oldest, so that their ids run the other way.
    for minute in (0..20).rev() {
        let body = with(
            said(&format!("rr-{minute}"), "memory limit exceeded"),
            json!({"createdAt": format!("2026-06-15T10:{minute:02}:00Z"), "targetNamespace": "shop"}),
        );
        newest_first.push(both.incident(&body).await);
    }
    let question = json!({"description": "memory limit exceeded", "maxResults": 5});
    assert_eq!(both.found(&question).await, newest_first[..5]);
    assert_eq!(
        both.found(&with(question, json!({"namespace": "shop"}))).await,
        newest_first[..5]
    );
}

#[tokio::test]
async fn an_incident_asks_for_others_like_itself() {
    let both = Both::new().await;
    let first = both.incident(&said("rr-1", "disk pressure on the machine")).await;
    let second = both.incident(&said("rr-2", "disk pressure on the machine")).await;
    both.incident(&said("rr-3", "token expired")).await;
    let found = both.found(&json!({"incidentId": first, "maxResults": 1})).await;
    assert_eq!(found, [second]);
}

#[tokio::test]
async fn minilm_finds_what_is_meant_in_words_the_records_do_not_contain() {
    let both = Both::with_embedder(minilm().await).await;
    let texts = [
        (
            "oom",
            "KubeContainerOOMKilled",
            "container api in pod api-7d9c8b6f5-x2x9p was OOMKilled: limit 256Mi, exit code 137",
        ),
        (
            "disk",
            "NodeFilesystemSpaceFillingUp",
            "filesystem on /dev/nvme0n1p1 at worker-3 has only 4.2% available space left",
        ),
        (
            "cert",
            "CertManagerCertExpirySoon",
            "the TLS secret shop-tls expires in 2 days and has not been renewed by its ACME issuer",
        ),
        (
            "image",
            "ImagePullBackOff",
            "back-off pulling image registry.local/shop/api:1.2.3: manifest unknown",
        ),
        (
            "schedule",
            "FailedScheduling",
            "0/5 nodes are available: 3 Insufficient cpu, 2 node(s) had untolerated taint",
        ),
        (
            "lag",
            "KafkaConsumerGroupLag",
            "consumer group invoices is 81231 messages behind on topic orders",
        ),
    ];
    let mut ids = std::collections::HashMap::new();
    for (name, alert, message) in texts {
        let body = with(
            records::remediation(name),
            json!({"signalName": alert, "message": message}),
        );
        ids.insert(name, both.incident(&body).await);
    }
    for (description, expected) in [
        ("containers keep dying because they use too much memory", "oom"),
        ("the disk of a node is filling up", "disk"),
        ("certificate about to run out", "cert"),
    ] {
        let found = both.found(&json!({"description": description})).await;
        assert_eq!(found[0], ids[expected], "{description}");
        assert_eq!(
            found.len(),
            texts.len(),
            "{description}: every incident is ranked"
        );
    }
}
