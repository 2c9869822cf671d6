//! The hard filters of incidents: one table of rules for two ways to ask, a query string and a JSON body.
//!
//! To add a filter, add a row. What the two ways have in common beside it (a text that is not empty, holds no NUL and
//! is at most so long) is theirs; what the text must say stands here.

mod moment;

use audit_store::reader::IncidentFilter;
use audit_store::record::{Environment, Phase, Severity, canonical_kind};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use service_kit::extract::QueryParameters;
use service_kit::openapi::schema::{Field, one_of, optional};
use service_kit::openapi::{Parameter, Place};
use sha2::{Digest as _, Sha256};

use crate::body::BodyFields;

/// A broken rule: its code and what it asks for.
pub(crate) type Broken = (&'static str, String);

/// Longest namespace or kind.
const LABEL_CHARS: usize = 63;
/// Longest name of anything else.
const NAME_CHARS: usize = 253;
/// Longer than any word of a closed vocabulary, and than any time.
const WORD_CHARS: usize = 64;
const CORRELATION_ID_CHARS: usize = 128;

/// The statuses of an incident, as the context views spell them.
const STATUSES: [&str; 5] = ["pending", "executing", "completed", "failed", "rolled-back"];

/// One filter: what it is called, what its text must be, where its value goes, and what the contract says of it.
struct Rule {
    name: &'static str,
    max_chars: usize,
    column: Column,
    description: &'static str,
    example: &'static str,
}

enum Column {
    Text {
        reads: Text,
        slot: fn(&mut IncidentFilter) -> &mut Option<String>,
    },
    Time {
        slot: fn(&mut IncidentFilter) -> &mut Option<DateTime<Utc>>,
    },
}

/// What a text must be.
#[derive(Clone, Copy)]
enum Text {
    /// Anything.
    Verbatim,
    /// Anything; a kind of Kubernetes gets its canonical case.
    Kind,
    /// 16 to 64 lower-case hexadecimal digits.
    Fingerprint,
    /// A word of a closed vocabulary.
    OneOf(fn() -> Vec<&'static str>),
}

const RULES: [Rule; 15] = [
    text("namespace", LABEL_CHARS, Text::Verbatim, |filter| &mut filter.namespace)
        .means("Namespace of the affected resource.", "shop"),
    text("cluster", NAME_CHARS, Text::Verbatim, |filter| &mut filter.cluster)
        .means("Cluster of the affected resource.", "prod-eu-1"),
    text("environment", WORD_CHARS, Text::OneOf(environments), |filter| {
        &mut filter.environment
    })
    .means("Environment of the affected resource.", "production"),
    text("severity", WORD_CHARS, Text::OneOf(severities), |filter| &mut filter.severity)
        .means("Severity of the signal.", "critical"),
    text("alertName", NAME_CHARS, Text::Verbatim, |filter| &mut filter.alert_name)
        .means("Name of the alert.", "KubePodCrashLooping"),
    text("fingerprint", WORD_CHARS, Text::Fingerprint, |filter| {
        &mut filter.fingerprint
    })
    .means("Fingerprint of the signal.", "0a1b2c3d4e5f6071"),
    text("actionType", NAME_CHARS, Text::Verbatim, |filter| {
        &mut filter.action_type
    })
    .means("Kind of action chosen.", "increase_memory_limit"),
    text("kind", LABEL_CHARS, Text::Kind, |filter| &mut filter.kind).means(
        "Kind of the affected resource; the case of a kind of Kubernetes does not matter.",
        "Deployment",
    ),
    text("name", NAME_CHARS, Text::Verbatim, |filter| &mut filter.name)
        .means("Name of the affected resource.", "checkout"),
    text("phase", WORD_CHARS, Text::OneOf(phases), |filter| &mut filter.phase)
        .means("Phase of the remediation.", "Completed"),
    text("status", WORD_CHARS, Text::OneOf(statuses), |filter| &mut filter.status)
        .means("Status of the incident.", "completed"),
    text("workflow", NAME_CHARS, Text::Verbatim, |filter| &mut filter.workflow)
        .means("Name of a workflow that was run for it, the newest or an earlier one.", "raise-memory-limit"),
    text("correlationId", CORRELATION_ID_CHARS, Text::Verbatim, |filter| {
        &mut filter.correlation_id
    })
    .means("Correlation id.", "corr-checkout-oom-1"),
    time("since", |filter| &mut filter.since).means(
        "Only incidents created at this time or later: an RFC 3339 time, or a duration back from now of at most `3650d`. \
         It must be before `until`.",
        "2026-06-01T00:00:00Z",
    ),
    time("until", |filter| &mut filter.until).means(
        "Only incidents created before this time: an RFC 3339 time, or a duration back from now of at most `3650d`.",
        "1m",
    ),
];

const fn text(
    name: &'static str,
    max_chars: usize,
    reads: Text,
    slot: fn(&mut IncidentFilter) -> &mut Option<String>,
) -> Rule {
    Rule {
        name,
        max_chars,
        column: Column::Text { reads, slot },
        description: "",
        example: "",
    }
}

const fn time(name: &'static str, slot: fn(&mut IncidentFilter) -> &mut Option<DateTime<Utc>>) -> Rule {
    Rule {
        name,
        max_chars: WORD_CHARS,
        column: Column::Time { slot },
        description: "",
        example: "",
    }
}

impl Rule {
    const fn means(mut self, description: &'static str, example: &'static str) -> Self {
        self.description = description;
        self.example = example;
        self
    }

    fn apply(&self, text: &str, now: DateTime<Utc>, filter: &mut IncidentFilter) -> Result<(), Broken> {
        match self.column {
            Column::Text { reads, slot } => *slot(filter) = Some(reads.read(text)?),
            Column::Time { slot } => *slot(filter) = Some(moment::parse(text, now)?),
        }
        Ok(())
    }

    fn schema(&self) -> Value {
        match self.column {
            Column::Text {
                reads: Text::OneOf(options),
                ..
            } => one_of(options()),
            Column::Text {
                reads: Text::Fingerprint,
                ..
            } => json!({"type": "string", "minLength": 16, "maxLength": 64, "pattern": "^[0-9a-f]+$"}),
            Column::Text { .. } => json!({
                "type": "string",
                "minLength": 1,
                "maxLength": self.max_chars,
                "pattern": r"^[^\u0000]*$",
            }),
            Column::Time { .. } => json!({
                "type": "string",
                "maxLength": self.max_chars,
                "anyOf": [
                    {"format": "date-time", "description": "An RFC 3339 time."},
                    {"pattern": "^[0-9]+[smhdw]$", "description": "A duration back from now."},
                ],
            }),
        }
    }
}

impl Text {
    fn read(self, text: &str) -> Result<String, Broken> {
        match self {
            Self::Verbatim => Ok(text.to_owned()),
            Self::Kind => Ok(canonical_kind(text)),
            Self::Fingerprint => fingerprint(text),
            Self::OneOf(options) => word(text, &options()),
        }
    }
}

/// The filters as parameters of a query string; each has an example of the name `example`.
pub(crate) fn parameters(example: &'static str) -> Vec<Parameter> {
    RULES
        .iter()
        .map(|rule| Parameter {
            name: rule.name,
            place: Place::Query,
            required: false,
            description: rule.description.to_owned(),
            schema: rule.schema(),
            examples: vec![(example, rule.example.into())],
        })
        .collect()
}

/// The filters as fields of a body.
pub(crate) fn fields() -> impl Iterator<Item = Field> {
    RULES
        .iter()
        .map(|rule| optional(rule.name, rule.schema(), rule.description))
}

/// A body with an example of every filter.
pub(crate) fn example() -> Map<String, Value> {
    RULES
        .iter()
        .map(|rule| (rule.name.to_owned(), rule.example.into()))
        .collect()
}

/// Takes the filters out of a query string. The violations are noted there.
pub(crate) fn from_query(query: &mut QueryParameters, now: DateTime<Utc>) -> IncidentFilter {
    let mut filter = IncidentFilter::default();
    for rule in RULES {
        query.parsed(rule.name, rule.max_chars, |text| {
            rule.apply(text, now, &mut filter)
        });
    }
    if let Err((name, code, detail)) = times_in_order(&filter) {
        query.refuse(name, code, detail);
    }
    filter
}

/// Takes the filters out of a body. The violations are noted there.
pub(crate) fn from_body(fields: &mut BodyFields<'_>, now: DateTime<Utc>) -> IncidentFilter {
    let mut filter = IncidentFilter::default();
    for rule in RULES {
        fields.text(rule.name, rule.max_chars, |text| {
            rule.apply(text, now, &mut filter)
        });
    }
    if let Err((name, code, detail)) = times_in_order(&filter) {
        fields.refuse(name, code, detail);
    }
    filter
}

/// What tells filters apart: SHA-256 over every field in turn, 0 for an absent one, else 1, its length in bytes and its
/// bytes.
pub(crate) fn digest(filter: &IncidentFilter) -> [u8; 32] {
    // Taken apart without `..`, so that a new filter cannot be forgotten here.
    let IncidentFilter {
        namespace,
        cluster,
        environment,
        severity,
        alert_name,
        fingerprint,
        action_type,
        kind,
        name,
        phase,
        status,
        workflow,
        correlation_id,
        since,
        until,
    } = filter;
    let texts = [
        namespace,
        cluster,
        environment,
        severity,
        alert_name,
        fingerprint,
        action_type,
        kind,
        name,
        phase,
        status,
        workflow,
        correlation_id,
    ];
    let mut sha256 = Sha256::new();
    let mut add = |bytes: Option<&[u8]>| {
        sha256.update([u8::from(bytes.is_some())]);
        if let Some(bytes) = bytes {
            sha256.update(bytes.len().to_be_bytes());
            sha256.update(bytes);
        }
    };
    for text in texts {
        add(text.as_deref().map(str::as_bytes));
    }
    for time in [since, until] {
        let micros = time.map(|time| time.timestamp_micros().to_be_bytes());
        add(micros.as_ref().map(<[u8; 8]>::as_slice));
    }
    sha256.finalize().into()
}

/// A window that ends before it begins would answer with nothing, which looks like an answer.
fn times_in_order(filter: &IncidentFilter) -> Result<(), (&'static str, &'static str, &'static str)> {
    match (filter.since, filter.until) {
        (Some(since), Some(until)) if since >= until => {
            Err(("since", "not-before-until", "must be before `until`"))
        }
        _ => Ok(()),
    }
}

/// One of the environments.
pub(crate) fn environment(text: &str) -> Result<String, Broken> {
    word(text, &environments())
}

fn environments() -> Vec<&'static str> {
    Environment::ALL.iter().map(|value| value.as_str()).collect()
}

fn severities() -> Vec<&'static str> {
    Severity::ALL.iter().map(|value| value.as_str()).collect()
}

