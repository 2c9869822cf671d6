//! The contracts of both services: each document holds together, and says of the service what is so.
//!
//! Every request that a document shows is sent to the real router, and gets the status under which the answer of the
//! same name is shown, and an answer as its schema says.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use testkit::request::Answer;
use testkit::{records, request};

use crate::both::Both;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn documents() -> [(&'static str, Value); 2] {
    [
        ("data-storage", data_storage::openapi::contract().document()),
        ("context-api", context_api::openapi::contract().document()),
    ]
}

pub(crate) fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Every operation: path, method, and what the document says of it.
pub(crate) fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = object(&document["paths"]).iter();
    paths
        .flat_map(|(path, item)| {
            object(item).iter().map(move |(method, operation)| {
                assert!(METHODS.contains(&method.as_str()), "{method} {path}");
                (path.as_str(), method.as_str(), operation)
            })
        })
        .collect()
}

/// A schema that stands in the document.
pub(crate) fn validator(document: &Value, schema: &Value) -> Validator {
    let root = json!({"allOf": [schema], "components": document["components"]});
    jsonschema::options()
        .should_validate_formats(true)
        .build(&root)
        .expect("a valid schema")
}

fn assert_valid(document: &Value, schema: &Value, value: &Value, what: &str) {
    let errors: Vec<String> = validator(document, schema)
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}\n{value:#}");
}

/// The examples of a parameter or a body, by name.
pub(crate) fn examples(holder: &Value) -> BTreeMap<&str, &Value> {
    holder
        .get("examples")
        .map(|examples| object(examples).iter())
        .into_iter()
        .flatten()
        .map(|(name, example)| (name.as_str(), &example["value"]))
        .collect()
}

/// The bodies of a request or an answer by media type; there are none of a 304.
pub(crate) fn contents(holder: &Value) -> impl Iterator<Item = (&String, &Value)> {
    holder["content"].as_object().into_iter().flatten()
}

/// The document with no object of an answer open to fields that it does not list.
pub(crate) fn closed(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut object: Map<String, Value> = object
                .iter()
                .map(|(key, value)| (key.clone(), closed(value)))
                .collect();
            if object.get("properties").is_some_and(Value::is_object)
                && object.contains_key("required")
                && object.get("type") == Some(&json!("object"))
            {
                object.entry("additionalProperties").or_insert(json!(false));
            }
            Value::Object(object)
        }
        Value::Array(items) => items.iter().map(closed).collect(),
        other => other.clone(),
    }
}

#[test]
fn every_part_of_a_document_has_its_name_and_its_words() {
    for (service, document) in documents() {
        assert_eq!(document["openapi"], "3.1.0", "{service}");
        let mut ids = BTreeSet::new();
        for (path, method, operation) in operations(&document) {
            let what = format!("{method} {path}");
            assert!(
                ids.insert(text(&operation["operationId"])),
                "{what}: an operationId twice"
            );
            for said in ["summary", "description"] {
                assert_ne!(text(&operation[said]), "", "{what}: {said}");
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert_ne!(text(&parameter["description"]), "", "{what}: {parameter}");
                assert!(
                    !examples(parameter).is_empty(),
                    "{what}: no example of {parameter}"
                );
            }
            for (status, answer) in object(&operation["responses"]) {
                assert_ne!(text(&answer["description"]), "", "{what}: {status}");
                for (media_type, content) in contents(answer) {
                    assert!(
                        !examples(content).is_empty(),
                        "{what}: no example of {status} {media_type}"
                    );
                }
            }
            if let Some(body) = operation.get("requestBody") {
                for (media_type, content) in contents(body) {
                    assert!(
                        !examples(content).is_empty(),
                        "{what}: no example of {media_type}"
                    );
                }
            }
        }
        for (name, schema) in object(&document["components"]["schemas"]) {
            assert_ne!(text(&schema["description"]), "", "{service}: {name}");
            for (property, schema) in schema["properties"].as_object().into_iter().flatten() {
                assert_ne!(text(&schema["description"]), "", "{service}: {name}.{property}");
            }
        }
    }
}

#[test]
fn every_example_is_what_its_schema_says() {
    for (_, document) in documents() {
        for (path, method, operation) in operations(&document) {
            let bodies = operation.get("requestBody").map(|body| ("body", body));
            let answers = object(&operation["responses"])
                .iter()
                .map(|(status, answer)| (status.as_str(), answer));
            for (place, holder) in bodies.into_iter().chain(answers) {
                for (_, content) in contents(holder) {
                    for (name, example) in examples(content) {
                        let what = format!("{method} {path} {place} {name}");
                        assert_valid(&document, &content["schema"], example, &what);
                    }
                }
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                for (name, example) in examples(parameter) {
                    let what = format!("{method} {path} {} {name}", parameter["name"]);
                    assert_valid(&document, &parameter["schema"], example, &what);
                }
            }
        }
    }
}

