//! Problems in a contract: their schema, their headers, and those that any operation may be answered with.

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

use super::schema::{array, count, integer, named, optional, required, sent, string};
use crate::problem::{Occurrence, PROBLEM_JSON, Problem, ProblemKind};

/// Headers that every answer has.
pub(super) const ALWAYS: [&str; 1] = ["X-Request-Id"];

const EXAMPLE_REQUEST_ID: &str = "6f1b0c1f5d0c4f0fa5b1f6d2b9c3e8a7";

/// What every operation with a body may be answered with, whatever it does.
#[must_use]
pub fn standard() -> Vec<Problem> {
    [
        ProblemKind::REQUEST_TIMEOUT,
        ProblemKind::PAYLOAD_TOO_LARGE,
        ProblemKind::UNSUPPORTED_MEDIA_TYPE,
    ]
    .map(Problem::new)
    .into_iter()
    .chain([
        Problem::new(ProblemKind::MALFORMED_JSON),
        Problem::new(ProblemKind::INCOMPLETE_BODY),
        Problem::internal("an example"),
        Problem::new(ProblemKind::GATEWAY_TIMEOUT),
    ])
    .collect()
}

/// What [`auth::require`](crate::auth::require) answers.
#[must_use]
pub fn guarded() -> Vec<Problem> {
    vec![
        Problem::new(ProblemKind::UNAUTHENTICATED),
        Problem::new(ProblemKind::FORBIDDEN),
    ]
}

/// What [`rate_limit::limit`](crate::rate_limit::limit) answers.
#[must_use]
pub fn limited() -> Vec<Problem> {
    vec![Problem::new(ProblemKind::TOO_MANY_REQUESTS).with_retry_after(Duration::from_secs(1))]
}

/// The schemas of problem documents.
pub(super) fn schemas() -> [(&'static str, Value); 2] {
    let uri = |format: &str| json!({"type": "string", "format": format});
    let violation = sent(
        "A broken rule. Exactly one of `pointer`, `parameter` and `header` says where.",
        [
            optional(
                "pointer",
                uri("json-pointer"),
                "Place in the body: a JSON pointer (RFC 6901).",
            ),
            optional(
                "parameter",
                string(),
                "Name of the parameter, of the query string or the path.",
            ),
            optional("header", string(), "Name of the header."),
            required("code", string(), "Which rule: kebab-case, stable, for programs."),
            required(
                "detail",
                string(),
                "What the rule asks for, for people. It never repeats a value.",
            ),
        ],
    );
    let problem = sent(
        "An error: a problem document (RFC 9457).",
        [
            required(
                "type",
                uri("uri"),
                "The kind of problem. Programs branch on it; it never changes.",
            ),
            required("title", string(), "The kind of problem, for people."),
            required("status", integer(400, 599), "The status of the answer."),
            optional("detail", string(), "What happened this time, for people."),
            optional("instance", string(), "Path of the request, without its query."),
            optional(
                "requestId",
                string(),
                "Id of the request, under which the service logged the cause.",
            ),
            optional(
                "errors",
                array(named("Violation")),
                "The broken rules, at most 100 of them.",
            ),
            optional(
                "errorsOmitted",
                count(),
                "How many broken rules are not in `errors`; left out if none.",
            ),
        ],
    );
    [("Problem", problem), ("Violation", violation)]
}

/// The headers of answers.
pub(super) fn headers() -> Map<String, Value> {
    let headers = json!({
        "X-Request-Id": {
            "description": "Id under which the request is logged: the request's own, if it had a well-formed one.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9._-]+$"},
        },
        "Retry-After": {
            "description": "Seconds after which the same request may succeed.",
            "schema": {"type": "integer", "minimum": 0},
        },
        "WWW-Authenticate": {
            "description": "What is missing to know the caller (RFC 6750).",
            "schema": {"type": "string"},
        },
        "RateLimit-Policy": {
            "description": "What each policy grants: `q` requests in `w` seconds (draft-ietf-httpapi-ratelimit-headers).",
            "schema": {"type": "string"},
        },
        "RateLimit": {
            "description": "What is left of each policy: `r` requests in the next `t` seconds.",
            "schema": {"type": "string"},
        },
    });
    headers.as_object().cloned().unwrap_or_default()
}

pub(super) fn header_references(names: &[&str]) -> Map<String, Value> {
    names
        .iter()
        .map(|name| {
            let reference = json!({"$ref": format!("#/components/headers/{name}")});
            ((*name).to_owned(), reference)
        })
        .collect()
}

/// The answers of an operation that are problems, by status; each problem is an example.
pub(super) fn answers(path: &str, problems: &[Problem]) -> Map<String, Value> {
    let mut answers = Map::new();
    for problem in problems {
        let status = problem.status();
        let answer = answers.entry(status.as_str()).or_insert_with(|| {
            json!({
                "description": "",
                "headers": {},
                "content": {PROBLEM_JSON: {"schema": named("Problem"), "examples": {}}},
            })
        });
        let title = problem.kind().title();
        let description = match answer["description"].as_str() {
            Some(others) if !others.is_empty() => format!("{others} Or: {title}."),
            _ => format!("{title}."),
        };
        answer["description"] = description.into();
        if let Value::Object(headers) = &mut answer["headers"] {
            headers.extend(header_references(&headers_of(problem)));
        }
        answer["content"][PROBLEM_JSON]["examples"][problem.code()] =
            json!({"summary": title, "value": example(path, problem)});
    }
    answers
}

fn headers_of(problem: &Problem) -> Vec<&'static str> {
    let mut names = ALWAYS.to_vec();
    if problem
        .clone()
        .into_response()
        .headers()
        .contains_key(header::RETRY_AFTER)
    {
        names.push("Retry-After");
    }
    match problem.status() {
        StatusCode::UNAUTHORIZED => names.push("WWW-Authenticate"),
        StatusCode::TOO_MANY_REQUESTS => names.extend(["RateLimit", "RateLimit-Policy"]),
        _ => {}
    }
    names
}

fn example(path: &str, problem: &Problem) -> Value {
    // A template is no path of a request; the examples of parameters say which ones there are.
    let body = problem.body(Occurrence {
        instance: Some(&path.replace("{id}", "1").replace("{name}", "rr-1")),
        request_id: Some(EXAMPLE_REQUEST_ID),
    });
    serde_json::from_str(&body).unwrap_or_default()
}
