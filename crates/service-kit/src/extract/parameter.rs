//! How the text of a query or path parameter becomes a value, or the rule that it breaks.

use std::{ops::RangeInclusive, time::Duration};

use chrono::{DateTime, SubsecRound, Utc};

/// A broken rule: its code and what it asks for.
pub(super) type Broken = (&'static str, String);

/// Characters of a name or key that a message repeats.
const REPEATED_CHARS: usize = 64;

/// The beginning of a text that came from a client, short enough for a message.
pub(super) fn shorten(text: &str) -> &str {
    match text.char_indices().nth(REPEATED_CHARS) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

pub(super) fn text(value: &str, max_chars: usize) -> Result<String, Broken> {
    if value.is_empty() {
        return Err(("empty", "must not be empty".to_owned()));
    }
    if value.contains('\0') {
        return Err(("nul", "must not contain NUL".to_owned()));
    }
    if value.chars().count() > max_chars {
        return Err(("too-long", format!("must have at most {max_chars} characters")));
    }
    Ok(value.to_owned())
}

pub(super) fn integer(value: &str, range: &RangeInclusive<i64>) -> Result<i64, Broken> {
    let expected = || format!("must be an integer from {} to {}", range.start(), range.end());
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(("not-an-integer", expected()));
    }
    // What does not fit 64 bits is out of any range.
    match value.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(("out-of-range", expected())),
    }
}

pub(super) fn id(value: &str) -> Result<i64, Broken> {
    // An id has one spelling, so that caches and logs know it by one name.
    match value.parse::<i64>() {
        Ok(id) if id > 0 && value == id.to_string() => Ok(id),
        _ => Err((
            "not-an-id",
            "must be a positive decimal number without sign or leading zeros".to_owned(),
        )),
    }
}

pub(super) fn boolean(value: &str) -> Result<bool, Broken> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(("not-a-boolean", "must be `true` or `false`".to_owned())),
    }
}

pub(super) fn choice<T: Clone>(value: &str, options: &[(&str, T)]) -> Result<T, Broken> {
    options
        .iter()
        .find(|(name, _)| *name == value)
        .map(|(_, option)| option.clone())
        .ok_or_else(|| {
            let names: Vec<_> = options.iter().map(|(name, _)| format!("`{name}`")).collect();
            ("not-an-option", format!("must be one of {}", names.join(", ")))
        })
}

/// An RFC 3339 time as it arrives in a query string, cut to microseconds; `None` if it is none.
pub fn parse_timestamp(value: &str) -> Option<DateTime<Utc>> {
    // An unescaped `+` of an offset arrives as a space.
    let restored = match value.len().checked_sub("+00:00".len()) {
        Some(offset) if value.as_bytes()[offset] == b' ' => {
            format!("{}+{}", &value[..offset], &value[offset + 1..])
        }
        _ => value.to_owned(),
    };
    DateTime::parse_from_rfc3339(&restored)
        .ok()
        .map(|time| time.with_timezone(&Utc).trunc_subsecs(6))
}

/// The seconds of a whole number and a unit: `90s`, `30m`, `24h`, `7d`, `2w`; `None` if it is no duration.
///
/// What does not fit 64 bits is the largest number, which is out of any range.
pub fn parse_seconds(value: &str) -> Option<u64> {
    let unit = value.chars().next_back()?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let count = &value[..value.len() - unit.len_utf8()];
    if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(count.parse().unwrap_or(u64::MAX).saturating_mul(seconds))
}

/// An RFC 3339 time, cut to microseconds.
pub(super) fn timestamp(value: &str) -> Result<DateTime<Utc>, Broken> {
    parse_timestamp(value).ok_or_else(|| {
        (
            "not-a-timestamp",
            "must be an RFC 3339 time such as `2026-01-31T12:00:00Z`".to_owned(),
        )
    })
}

