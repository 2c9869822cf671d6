//! The span of time that figures are computed over.

use std::time::Duration;

use audit_store::reader::{IncidentFilter, Windows};
use chrono::{DateTime, Datelike, SubsecRound, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use service_kit::extract::QueryParameters;
use service_kit::openapi::schema::{optional, required, sent, time};
use service_kit::openapi::{Parameter, Place};

const DEFAULT_DAYS: i64 = 30;
/// Ten years, which is also the farthest that `since` reaches back.
const MAX_DAYS: i64 = 3_650;
/// RFC 3339 has the years 0 to 9999. The buckets of a trend begin up to a week before their window and end as far after it.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9_998;
const MAX_SECONDS: u64 = MAX_DAYS.unsigned_abs() * 86_400;

/// `timeRange` in the contract.
pub(crate) fn parameter(example: &'static str) -> Parameter {
    Parameter {
        name: "timeRange",
        place: Place::Query,
        required: false,
        description: format!(
            "How long the window is that ends at `until`, or now: a duration from `1s` to `{MAX_DAYS}d`. Not beside \
             `since`, which is where the window begins otherwise and at most `{MAX_DAYS}d` before its end. The window, \
             and the one before that is as long, must be in the years {} to {}.",
            YEARS.start(),
            YEARS.end()
        ),
        schema: json!({"type": "string", "pattern": "^[0-9]+[smhdw]$", "default": format!("{DEFAULT_DAYS}d")}),
        examples: vec![(example, json!("7d"))],
    }
}

/// The schema of a window.
pub(crate) fn schema() -> Value {
    sent(
        "The span of time in which the incidents were created: from `since` on, before `until`.",
        [
            required("since", time(), "Where the window begins."),
            required("until", time(), "Where the window ends."),
            optional(
                "previousSince",
                time(),
                "Where the window before begins, which is as long and ends at `since`; absent where nothing is compared \
                 with it.",
            ),
        ],
    )
}

/// Reads `timeRange`, and the windows out of it and the filter's `since` and `until`. The violations are noted there.
///
/// The window ends at `until` (by default now) and begins at `since`, or `timeRange` (by default 30 days) before its
/// end. Incidents are in it by the time their remediation request was created. It is at most 3,650 days long.
pub(crate) fn from_query(
    query: &mut QueryParameters,
    filter: &IncidentFilter,
    now: DateTime<Utc>,
) -> Windows {
    let range = query.duration(
        "timeRange",
        Duration::from_secs(1)..=Duration::from_secs(MAX_SECONDS),
    );
    // The database has no finer times.
    let now = now.trunc_subsecs(6);
    let until = filter.until.unwrap_or(now);
    let range = range
        .and_then(|range| TimeDelta::from_std(range).ok())
        .unwrap_or_else(|| TimeDelta::days(DEFAULT_DAYS));
    let mut since = until - range;
    if let Some(given) = filter.since {
        if query.has("timeRange") {
            query.refuse("timeRange", "excluded", "cannot be given together with `since`");
        }
        if filter.until.is_none() && given >= now {
            query.refuse(
                "since",
                "not-before-until",
                "must be before `until`, which is now",
            );
        }
        if until - given > TimeDelta::days(MAX_DAYS) {
            let detail = format!("must be at most `{MAX_DAYS}d` before `until`");
            query.refuse("since", "out-of-range", detail);
        }
        since = given;
    }
    let previous_since = since - (until - since);
    if !YEARS.contains(&previous_since.year()) || !YEARS.contains(&until.year()) {
        let (first, last) = (YEARS.start(), YEARS.end());
        let detail =
            format!("must be in the years {first} to {last}, as must the beginning of the window before");
        query.refuse("until", "out-of-range", detail);
    }
    Windows {
        previous_since,
        since,
        until,
    }
}

/// The window on the wire: from `since` on, before `until`.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WindowBody {
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    /// Where the window before begins, which is as long and ends at `since`. Absent where nothing is compared with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_since: Option<DateTime<Utc>>,
}

impl WindowBody {
    pub(crate) fn alone(windows: &Windows) -> Self {
        Self {
            since: windows.since,
            until: windows.until,
            previous_since: None,
        }
    }

    pub(crate) fn compared(windows: &Windows) -> Self {
        Self {
            previous_since: Some(windows.previous_since),
            ..Self::alone(windows)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use service_kit::Problem;

    use super::*;
    use crate::filter;

    fn parse(text: &str) -> Result<[String; 3], Problem> {
        let now = "2026-03-31T12:00:00.123456789Z".parse().unwrap();
        let mut query = QueryParameters::parse(text);
        let filter = filter::from_query(&mut query, now);
        let windows = from_query(&mut query, &filter, now);
        query.finish()?;
        Ok([windows.previous_since, windows.since, windows.until].map(|time| time.to_rfc3339()))
    }

    #[test]
    fn a_window_ends_now_or_at_until_and_is_as_long_as_asked() {
        let cases = [
            (
                "",
                [
                    "2026-01-30T12:00:00.123456+00:00",
                    "2026-03-01T12:00:00.123456+00:00",
                    "2026-03-31T12:00:00.123456+00:00",
                ],
            ),
            (
                "timeRange=7d&until=2026-03-10T00:00:00Z",
                [
                    "2026-02-24T00:00:00+00:00",
                    "2026-03-03T00:00:00+00:00",
                    "2026-03-10T00:00:00+00:00",
                ],
            ),
            (
                "since=2026-03-08T00:00:00Z&until=2026-03-10T00:00:00Z",
                [
                    "2026-03-06T00:00:00+00:00",
                    "2026-03-08T00:00:00+00:00",
                    "2026-03-10T00:00:00+00:00",
                ],
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        assert!(parse("timeRange=3650d").is_ok());
    }

    #[test]
    fn a_window_that_cannot_be_is_refused_by_name() {
        let cases = [
            ("timeRange=1d&since=2d", "timeRange", "excluded"),
            ("timeRange=3651d", "timeRange", "out-of-range"),
            ("timeRange=0s", "timeRange", "out-of-range"),
            ("timeRange=month", "timeRange", "not-a-duration"),
            ("since=0s", "since", "not-before-until"),
            ("since=2027-01-01T00:00:00Z", "since", "not-before-until"),
            ("since=1h&until=2h", "since", "not-before-until"),
            ("since=2016-01-01T00:00:00Z", "since", "out-of-range"),
            ("until=0000-01-01T00:00:00Z", "until", "out-of-range"),
            ("until=0001-03-01T00:00:00Z", "until", "out-of-range"),
            ("until=9999-01-01T00:00:00Z", "until", "out-of-range"),
        ];
        for (text, parameter, code) in cases {
            let violations = json!(parse(text).unwrap_err().violations());
            assert_eq!(violations.as_array().unwrap().len(), 1, "{text}: {violations}");
            assert_eq!(
                (&violations[0]["parameter"], &violations[0]["code"]),
                (&json!(parameter), &json!(code)),
                "{text}"
            );
        }
        assert!(parse("since=0000-01-01T00:00:00Z&until=9999-12-31T23:59:59Z").is_err());
        assert!(parse("until=0001-03-02T00:00:00Z").is_ok());
        assert!(parse("until=9998-12-31T23:59:59Z").is_ok());
    }
}