fn phases() -> Vec<&'static str> {
    Phase::ALL.iter().map(|value| value.as_str()).collect()
}

/// The schema of a phase.
pub(crate) fn phase_schema() -> Value {
    one_of(phases())
}

pub(crate) fn statuses() -> Vec<&'static str> {
    STATUSES.to_vec()
}

fn fingerprint(text: &str) -> Result<String, Broken> {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if (16..=64).contains(&text.len()) && text.bytes().all(hexadecimal) {
        Ok(text.to_owned())
    } else {
        Err((
            "not-a-fingerprint",
            "must be 16 to 64 lower-case hexadecimal digits".to_owned(),
        ))
    }
}

fn word(text: &str, options: &[&'static str]) -> Result<String, Broken> {
    if options.contains(&text) {
        return Ok(text.to_owned());
    }
    let names: Vec<_> = options.iter().map(|option| format!("`{option}`")).collect();
    Err(("not-an-option", format!("must be one of {}", names.join(", "))))
}

#[cfg(test)]
mod tests {
    use service_kit::Problem;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn now() -> DateTime<Utc> {
        at("2026-03-10T12:00:00Z")
    }

    fn query(text: &str) -> Result<IncidentFilter, Problem> {
        let mut query = QueryParameters::parse(text);
        let filter = from_query(&mut query, now());
        query.finish().map(|()| filter)
    }

    fn body(body: &Value) -> Result<IncidentFilter, Problem> {
        let object: &Map<String, Value> = body.as_object().unwrap();
        let mut fields = BodyFields::new(object);
        let filter = from_body(&mut fields, now());
        fields.finish().map(|()| filter)
    }

    #[test]
    fn both_ways_to_ask_give_the_same_filter() {
        let expected = IncidentFilter {
            namespace: Some("payments".into()),
            cluster: Some("eu-1".into()),
            environment: Some("production".into()),
            severity: Some("critical".into()),
            alert_name: Some("KubePodCrashLooping".into()),
            fingerprint: Some("0123456789abcdef".into()),
            action_type: Some("restart_pod".into()),
            kind: Some("StatefulSet".into()),
            name: Some("api".into()),
            phase: Some("Failed".into()),
            status: Some("rolled-back".into()),
            workflow: Some("restart".into()),
            correlation_id: Some("c:1".into()),
            since: Some(at("2026-03-09T12:00:00Z")),
            until: Some(at("2026-03-10T11:00:00Z")),
        };
        let pairs = json!({
            "namespace": "payments", "cluster": "eu-1", "environment": "production", "severity": "critical",
            "alertName": "KubePodCrashLooping", "fingerprint": "0123456789abcdef", "actionType": "restart_pod",
            "kind": "statefulSET", "name": "api", "phase": "Failed", "status": "rolled-back",
            "workflow": "restart", "correlationId": "c:1", "since": "24h", "until": "2026-03-10T12:00:00%2B01:00",
        });
        let text: Vec<_> = pairs
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
            .collect();
        let mut decoded = pairs.clone();
        decoded["until"] = json!("2026-03-10T12:00:00+01:00");
        assert_eq!(query(&text.join("&")).unwrap(), expected);
        assert_eq!(body(&decoded).unwrap(), expected);
        assert_eq!(query("").unwrap(), IncidentFilter::default());
        assert_eq!(body(&json!({})).unwrap(), IncidentFilter::default());
    }

    #[test]
    fn both_ways_to_ask_break_the_same_rules() {
        let broken = [
            ("namespace", "a".repeat(64), "too-long"),
            ("environment", "prod".into(), "not-an-option"),
            ("severity", "Critical".into(), "not-an-option"),
            ("alertName", String::new(), "empty"),
            ("fingerprint", "0123456789ABCDEF".into(), "not-a-fingerprint"),
            ("kind", "K".repeat(64), "too-long"),
            ("phase", "failed".into(), "not-an-option"),
            ("status", "done".into(), "not-an-option"),
            ("correlationId", "c".repeat(129), "too-long"),
            ("since", "yesterday".into(), "not-a-time"),
        ];
        let text: Vec<_> = broken
            .iter()
            .map(|(name, value, _)| format!("{name}={value}"))
            .collect();
        let object: Map<_, _> = broken
            .iter()
            .map(|(name, value, _)| ((*name).to_owned(), json!(value)))
            .collect();
        let codes = broken.iter().map(|(name, _, code)| (*name, *code));
        let of_query = query(&text.join("&")).unwrap_err();
        let of_body = body(&Value::Object(object)).unwrap_err();
        let told = |problem: &Problem, key: &str| -> Vec<Value> {
            json!(problem.violations())
                .as_array()
                .unwrap()
                .iter()
                .map(|violation| json!([violation[key], violation["code"]]))
                .collect()
        };
        let of_parameter: Vec<_> = codes.clone().map(|(name, code)| json!([name, code])).collect();
        let of_pointer: Vec<_> = codes
            .map(|(name, code)| json!([format!("/{name}"), code]))
            .collect();
        assert_eq!(told(&of_query, "parameter"), of_parameter);
        assert_eq!(told(&of_body, "pointer"), of_pointer);
        assert_eq!(
            of_query.violations()[1].detail,
            "must be one of `production`, `staging`, `development`, `test`"
        );
        assert_eq!(of_query.violations()[1].detail, of_body.violations()[1].detail);
    }

    #[test]
    fn a_window_begins_before_it_ends() {
        let expected =
            json!([{"parameter": "since", "code": "not-before-until", "detail": "must be before `until`"}]);
        for text in ["since=1h&until=2h", "since=1h&until=1h"] {
            assert_eq!(json!(query(text).unwrap_err().violations()), expected);
        }
        let problem = body(&json!({"since": "1h", "until": "1d"})).unwrap_err();
        assert_eq!(
            json!(problem.violations()),
            json!([{"pointer": "/since", "code": "not-before-until", "detail": "must be before `until`"}])
        );
    }

    #[test]
    fn an_unknown_kind_is_asked_for_as_it_is_written() {
        assert_eq!(
            query("kind=kafkaTopic").unwrap().kind.as_deref(),
            Some("kafkaTopic")
        );
    }
}