/// A whole number and a unit: `90s`, `30m`, `24h`, `7d`, `2w`.
pub(super) fn duration(value: &str, range: &RangeInclusive<Duration>) -> Result<Duration, Broken> {
    let Some(seconds) = parse_seconds(value) else {
        return Err((
            "not-a-duration",
            "must be a whole number followed by `s`, `m`, `h`, `d` or `w`, such as `24h`".to_owned(),
        ));
    };
    let duration = Duration::from_secs(seconds);
    if range.contains(&duration) {
        Ok(duration)
    } else {
        let [from, to] = [range.start(), range.end()].map(|end| in_one_unit(*end));
        Err(("out-of-range", format!("must be from {from} to {to}")))
    }
}

/// Written in the largest unit that divides it, as a client would write it.
fn in_one_unit(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    match units
        .into_iter()
        .find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit))
    {
        Some((unit, letter)) => format!("{}{letter}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(result: Result<T, Broken>) -> &'static str {
        result.map_or_else(|(code, _)| code, |_| "ok")
    }

    #[test]
    fn integers_are_plain_digits_within_the_range() {
        assert_eq!(integer("-5", &(-5..=100)), Ok(-5));
        assert_eq!(integer("007", &(1..=100)), Ok(7));
        let codes = [
            "+5",
            "",
            "-",
            "1.0",
            "1e2",
            " 1",
            "0",
            "101",
            "99999999999999999999",
        ]
        .map(|value| code(integer(value, &(1..=100))));
        assert_eq!(codes[..6], ["not-an-integer"; 6]);
        assert_eq!(codes[6..], ["out-of-range"; 3]);
    }

    #[test]
    fn an_id_has_one_spelling() {
        assert_eq!(id("9223372036854775807"), Ok(i64::MAX));
        let refused = ["0", "-1", "+1", "01", "1 ", "", "x", "9223372036854775808"];
        assert_eq!(refused.map(|value| code(id(value))), ["not-an-id"; 8]);
    }

    #[test]
    fn an_offset_survives_form_decoding() {
        let expected: DateTime<Utc> = "2026-01-31T10:00:00.123456Z".parse().unwrap();
        assert_eq!(timestamp("2026-01-31T12:00:00.123456789+02:00"), Ok(expected));
        assert_eq!(timestamp("2026-01-31T12:00:00.123456789 02:00"), Ok(expected));
        let refused = [
            "2026-01-31",
            "2026-01-31T12:00:00",
            "1769860800",
            "",
            " 02:00",
            "é 02:00",
            "2026-02-30T00:00:00Z",
        ];
        assert_eq!(
            refused.map(|value| code(timestamp(value))),
            ["not-a-timestamp"; 7]
        );
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        let range = Duration::from_secs(1)..=Duration::from_secs(90 * 86_400);
        let seconds =
            ["90s", "30m", "24h", "7d", "2w"].map(|value| duration(value, &range).unwrap().as_secs());
        assert_eq!(seconds, [90, 1_800, 86_400, 604_800, 1_209_600]);
        let refused = ["", "h", "24", "1.5h", "-1h", "24H", "1h30m", "7é", "+7d"];
        assert_eq!(
            refused.map(|value| code(duration(value, &range))),
            ["not-a-duration"; 9]
        );
        let too_far = ["0s", "91d", "99999999999999999999w"];
        assert_eq!(
            too_far.map(|value| code(duration(value, &range))),
            ["out-of-range"; 3]
        );
        assert_eq!(
            duration("91d", &range),
            Err(("out-of-range", "must be from 1s to 90d".to_owned()))
        );
    }

    #[test]
    fn texts_are_bounded_in_characters() {
        assert_eq!(text("ééé", 3), Ok("ééé".to_owned()));
        assert_eq!(
            ["éééé", "", "a\0"].map(|value| code(text(value, 3))),
            ["too-long", "empty", "nul"]
        );
    }

    #[test]
    fn long_names_are_shortened_between_characters() {
        assert_eq!(shorten(&"é".repeat(70)), "é".repeat(64));
    }
}
