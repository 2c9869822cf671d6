//! `POST /api/v1/context/match`: the incidents most like a description, or like another incident, and those that
//! have its words.

mod contract;
mod request;

use audit_store::reader::{Found, Hit, Question, Search, score_of_place};
use axum::Json;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use service_kit::Problem;
use service_kit::extract::{JsonObject, QueryParameters};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use crate::database::identity;
use crate::evidence::EvidenceBody;
use crate::incident::IncidentBody;
use crate::problems;
use crate::state::{Asked, State};
use request::{Description, Like, Request};

pub(crate) use contract::{operation, schemas};

const MAX_DESCRIPTION_BYTES: usize = 10 * 1_024;
const DEFAULT_RESULTS: i64 = 10;
const MAX_RESULTS: i64 = 100;

/// Scores are told, and compared with `minSimilarity`, in whole steps of this: what a vector's components leave of
/// more digits is noise, and the text itself must reach a `minSimilarity` of 1.
const SCORE_STEPS: f64 = 1_000_000.0;

/// Answers 200 with the matches, best first; 400 naming every rule that the body breaks; 404 for an unknown
/// `incidentId`, 409 for one without a vector; 503 if the description's vector is not ready in time and
/// `minSimilarity` asks for it.
pub(crate) async fn post(
    Asked(state): Asked,
    query: QueryParameters,
    JsonObject(body): JsonObject,
) -> Result<Json<Answer>, Problem> {
    let began = Instant::now();
    query.finish()?;
    let now = state.clock.now();
    let request = Request::parse(&body, now)?;
    let (found, searched_by) = match request.like.clone() {
        Like::Text(text) => like_text(&state, request, text).await?,
        Like::Incident(id) => (like_incident(&state, request, id).await?, vec![Way::Vector]),
    };
    Ok(Json(Answer::new(found, searched_by, now, began)))
}

async fn like_text(
    state: &State,
    request: Request,
    text: Description,
) -> Result<(Vec<Found>, Vec<Way>), Problem> {
    let vector = match vector_of_text(state, text.canonical.as_deref()).await {
        Ok(Some(vector)) => Some((vector, identity(state.embeddings.embedder().model()))),
        Ok(None) => None,
        // Names and codes are found without a vector; who asks for a similarity needs one.
        Err(problem)
            if problem.status() == StatusCode::SERVICE_UNAVAILABLE && request.min_similarity.is_none() =>
        {
            tracing::warn!(cause = problem.cause_chain(), "a search goes without a vector");
            state.metrics.count_search_without_vector();
            None
        }
        Err(problem) => return Err(problem),
    };
    let searched_by = match vector {
        Some(_) => vec![Way::Vector, Way::Text],
        None => vec![Way::Text],
    };
    let question = Question {
        description: text.given,
        vector,
        filter: request.filter,
        max_results: request.max_results,
        min_similarity: request.min_similarity.map(least_similarity),
    };
    let began = Instant::now();
    let found = state.reader().search_fused(&question).await;
    state.metrics.observe_search(began.elapsed());
    Ok((found.map_err(problems::of_store)?, searched_by))
}

async fn vector_of_text(state: &State, text: Option<&str>) -> Result<Option<Vec<f32>>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let began = Instant::now();
    let waited = timeout(
        state.options.embedding_timeout,
        state
            .embeddings
            .get_or_embed(text)
            .instrument(tracing::info_span!("embed", texts = 1)),
    )
    .await;
    state.metrics.observe_query_embedding(began.elapsed());
    let vector = waited
        .map_err(|_elapsed| problems::embedder_too_slow())?
        .map_err(problems::of_embedder)?;
    Ok(Some(vector.to_vec()))
}

async fn like_incident(state: &State, request: Request, id: i64) -> Result<Vec<Found>, Problem> {
    let model = identity(state.embeddings.embedder().model());
    let vector = state
        .reader()
        .vector_of_incident(id, &model)
        .await
        .map_err(problems::of_store)?
        .ok_or_else(|| problems::unknown_incident(id))?
        .ok_or_else(|| problems::embedding_pending(id))?;
    let search = Search {
        vector,
        model,
        filter: request.filter,
        max_results: request.max_results,
        min_similarity: least_similarity(request.min_similarity.unwrap_or(-1.0)),
        except: Some(id),
    };
    let began = Instant::now();
    let hits = state.reader().search(&search).await;
    state.metrics.observe_search(began.elapsed());
    let hits = hits.map_err(problems::of_store)?;
    Ok((1..)
        .zip(hits)
        .map(|(place, hit)| in_one_list(place, hit))
        .collect())
}

