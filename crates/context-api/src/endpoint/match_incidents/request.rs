//! What is searched for.

use audit_store::reader::IncidentFilter;
use chrono::{DateTime, Utc};
use embedding::canonical_query;
use serde_json::{Map, Value};
use service_kit::Problem;

use super::{DEFAULT_RESULTS, MAX_DESCRIPTION_BYTES, MAX_RESULTS};
use crate::body::BodyFields;
use crate::filter::{self, Broken};

/// What is asked for.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub(super) like: Like,
    pub(super) filter: IncidentFilter,
    pub(super) max_results: i64,
    pub(super) min_similarity: Option<f64>,
}

/// What the matches shall be like.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Like {
    /// What somebody wrote.
    Text(Description),
    /// An incident.
    Incident(i64),
}

/// What somebody wrote: as it was given its words are looked for, as a canonical text its meaning.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Description {
    pub(super) given: String,
    /// `None` for what means nothing by itself, such as an id or a version.
    pub(super) canonical: Option<String>,
}

impl Description {
    fn read(text: &str) -> Result<Self, Broken> {
        // The limit is in bytes; no text has more characters than that.
        if text.len() > MAX_DESCRIPTION_BYTES {
            let detail = format!("must have at most {MAX_DESCRIPTION_BYTES} bytes");
            return Err(("too-long", detail));
        }
        let canonical = canonical_query(text);
        if canonical.is_none() && !text.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
            return Err(("no-words", "must have letters or digits".to_owned()));
        }
        Ok(Self {
            given: text.to_owned(),
            canonical,
        })
    }
}

impl Request {
    pub(super) fn parse(body: &Map<String, Value>, now: DateTime<Utc>) -> Result<Self, Problem> {
        let mut fields = BodyFields::new(body);
        let like = Like::parse(&mut fields);
        let filter = filter::from_body(&mut fields, now);
        let max_results = fields.integer("maxResults", &(1..=MAX_RESULTS));
        let min_similarity = fields.number("minSimilarity", &(-1.0..=1.0));
        if min_similarity.is_some() && matches!(&like, Some(Like::Text(Description { canonical: None, .. })))
        {
            fields.refuse(
                "minSimilarity",
                "no-meaning",
                "must not be given with a `description` that says nothing in words",
            );
        }
        fields.finish()?;
        Ok(Self {
            // Without it there was a violation, so that `finish` did not get here.
            like: like.ok_or_else(|| Problem::internal("a body without a subject passed"))?,
            filter,
            max_results: max_results.unwrap_or(DEFAULT_RESULTS),
            min_similarity,
        })
    }
}

impl Like {
    /// `None` only after a violation was noted.
    fn parse(fields: &mut BodyFields<'_>) -> Option<Self> {
        let text = fields.text("description", MAX_DESCRIPTION_BYTES, Description::read);
        let incident = fields.integer("incidentId", &(1..=i64::MAX));
        if fields.has("description") == fields.has("incidentId") {
            fields.refuse_body(
                "exactly-one",
                "must have exactly one of `description` and `incidentId`",
            );
            return None;
        }
        text.map(Self::Text).or(incident.map(Self::Incident))
    }
}
