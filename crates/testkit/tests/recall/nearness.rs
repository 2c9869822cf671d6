//! How many matches a search gives, how near they are, and what cannot be compared.

use audit_store::reader::{IncidentFilter, Search};
use serde_json::{Value, json};
use testkit::records::{self, with};

use crate::both::{Both, ids};

/// Texts that share fewer and fewer words with the first.
const TEXTS: [&str; 6] = [
    "memory limit of the checkout container exceeded",
    "memory limit of the checkout container raised",
    "memory limit of the search container raised",
    "memory of the search node raised",
    "certificate of the gateway expired",
    "volume full",
];

async fn recorded() -> (Both, Vec<i64>) {
    let both = Both::new().await;
    let mut ids = Vec::new();
    for (index, text) in TEXTS.into_iter().enumerate() {
        let severity = if index % 2 == 0 { "critical" } else { "low" };
        let body = with(
            records::remediation(&format!("rr-{index}")),
            json!({"signalName": "Alert", "message": text, "severity": severity}),
        );
        ids.push(both.incident(&body).await);
    }
    (both, ids)
}

fn question(more: Value) -> Value {
    with(json!({"description": format!("Alert. {}", TEXTS[0])}), more)
}

async fn matches(both: &Both, body: &Value) -> Vec<(i64, f64)> {
    let answer = both.search(body).await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.body);
    let matches = answer.body["matches"].as_array().expect("matches");
    assert_eq!(answer.body["totalMatches"], json!(matches.len()));
    matches
        .iter()
        .map(|hit| {
            let score = hit["similarityScore"].as_f64().expect("a score");
            (hit["incident"]["id"].as_i64().expect("an id"), score)
        })
        .collect()
}

#[tokio::test]
async fn the_nearest_come_first_and_no_more_than_asked_for() {
    let (both, recorded) = recorded().await;
    let all = matches(&both, &question(json!({}))).await;
    assert_eq!(all.len(), recorded.len());
    assert_eq!(all[0], (recorded[0], 1.0));
    assert!(all.is_sorted_by(|one, next| one.1 >= next.1), "{all:?}");
    assert!(
        all.iter().all(|(_, score)| (-1.0..=1.0).contains(score)),
        "{all:?}"
    );
    for limit in [1, 2, 3, 5, 6, 7, 100] {
        let found = matches(&both, &question(json!({"maxResults": limit}))).await;
        assert_eq!(found, all[..limit.min(all.len())], "{limit}");
    }
    for limit in [0, -1, 101] {
        let answer = both.search(&question(json!({"maxResults": limit}))).await;
        assert_eq!(
            (answer.status.as_u16(), answer.violations()),
            (400, vec![("/maxResults".to_owned(), "out-of-range".to_owned())])
        );
    }
}

#[tokio::test]
async fn a_threshold_gives_exactly_those_that_reach_it() {
    let (both, _) = recorded().await;
    let all = matches(&both, &question(json!({}))).await;
    let mut thresholds = vec![-1.0, -0.5, 0.0, 0.5, 0.9, 1.0];
    // And the scores themselves, which are reached by those that have them.
    thresholds.extend(all.iter().map(|(_, score)| *score));
    for threshold in thresholds {
        let expected: Vec<_> = all
            .iter()
            .filter(|(_, score)| *score >= threshold)
            .copied()
            .collect();
        let found = matches(&both, &question(json!({"minSimilarity": threshold}))).await;
        assert_eq!(found, expected, "{threshold}");
    }
    assert_eq!(
        matches(&both, &question(json!({"minSimilarity": 1.0}))).await,
        all[..1]
    );
    let nothing = json!({"description": "quite another subject altogether", "minSimilarity": 0.999});
    assert_eq!(matches(&both, &nothing).await, []);
    for threshold in [json!(1.000_001), json!(-1.1), json!("0.5")] {
        let answer = both.search(&question(json!({"minSimilarity": threshold}))).await;
        assert_eq!(
            (answer.status.as_u16(), answer.violations().len()),
            (400, 1),
            "{threshold}"
        );
    }
}

#[tokio::test]
async fn a_filter_changes_who_is_compared_and_not_how_near_they_are() {
    let (both, _) = recorded().await;
    let all = matches(&both, &question(json!({}))).await;
    let critical = both.get("/api/v1/incidents?severity=critical").await;
    let critical = ids(&critical.body["incidents"]);
    assert_eq!(critical.len(), 3);
    let expected: Vec<_> = all
        .iter()
        .filter(|(id, _)| critical.contains(id))
        .copied()
        .collect();
    assert_eq!(
        matches(&both, &question(json!({"severity": "critical"}))).await,
        expected
    );
}

/// What the service never asks, since its model gives vectors of one dimension and of length one.
#[tokio::test]
async fn a_vector_that_cannot_be_compared_gives_no_wrong_neighbours() {
    let (both, recorded) = recorded().await;
    let search = |vector: Vec<f32>| Search {
        vector,
        model: both.database.model().clone(),
        filter: IncidentFilter::default(),
        max_results: 10,
        min_similarity: -1.0,
        except: None,
    };
    let dimension = both.database.model().dimension;
    for length in [0, 1, dimension - 1, dimension + 1, 1_536] {
        let result = both.reader.search(&search(vec![0.5; length])).await;
        assert!(result.is_err(), "{length}: {result:?}");
    }
    // Nothing is near to a vector without direction, and its distance from everything is no number.
    let result = both
        .reader
        .search(&search(vec![0.0; dimension]))
        .await
        .expect("an answer");
    assert_eq!(result.len(), recorded.len());
    assert!(result.iter().all(|hit| hit.similarity.is_nan()), "{result:?}");
    // The connection goes on.
    assert_eq!(matches(&both, &question(json!({}))).await.len(), recorded.len());
}
