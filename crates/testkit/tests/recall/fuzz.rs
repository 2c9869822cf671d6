//! Requests that nobody thought of: made at random from the contract of Context API, in and out of its schemas, and
//! answered as the contract says, whatever they are.
//!
//! `FUZZ_SEED` and `FUZZ_CASES` choose which requests, and how many of each operation. Case n of an operation depends
//! on the seed alone, so that more cases begin with the same ones.

use std::collections::BTreeMap;

use axum::http::{Method, header};
use jsonschema::Validator;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value, json};
use testkit::request::{Answer, send};

use crate::both::Both;
use crate::contract::{closed, contents, examples, object, operations, send_examples, text, validator};
use crate::edge_values::escaped;

mod case;
mod values;

use case::{Case, ODD_HEADERS, break_body};
use values::{Values, is_told_apart, written};

/// Cases of an operation.
const CASES: usize = 120;
/// Parts of a query that no parameter takes, escaped as far as they are.
const BROKEN: [&str; 9] = [
    "",
    "%",
    "%2",
    "%zz",
    "%FF",
    "%C3%28",
    "%ED%A0%80",
    "%00",
    "%F0%9F%9A",
];
/// What is known of an operation before any request of it.
struct Operation<'a> {
    path: &'a str,
    method: Method,
    parameters: Vec<(&'a Value, Values)>,
    body: Option<Content<'a>>,
    answers: BTreeMap<(&'a str, &'a str), Validator>,
    described: &'a Value,
}

/// The body that an operation takes.
struct Content<'a> {
    shown: Vec<&'a Value>,
    fields: Vec<(&'a String, Values)>,
    rule: Validator,
}

impl<'a> Operation<'a> {
    fn all(document: &'a Value) -> Vec<Self> {
        let strict = closed(document);
        let one = |(path, method, operation): (&'a str, &'a str, &'a Value)| {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let content = contents(&operation["requestBody"]).next();
            let answers = object(&operation["responses"]).iter();
            Self {
                path,
                method: method.to_uppercase().parse().expect("a method"),
                parameters: parameters
                    .map(|parameter| {
                        let shown = examples(parameter).into_values().cloned().collect();
                        let mut values = Values::of(document, &parameter["schema"], shown);
                        values
                            .invalid
                            .retain(|value| is_told_apart(&parameter["schema"], value));
                        (parameter, values)
                    })
                    .collect(),
                body: content.map(|(_, content)| {
                    let name = text(&content["schema"]["$ref"])
                        .rsplit('/')
                        .next()
                        .expect("a name");
                    let fields = &document["components"]["schemas"][name]["properties"];
                    Content {
                        shown: examples(content).into_values().collect(),
                        fields: object(fields)
                            .iter()
                            .map(|(name, schema)| (name, Values::of(document, schema, Vec::new())))
                            .collect(),
                        rule: validator(document, &content["schema"]),
                    }
                }),
                answers: answers
                    .flat_map(|(status, answer)| contents(answer).map(move |content| (status, content)))
                    .map(|(status, (media, content))| {
                        (
                            (status.as_str(), media.as_str()),
                            validator(&strict, &content["schema"]),
                        )
                    })
                    .collect(),
                described: operation,
            }
        };
        operations(document).into_iter().map(one).collect()
    }

    fn case(&self, random: &mut StdRng) -> Case {
        let mut case = Case {
            method: self.method.clone(),
            path: self.path.to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            refused: false,
        };
        // Most requests have one fault or none: a second one is often not reached.
        let faults = *[0, 0, 0, 1, 1, 1, 1, 2, 4].choose(random).expect("a number");
        let mut fields = self.fill(&mut case, random);
        for _ in 0..faults {
            match (random.random_range(0..10), &mut fields) {
                (0..2, _) => {
                    let (name, value) = ODD_HEADERS.choose(random).expect("a header");
                    case.headers.push((name, value.to_vec()));
                }
                (2, _) if random.random_bool(0.3) => {
                    let others = [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS];
                    case.method = others.choose(random).expect("a method").clone();
                }
                (3..9, Some(fields)) => self.spoil_body(fields, random),
                _ => self.spoil_query(&mut case, random),
            }
        }
        if let (Some(content), Some(fields)) = (&self.body, fields) {
            let body = Value::Object(fields);
            case.body = body.to_string().into_bytes();
            case.headers.push(("content-type", b"application/json".to_vec()));
            case.refused |= !content.rule.is_valid(&body);
            if faults > 0 && random.random_bool(0.3) {
                break_body(&mut case, random);
            }
        }
        case
    }

    /// A request as the schemas want it; its body is given as its fields.
    fn fill(&self, case: &mut Case, random: &mut StdRng) -> Option<Map<String, Value>> {
        let often = random.random_range(0.0..0.4);
        for (parameter, values) in &self.parameters {
            let name = text(&parameter["name"]);
            match text(&parameter["in"]) {
                "path" => {
                    let value = if random.random_bool(0.8) {
                        values.valid(random)
                    } else {
                        case.refused = true;
                        values.invalid(random)
                    };
                    case.path = case.path.replace(&format!("{{{name}}}"), &written(&value));
                }
                "query" if parameter["required"] == true || random.random_bool(often) => {
                    case.query
                        .push(format!("{name}={}", written(&values.valid(random))));
                }
                _ => {}
            }
        }
        let content = self.body.as_ref()?;
        let mut fields = object(content.shown.choose(random).expect("an example")).clone();
        for (name, values) in &content.fields {
            if !fields.contains_key(*name) && random.random_bool(often / 2.0) {
                fields.insert((*name).clone(), values.valid(random));
            }
        }
        Some(fields)
    }

