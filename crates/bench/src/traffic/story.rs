//! An incident of the material, and how it is told again under other names at another time.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use demo_history::{DemoRecord, RecordKind};
use serde_json::Value;

/// Fields with the name of a record, or with an id of the incident.
const NAMES: [&str; 5] = [
    "name",
    "remediationRequestRef",
    "aiAnalysisRef",
    "workflowExecutionRef",
    "correlationId",
];
/// Fields with a time.
const TIMES: [&str; 3] = ["createdAt", "startedAt", "completedAt"];

/// The records of one incident, in the order in which they were reported.
#[derive(Debug, Clone)]
pub(super) struct Story(Arc<[DemoRecord]>);

/// A story that is being told.
#[derive(Debug)]
pub(super) struct Telling {
    story: Story,
    next: usize,
    suffix: String,
    later: TimeDelta,
}

/// The stories of each resource: the resource with the most of them first.
pub(super) fn by_resource(records: Vec<DemoRecord>) -> Vec<Vec<Story>> {
    let mut incidents: BTreeMap<String, Vec<DemoRecord>> = BTreeMap::new();
    for record in records {
        let id = text(&record.body, "correlationId").to_owned();
        incidents.entry(id).or_default().push(record);
    }
    let mut resources: BTreeMap<String, Vec<Story>> = BTreeMap::new();
    for records in incidents.into_values() {
        let resource = resource(&records[0].body);
        resources.entry(resource).or_default().push(Story(records.into()));
    }
    let mut resources: Vec<_> = resources.into_values().collect();
    // Stable, and they were in the order of their names: always the same.
    resources.sort_by_key(|stories| std::cmp::Reverse(stories.len()));
    resources
}

/// What a remediation is about.
pub(super) fn resource(body: &Value) -> String {
    ["clusterName", "targetNamespace", "targetType", "targetName"]
        .map(|field| text(body, field))
        .join("/")
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field].as_str().unwrap_or_default()
}

impl Story {
    /// What its records say.
    pub(super) fn messages(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|record| record.body["message"].as_str())
    }

    /// Begins to tell it, for the `number`th time of all stories, as if it had ended at `end`.
    pub(super) fn tell(&self, number: u64, end: DateTime<Utc>) -> Telling {
        let ended = self.0.last().map_or(end, |record| record.at);
        Telling {
            story: self.clone(),
            next: 0,
            suffix: format!("-{number}"),
            // Whole seconds, as all times of the material are.
            later: TimeDelta::seconds((end - ended).num_seconds() - 1),
        }
    }
}

impl Telling {
    pub(super) fn is_over(&self) -> bool {
        self.next == self.story.0.len()
    }

    /// The next record; the last one again, once it is over.
    pub(super) fn next(&mut self) -> (RecordKind, Value) {
        let records = &self.story.0;
        let record = &records[self.next.min(records.len() - 1)];
        self.next = (self.next + 1).min(records.len());
        let mut body = record.body.clone();
        for field in NAMES {
            if let Some(Value::String(name)) = body.get_mut(field) {
                name.push_str(&self.suffix);
            }
        }
        self.move_times(&mut body);
        if let Some(Value::Array(steps)) = body.get_mut("stepStatuses") {
            steps.iter_mut().for_each(|step| self.move_times(step));
        }
        (record.kind, body)
    }

    fn move_times(&self, object: &mut Value) {
        for field in TIMES {
            if let Some(Value::String(time)) = object.get_mut(field)
                && let Ok(parsed) = DateTime::parse_from_rfc3339(time)
            {
                *time = (parsed.to_utc() + self.later).to_rfc3339_opts(SecondsFormat::Secs, true);
            }
        }
    }
}
