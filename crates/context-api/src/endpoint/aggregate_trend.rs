//! `GET /api/v1/aggregations/trend`: incidents over time.

use audit_store::reader::{BucketUnit, TrendBucket};
use axum::Json;
use axum::extract::State as Extract;
use chrono::{DateTime, Utc};
use serde::Serialize;
use service_kit::Problem;
use service_kit::extract::QueryParameters;
use service_kit::problem::Violation;

use crate::problems;
use crate::rate::RateBody;
use crate::scope::Scope;
use crate::state::State;
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

/// Answers 200 with the incidents that pass the filters of the incident list, in buckets of the time that their
/// remediation requests were created; 400 naming every parameter that cannot be used.
///
/// Takes `timeRange`, `since`, `until` and `minSamples` like the success rates; `bucket` is hour, day (if it is absent)
/// or week, which begins on Monday; `timezone` is the IANA name of the calendar's time zone, `UTC` if it is absent. A
/// day on which the clocks change has 23 or 25 hours.
pub(crate) async fn get(
    Extract(state): Extract<State>,
    query: QueryParameters,
) -> Result<Json<Answer>, Problem> {
    let request = Request::parse(query, state.clock.now())?;
    let buckets = state
        .reader
        .trend(
            &request.scope.filter,
            &request.scope.windows,
            request.unit,
            &request.timezone,
        )
        .await
        .map_err(problems::of_store)?
        .ok_or_else(|| {
            let (code, detail) = not_a_timezone();
            Problem::invalid_parameters([Violation::parameter("timezone", code, detail)])
        })?;
    Ok(Json(Answer::new(buckets, request)))
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
