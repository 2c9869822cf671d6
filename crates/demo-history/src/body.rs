//! Bodies of records: the JSON that Data Storage takes.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::catalogue::Alert;
use super::inventory::Target;
use super::{DemoRecord, RecordKind};

/// Where the controller keeps its objects.
pub(super) const CRD_NAMESPACE: &str = "kubernaut-system";

/// A body under construction; a later version of a record is made from an earlier one.
#[derive(Debug, Clone)]
pub(super) struct Body {
    kind: RecordKind,
    fields: Map<String, Value>,
}

impl Body {
    /// A record of its own: what all four kinds have.
    pub(super) fn new(kind: RecordKind, name: &str, correlation: &str, created: DateTime<Utc>) -> Self {
        let body = Self {
            kind,
            fields: Map::new(),
        };
        body.with("name", name)
            .with("namespace", CRD_NAMESPACE)
            .with("correlationId", correlation)
            .with("createdAt", stamp(created))
    }

    pub(super) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    /// Absent stays absent: no field is ever null.
    pub(super) fn with_some(self, field: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(field, value),
            None => self,
        }
    }

    /// The version of the record that is reported at `at`.
    pub(super) fn report(&self, at: DateTime<Utc>) -> DemoRecord {
        DemoRecord {
            kind: self.kind,
            at,
            body: Value::Object(self.fields.clone()),
        }
    }
}

/// RFC 3339 in UTC with seconds, as the Kubernetes API writes times.
pub(super) fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// What names the object that something is about.
pub(super) fn with_target(body: Body, target: &Target) -> Body {
    body.with("targetType", target.kind)
        .with("targetName", target.name)
        .with_some("targetNamespace", target.namespace)
        .with("clusterName", target.cluster.name())
}

/// How soon somebody should care: what is severe in production first.
pub(super) fn priority(severity: &str, environment: &str) -> &'static str {
    let rank = match severity {
        "critical" => 0,
        "high" => 1,
        "warning" | "medium" => 2,
        _ => 3,
    };
    let away = match environment {
        "production" => 0,
        "staging" => 1,
        _ => 2,
    };
    match rank + away {
        0 => "P0",
        1 => "P1",
        2 => "P2",
        _ => "P3",
    }
}

/// The signal's labels. `attempt` counts the remediation requests for one signal, from 1.
pub(super) fn labels(alert: &Alert, target: &Target, attempt: usize, storm: Option<&str>) -> Value {
    let mut labels = Map::new();
    let mut label = |name: &str, value: &str| labels.insert(name.to_owned(), value.into());
    label("alertname", alert.name);
    label("severity", alert.severity);
    label("tier", target.tier());
    if target.namespace.is_some() {
        label("app.kubernetes.io/name", target.name);
    } else {
        label("topology.kubernetes.io/region", "eu-central-1");
        label("kubernetes.io/hostname", target.name);
    }
    if attempt > 1 {
        label("kubernaut.io/attempt", &attempt.to_string());
    }
    if let Some(storm) = storm {
        label("kubernaut.io/storm", storm);
    }
    Value::Object(labels)
}

/// The notification that the signal came in.
pub(super) fn payload(alert: &Alert, target: &Target, message: &str, since: DateTime<Utc>) -> Value {
    json!({
        "version": "4",
        "status": "firing",
        "receiver": "kubernaut",
        "alerts": [{
            "status": "firing",
            "labels": labels(alert, target, 1, None),
            "annotations": { "description": message },
            "startsAt": stamp(since),
        }],
    })
}

/// The alert's name as a part of an object's name: `KubePodCrashLooping` becomes `kube-pod-crash-looping`.
pub(super) fn slug(alert: &str) -> String {
    let letters: Vec<char> = alert.chars().collect();
    let mut slug = String::with_capacity(letters.len() + 8);
    for (index, letter) in letters.iter().enumerate() {
        let after_lower = index > 0 && !letters[index - 1].is_uppercase();
        let before_lower = letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && index > 0 && (after_lower || before_lower) {
            slug.push('-');
        }
        slug.extend(letter.to_lowercase());
    }
    slug
}
