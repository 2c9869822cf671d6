//! What GETs have in common whose answers are kept for a while: the headers by which a client says what it has, and by
//! which it is told how old an answer is.

use serde_json::{Map, Value, json};

use super::problems::{ALWAYS, header_references};
use super::{Parameter, Place};

/// What every GET of a service has in common that keeps its answers.
#[derive(Debug)]
pub struct Kept {
    /// Headers of a request.
    pub request: Vec<RequestHeader>,
    /// Headers of an answer.
    pub response: Vec<ResponseHeader>,
    /// When a client is told with 304 that it has the answer already.
    pub not_modified: &'static str,
}

/// A header of a request.
#[derive(Debug)]
pub struct RequestHeader {
    /// Name.
    pub name: &'static str,
    /// What it means.
    pub description: &'static str,
    /// What it may be.
    pub schema: Value,
    /// An example that goes with every example of an operation that is answered with 200, and changes nothing of that.
    pub example: Value,
}

/// A header of an answer.
#[derive(Debug)]
pub struct ResponseHeader {
    /// Name.
    pub name: &'static str,
    /// What it means.
    pub description: &'static str,
    /// What it may be.
    pub schema: Value,
    /// The statuses that it comes with.
    pub statuses: &'static [u16],
}

impl Kept {
    /// The headers of answers, by name.
    pub(super) fn headers(&self) -> impl Iterator<Item = (String, Value)> {
        self.response.iter().map(|header| {
            let document = json!({"description": header.description, "schema": header.schema});
            (header.name.to_owned(), document)
        })
    }

    /// Adds what is common to the document of one operation.
    pub(super) fn add_to(&self, operation: &mut Value) {
        operation["responses"]["304"] = json!({
            "description": self.not_modified,
            "headers": header_references(&ALWAYS),
        });
        let names = names_of_success(operation);
        let parameters = self.request.iter().map(|header| header.document(&names));
        match operation["parameters"].as_array_mut() {
            Some(others) => others.extend(parameters),
            None => operation["parameters"] = parameters.collect(),
        }
        for header in &self.response {
            for status in header.statuses {
                // An operation need not have every one of these answers.
                let answer = operation["responses"].get_mut(status.to_string());
                if let Some(Value::Object(headers)) = answer.and_then(|answer| answer.get_mut("headers")) {
                    headers.extend(header_references(&[header.name]));
                }
            }
        }
    }
}

impl RequestHeader {
    fn document(&self, examples: &[String]) -> Value {
        let parameter = Parameter {
            name: self.name,
            place: Place::Header,
            required: false,
            description: self.description.to_owned(),
            schema: self.schema.clone(),
            examples: Vec::new(),
        };
        let mut document = parameter.document();
        for name in examples {
            document["examples"][name] = json!({"value": self.example});
        }
        document
    }
}

/// The names of the examples that are answered with 200.
fn names_of_success(operation: &Value) -> Vec<String> {
    let content = operation["responses"]["200"]["content"].as_object();
    content
        .into_iter()
        .flat_map(Map::values)
        .filter_map(|content| content["examples"].as_object())
        .flat_map(|examples| examples.keys().cloned())
        .collect()
}
