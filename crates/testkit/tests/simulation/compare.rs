//! Two answers, side by side.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde_json::Value;

use crate::model::Checked;

/// How far numbers may be apart that were computed in two ways; Context API tells rates with six digits.
const TOLERANCE: f64 = 0.000_001;

/// Whether two answers are the same, numbers but for what is lost in computing them; says where they differ first.
pub(crate) fn same(told: &Value, expected: &Value) -> Checked {
    difference(told, expected).map_or(Ok(()), |(place, told, expected)| {
        Err(format!(
            "at `{place}` the service tells {told}, and the model {expected}"
        ))
    })
}

fn difference(told: &Value, expected: &Value) -> Option<(String, String, String)> {
    let here = || Some((String::new(), told.to_string(), expected.to_string()));
    let within = |name: &dyn Display, found: (String, String, String)| {
        (format!("/{name}{}", found.0), found.1, found.2)
    };
    match (told, expected) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            names
                .into_iter()
                .find_map(|name| match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => difference(a, b).map(|found| within(name, found)),
                    (a, b) => {
                        let text =
                            |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
                        Some((format!("/{name}"), text(a), text(b)))
                    }
                })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(index, (a, b))| difference(a, b).map(|found| within(&index, found))),
        (Value::Number(a), Value::Number(b)) => {
            let near = a
                .as_f64()
                .zip(b.as_f64())
                .is_some_and(|(a, b)| (a - b).abs() <= TOLERANCE);
            if near { None } else { here() }
        }
        (a, b) if a == b => None,
        _ => here(),
    }
}