    fn spoil_body(&self, fields: &mut Map<String, Value>, random: &mut StdRng) {
        let content = self.body.as_ref().expect("a body");
        let (name, values) = content.fields.choose(random).expect("a field");
        match random.random_range(0..5) {
            0 => drop(fields.remove(*name)),
            1 => drop(fields.insert(name.to_uppercase(), json!(1))),
            _ => drop(fields.insert((*name).clone(), values.invalid(random))),
        }
    }

    fn spoil_query(&self, case: &mut Case, random: &mut StdRng) {
        case.refused = true;
        let of_query: Vec<_> = self
            .parameters
            .iter()
            .filter(|(at, _)| at["in"] == "query")
            .collect();
        let unknown = [
            "unknown=1",
            "__proto__=1",
            "Namespace=shop",
            "limit[]=1",
            "%FF=1",
            "a\u{e9}=1",
        ];
        let Some((parameter, values)) = of_query.choose(random) else {
            case.query.push(escaped(unknown.choose(random).expect("a name")));
            return;
        };
        let name = text(&parameter["name"]);
        let of_it = format!("{name}=");
        match random.random_range(0..6) {
            0 => case.query.push(unknown[random.random_range(0..5)].to_owned()),
            1 => {
                let value = written(&values.valid(random));
                case.query
                    .extend([format!("{name}={value}"), format!("{name}={value}")]);
            }
            2 => {
                case.query.retain(|part| !part.starts_with(&of_it));
                // What is not required may be absent.
                case.refused = parameter["required"] == true;
            }
            3 => {
                case.query.retain(|part| !part.starts_with(&of_it));
                case.query.push(of_it + BROKEN.choose(random).expect("a text"));
            }
            _ => {
                case.query.retain(|part| !part.starts_with(&of_it));
                case.query.push(of_it + &written(&values.invalid(random)));
            }
        }
    }

    /// What is wrong with an answer.
    fn fault(&self, case: &Case, answer: &Answer) -> Option<String> {
        let status = answer.status.as_str();
        let media = answer.headers.get(header::CONTENT_TYPE);
        let media = media.map_or("", |media| media.to_str().unwrap_or("no text"));
        if answer.status.is_server_error() {
            return Some("a failure of the service".to_owned());
        }
        if case.refused && !answer.status.is_client_error() {
            return Some("the contract does not allow the request".to_owned());
        }
        if case.path.ends_with('/') {
            // Without its last part it is no path of the operation, whatever the method.
            return (status != "404").then(|| "the path of another operation".to_owned());
        }
        if case.method != self.method {
            let refused = status == "405" && media == "application/problem+json";
            return (!refused).then(|| "not the method of the operation".to_owned());
        }
        let Some(described) = self.described["responses"].get(status) else {
            return Some("a status that the operation does not have".to_owned());
        };
        let mut headers = object(&described["headers"]).keys();
        if let Some(absent) = headers.find(|name| !answer.headers.contains_key(name.as_str())) {
            return Some(format!("no header {absent}"));
        }
        if described.get("content").is_none() {
            return (!answer.body.is_null()).then(|| "a body".to_owned());
        }
        let Some(rule) = self.answers.get(&(status, media)) else {
            return Some(format!("a body of type {media:?}"));
        };
        rule.iter_errors(&answer.body)
            .next()
            .map(|error| format!("{}: {error}", error.instance_path()))
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

#[tokio::test]
async fn whatever_is_asked_is_answered_as_the_contract_says() {
    let seed = setting("FUZZ_SEED").unwrap_or(1);
    let cases = setting("FUZZ_CASES").map_or(CASES, |cases| usize::try_from(cases).expect("few"));
    println!("FUZZ_SEED={seed} FUZZ_CASES={cases}");
    let both = Both::new().await;
    // The records that the examples of Context API ask for.
    send_examples(&both.data_storage, &data_storage::openapi::contract().document()).await;
    let document = context_api::openapi::contract().document();
    let all = Operation::all(&document);
    let mut statuses: BTreeMap<(&str, u16), usize> = BTreeMap::new();
    for (index, operation) in (0..).zip(&all) {
        // Each operation has its own, so that the cases of one do not depend on another.
        let mut random = StdRng::seed_from_u64(seed.wrapping_mul(1000).wrapping_add(index));
        for number in 0..cases {
            let case = operation.case(&mut random);
            let answer = send(&both.context_api, case.request()).await;
            if let Some(fault) = operation.fault(&case, &answer) {
                panic!(
                    "{fault}\nFUZZ_SEED={seed}, case {number} of {}\n{}\n\n{} {:#}",
                    operation.path,
                    case.told(),
                    answer.status,
                    answer.body
                );
            }
            *statuses
                .entry((operation.path, answer.status.as_u16()))
                .or_default() += 1;
        }
    }
    println!("{statuses:#?}");
    assert_eq!(all.len(), 11);
    assert_eq!(statuses.values().sum::<usize>(), all.len() * cases);
    for operation in &all {
        for hundred in [2, 4] {
            let is_there = |(path, status): &(&str, u16)| *path == operation.path && status / 100 == hundred;
            assert!(
                statuses.keys().any(is_there),
                "{}: no {hundred}xx",
                operation.path
            );
        }
    }
}
