//! A point in time, given as such or as a duration back from now.

use chrono::{DateTime, TimeDelta, Utc};
use service_kit::extract::{parse_seconds, parse_timestamp};

use super::Broken;

/// The farthest that a duration reaches back, in days: ten years.
const MAX_DAYS_BACK: i64 = 3_650;

/// An RFC 3339 time, cut to microseconds, or a whole number with `s`, `m`, `h`, `d` or `w`.
pub(super) fn parse(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Broken> {
    if let Some(time) = parse_timestamp(text) {
        return Ok(time);
    }
    let Some(seconds) = parse_seconds(text) else {
        return Err((
            "not-a-time",
            "must be an RFC 3339 time such as `2026-01-31T12:00:00Z`, or a duration back from now such as `24h` or `7d`"
                .to_owned(),
        ));
    };
    i64::try_from(seconds)
        .ok()
        .and_then(TimeDelta::try_seconds)
        .filter(|back| *back <= TimeDelta::days(MAX_DAYS_BACK))
        .and_then(|back| now.checked_sub_signed(back))
        .ok_or_else(|| {
            (
                "out-of-range",
                format!("must reach back at most `{MAX_DAYS_BACK}d`"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, &'static str> {
        let now = "2026-03-10T12:00:00.5Z".parse().unwrap();
        parse(text, now)
            .map(|time| time.to_rfc3339())
            .map_err(|(code, _)| code)
    }

    #[test]
    fn times_and_durations_are_points_in_time() {
        let expected = [
            (
                "2026-01-31T12:00:00.1234567+02:00",
                "2026-01-31T10:00:00.123456+00:00",
            ),
            ("2026-01-31T12:00:00 02:00", "2026-01-31T10:00:00+00:00"),
            ("0s", "2026-03-10T12:00:00.500+00:00"),
            ("90s", "2026-03-10T11:58:30.500+00:00"),
            ("30m", "2026-03-10T11:30:00.500+00:00"),
            ("24h", "2026-03-09T12:00:00.500+00:00"),
            ("7d", "2026-03-03T12:00:00.500+00:00"),
            ("2w", "2026-02-24T12:00:00.500+00:00"),
        ];
        for (text, time) in expected {
            assert_eq!(parsed(text).as_deref(), Ok(time), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let refused = [
            "24",
            "h",
            "-1h",
            "+1h",
            "1.5h",
            "24H",
            "1h30m",
            "7é",
            "2026-01-31",
            "é 02:00",
            "now",
        ];
        assert_eq!(
            refused.map(parsed),
            [Err("not-a-time"); 11].map(|error| error.map(|(): ()| String::new()))
        );
        let too_far = ["3651d", "9223372036854775807w", "99999999999999999999s"];
        assert_eq!(too_far.map(|text| parsed(text).unwrap_err()), ["out-of-range"; 3]);
    }
}