/// A request as the examples of one name make it.
fn example_request(path: &str, method: &str, operation: &Value, name: &str) -> Option<Request<Body>> {
    let (mut path, mut query, mut headers) = (path.to_owned(), Vec::new(), Vec::new());
    let mut found = false;
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let Some(value) = examples(parameter).get(name).copied() else {
            continue;
        };
        found = true;
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned);
        let key = text(&parameter["name"]);
        match text(&parameter["in"]) {
            "path" => path = path.replace(&format!("{{{key}}}"), &value),
            "query" => query.push(format!("{key}={value}")),
            _ => headers.push((key, value)),
        }
    }
    let mut body = Body::empty();
    for (media_type, content) in contents(&operation["requestBody"]) {
        if let Some(example) = examples(content).get(name) {
            found = true;
            headers.push((header::CONTENT_TYPE.as_str(), media_type.clone()));
            body = Body::from(
                example
                    .as_str()
                    .map_or_else(|| example.to_string(), ToOwned::to_owned),
            );
        }
    }
    let uri = if query.is_empty() {
        path
    } else {
        format!("{path}?{}", query.join("&"))
    };
    let request = Request::builder().method(method.to_uppercase().as_str()).uri(uri);
    let request = headers
        .into_iter()
        .fold(request, |request, (name, value)| request.header(name, value));
    // A request without body and parameters is one too, where the operation asks for none.
    (found || method == "get").then(|| request.body(body).expect("a valid request"))
}

/// Sends every example and gives how many it sent.
pub(crate) async fn send_examples(router: &Router, document: &Value) -> usize {
    let mut sent = 0;
    let strict = closed(document);
    for (path, method, operation) in operations(document) {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for (_, content) in contents(&operation["requestBody"]) {
            names.extend(examples(content).keys());
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            names.extend(examples(parameter).keys());
        }
        let mut shown: BTreeMap<&str, (&str, &Value)> = BTreeMap::new();
        for (status, answer) in object(&operation["responses"]) {
            for (_, content) in contents(answer) {
                for name in examples(content).into_keys() {
                    let twice = shown.insert(name, (status, &content["schema"]));
                    assert!(twice.is_none(), "{method} {path}: two answers {name}");
                    if status.starts_with('2') {
                        names.insert(name);
                    }
                }
            }
        }
        for name in names {
            let what = format!("{method} {path} {name}");
            let (status, schema) = shown.get(name).unwrap_or_else(|| panic!("{what}: no answer"));
            let request = example_request(path, method, operation, name)
                .unwrap_or_else(|| panic!("{what}: no request"));
            let answer = request::send(router, request).await;
            assert_eq!(answer.status.as_str(), *status, "{what}: {:#}", answer.body);
            assert_valid(&strict, schema, &answer.body, &what);
            let described = &operation["responses"][*status]["headers"];
            assert_headers(document, described, &answer, &what);
            sent += 1;
            let unchanged = &operation["responses"]["304"]["headers"];
            if !unchanged.is_null() && *status == "200" {
                let mut request = example_request(path, method, operation, name).expect("a request");
                let etag = answer.headers[header::ETAG].clone();
                request.headers_mut().insert(header::IF_NONE_MATCH, etag);
                let answer = request::send(router, request).await;
                assert_eq!(
                    (answer.status.as_u16(), &answer.body),
                    (304, &Value::Null),
                    "{what}"
                );
                assert_headers(document, unchanged, &answer, &what);
            }
        }
    }
    sent
}

/// Every header of an answer is there, and as its schema says.
fn assert_headers(document: &Value, described: &Value, answer: &Answer, what: &str) {
    for name in object(described).keys() {
        let Some(value) = answer.headers.get(name.as_str()) else {
            panic!("{what}: no header {name}");
        };
        let schema = &document["components"]["headers"][name]["schema"];
        let value = value.to_str().expect("a text");
        let value = match schema["type"].as_str() {
            Some("integer") => json!(value.parse::<i64>().expect("an integer")),
            _ => json!(value),
        };
        assert_valid(document, schema, &value, &format!("{what}: {name}"));
    }
}

