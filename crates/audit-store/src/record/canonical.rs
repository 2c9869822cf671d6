//! The canonical form of a payload: what PostgreSQL gives back of it, and the hash of that.
//!
//! JSONB keeps numbers as decimals. It has no negative zero, and it writes large numbers without an exponent, so a float
//! such as `1e17` comes back as an integer. A payload is brought to this form before it is hashed and stored; so the
//! hash can be taken again from the ledger at any time, and two spellings that the ledger cannot tell apart are one
//! version.

use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

/// From here on a float may be written with an exponent and come back as an integer. Smaller integers never were one.
const FIRST_AMBIGUOUS: f64 = 1e15;
/// How many numbers of a payload are tried in their older spelling: 2^8 hashes.
const MAX_AMBIGUOUS: u32 = 8;

/// Brings every number to the form in which JSONB gives it back.
pub(super) fn normalise(value: &mut Value) {
    for_each_number(value, &mut |number| {
        if let Some(canonical) = as_given_back(number) {
            *number = canonical;
        }
    });
}

/// SHA-256 of a payload's text: keys sorted, no white space.
///
/// # Errors
/// `serde_json`'s error where a value has no JSON form; every [`Value`] has one.
pub(crate) fn sha256(payload: &Value) -> Result<[u8; 32], serde_json::Error> {
    Ok(Sha256::digest(serde_json::to_vec(payload)?).into())
}

/// Whether a hash is that of a payload whose numbers were not yet in canonical form: as floats that came back as
/// integers, or as negative zeros.
pub(crate) fn is_older_sha256(payload: &Value, hash: &[u8]) -> Result<bool, serde_json::Error> {
    let mut ambiguous = 0;
    for_each_number(&mut payload.clone(), &mut |number| {
        ambiguous += u32::from(older_form(number).is_some());
    });
    if ambiguous > MAX_AMBIGUOUS {
        return Ok(false);
    }
    for choice in 1..1_u32 << ambiguous {
        let mut candidate = payload.clone();
        let mut seen = 0;
        for_each_number(&mut candidate, &mut |number| {
            if let Some(older) = older_form(number) {
                if choice & (1 << seen) != 0 {
                    *number = older;
                }
                seen += 1;
            }
        });
        if sha256(&candidate)? == hash {
            return Ok(true);
        }
    }
    Ok(false)
}

fn for_each_number(value: &mut Value, change: &mut impl FnMut(&mut Number)) {
    match value {
        Value::Number(number) => change(number),
        Value::Array(items) => items.iter_mut().for_each(|item| for_each_number(item, change)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| for_each_number(field, change)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// What JSONB makes of a number, where that is another one to `serde_json`.
fn as_given_back(number: &Number) -> Option<Number> {
    if !number.is_f64() {
        return None;
    }
    let float = number.as_f64()?;
    if float == 0.0 && float.is_sign_negative() {
        return Number::from_f64(0.0);
    }
    let text = number.to_string();
    let (mantissa, exponent) = text.split_once('e')?;
    let exponent: usize = exponent.trim_start_matches('+').parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // Digits behind the point stay there, and a number with a point stays a float.
    let zeros = exponent.checked_sub(fraction.len())?;
    integer(&format!("{whole}{fraction}{}", "0".repeat(zeros)))
}

/// An integer that `serde_json` keeps as one; a longer one is a float to it.
fn integer(digits: &str) -> Option<Number> {
    let unsigned = || digits.parse::<u64>().ok().map(Number::from);
    digits.parse::<i64>().ok().map(Number::from).or_else(unsigned)
}

/// The float that a number may have been before JSONB took it.
fn older_form(number: &Number) -> Option<Number> {
    let float = number.as_f64()?;
    if number.is_f64() {
        return (float == 0.0).then(|| Number::from_f64(-0.0)).flatten();
    }
    if float.abs() < FIRST_AMBIGUOUS {
        return None;
    }
    let older = Number::from_f64(float)?;
    (as_given_back(&older).as_ref() == Some(number)).then_some(older)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn normalised(text: &str) -> String {
        let mut value = serde_json::from_str(text).unwrap();
        normalise(&mut value);
        value.to_string()
    }

    #[test]
    fn only_numbers_that_jsonb_changes_are_changed() {
        for (sent, kept) in [
            ("-0.0", "0.0"),
            ("-0", "0.0"),
            ("1e17", "100000000000000000"),
            ("-1.5e18", "-1500000000000000000"),
            ("1.8e19", "18000000000000000000"),
        ] {
            assert_eq!(normalised(sent), kept, "{sent}");
        }
        for ordinary in [
            "0",
            "0.0",
            "-7",
            "2.5",
            "0.875",
            "9007199254740993",
            "18446744073709551615",
        ] {
            assert_eq!(normalised(ordinary), ordinary);
        }
        // Beyond 64 bits a number is a float before and after.
        for beyond in ["1e300", "18446744073709551616", "5e-324", "-9223372036854775809"] {
            let value: Value = serde_json::from_str(beyond).unwrap();
            assert_eq!(normalised(beyond), value.to_string(), "{beyond}");
        }
    }

    #[test]
    fn numbers_are_found_wherever_they_are() {
        assert_eq!(
            normalised(r#"{"a":[{"b":-0.0}],"c":{"d":1e18}}"#),
            r#"{"a":[{"b":0.0}],"c":{"d":1000000000000000000}}"#
        );
    }

    #[test]
    fn a_hash_of_an_older_form_is_known_and_another_is_not() {
        let older = sha256(&json!({"zero": -0.0, "also": 0.0, "large": 1e17})).unwrap();
        let stored = json!({"zero": 0.0, "also": 0.0, "large": 100_000_000_000_000_000_u64});
        assert_ne!(sha256(&stored).unwrap(), older);
        assert!(is_older_sha256(&stored, &older).unwrap());
        let other = json!({"zero": 0.0, "also": 1.0, "large": 100_000_000_000_000_000_u64});
        assert!(!is_older_sha256(&other, &older).unwrap());
        // The canonical form itself is not an older one.
        assert!(!is_older_sha256(&stored, &sha256(&stored).unwrap()).unwrap());
    }
}