/// A hit of a search by vector alone.
fn in_one_list(place: usize, hit: Hit) -> Found {
    Found {
        incident: hit.incident,
        score: score_of_place(place),
        by_vector: true,
        by_words: false,
        similarity: Some(hit.similarity),
        record_kind: hit.record_kind,
        text: Some(hit.text),
        evidence: hit.evidence,
    }
}

/// The least similarity whose score, as it is told, reaches the threshold.
fn least_similarity(threshold: f64) -> f64 {
    threshold - 0.5 / SCORE_STEPS
}

/// The similarity as it is told, from -1 to 1 with six digits after the point.
pub(super) fn score(similarity: f64) -> f64 {
    // Adding zero turns a negative zero into the usual one.
    (similarity * SCORE_STEPS)
        .round()
        .clamp(-SCORE_STEPS, SCORE_STEPS)
        / SCORE_STEPS
        + 0.0
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    matches: Vec<Match>,
    total_matches: usize,
    searched_by: Vec<Way>,
    /// From the parsed body to the answer, in whole milliseconds.
    processing_time_ms: u128,
}

/// How incidents are searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Way {
    /// By meaning.
    Vector,
    /// By words.
    Text,
}

/// One incident, and why it is here.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Match {
    incident: IncidentBody,
    /// The sum of 1 / (60 + place) over the lists it is in.
    score: f64,
    /// Those lists.
    matched_by: Vec<Way>,
    /// Cosine similarity, -1 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    similarity_score: Option<f64>,
    /// Kind of the record whose text is the nearest, or that has the words: remediation, aianalysis, workflow or execution.
    matched_on: String,
    /// The text of that record, in its canonical form.
    #[serde(skip_serializing_if = "Option::is_none")]
    matched_text: Option<String>,
    /// From the incident's creation to now, in whole seconds; 0 if its clock was ahead.
    age_seconds: i64,
    /// Phase of the incident: Completed is success, Failed is failure, the others are not decided yet.
    outcome: String,
    /// Writer of the incident's state, as authenticated by Data Storage.
    recorded_by: String,
    #[serde(flatten)]
    evidence: EvidenceBody,
}

impl Answer {
    fn new(found: Vec<Found>, searched_by: Vec<Way>, now: DateTime<Utc>, began: Instant) -> Self {
        let matches: Vec<_> = found.into_iter().map(|found| Match::new(found, now)).collect();
        Self {
            total_matches: matches.len(),
            matches,
            searched_by,
            processing_time_ms: began.elapsed().as_millis(),
        }
    }
}