/// What the document calls required is: without it, and with everything else, a request is refused.
#[tokio::test]
async fn a_request_without_a_required_parameter_is_refused() {
    let both = Both::new().await;
    let document = context_api::openapi::contract().document();
    let mut refused = Vec::new();
    for (path, method, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] == "path" || parameter["required"] != true {
                continue;
            }
            let mut without = operation.clone();
            if let Some(parameters) = without["parameters"].as_array_mut() {
                parameters.retain(|other| other != parameter);
            }
            let name = text(&parameter["name"]);
            let (example, _) = examples(parameter).pop_first().expect("an example");
            let request = example_request(path, method, &without, example).expect("a request");
            let answer = request::send(&both.context_api, request).await;
            assert_eq!(answer.status, 400, "{path} {name}");
            assert_eq!(
                answer.violations(),
                [(name.to_owned(), "required".to_owned())],
                "{path}"
            );
            refused.push(format!("{path} {name}"));
        }
    }
    assert_eq!(
        refused,
        [
            "/api/v1/context targetType",
            "/api/v1/context targetName",
            "/api/v1/context/historical targetType",
        ]
    );
}

#[tokio::test]
async fn every_example_gets_the_answer_that_is_shown() {
    let both = Both::new().await;
    let [(_, data_storage), (_, context_api)] = documents();
    assert_eq!(send_examples(&both.data_storage, &data_storage).await, 15);
    assert_eq!(send_examples(&both.context_api, &context_api).await, 23);
}

/// An answer that has everything has exactly the fields that the contract lists.
#[tokio::test]
async fn an_incident_with_everything_has_exactly_the_fields_of_the_contract() {
    let both = Both::new().await;
    let id = both.incident(&records::full_remediation("rr-1")).await;
    both.record("aianalysis", &records::full_analysis("ai-1", "rr-1"))
        .await;
    both.record("workflow", &records::full_workflow("wf-1", "rr-1", "ai-1"))
        .await;
    both.record("execution", &records::full_execution("ex-1", "wf-1"))
        .await;
    let answer = both.get(&format!("/api/v1/incidents/{id}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);

    let document = context_api::openapi::contract().document();
    let detail = json!({"$ref": "#/components/schemas/IncidentDetail"});
    assert_valid(&closed(&document), &detail, &answer.body, "the incident");
    let timeline = answer.body["timeline"].as_array().expect("a timeline");
    let of_remediation = timeline.iter().find(|event| event["kind"] == "remediation");
    for (name, value) in [
        ("IncidentDetail", &answer.body),
        ("Resource", &answer.body["resource"]),
        ("Analysis", &answer.body["analyses"][0]),
        ("WorkflowState", &answer.body["workflows"][0]),
        ("ExecutionState", &answer.body["executions"][0]),
        ("Event", of_remediation.expect("the remediation")),
    ] {
        let listed: BTreeSet<&String> = object(&document["components"]["schemas"][name]["properties"])
            .keys()
            .collect();
        let told: BTreeSet<&String> = object(value).keys().collect();
        assert_eq!(told, listed, "{name}");
    }
}

#[tokio::test]
async fn each_service_serves_its_document_and_a_page_that_shows_it() {
    let both = Both::new().await;
    let [(_, data_storage), (_, context_api)] = documents();
    for (router, document) in [
        (&both.data_storage, &data_storage),
        (&both.context_api, &context_api),
    ] {
        let answer = request::get(router, "/openapi.json").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
        assert_eq!(answer.body, *document);
        let page = request::get(router, "/docs").await;
        assert_eq!(
            (page.status.as_u16(), &page.headers[header::LOCATION]),
            (303, &"/docs/".parse().expect("a value"))
        );
        for file in [
            "",
            "swagger-ui.css",
            "swagger-ui-bundle.js",
            "swagger-initializer.js",
        ] {
            assert_eq!(
                request::get(router, &format!("/docs/{file}")).await.status,
                200,
                "{file}"
            );
        }
        let refused = request::post(router, "/openapi.json", &json!({})).await;
        assert_eq!(
            refused.body["type"],
            "https://kubernaut.ai/problems/method-not-allowed"
        );
        assert_eq!(
            request::get(router, "/nowhere").await.body["type"],
            "https://kubernaut.ai/problems/unknown-path"
        );
    }
}

#[test]
fn the_committed_documents_are_those_of_the_code() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api");
    for (service, contract) in [
        ("data-storage", data_storage::openapi::contract()),
        ("context-api", context_api::openapi::contract()),
    ] {
        let committed = std::fs::read_to_string(root.join(format!("{service}.openapi.json")));
        assert!(
            committed.expect("the document") == contract.text(),
            "{service}: run `cargo xtask openapi` and commit it"
        );
    }
}
