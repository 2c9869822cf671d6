//! Parameters that the questions about a target share.

use audit_store::record::canonical_kind;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use service_kit::extract::QueryParameters;
use service_kit::openapi::schema::{boolean, one_of};
use service_kit::openapi::{Parameter, Place};

/// Longest namespace or kind.
const LABEL_CHARS: usize = 63;
/// Longest name of anything else.
pub(crate) const NAME_CHARS: usize = 253;

/// The window of an answer, which ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeRange {
    /// As it is written.
    pub(crate) name: &'static str,
    days: i64,
}

impl TimeRange {
    pub(crate) const WEEK: Self = Self { name: "7d", days: 7 };
    pub(crate) const MONTH: Self = Self {
        name: "30d",
        days: 30,
    };
    pub(crate) const QUARTER: Self = Self {
        name: "90d",
        days: 90,
    };

    const ALL: [Self; 3] = [Self::WEEK, Self::MONTH, Self::QUARTER];

    /// Takes `timeRange`.
    pub(crate) fn take(query: &mut QueryParameters) -> Option<Self> {
        let options = Self::ALL.map(|range| (range.name, range));
        query.choice("timeRange", &options)
    }

    /// What it may be.
    pub(crate) fn schema() -> Value {
        one_of(Self::ALL.map(|range| range.name))
    }

    /// `timeRange` in the contract, of an endpoint that takes `self` where it is absent.
    pub(crate) fn parameter(self, example: &'static str) -> Parameter {
        let mut schema = Self::schema();
        schema["default"] = json!(self.name);
        parameter(
            "timeRange",
            "How far back the window reaches, which ends now.",
            schema,
            example,
            json!(Self::QUARTER.name),
        )
    }

    /// When the window begins.
    pub(crate) fn since(self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - TimeDelta::days(self.days)
    }
}

/// Takes `namespace`, which is required, unless `clusterScoped=true` asks for resources without one; both together are
/// refused. `None` is a cluster-scoped resource, or a violation that was noted.
pub(crate) fn namespace(query: &mut QueryParameters) -> Option<String> {
    let namespace = query.text("namespace", LABEL_CHARS);
    let cluster_scoped = query.boolean("clusterScoped").unwrap_or(false);
    if !cluster_scoped {
        query.require("namespace");
    } else if namespace.is_some() {
        query.refuse(
            "namespace",
            "inconsistent",
            "must not be given with `clusterScoped=true`",
        );
    }
    namespace
}

/// Takes `targetType`, which is required, in its canonical case; empty after a violation that was noted.
pub(crate) fn kind(query: &mut QueryParameters) -> String {
    let kind = query.text("targetType", LABEL_CHARS);
    query.require("targetType");
    kind.map(|kind| canonical_kind(&kind)).unwrap_or_default()
}

/// [`namespace`] and [`kind`] in the contract; each has an example of the name `example`.
pub(crate) fn parameters(example: &'static str) -> Vec<Parameter> {
    let mut cluster_scoped = boolean();
    cluster_scoped["default"] = json!(false);
    vec![
        parameter(
            "namespace",
            "Namespace of the target. Required unless `clusterScoped=true`, and refused beside it.",
            text_schema(LABEL_CHARS),
            example,
            json!("shop"),
        ),
        parameter(
            "clusterScoped",
            "`true` asks for a target without a namespace, such as a node.",
            cluster_scoped,
            example,
            json!(false),
        ),
        parameter(
            "targetType",
            "Kind of the target; the case of a kind of Kubernetes does not matter.",
            text_schema(LABEL_CHARS),
            example,
            json!("Deployment"),
        )
        .required(),
    ]
}

/// A parameter of a query string with one example.
pub(crate) fn parameter(
    name: &'static str,
    description: &str,
    schema: Value,
    example: &'static str,
    value: Value,
) -> Parameter {
    Parameter {
        name,
        place: Place::Query,
        required: false,
        description: description.to_owned(),
        schema,
        examples: vec![(example, value)],
    }
}

/// A text that is not empty and holds no NUL.
pub(crate) fn text_schema(max_chars: usize) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": max_chars, "pattern": r"^[^\u0000]*$"})
}

/// A time span in seconds.
pub(crate) fn seconds_schema() -> Value {
    json!({"type": "number", "format": "double", "minimum": 0})
}
