//! What Context API must tell of what is stored: the documented rules again, over lists in memory.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use crate::history::Filter;
use crate::model::{Instance, Model, Version};

/// Who writes where nobody is authenticated.
const ACTOR: &str = "system:anonymous";

/// Everything that is told of a model at one moment.
pub(crate) struct Picture {
    /// By (createdAt, id).
    pub(crate) incidents: Vec<Incident>,
    pub(crate) adopted: usize,
}

/// An incident with its family, in the order of their creation.
pub(crate) struct Incident {
    pub(crate) id: i64,
    pub(crate) version: Version,
    analyses: Vec<Version>,
    pub(crate) workflows: Vec<Workflow>,
    pub(crate) status: &'static str,
    /// Every version of every record, by the time it speaks of and its id.
    timeline: Vec<Version>,
}

/// A workflow execution with its actions, in the order of their creation.
pub(crate) struct Workflow {
    pub(crate) version: Version,
    pub(crate) executions: Vec<Version>,
}

impl Picture {
    pub(crate) fn of(model: &Model) -> Self {
        let remediations = model.states("remediation");
        let mut analyses: BTreeMap<Instance, Vec<Version>> = BTreeMap::new();
        let mut workflows: BTreeMap<Instance, Vec<Workflow>> = BTreeMap::new();
        let mut executions: BTreeMap<Instance, Vec<Version>> = BTreeMap::new();
        let workflow_states = model.states("workflow");
        let mut adopted = 0;
        let mut parent = |child: &Version, field: &str, of: &BTreeMap<Instance, &Version>| {
            let (found, among) = parent(child, field, of)?;
            adopted += usize::from(among > 1);
            Some(found)
        };
        for state in model.states("execution").into_values() {
            if let Some(parent) = parent(state, "workflowExecutionRef", &workflow_states) {
                executions.entry(parent).or_default().push(state.clone());
            }
        }
        for (instance, state) in &workflow_states {
            if let Some(parent) = parent(state, "remediationRequestRef", &remediations) {
                workflows.entry(parent).or_default().push(Workflow {
                    version: (*state).clone(),
                    executions: in_order(executions.remove(instance).unwrap_or_default()),
                });
            }
        }
        for state in model.states("aianalysis").into_values() {
            if let Some(parent) = parent(state, "remediationRequestRef", &remediations) {
                analyses.entry(parent).or_default().push(state.clone());
            }
        }
        let mut incidents: Vec<Incident> = remediations
            .into_iter()
            .map(|(instance, state)| {
                let mut workflows = workflows.remove(&instance).unwrap_or_default();
                workflows.sort_by_key(|workflow| workflow.version.created());
                Incident::new(
                    model,
                    state,
                    in_order(analyses.remove(&instance).unwrap_or_default()),
                    workflows,
                )
            })
            .collect();
        incidents.sort_by_key(|incident| (incident.version.created(), incident.id));
        Self { incidents, adopted }
    }

    /// The incidents that pass a filter, in an order; durations count back from `now`.
    pub(crate) fn list(&self, filter: &Filter, ascending: bool, now: DateTime<Utc>) -> Vec<&Incident> {
        let mut list: Vec<&Incident> = self
            .incidents
            .iter()
            .filter(|incident| incident.passes(filter, now))
            .collect();
        if !ascending {
            list.reverse();
        }
        list
    }
}

/// The newest parent made no later than the child, else the oldest; and how many have the name.
fn parent(child: &Version, field: &str, of: &BTreeMap<Instance, &Version>) -> Option<(Instance, usize)> {
    let (namespace, _, created) = child.instance();
    let name = child.text(field)?;
    let namesakes: Vec<&Instance> = of
        .keys()
        .filter(|(other_namespace, other_name, _)| *other_namespace == namespace && other_name == name)
        .collect();
    let made_before = namesakes
        .iter()
        .filter(|(_, _, made)| *made <= created)
        .max_by_key(|(_, _, made)| *made);
    let found = made_before.or_else(|| namesakes.iter().min_by_key(|(_, _, made)| *made))?;
    Some(((*found).clone(), namesakes.len()))
}

