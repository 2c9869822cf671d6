//! How long to wait before a request is made again.

use std::time::{Duration, SystemTime};

use rand::Rng;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// The longest first pause; the bound doubles from one to the next.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause of all.
const LONGEST: Duration = Duration::from_secs(5);
/// No provider is left alone for longer than this, whatever it says.
const LONGEST_ADVICE: Duration = Duration::from_secs(5 * 60);

/// The pause after attempt `attempt`, counted from 0: anything from nothing to a bound that grows exponentially.
///
/// "Full jitter" of Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: of the schemes compared
/// there it makes the fewest calls when many clients lose one server together.
pub(super) fn pause(attempt: u32, random: &mut impl Rng) -> Duration {
    let bound = FIRST.saturating_mul(2_u32.saturating_pow(attempt)).min(LONGEST);
    random.random_range(Duration::ZERO..=bound)
}

/// How long the provider asks to be left alone, if it does: `Retry-After` in seconds or as a date (RFC 9110, 10.2.3).
///
/// A date is read against the `Date` of the same answer: the provider's clock on both sides, so that ours does not
/// matter. Without a `Date`, which servers with a clock send, a date says nothing.
pub(super) fn advice(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let advice = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = httpdate::parse_http_date(text).ok()?;
            until.duration_since(date(headers, DATE)?).unwrap_or_default()
        }
    };
    Some(advice.min(LONGEST_ADVICE))
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn pauses_fill_a_bound_that_doubles_up_to_the_longest() {
        let mut random = StdRng::seed_from_u64(1);
        for (attempt, bound_ms) in [
            (0, 200),
            (1, 400),
            (2, 800),
            (3, 1600),
            (4, 3200),
            (5, 5000),
            (60, 5000),
        ] {
            let bound = Duration::from_millis(bound_ms);
            let pauses: Vec<_> = (0..1000).map(|_| pause(attempt, &mut random)).collect();
            assert!(pauses.iter().all(|pause| *pause <= bound), "attempt {attempt}");
            // Of a thousand even draws some fall in the first and the last twentieth.
            assert!(
                pauses.iter().any(|pause| *pause < bound / 20),
                "attempt {attempt}"
            );
            assert!(
                pauses.iter().any(|pause| *pause > bound / 20 * 19),
                "attempt {attempt}"
            );
        }
    }

    fn advice_of(headers: &[(HeaderName, &str)]) -> Option<Duration> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        advice(&headers)
    }

    #[test]
    fn advice_is_in_seconds_or_a_date() {
        let now = (DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        let after = |text| advice_of(&[now.clone(), (RETRY_AFTER, text)]);
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after(" 0 "), Some(Duration::ZERO));
        assert_eq!(
            after("Sun, 06 Nov 1994 08:50:07 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            after("Sunday, 06-Nov-94 08:50:07 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        for nonsense in ["soon", "-1", "1.5", ""] {
            assert_eq!(after(nonsense), None, "{nonsense:?}");
        }
        assert_eq!(advice_of(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:50:07 GMT")]), None);
        assert_eq!(advice_of(&[now]), None);
    }

    #[test]
    fn advice_has_an_upper_bound() {
        assert_eq!(advice_of(&[(RETRY_AFTER, "86400")]), Some(LONGEST_ADVICE));
        assert_eq!(
            advice_of(&[
                (DATE, "Sun, 06 Nov 1994 08:49:37 GMT"),
                (RETRY_AFTER, "Fri, 31 Dec 9999 23:59:59 GMT")
            ]),
            Some(LONGEST_ADVICE)
        );
    }
}
