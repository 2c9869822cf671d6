//! `GET /api/v1/aggregations/trend`: incidents over time.

use audit_store::reader::{BucketUnit, Outcomes, TrendBucket};
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use service_kit::Problem;
use service_kit::extract::QueryParameters;
use service_kit::openapi::schema::{array, named, one_of, required, sent, string, time};
use service_kit::openapi::{Operation, Parameter, Place};
use service_kit::problem::Violation;

use crate::cache::{Question, cached};
use crate::problems;
use crate::rate::{self, RateBody};
use crate::scope::{self, Examples, FILTERED, RECENT, Scope};
use crate::state::Asked;
use crate::window::WindowBody;

/// The longest window in buckets. It touches up to two more, since it may begin and end within one.
const MAX_BUCKETS: i64 = 1_000;

const UNITS: [(&str, BucketUnit); 3] = [
    ("hour", BucketUnit::Hour),
    ("day", BucketUnit::Day),
    ("week", BucketUnit::Week),
];

/// Longer than any name of a time zone.
const TIMEZONE_CHARS: usize = 64;

/// This endpoint in the contract.
pub(crate) fn operation() -> Operation {
    let mut bucket = one_of(UNITS.map(|(name, _)| name));
    bucket["default"] = json!("day");
    let mut parameters = scope::parameters();
    parameters.extend([
        Parameter {
            name: "bucket",
            place: Place::Query,
            required: false,
            description: format!(
                "How long a bucket is. A week begins on Monday; a day on which the clocks change has 23 or 25 hours. \
                 The window must not have more than {MAX_BUCKETS} buckets."
            ),
            schema: bucket,
            examples: vec![(RECENT, json!("week")), (FILTERED, json!("week"))],
        },
        Parameter {
            name: "timezone",
            place: Place::Query,
            required: false,
            description: "Time zone of the calendar that the buckets follow: `UTC`, or its IANA name with its area."
                .to_owned(),
            schema: json!({
                "type": "string",
                "maxLength": TIMEZONE_CHARS,
                "pattern": "^(UTC|[A-Z][^/]*/.+)$",
                "default": "UTC",
            }),
            examples: vec![(RECENT, json!("Europe/Berlin"))],
        },
    ]);
    Operation {
        method: "get",
        path: "/api/v1/aggregations/trend",
        id: "aggregateTrend",
        summary: "Count incidents over time",
        description:
            "Counts the incidents that pass all filters and were created in the window, in buckets of the time of their \
             creation. A parameter that is unknown, given \
             twice or empty is refused."
                .to_owned(),
        parameters,
        bodies: Vec::new(),
        answers: scope::answers("TrendAggregation", recent_example(), filtered_example()),
        problems: scope::problems(),
    }
}