impl Match {
    fn new(found: Found, now: DateTime<Utc>) -> Self {
        let lists = [(found.by_vector, Way::Vector), (found.by_words, Way::Text)];
        Self {
            age_seconds: (now - found.incident.created_at).num_seconds().max(0),
            score: score(found.score),
            matched_by: lists
                .into_iter()
                .filter_map(|(in_it, way)| in_it.then_some(way))
                .collect(),
            similarity_score: found.similarity.map(score),
            matched_on: found.record_kind,
            matched_text: found.text,
            outcome: found.incident.phase.clone(),
            recorded_by: found.incident.recorded_by.clone(),
            evidence: found.evidence.into(),
            incident: found.incident.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use audit_store::reader::IncidentFilter;

    use super::*;
    use crate::evidence::tests as evidence;
    use crate::incident::tests::{least, least_on_the_wire};

    fn now() -> DateTime<Utc> {
        "2026-03-10T12:01:30.9Z".parse().unwrap()
    }

    fn parse(body: &Value) -> Result<Request, Problem> {
        Request::parse(body.as_object().unwrap(), now())
    }

    fn violations(body: &Value) -> Value {
        json!(parse(body).unwrap_err().violations())
    }

    #[test]
    fn a_description_is_made_canonical_and_nothing_else_is_needed() {
        assert_eq!(
            parse(&json!({"description": "pod is crash looping"})).unwrap(),
            Request {
                like: Like::Text(Description {
                    given: "pod is crash looping".into(),
                    canonical: Some("pod is crash looping".into()),
                }),
                filter: IncidentFilter::default(),
                max_results: 10,
                min_similarity: None
            }
        );
    }

    #[test]
    fn an_incident_is_searched_with_within_filters() {
        let body = json!({
            "incidentId": 7, "description": null, "kind": "pod", "since": "1h", "maxResults": 100,
            "minSimilarity": 0.75,
        });
        assert_eq!(
            parse(&body).unwrap(),
            Request {
                like: Like::Incident(7),
                filter: IncidentFilter {
                    kind: Some("Pod".into()),
                    since: Some("2026-03-10T11:01:30.9Z".parse().unwrap()),
                    ..IncidentFilter::default()
                },
                max_results: 100,
                min_similarity: Some(0.75)
            }
        );
    }

    #[test]
    fn all_violations_are_reported_at_once_and_pointed_to() {
        let body = json!({
            "description": 5, "incidentId": 0, "phase": "failed", "maxResults": 0, "minSimilarity": 1.1,
            "limit": 3,
        });
        let told: Vec<_> = violations(&body)
            .as_array()
            .unwrap()
            .iter()
            .map(|violation| json!([violation["pointer"], violation["code"]]))
            .collect();
        assert_eq!(
            told,
            [
                json!(["/description", "type"]),
                json!(["/incidentId", "out-of-range"]),
                json!(["", "exactly-one"]),
                json!(["/phase", "not-an-option"]),
                json!(["/maxResults", "out-of-range"]),
                json!(["/minSimilarity", "out-of-range"]),
                json!(["/limit", "unknown-field"]),
            ]
        );
        assert_eq!(
            violations(&json!({})),
            json!([{
                "pointer": "", "code": "exactly-one",
                "detail": "must have exactly one of `description` and `incidentId`",
            }])
        );
    }

    #[test]
    fn a_description_has_words_and_at_most_10_kib() {
        let refused = |text: String| violations(&json!({ "description": text }))[0].clone();
        assert_eq!(
            refused("é".repeat(5_121)),
            json!({"pointer": "/description", "code": "too-long", "detail": "must have at most 10240 bytes"})
        );
        assert_eq!(refused("a".repeat(10_241))["code"], "too-long");
        assert_eq!(
            refused(" – … ".into()),
            json!({"pointer": "/description", "code": "no-words", "detail": "must have letters or digits"})
        );
        assert_eq!(refused(String::new())["code"], "empty");
        assert_eq!(refused("a\0b".into())["code"], "nul");
        assert!(parse(&json!({"description": "word ".repeat(2_048)})).is_ok());
        // An id means nothing, and is searched for literally.
        assert!(parse(&json!({"description": "42"})).is_ok());
        assert_eq!(
            violations(&json!({"description": "42", "minSimilarity": 0.5}))[0]["code"],
            "no-meaning"
        );
    }

    #[test]
    fn scores_have_six_digits_and_stay_within_bounds() {
        let told = [
            0.123_456_789,
            1.000_000_2,
            -1.000_000_2,
            0.999_999_94,
            -0.000_000_1,
        ]
        .map(score);
        assert_eq!(told, [0.123_457, 1.0, -1.0, 1.0, 0.0]);
        assert!(told[4].is_sign_positive());
    }

    #[test]
    fn a_score_that_is_told_as_the_threshold_reaches_it() {
        assert!(0.999_999_94 >= least_similarity(1.0));
        assert!(0.899_999_4 < least_similarity(0.9));
        assert!(-1.000_000_2 >= least_similarity(-1.0));
    }

    #[test]
    fn a_match_says_why_it_is_here() {
        let found = |id, similarity: Option<f64>, text: Option<&str>| Found {
            incident: least(id),
            score: 1.0 / 61.0,
            by_vector: similarity.is_some(),
            by_words: true,
            similarity,
            record_kind: "aianalysis".into(),
            text: text.map(Into::into),
            evidence: evidence::least(),
        };
        let mut answer = json!(Answer::new(
            vec![found(2, Some(0.75), Some("out of memory")), found(1, None, None)],
            vec![Way::Vector, Way::Text],
            now(),
            Instant::now()
        ));
        let processing_time = answer.as_object_mut().unwrap().remove("processingTimeMs");
        assert!(processing_time.is_some_and(|time| time.is_u64()));
        let expected = |id, fields: Value| {
            let mut expected = json!({
                "incident": least_on_the_wire(id), "score": 0.016_393, "matchedOn": "aianalysis", "ageSeconds": 90,
                "outcome": "Pending", "recordedBy": "controller",
            });
            for fields in [fields, evidence::least_on_the_wire()] {
                expected
                    .as_object_mut()
                    .unwrap()
                    .extend(fields.as_object().unwrap().clone());
            }
            expected
        };
        let near =
            json!({"matchedBy": ["vector", "text"], "similarityScore": 0.75, "matchedText": "out of memory"});
        assert_eq!(
            answer,
            json!({
                "matches": [expected(2, near), expected(1, json!({"matchedBy": ["text"]}))],
                "totalMatches": 2, "searchedBy": ["vector", "text"],
            })
        );
    }

    #[test]
    fn an_incident_from_a_clock_that_is_ahead_has_no_negative_age() {
        let hit = Hit {
            incident: least(1),
            similarity: 1.0,
            record_kind: "remediation".into(),
            text: "t".into(),
            evidence: evidence::least(),
        };
        let before = "2026-03-10T11:00:00Z".parse().unwrap();
        assert_eq!(Match::new(in_one_list(1, hit), before).age_seconds, 0);
    }
}
