//! What is best tested on a rule alone. That every field has its rule, and every boundary of it, is tested with the
//! kinds of record.

use serde_json::json;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn number_from(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn lengths_of_text_are_in_bytes_and_of_identifiers_in_characters() {
    let wide = "🔥".repeat(253);
    assert_eq!(wide.len(), 1_012);
    assert_eq!(identifier(&json!(wide)), Ok(wide.clone()));
    let longest = "🔥".repeat(2_560);
    assert_eq!(longest.len(), MAX_TEXT_BYTES);
    assert_eq!(text(&json!(longest)), Ok(longest.clone()));
    assert_eq!(text(&json!(longest + "a")).unwrap_err().code, "too-long");
}

#[test]
fn text_that_looks_alike_is_not_made_alike() {
    let (composed, decomposed) = ("\u{e9}", "e\u{301}");
    assert_eq!(text(&json!(composed)).unwrap(), composed);
    assert_eq!(text(&json!(decomposed)).unwrap(), decomposed);
    assert_ne!(identifier(&json!(composed)), identifier(&json!(decomposed)));
}

#[test]
fn whole_numbers_may_be_written_with_a_point_or_an_exponent() {
    let read = |text| integer::<i64>(0..=i64::MAX)(&number_from(text));
    assert_eq!(read("3.0"), Ok(3));
    assert_eq!(read("3e2"), Ok(300));
    assert_eq!(read("-0"), Ok(0));
    assert_eq!(read("9223372036854775807"), Ok(i64::MAX));
    let largest = json!(9_007_199_254_740_991.0_f64);
    assert_eq!(integer::<i64>(0..=i64::MAX)(&largest), Ok((1 << 53) - 1));
    // From here on, a double does not tell one whole number from the next.
    for beyond in ["9007199254740992.0", "1e300", "9223372036854775808"] {
        assert_eq!(read(beyond).unwrap_err().code, "out-of-range", "{beyond}");
    }
    assert_eq!(read("2.5").unwrap_err().code, "type");
}

#[test]
fn an_integer_fits_its_type_even_where_the_range_does_not() {
    let read = |text| integer::<i32>(0..=i64::MAX)(&number_from(text));
    assert_eq!(read("2147483647"), Ok(i32::MAX));
    assert_eq!(read("2147483648").unwrap_err().code, "out-of-range");
}

#[test]
fn minus_zero_is_zero() {
    let zero = number(0.0..=1.0)(&number_from("-0.0")).unwrap();
    assert!(zero.is_sign_positive());
}

#[test]
fn depth_counts_arrays_and_objects_and_not_what_they_hold() {
    for (value, expected) in [
        (json!("x"), 0),
        (json!({}), 1),
        (json!({"a": 1, "b": "x"}), 1),
        (json!({"a": [], "b": {"c": [1]}}), 3),
        (json!({"a": [[[{}]]]}), 5),
    ] {
        assert_eq!(depth(&value), expected, "{value}");
    }
}

#[test]
fn times_have_the_resolution_of_the_database() {
    for (sent, stored) in [
        ("2026-03-01T11:00:00.123456999Z", "2026-03-01T11:00:00.123456Z"),
        (
            "2026-03-01T11:00:00.1234567890123Z",
            "2026-03-01T11:00:00.123456Z",
        ),
        ("2026-03-01T00:00:00+23:59", "2026-02-28T00:01:00Z"),
        ("1970-01-01T01:00:00+01:00", "1970-01-01T00:00:00Z"),
        ("9998-12-31T22:59:59.9999999-01:00", "9998-12-31T23:59:59.999999Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
    ] {
        assert_eq!(timestamp(&json!(sent)).unwrap().to_utc(), at(stored), "{sent}");
    }
}

#[test]
fn a_clock_may_be_ahead_by_five_minutes_of_the_time_given_and_not_of_the_system() {
    let body = json!({
        "name": "a", "namespace": "b", "phase": "Pending", "correlationId": "c", "createdAt": "2001-01-01T00:05:00Z"
    });
    let read = |now| {
        let mut fields = Fields::new(body.as_object().unwrap());
        (head(&mut fields, at(now)).is_some(), fields.finish().len())
    };
    assert_eq!(read("2001-01-01T00:00:00Z"), (true, 0));
    assert_eq!(read("2000-12-31T23:59:59.999999Z"), (true, 1));
}

#[test]
fn every_label_that_is_refused_is_reported() {
    let refused = labels(&json!({"a": "ok", "b": "not ok", "c/d/e": "", "f": 1})).unwrap_err();
    let reported: Vec<_> = refused
        .iter()
        .map(|refused| (refused.within.as_str(), refused.code))
        .collect();
    assert_eq!(
        reported,
        [("/b", "format"), ("/c~1d~1e", "format"), ("/f", "type")]
    );
}
