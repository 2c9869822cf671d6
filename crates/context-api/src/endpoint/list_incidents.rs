//! `GET /api/v1/incidents`: a page of the incidents that pass the filters, and how many pass.
//!
//! A list is walked by `cursor`: an incident that was there in the beginning and passes the filters throughout is given
//! exactly once, whatever is recorded meanwhile, and a page costs the same at any depth. Reading with `offset` gives an
//! incident twice or not at all when others are recorded between two pages, and costs what it skips.

use audit_store::reader::{IncidentFilter, IncidentPage, Order, PageRequest, Position, Start};
use axum::response::Response;
use chrono::{DateTime, SubsecRound as _, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use service_kit::extract::QueryParameters;
use service_kit::openapi::schema::{array, boolean, count, integer, named, one_of, optional, required, sent};
use service_kit::openapi::{Answer, Content, Operation, Parameter, Place};
use service_kit::{Problem, Violation};

use crate::cache::{Question, cached};
use crate::cursor::{self, Cursor};
use crate::incident::{self, IncidentBody};
use crate::state::Asked;
use crate::{filter, openapi, problems};

const DEFAULT_LIMIT: i64 = 10;
const MAX_LIMIT: i64 = 100;
/// The database reads and throws away all rows before the offset.
const MAX_OFFSET: i64 = 1_000_000;

/// This endpoint in the contract.
pub(crate) fn operation() -> Operation {
    let parameter = |name, description: &str, mut schema: Value, default: Value, example: Value| {
        schema["default"] = default;
        Parameter {
            name,
            place: Place::Query,
            required: false,
            description: description.to_owned(),
            schema,
            examples: vec![("filtered", example)],
        }
    };
    let mut parameters = filter::parameters("filtered");
    parameters.extend([
        parameter(
            "order",
            "By the time of creation, newest or oldest first.",
            one_of(["desc", "asc"]),
            json!("desc"),
            json!("asc"),
        ),
        parameter(
            "limit",
            "Most incidents of the page.",
            integer(1, MAX_LIMIT),
            json!(DEFAULT_LIMIT),
            json!(5),
        ),
        parameter(
            "offset",
            "Incidents that pass the filters and are left out before the page. Not beside `cursor`.",
            integer(0, MAX_OFFSET),
            json!(0),
            json!(0),
        ),
        parameter(
            "includeTotal",
            "Whether to count all incidents that pass the filters. Counting costs what it counts.",
            boolean(),
            json!(true),
            json!(true),
        ),
        Parameter {
            name: "cursor",
            place: Place::Query,
            required: false,
            description: "The `nextCursor` of the page before, with the same filters and order. Walking by cursor gives \
                          an incident that was there in the beginning and passes the filters throughout exactly once, \
                          whatever is recorded meanwhile; a duration in `since` or `until` counts back from the first \
                          page."
                .to_owned(),
            schema: cursor::schema(),
            examples: vec![("next", json!(example_cursor()))],
        },
    ]);
    let page =
        |limit: i64| json!({"incidents": [incident::example()], "total": 1, "limit": limit, "offset": 0});
    let mut problems = vec![Problem::invalid_parameters([Violation::parameter(
        "limit",
        "out-of-range",
        "must be an integer from 1 to 100",
    )])];
    problems.extend(openapi::problems());
    Operation {
        method: "get",
        path: "/api/v1/incidents",
        id: "listIncidents",
        summary: "List incidents",
        description:
            "A page of the incidents that pass all filters, and how many pass. A parameter that is unknown, \
                      given twice or empty is refused."
                .to_owned(),
        parameters,
        bodies: Vec::new(),
        answers: vec![Answer {
            status: 200,
            description: "The page.",
            content: Content {
                media_type: "application/json",
                schema: named("IncidentPage"),
                examples: vec![
                    ("all", "The newest incidents", page(DEFAULT_LIMIT)),
                    ("filtered", "Those that pass every filter", page(5)),
                    (
                        "next",
                        "Those behind a page",
                        json!({"incidents": [], "total": 1, "limit": DEFAULT_LIMIT}),
                    ),
                ],
            },
        }],
        problems,
    }
}

/// The schema of the answer.
pub(crate) fn schema() -> Value {
    sent(
        "A page of incidents.",
        [
            required(
                "incidents",
                array(named("Incident")),
                "The incidents of the page, in the order asked for.",
            ),
            optional(
                "total",
                count(),
                "How many incidents pass the filters, exactly, in the same state of the database as the page; absent \
                 with `includeTotal=false`.",
            ),
            required("limit", integer(1, MAX_LIMIT), "Most incidents of the page."),
            optional(
                "offset",
                integer(0, MAX_OFFSET),
                "Incidents left out before the page; absent after a `cursor`.",
            ),
            optional(
                "nextCursor",
                cursor::schema(),
                "The `cursor` of the next page; absent on the last one.",
            ),
        ],
    )
}

/// The cursor behind an incident that is older than any other.
fn example_cursor() -> String {
    let oldest = Position {
        created_at: DateTime::UNIX_EPOCH,
        id: 1,
    };
    Cursor::new(
        Order::Descending,
        oldest,
        DateTime::UNIX_EPOCH,
        &IncidentFilter::default(),
    )
    .encode()
}

/// Answers 200 with a page, 400 naming every parameter that cannot be used.
pub(crate) async fn get(
    Asked(state): Asked,
    query: QueryParameters,
    question: Question,
) -> Result<Response, Problem> {
    let request = Request::parse(query, state.clock.now())?;
    let reader = state.reader();
    cached(&state, question, move || async move {
        let page = reader
            .incidents(&request.filter, request.page)
            .await
            .map_err(problems::of_store)?;
        Ok(Page::new(page, &request))
    })
    .await
}

/// What is asked for.
#[derive(Debug, PartialEq)]
struct Request {
    filter: IncidentFilter,
    page: PageRequest,
    /// When the first page of this walk was asked for.
    began: DateTime<Utc>,
}

impl Request {
    fn parse(mut query: QueryParameters, now: DateTime<Utc>) -> Result<Self, Problem> {
        let cursor = query.parsed("cursor", cursor::CHARS, Cursor::decode);
        // A cursor has microseconds; without cutting, its second page would have another window than the first.
        let began = cursor.map_or_else(|| now.trunc_subsecs(6), |cursor| cursor.began);
        let filter = filter::from_query(&mut query, began);
        let orders = [("desc", Order::Descending), ("asc", Order::Ascending)];
        let order = query.choice("order", &orders).unwrap_or(Order::Descending);
        let limit = query.integer("limit", 1..=MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
        let offset = query.integer("offset", 0..=MAX_OFFSET);
        let with_total = query.boolean("includeTotal").unwrap_or(true);
        if cursor.is_some() && offset.is_some() {
            query.refuse("offset", "not-with-cursor", "must not be given with `cursor`");
        }
        if cursor.is_some_and(|cursor| cursor.order != order) {
            query.refuse("cursor", "other-order", "comes from a list in the other `order`");
        }
        if cursor.is_some_and(|cursor| !cursor.is_of(&filter)) {
            query.refuse("cursor", "other-filters", "comes from a list with other filters");
        }
        query.finish()?;
        let start = match cursor {
            Some(cursor) => Start::After(cursor.after),
            None => Start::Offset(offset.unwrap_or(0)),
        };
        Ok(Self {
            filter,
            page: PageRequest {
                order,
                limit,
                start,
                with_total,
            },
            began,
        })
    }
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    incidents: Vec<IncidentBody>,
    /// How many incidents pass the filters, exactly, in the same state of the database as the page; absent with
    /// `includeTotal=false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<i64>,
    limit: i64,
    /// How many incidents were skipped; absent after a `cursor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    /// The `cursor` of the next page, with the same filters and order; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl Page {
    fn new(page: IncidentPage, request: &Request) -> Self {
        let next = page
            .next
            .map(|next| Cursor::new(request.page.order, next, request.began, &request.filter).encode());
        Self {
            incidents: page.incidents.into_iter().map(IncidentBody::from).collect(),
            total: page.total,
            limit: request.page.limit,
            offset: match request.page.start {
                Start::Offset(offset) => Some(offset),
                Start::After(_) => None,
            },
            next_cursor: next,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::incident::tests::{least, least_on_the_wire};

    fn now() -> DateTime<Utc> {
        "2026-03-10T12:00:00Z".parse().unwrap()
    }

    fn parse(query: &str) -> Result<Request, Problem> {
        Request::parse(QueryParameters::parse(query), now())
    }

    /// The cursor behind incident 5 of 11:00 in the list that `query` asks for.
    fn cursor(query: &str) -> String {
        let request = parse(query).unwrap();
        Cursor::new(request.page.order, last(), request.began, &request.filter).encode()
    }

    fn last() -> Position {
        Position {
            created_at: "2026-03-10T11:00:00Z".parse().unwrap(),
            id: 5,
        }
    }

    fn told(problem: &Problem) -> Value {
        let told = problem.violations().iter().map(|violation| {
            let violation = json!(violation);
            json!([violation["parameter"], violation["code"]])
        });
        told.collect()
    }

    #[test]
    fn nothing_asked_is_the_ten_newest() {
        assert_eq!(
            parse("").unwrap(),
            Request {
                filter: IncidentFilter::default(),
                page: PageRequest {
                    order: Order::Descending,
                    limit: 10,
                    start: Start::Offset(0),
                    with_total: true,
                },
                began: now(),
            }
        );
    }

    #[test]
    fn what_is_asked_is_read() {
        assert_eq!(
            parse("kind=pod&since=1d&order=asc&limit=100&offset=1000000&includeTotal=false").unwrap(),
            Request {
                filter: IncidentFilter {
                    kind: Some("Pod".into()),
                    since: Some("2026-03-09T12:00:00Z".parse().unwrap()),
                    ..IncidentFilter::default()
                },
                page: PageRequest {
                    order: Order::Ascending,
                    limit: 100,
                    start: Start::Offset(1_000_000),
                    with_total: false,
                },
                began: now(),
            }
        );
    }

    #[test]
    fn every_parameter_that_cannot_be_used_is_named() {
        let problem =
            parse("limit=101&offset=1000001&order=up&name=a&name=b&severity=bad&colour=red").unwrap_err();
        assert_eq!(problem.code(), "invalid-parameter");
        let told: Vec<_> = json!(problem.violations())
            .as_array()
            .unwrap()
            .iter()
            .map(|violation| (violation["parameter"].clone(), violation["code"].clone()))
            .collect();
        let expected = [
            ("severity", "not-an-option"),
            ("name", "repeated"),
            ("order", "not-an-option"),
            ("limit", "out-of-range"),
            ("offset", "out-of-range"),
            ("colour", "unknown"),
        ];
        assert_eq!(told, expected.map(|(name, code)| (json!(name), json!(code))));
        assert_eq!(
            problem.violations()[5].detail,
            "is unknown; known are `cursor`, `namespace`, `cluster`, `environment`, `severity`, `alertName`, `fingerprint`, \
             `actionType`, `kind`, `name`, `phase`, `status`, `workflow`, `correlationId`, `since`, `until`, `order`, \
             `limit`, `offset`, `includeTotal`"
        );
    }

    #[test]
    fn a_page_tells_where_it_is() {
        let page = IncidentPage {
            incidents: vec![least(2), least(1)],
            total: Some(12),
            next: None,
        };
        assert_eq!(
            json!(Page::new(page, &parse("limit=2&offset=4").unwrap())),
            json!({
                "incidents": [least_on_the_wire(2), least_on_the_wire(1)],
                "total": 12, "limit": 2, "offset": 4,
            })
        );
    }

    #[test]
    fn a_page_before_others_tells_their_cursor_and_what_was_not_asked_for_is_absent() {
        let page = IncidentPage {
            incidents: vec![least(5)],
            total: None,
            next: Some(last()),
        };
        let first = "limit=1&severity=info&includeTotal=false";
        let next = cursor("severity=info");
        let request = parse(&format!("{first}&cursor={next}")).unwrap();
        assert_eq!(request.page.start, Start::After(last()));
        assert_eq!(
            json!(Page::new(page, &request)),
            json!({"incidents": [least_on_the_wire(5)], "limit": 1, "nextCursor": next})
        );
    }

    #[test]
    fn a_cursor_belongs_to_one_list() {
        let of_pods = cursor("kind=pod&order=asc");
        assert!(parse(&format!("cursor={of_pods}&kind=POD&order=asc&limit=3")).is_ok());
        let refused = |query: String| parse(&query).unwrap_err();
        assert_eq!(
            told(&refused(format!("cursor={of_pods}&kind=pod"))),
            json!([["cursor", "other-order"]])
        );
        for filters in ["", "&kind=node", "&kind=pod&since=24h"] {
            assert_eq!(
                told(&refused(format!("cursor={of_pods}&order=asc{filters}"))),
                json!([["cursor", "other-filters"]]),
                "{filters}"
            );
        }
        assert_eq!(
            told(&refused(format!("cursor={of_pods}&kind=pod&order=asc&offset=0"))),
            json!([["offset", "not-with-cursor"]])
        );
        assert_eq!(
            told(&refused(format!("cursor=A{of_pods}&kind=pod&order=asc"))),
            json!([["cursor", "too-long"]])
        );
        assert_eq!(
            told(&refused(format!("cursor=B{}&kind=pod&order=asc", &of_pods[1..]))),
            json!([["cursor", "not-a-cursor"]])
        );
    }

    #[test]
    fn a_span_of_time_stays_where_the_walk_began() {
        let query = format!("since=24h&cursor={}", cursor("since=24h"));
        let later = now() + chrono::TimeDelta::hours(1);
        let request = Request::parse(QueryParameters::parse(&query), later).unwrap();
        assert_eq!(request.began, now());
        assert_eq!(
            request.filter.since,
            Some("2026-03-09T12:00:00Z".parse().unwrap())
        );
    }
}