fn in_order(mut versions: Vec<Version>) -> Vec<Version> {
    versions.sort_by_key(Version::created);
    versions
}

impl Incident {
    fn new(model: &Model, state: &Version, analyses: Vec<Version>, workflows: Vec<Workflow>) -> Self {
        let executions = || workflows.iter().flat_map(|workflow| &workflow.executions);
        let rolled_back =
            executions().any(|execution| execution.body.get("isRolledBack") == Some(&json!(true)));
        let status = match state.phase() {
            "Pending" => "pending",
            "Processing" => "executing",
            "Completed" => "completed",
            _ if rolled_back => "rolled-back",
            _ => "failed",
        };
        let family: BTreeSet<(&str, Instance)> = std::iter::once(state)
            .chain(&analyses)
            .chain(workflows.iter().map(|workflow| &workflow.version))
            .chain(executions())
            .map(|version| (version.kind, version.instance()))
            .collect();
        let mut timeline: Vec<Version> = model
            .versions
            .iter()
            .filter(|version| family.contains(&(version.kind, version.instance())))
            .cloned()
            .collect();
        timeline.sort_by_key(|version| (speaks_of(version), version.id));
        Self {
            id: model.incidents[&state.instance()],
            version: state.clone(),
            analyses,
            workflows,
            status,
            timeline,
        }
    }

    pub(crate) fn created(&self) -> DateTime<Utc> {
        self.version.created()
    }

    /// The name of the newest workflow run for it.
    pub(crate) fn workflow(&self) -> Option<&str> {
        self.workflows
            .last()
            .and_then(|workflow| workflow.version.text("workflowName"))
    }

    /// What it was about: cluster, namespace, kind and name.
    pub(crate) fn resource(&self) -> [Option<&str>; 4] {
        ["clusterName", "targetNamespace", "targetType", "targetName"].map(|field| self.version.text(field))
    }

    /// From start to end, in milliseconds.
    pub(crate) fn duration_ms(&self) -> Option<i64> {
        let (start, end) = (self.version.time("startedAt")?, self.version.time("completedAt")?);
        Some((end - start).num_milliseconds())
    }

    fn passes(&self, filter: &Filter, now: DateTime<Utc>) -> bool {
        let is = |name: &str, field: &str| {
            let wanted = filter.get(name);
            // Kinds of Kubernetes are found in any case.
            let fold = |text: &str| {
                if name == "kind" {
                    text.to_lowercase()
                } else {
                    text.to_owned()
                }
            };
            wanted.is_none_or(|wanted| self.version.text(field).map(fold) == Some(fold(wanted)))
        };
        let moment = |text: &str| match text {
            "24h" => now - TimeDelta::hours(24),
            "45m" => now - TimeDelta::minutes(45),
            time => time.parse().expect("a time"),
        };
        let workflows = || {
            self.workflows
                .iter()
                .map(|workflow| workflow.version.text("workflowName"))
        };
        is("namespace", "targetNamespace")
            && is("cluster", "clusterName")
            && is("environment", "environment")
            && is("severity", "severity")
            && is("alertName", "signalName")
            && is("fingerprint", "fingerprint")
            && is("actionType", "actionType")
            && is("kind", "targetType")
            && is("name", "targetName")
            && is("phase", "phase")
            && is("correlationId", "correlationId")
            && filter.get("status").is_none_or(|status| status == self.status)
            && filter
                .get("workflow")
                .is_none_or(|wanted| workflows().any(|name| name == Some(wanted)))
            && filter
                .get("since")
                .is_none_or(|since| self.created() >= moment(since))
            && filter
                .get("until")
                .is_none_or(|until| self.created() < moment(until))
    }

