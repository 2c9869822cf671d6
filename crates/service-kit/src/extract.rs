//! What handlers take from a request, parsed at the edge.
//!
//! Whatever the database would choke on (NUL, invalid UTF-8, absurd lengths) is refused here, with a problem that names
//! the place. All extractors reject with [`Problem`](crate::Problem).

mod body;
pub(crate) mod budget;
mod json;
mod parameter;
mod path;
mod query;

pub(crate) use self::body::discard_body;
pub use self::{
    body::{BodyBytes, BodyLimits},
    json::{JsonObject, ValueBudget, media_type, parse_json},
    parameter::{parse_seconds, parse_timestamp},
    path::PathParameters,
    query::QueryParameters,
};
