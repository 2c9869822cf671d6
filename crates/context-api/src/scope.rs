//! What every computation over a window is asked with, in the same words.

use audit_store::reader::{IncidentFilter, Windows};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use service_kit::extract::QueryParameters;
use service_kit::openapi::schema::{Field, count, integer, named, required};
use service_kit::openapi::{Answer, Content, Parameter, Place};
use service_kit::{Problem, Violation};

use crate::{confidence, filter, openapi, rate, window};

pub(crate) const DEFAULT_GROUPS: i64 = 50;
const MAX_GROUPS: i64 = 100;

/// Which incidents to compute over, and how many make a rate.
#[derive(Debug, PartialEq)]
pub(crate) struct Scope {
    pub(crate) filter: IncidentFilter,
    pub(crate) windows: Windows,
    /// Terminal incidents that a rate needs.
    pub(crate) min_samples: i64,
}

impl Scope {
    /// Reads the filters of the incident list, `timeRange` and `minSamples`. The violations are noted there.
    pub(crate) fn from_query(query: &mut QueryParameters, now: DateTime<Utc>) -> Self {
        let filter = filter::from_query(query, now);
        let windows = window::from_query(query, &filter, now);
        Self {
            filter,
            windows,
            min_samples: rate::min_samples(query),
        }
    }
}

/// Name of the contract's example of a window that is set by its length.
pub(crate) const RECENT: &str = "recent";
/// Name of the contract's example with every filter, among them the window's beginning.
pub(crate) const FILTERED: &str = "filtered";

/// What the examples of the contract ask for.
pub(crate) struct Examples {
    pub(crate) recent: Scope,
    pub(crate) filtered: Scope,
}

impl Examples {
    pub(crate) fn new() -> Self {
        // 2026-06-15T12:00:00Z
        let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(1_781_524_800);
        let scope = |query| Scope::from_query(&mut QueryParameters::parse(query), now);
        Self {
            recent: scope("timeRange=7d&minSamples=3"),
            filtered: scope("since=2026-06-01T00:00:00Z&until=1m"),
        }
    }
}

/// The parameters that [`Scope::from_query`] reads.
pub(crate) fn parameters() -> Vec<Parameter> {
    let mut parameters = filter::parameters(FILTERED);
    parameters.extend([window::parameter(RECENT), rate::parameter(RECENT)]);
    parameters
}

/// `limit` in the contract.
pub(crate) fn limit_parameter() -> Parameter {
    let mut schema = groups();
    schema["default"] = json!(DEFAULT_GROUPS);
    Parameter {
        name: "limit",
        place: Place::Query,
        required: false,
        description: "Most groups to list.".to_owned(),
        schema,
        examples: vec![(RECENT, json!(10))],
    }
}

/// The answer of a computation, by the name of its schema.
pub(crate) fn answers(schema: &str, recent: Value, filtered: Value) -> Vec<Answer> {
    vec![Answer {
        status: 200,
        description: "The figures of the window.",
        content: Content {
            media_type: "application/json",
            schema: named(schema),
            examples: vec![
                (RECENT, "The last seven days", recent),
                (FILTERED, "Of those that pass every filter", filtered),
            ],
        },
    }]
}

/// What a computation may be answered with instead.
pub(crate) fn problems() -> Vec<Problem> {
    let excluded = Violation::parameter("timeRange", "excluded", "cannot be given together with `since`");
    let mut problems = vec![Problem::invalid_parameters([excluded])];
    problems.extend(openapi::problems());
    problems
}

/// The fields of an answer that tell what it was computed over.
pub(crate) fn fields() -> [Field; 2] {
    [
        required(
            "window",
            named("Window"),
            "The window in which the incidents were created.",
        ),
        required(
            "minSamples",
            rate::samples(),
            "Terminal incidents that a rate needs.",
        ),
    ]
}

/// `totalIncidents` of an answer.
pub(crate) fn total_field() -> Field {
    required(
        "totalIncidents",
        count(),
        "All incidents of the window that pass the filters, terminal or not.",
    )
}

/// The fields of a group that count its incidents.
pub(crate) fn count_fields() -> [Field; 2] {
    [
        required("count", count(), "All incidents, terminal or not."),
        required("open", count(), "Incidents in phase Pending or Processing."),
    ]
}

/// The fields of an answer whose groups `limit` may cut off.
pub(crate) fn limit_fields() -> [Field; 2] {
    [
        required(
            "totalGroups",
            count(),
            "How many groups there are, also where `limit` cuts them off.",
        ),
        required("limit", groups(), "Most groups to list."),
    ]
}

/// What every computation has in its answer.
pub(crate) fn schemas() -> [(&'static str, Value); 2] {
    [("Window", window::schema()), confidence::schema()]
}

fn groups() -> Value {
    integer(1, MAX_GROUPS)
}

/// Reads `limit`: how many groups to list, 1 to 100, 50 if it is absent.
pub(crate) fn limit(query: &mut QueryParameters) -> i64 {
    query.integer("limit", 1..=MAX_GROUPS).unwrap_or(DEFAULT_GROUPS)
}