    /// The incident as a list tells it.
    pub(crate) fn told(&self) -> Value {
        let version = &self.version;
        let finding = self
            .analyses
            .iter()
            .rev()
            .find_map(|analysis| analysis.text("rootCause"));
        let fields = [
            ("signalType", "signalType"),
            ("alertName", "signalName"),
            ("signalNamespace", "signalNamespace"),
            ("alertFingerprint", "fingerprint"),
            ("severity", "severity"),
            ("cluster", "clusterName"),
            ("environment", "environment"),
            ("actionType", "actionType"),
            ("phase", "phase"),
            ("message", "message"),
            ("errorMessage", "errorMessage"),
            ("labels", "labels"),
            ("correlationId", "correlationId"),
        ];
        let mut told: Map<String, Value> = fields
            .into_iter()
            .filter_map(|(name, field)| Some((name.to_owned(), version.body.get(field)?.clone())))
            .collect();
        let (namespace, name, created) = version.instance();
        let more = json!({
            "id": self.id,
            "remediationName": name,
            "remediationNamespace": namespace,
            "resource": present(json!({
                "namespace": version.text("targetNamespace"),
                "kind": version.text("targetType"),
                "name": version.text("targetName"),
            })),
            "status": self.status,
            "rootCause": finding,
            "workflow": self.workflow(),
            "startTime": version.time("startedAt"),
            "endTime": version.time("completedAt"),
            "durationMs": self.duration_ms(),
            "recordedBy": ACTOR,
            "createdAt": created,
            "updatedAt": version.received_at,
        });
        told.extend(fields_of(more));
        present(Value::Object(told))
    }

    /// The incident with everything recorded about it, without the surrogate ids of its children.
    pub(crate) fn detail(&self) -> Value {
        let workflows = self.workflows.iter().map(|workflow| &workflow.version);
        let executions = self.workflows.iter().flat_map(|workflow| &workflow.executions);
        let mut executions: Vec<&Version> = executions.collect();
        executions.sort_by_key(|execution| execution.created());
        let mut detail = self.told();
        detail["originalPayload"] = json!(self.version.text("originalPayload"));
        detail["analyses"] = self.analyses.iter().map(child).collect();
        detail["workflows"] = workflows.map(child).collect();
        detail["executions"] = executions.into_iter().map(child).collect();
        detail["timeline"] = self.timeline.iter().map(event).collect();
        present(detail)
    }
}

/// The time that a version speaks of.
fn speaks_of(version: &Version) -> DateTime<Utc> {
    let ended = version.time("completedAt").or_else(|| version.time("startedAt"));
    ended.unwrap_or_else(|| version.created())
}

/// The state of a child: its record, and who wrote it when.
fn child(version: &Version) -> Value {
    let mut told = version.body.clone();
    for field in ["createdAt", "startedAt", "completedAt"] {
        if let Some(time) = version.time(field) {
            told.insert(field.to_owned(), json!(time));
        }
    }
    told.insert("recordedBy".to_owned(), json!(ACTOR));
    told.insert("updatedAt".to_owned(), json!(version.received_at));
    Value::Object(told)
}

fn event(version: &Version) -> Value {
    let (namespace, name, _) = version.instance();
    present(json!({
        "id": version.id,
        "kind": version.kind,
        "namespace": namespace,
        "name": name,
        "phase": version.phase(),
        "at": speaks_of(version),
        "message": version.text("message"),
        "actor": ACTOR,
        "receivedAt": version.received_at,
    }))
}

/// The newest first, by (createdAt, id).
pub(crate) fn newest_first<'a>(incidents: impl Iterator<Item = &'a Incident>) -> Vec<&'a Incident> {
    let mut incidents: Vec<&Incident> = incidents.collect();
    incidents.sort_by_key(|incident| Reverse((incident.created(), incident.id)));
    incidents
}

fn fields_of(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => unreachable!("{other} is no object"),
    }
}

/// An object without what is null: absent instead of null.
pub(crate) fn present(value: Value) -> Value {
    let mut fields = fields_of(value);
    fields.retain(|_, value| !value.is_null());
    Value::Object(fields)
}
