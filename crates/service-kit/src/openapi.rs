//! The contract of a service: an OpenAPI 3.1 document that is put together by code, and the page that shows it.
//!
//! A service lists its [`Operation`]s and its named schemas in a [`Contract`]; [`Contract::document`] is the whole
//! document, its keys sorted. Schemas are JSON values, because OpenAPI 3.1 takes all of JSON Schema 2020-12; [`schema`]
//! has the few functions that keep them short. Problems are documented by real [`Problem`]s, whose bodies become the
//! examples.
//!
//! Examples belong together by name: the example `created` of an answer is what the request gets whose body and
//! parameters have examples called `created`. Tests send them.

mod kept;
mod problems;
pub mod schema;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Map, Value, json};
use utoipa_swagger_ui::{Config, SwaggerUi};

pub use kept::{Kept, RequestHeader, ResponseHeader};
pub use problems::{guarded, limited, standard};

use crate::problem::Problem;

/// Path of the document.
pub const DOCUMENT_PATH: &str = "/openapi.json";

/// Path of the page that shows the document.
pub const PAGE_PATH: &str = "/docs";

/// Name of the security scheme of guarded operations.
const BEARER: &str = "bearer";

/// A whole contract.
#[derive(Debug)]
pub struct Contract {
    /// Name of the service.
    pub title: &'static str,
    /// Version of the contract.
    pub version: &'static str,
    /// What the service is for, in CommonMark.
    pub description: String,
    /// What a caller's token must allow, where callers are asked for one.
    pub token: Option<&'static str>,
    /// Schemas that are referred to, by name; see [`schema::named`].
    pub schemas: Vec<(&'static str, Value)>,
    /// Everything that can be asked for.
    pub operations: Vec<Operation>,
    /// What every GET has in common, where their answers are kept for a while.
    pub kept: Option<Kept>,
}

/// One method of one path.
#[derive(Debug)]
pub struct Operation {
    /// Method, in lower case.
    pub method: &'static str,
    /// Path, parameters in braces.
    pub path: &'static str,
    /// Name by which generated clients know it; unique in the document.
    pub id: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// What it does, in CommonMark.
    pub description: String,
    /// Parameters of path, query and header.
    pub parameters: Vec<Parameter>,
    /// Bodies that are understood: one for each media type; none for an operation without a body.
    pub bodies: Vec<Content>,
    /// Answers that are no problems.
    pub answers: Vec<Answer>,
    /// Problems, each an example of its kind.
    pub problems: Vec<Problem>,
}

/// A parameter of an operation.
#[derive(Debug)]
pub struct Parameter {
    /// Name.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// Whether a request without it is refused; in the path it always is.
    pub required: bool,
    /// What it means.
    pub description: String,
    /// What it may be.
    pub schema: Value,
    /// Examples by name.
    pub examples: Vec<(&'static str, Value)>,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the path.
    Path,
    /// In the query string.
    Query,
    /// In the head.
    Header,
}

/// A body of one media type.
#[derive(Debug)]
pub struct Content {
    /// Media type.
    pub media_type: &'static str,
    /// What it may be.
    pub schema: Value,
    /// Examples: name, summary, value.
    pub examples: Vec<(&'static str, &'static str, Value)>,
}

/// An answer that is no problem.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// When it is given.
    pub description: &'static str,
    /// Its body.
    pub content: Content,
}

impl Contract {
    /// The OpenAPI document.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut paths = Map::new();
        for operation in &self.operations {
            let item = paths.entry(operation.path).or_insert_with(|| json!({}));
            let mut document = operation.document(self.token.is_some());
            if let Some(kept) = self.kept.as_ref().filter(|_| operation.method == "get") {
                kept.add_to(&mut document);
            }
            item[operation.method] = document;
        }
        let schemas: Map<String, Value> = self
            .schemas
            .iter()
            .cloned()
            .chain(problems::schemas())
            .map(|(name, schema)| (name.to_owned(), schema))
            .collect();
        let mut headers = problems::headers();
        headers.extend(self.kept.iter().flat_map(Kept::headers));
        let mut document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": self.title,
                "version": self.version,
                "description": self.description,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/", "description": "The service that gave this document."}],
            "paths": paths,
            "components": {"schemas": schemas, "headers": headers},
        });
        if let Some(allowed) = self.token {
            document["components"]["securitySchemes"] = json!({
                BEARER: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": allowed,
                }
            });
        }
        document
    }

    /// The document as it is committed and served: indented, with a newline at the end.
    #[must_use]
    pub fn text(&self) -> String {
        // The alternate form of a JSON value is indented JSON.
        format!("{:#}\n", self.document())
    }

    /// Serves the document and a page that shows it, to everybody. Merge it beside the routes that are guarded.
    ///
    /// The page and all it needs are part of the binary; it loads nothing from elsewhere.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let text = self.text();
        let document = move || {
            let text = text.clone();
            async move {
                let json = HeaderValue::from_static("application/json");
                ([(header::CONTENT_TYPE, json)], text).into_response()
            }
        };
        // Relative, so that the page also works behind a proxy that serves it under a prefix.
        let page = SwaggerUi::new(PAGE_PATH).config(Config::from("../openapi.json").validator_url("none"));
        Router::new()
            .route(DOCUMENT_PATH, get(document))
            .merge(Router::<S>::from(page))
            .method_not_allowed_fallback(crate::router::method_not_allowed)
    }
}

impl Operation {
    fn document(&self, guarded: bool) -> Value {
        let mut responses = Map::new();
        for answer in &self.answers {
            responses.insert(answer.status.to_string(), answer.document());
        }
        responses.extend(problems::answers(self.path, &self.problems));
        let mut document = json!({
            "operationId": self.id,
            "summary": self.summary,
            "description": self.description,
            "responses": responses,
        });
        if !self.parameters.is_empty() {
            document["parameters"] = self.parameters.iter().map(Parameter::document).collect();
        }
        if !self.bodies.is_empty() {
            document["requestBody"] = json!({"required": true, "content": contents(&self.bodies)});
        }
        if guarded {
            document["security"] = json!([{ BEARER: [] }]);
        }
        document
    }
}

impl Parameter {
    /// The same one, without which a request is refused.
    #[must_use]
    pub fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    fn document(&self) -> Value {
        let place = match self.place {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
        };
        let mut document = json!({
            "name": self.name,
            "in": place,
            "required": self.required || self.place == Place::Path,
            "description": self.description,
            "schema": self.schema,
        });
        if !self.examples.is_empty() {
            let named = |(name, value): &(&str, Value)| ((*name).to_owned(), json!({ "value": value }));
            document["examples"] = Value::Object(self.examples.iter().map(named).collect());
        }
        document
    }
}

impl Answer {
    fn document(&self) -> Value {
        json!({
            "description": self.description,
            "headers": problems::header_references(&problems::ALWAYS),
            "content": contents(std::slice::from_ref(&self.content)),
        })
    }
}

fn contents(contents: &[Content]) -> Map<String, Value> {
    contents
        .iter()
        .map(|content| {
            let examples: Map<String, Value> = content
                .examples
                .iter()
                .map(|(name, summary, value)| {
                    ((*name).to_owned(), json!({"summary": summary, "value": value}))
                })
                .collect();
            let mut document = json!({"schema": content.schema});
            if !examples.is_empty() {
                document["examples"] = Value::Object(examples);
            }
            (content.media_type.to_owned(), document)
        })
        .collect()
}
