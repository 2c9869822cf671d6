//! `GET /api/v1/incidents`: a page of the incidents that pass the filters, and how many pass.

use audit_store::reader::{IncidentFilter, IncidentPage, Order};
use axum::extract::State as Extract;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use service_kit::Problem;
use service_kit::extract::QueryParameters;

use crate::cache::{Question, cached};
use crate::filter;
use crate::incident::IncidentBody;
use crate::problems;
use crate::state::State;

const DEFAULT_LIMIT: i64 = 10;
const MAX_LIMIT: i64 = 100;
/// The database reads and throws away all rows before the offset.
const MAX_OFFSET: i64 = 1_000_000;

/// Answers 200 with a page, 400 naming every parameter that cannot be used.
pub(crate) async fn get(
    Extract(state): Extract<State>,
    query: QueryParameters,
    question: Question,
) -> Result<Response, Problem> {
    let request = Request::parse(query, state.clock.now())?;
    let reader = state.reader.clone();
    cached(&state, question, async move {
        let page = reader
            .incidents(&request.filter, request.order, request.limit, request.offset)
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
    order: Order,
    limit: i64,
    offset: i64,
}

impl Request {
    fn parse(mut query: QueryParameters, now: DateTime<Utc>) -> Result<Self, Problem> {
        let filter = filter::from_query(&mut query, now);
        let orders = [("desc", Order::Descending), ("asc", Order::Ascending)];
        let order = query.choice("order", &orders);
        let limit = query.integer("limit", 1..=MAX_LIMIT);
        let offset = query.integer("offset", 0..=MAX_OFFSET);
        query.finish()?;
        Ok(Self {
            filter,
            order: order.unwrap_or(Order::Descending),
            limit: limit.unwrap_or(DEFAULT_LIMIT),
            offset: offset.unwrap_or(0),
        })
    }
}

/// The answer.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    incidents: Vec<IncidentBody>,
    /// How many incidents pass the filters, exactly.
    total: i64,
    limit: i64,
    offset: i64,
}

impl Page {
    fn new(page: IncidentPage, request: &Request) -> Self {
        Self {
            incidents: page.incidents.into_iter().map(IncidentBody::from).collect(),
            total: page.total,
            limit: request.limit,
            offset: request.offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::incident::tests::{least, least_on_the_wire};

    fn parse(query: &str) -> Result<Request, Problem> {
        Request::parse(
            QueryParameters::parse(query),
            "2026-03-10T12:00:00Z".parse().unwrap(),
        )
    }

    #[test]
    fn nothing_asked_is_the_ten_newest() {
        assert_eq!(
            parse("").unwrap(),
            Request {
                filter: IncidentFilter::default(),
                order: Order::Descending,
                limit: 10,
                offset: 0
            }
        );
    }

    #[test]
    fn what_is_asked_is_read() {
        assert_eq!(
            parse("kind=pod&since=1d&order=asc&limit=100&offset=1000000").unwrap(),
            Request {
                filter: IncidentFilter {
                    kind: Some("Pod".into()),
                    since: Some("2026-03-09T12:00:00Z".parse().unwrap()),
                    ..IncidentFilter::default()
                },
                order: Order::Ascending,
                limit: 100,
                offset: 1_000_000
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
            "is unknown; known are `namespace`, `cluster`, `environment`, `severity`, `alertName`, `fingerprint`, \
             `actionType`, `kind`, `name`, `phase`, `status`, `workflow`, `correlationId`, `since`, `until`, `order`, \
             `limit`, `offset`"
        );
    }

    #[test]
    fn a_page_tells_where_it_is() {
        let page = IncidentPage {
            incidents: vec![least(2), least(1)],
            total: 12,
        };
        assert_eq!(
            json!(Page::new(page, &parse("limit=2&offset=4").unwrap())),
            json!({
                "incidents": [least_on_the_wire(2), least_on_the_wire(1)],
                "total": 12, "limit": 2, "offset": 4,
            })
        );
    }
}