/// The schemas of the answer.
pub(crate) fn schemas() -> [(&'static str, Value); 2] {
    let answer = sent(
        "Incidents of a window over time.",
        scope::fields().into_iter().chain([
            required(
                "bucket",
                one_of(UNITS.map(|(name, _)| name)),
                "How long a bucket is.",
            ),
            required(
                "timezone",
                string(),
                "Time zone of the calendar that the buckets follow.",
            ),
            scope::total_field(),
            required(
                "buckets",
                array(named("TrendBucket")),
                "Every bucket that the window touches, the oldest first, also those without incidents.",
            ),
        ]),
    );
    let times = [
        required(
            "start",
            time(),
            "Where the bucket begins, which may be before the window does.",
        ),
        required(
            "end",
            time(),
            "Where the next one begins, which may be after the window ends.",
        ),
    ];
    let bucket = sent(
        "The incidents of one bucket. Of the first and the last bucket only the part in the window is counted.",
        times
            .into_iter()
            .chain(scope::count_fields())
            .chain(rate::fields()),
    );
    [("TrendAggregation", answer), ("TrendBucket", bucket)]
}

/// Answers 200 with the incidents that pass the filters of the incident list, in buckets of the time that their
/// remediation requests were created; 400 naming every parameter that cannot be used.
///
/// Takes `timeRange`, `since`, `until` and `minSamples` like the success rates; `bucket` is hour, day (if it is absent)
/// or week, which begins on Monday; `timezone` is the IANA name of the calendar's time zone, `UTC` if it is absent. A
/// day on which the clocks change has 23 or 25 hours.
pub(crate) async fn get(
    Asked(state): Asked,
    query: QueryParameters,
    question: Question,
) -> Result<Response, Problem> {
    let request = Request::parse(query, state.clock.now())?;
    let reader = state.reader();
    cached(&state, question, move || async move {
        let scope = &request.scope;
        let buckets = reader
            .trend(&scope.filter, &scope.windows, request.unit, &request.timezone)
            .await
            .map_err(problems::of_store)?
            .ok_or_else(|| {
                let (code, detail) = not_a_timezone();
                Problem::invalid_parameters([Violation::parameter("timezone", code, detail)])
            })?;
        Ok(Answer::new(buckets, request))
    })
    .await
}

/// What is asked for.
#[derive(Debug, PartialEq)]
struct Request {
    scope: Scope,
    unit: BucketUnit,
    timezone: String,
}

impl Request {
    fn parse(mut query: QueryParameters, now: DateTime<Utc>) -> Result<Self, Problem> {
        let scope = Scope::from_query(&mut query, now);
        let unit = query.choice("bucket", &UNITS).unwrap_or(BucketUnit::Day);
        let timezone = query.parsed("timezone", TIMEZONE_CHARS, timezone);
        let hours = match unit {
            BucketUnit::Hour => 1,
            BucketUnit::Day => 24,
            BucketUnit::Week => 168,
        };
        if (scope.windows.until - scope.windows.since).num_seconds() > MAX_BUCKETS * hours * 3_600 {
            let detail = format!("must not divide the window into more than {MAX_BUCKETS} buckets");
            query.refuse("bucket", "too-many-buckets", detail);
        }
        query.finish()?;
        Ok(Self {
            scope,
            unit,
            timezone: timezone.unwrap_or_else(|| "UTC".to_owned()),
        })
    }
}

/// Whether a name is written like one of the IANA database. PostgreSQL also takes what is not: abbreviations, which are
/// offsets without a calendar, even those that the database has as names, such as `CET`. All of them lack the slash.
fn timezone(text: &str) -> Result<String, (&'static str, String)> {
    let area_and_place = text.contains('/') && text.starts_with(|first: char| first.is_ascii_uppercase());
    if area_and_place || text == "UTC" {
        Ok(text.to_owned())
    } else {
        Err(not_a_timezone())
    }
}

fn not_a_timezone() -> (&'static str, String) {
    (
        "not-a-time-zone",
        "must be `UTC` or the IANA name of a time zone, with its area, such as `Europe/Berlin`".to_owned(),
    )
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    window: WindowBody,
    bucket: &'static str,
    timezone: String,
    min_samples: i64,
    /// All incidents of the window.
    total_incidents: i64,
    /// Every bucket that the window touches, the oldest first, also those without incidents.
    buckets: Vec<Bucket>,
}

/// The incidents of one bucket. Of the first and the last bucket only the part in the window is counted.
#[derive(Debug, Serialize)]
struct Bucket {
    /// Where the bucket begins, which may be before the window does.
    start: DateTime<Utc>,
    /// Where the next one begins, which may be after the window ends.
    end: DateTime<Utc>,
    /// All incidents, terminal or not.
    count: i64,
    /// Incidents in phase Pending or Processing.
    open: i64,
    #[serde(flatten)]
    rate: RateBody,
}

impl Answer {
    fn new(buckets: Vec<TrendBucket>, request: Request) -> Self {
        let name = UNITS.iter().find(|(_, unit)| *unit == request.unit);
        Self {
            window: WindowBody::alone(&request.scope.windows),
            bucket: name.map_or("", |(name, _)| name),
            timezone: request.timezone,
            min_samples: request.scope.min_samples,
            total_incidents: buckets.iter().map(|bucket| bucket.count).sum(),
            buckets: buckets
                .into_iter()
                .map(|bucket| Bucket {
                    start: bucket.start,
                    end: bucket.end,
                    count: bucket.count,
                    open: bucket.count - bucket.outcomes.total(),
                    rate: RateBody::new(bucket.outcomes, request.scope.min_samples),
                })
                .collect(),
        }
    }
}

fn recent_example() -> Value {
    let scope = Examples::new().recent;
    // From noon of a Monday in UTC to the beginning of the week before in Berlin.
    let first = scope.windows.since - TimeDelta::hours(14);
    example(scope, "Europe/Berlin", first, &[(14, 10, 3), (2, 1, 0)])
}

fn filtered_example() -> Value {
    let scope = Examples::new().filtered;
    let first = scope.windows.since;
    example(scope, "UTC", first, &[(0, 0, 0), (0, 0, 0), (1, 1, 0)])
}

/// Weeks from `first` on: all incidents, successful ones, failed ones.
fn example(scope: Scope, timezone: &str, first: DateTime<Utc>, weeks: &[(i64, i64, i64)]) -> Value {
    let starts = (0..).map(|week| first + TimeDelta::weeks(week));
    let buckets = starts
        .zip(weeks)
        .map(|(start, &(count, successful, failed))| TrendBucket {
            start,
            end: start + TimeDelta::weeks(1),
            count,
            outcomes: Outcomes { successful, failed },
        })
        .collect();
    let request = Request {
        scope,
        unit: BucketUnit::Week,
        timezone: timezone.to_owned(),
    };
    json!(Answer::new(buckets, request))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(query: &str) -> Result<Request, Problem> {
        Request::parse(
            QueryParameters::parse(query),
            "2026-03-10T12:00:00Z".parse().unwrap(),
        )
    }

    #[test]
    fn nothing_asked_is_days_in_utc() {
        let request = parse("").unwrap();
        assert_eq!(
            (request.unit, request.timezone.as_str()),
            (BucketUnit::Day, "UTC")
        );
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        for longest in [
            "hour&timeRange=1000h",
            "day&timeRange=1000d",
            "week&timeRange=3650d",
        ] {
            assert!(parse(&format!("bucket={longest}")).is_ok(), "{longest}");
        }
        for longer in ["hour&timeRange=1001h", "day&timeRange=1001d"] {
            let problem = parse(&format!("bucket={longer}")).unwrap_err();
            assert_eq!(
                json!(problem.violations()),
                json!([{
                    "parameter": "bucket", "code": "too-many-buckets",
                    "detail": "must not divide the window into more than 1000 buckets",
                }]),
                "{longer}"
            );
        }
    }

    #[test]
    fn offsets_and_abbreviations_are_no_time_zones() {
        for name in ["Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+5", "UTC"] {
            assert_eq!(
                parse(&format!("timezone={}", name.replace('+', "%2B")))
                    .unwrap()
                    .timezone,
                name
            );
        }
        for name in [
            "CET",
            "EST",
            "utc",
            "UTC%2B3",
            "%2B02:00",
            "posix/Europe/Berlin",
            "localtime",
        ] {
            let violations = json!(parse(&format!("timezone={name}")).unwrap_err().violations());
            assert_eq!(violations[0]["code"], "not-a-time-zone", "{name}");
        }
    }
}
