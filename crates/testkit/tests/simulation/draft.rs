//! Records as a sender might make them up: few names, few times, few words, so that they meet.

use chrono::{DateTime, FixedOffset, SecondsFormat, TimeDelta, Utc};
use proptest::option::weighted;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use testkit::Database;

/// The kinds of record, as the paths name them.
pub(crate) const KINDS: [&str; 4] = ["remediation", "aianalysis", "workflow", "execution"];
pub(crate) const NAMESPACES: [&str; 2] = ["kubernaut-system", "platform"];
pub(crate) const PHASES: [&str; 4] = ["Pending", "Processing", "Completed", "Failed"];
pub(crate) const ALERTS: [&str; 3] = ["KubePodCrashLooping", "TargetDown", "NodeNotReady"];
pub(crate) const WORKFLOWS: [&str; 3] = ["restart-workload", "raise-memory-limit", "drain-node"];
pub(crate) const ACTIONS: [&str; 3] = ["restart_pod", "increase_memory_limit", "drain_node"];
pub(crate) const CLUSTERS: [&str; 2] = ["default", "prod-eu-1"];
pub(crate) const ENVIRONMENTS: [&str; 4] = ["production", "staging", "development", "test"];
pub(crate) const SEVERITIES: [&str; 6] = ["critical", "high", "warning", "medium", "low", "info"];
pub(crate) const FINGERPRINTS: [&str; 2] = ["0123456789abcdef", "fedcba9876543210"];
pub(crate) const CORRELATIONS: [&str; 3] = ["corr-1", "corr-2", "corr-3"];
/// Kind, name and namespace.
pub(crate) const TARGETS: [(&str, &str, Option<&str>); 3] = [
    ("Deployment", "checkout", Some("shop")),
    ("Deployment", "checkout", Some("payments")),
    ("Node", "worker-3", None),
];
const MESSAGES: [&str; 3] = [
    "the pods come up again",
    "exit code 137, OOMKilled",
    "gave up after 3 tries",
];
const FINDINGS: [&str; 2] = ["the limit is lower than the working set", "the image was removed"];
/// Seconds from start to end.
const SPANS: [i64; 3] = [2, 61, 3_600];
/// How many names each kind has.
pub(crate) const NAMES: usize = 3;
/// How many times of creation there are.
const TIMES: usize = 7;

/// A time of creation: among them two that are a microsecond apart, one in another month, and one that is too far
/// ahead until the clock has been moved.
fn time(index: usize) -> DateTime<Utc> {
    let start = Database::now();
    match index {
        0 => start - TimeDelta::hours(1),
        1 => start - TimeDelta::hours(1) + TimeDelta::microseconds(1),
        2 => start - TimeDelta::minutes(30),
        3 => start - TimeDelta::days(3),
        4 => start - TimeDelta::days(10),
        5 => start - TimeDelta::days(20),
        _ => start + TimeDelta::minutes(6),
    }
}

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A required field is missing.
    NoPhase,
    /// A word that is not in its vocabulary.
    OddPhase,
    /// A field that no record has.
    UnknownField,
    /// It ended before it began.
    EndsBeforeItBegins,
}

/// A record, as places in the lists above. Zero is the simplest of everything.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub(crate) kind: usize,
    namespace: usize,
    name: usize,
    created: usize,
    phase: usize,
    parent: usize,
    word: usize,
    target: usize,
    cluster: usize,
    correlation: usize,
    /// 0: neither start nor end, 1: a start, 2: both, 3: an end only.
    timing: usize,
    span: usize,
    environment: Option<usize>,
    severity: Option<usize>,
    fingerprint: Option<usize>,
    action: Option<usize>,
    message: Option<usize>,
    finding: Option<usize>,
    flag: Option<bool>,
    /// 0: as the ledger spells it; 1: with another offset and nulls; 2: without what has a default, kinds in lower case.
    spelling: usize,
    flaw: Option<Flaw>,
}

pub(crate) fn draft() -> impl Strategy<Value = Draft> {
    let kind = prop_oneof![5 => Just(0usize), 2 => Just(1), 2 => Just(2), 2 => Just(3)];
    let created = prop_oneof![10 => Just(0usize), 12 => 0..TIMES - 1, 1 => Just(TIMES - 1)];
    // Some are common, so that versions of one instance are.
    let name = || prop_oneof![4 => Just(0usize), 2 => Just(1), 1 => Just(2)];
    let who = (
        kind,
        prop_oneof![4 => Just(0usize), 1 => Just(1)],
        name(),
        created,
        prop_oneof![3 => 0..PHASES.len(), 1 => Just(PHASES.len() - 1)],
        name(),
    );
    let what = (
        0..ALERTS.len(),
        0..TARGETS.len(),
        prop_oneof![3 => Just(0usize), 1 => Just(1)],
        0..CORRELATIONS.len(),
        0usize..4,
        0..SPANS.len(),
    );
    let more = (
        weighted(0.4, 0..ENVIRONMENTS.len()),
        weighted(0.4, 0..SEVERITIES.len()),
        weighted(0.3, 0..FINGERPRINTS.len()),
        weighted(0.4, 0..ACTIONS.len()),
        weighted(0.3, 0..MESSAGES.len()),
        weighted(0.4, 0..FINDINGS.len()),
        weighted(0.4, any::<bool>()),
    );
    let flaw = prop::sample::select(vec![
        Flaw::NoPhase,
        Flaw::OddPhase,
        Flaw::UnknownField,
        Flaw::EndsBeforeItBegins,
    ]);
    let how = (
        prop_oneof![4 => Just(0usize), 1 => Just(1), 1 => Just(2)],
        weighted(0.05, flaw),
    );
    (who, what, more, how).prop_map(|(who, what, more, (spelling, flaw))| {
        let (kind, namespace, name, created, phase, parent) = who;
        let (word, target, cluster, correlation, timing, span) = what;
        let (environment, severity, fingerprint, action, message, finding, flag) = more;
        Draft {
            kind,
            namespace,
            name,
            created,
            phase,
            parent,
            word,
            target,
            cluster,
            correlation,
            timing,
            span,
            environment,
            severity,
            fingerprint,
            action,
            message,
            finding,
            flag,
            spelling,
            flaw,
        }
    })
}

/// One of each kind, each the child of one before it.
pub(crate) fn family() -> impl Strategy<Value = Vec<Draft>> {
    prop::collection::vec(draft(), KINDS.len()).prop_map(|mut drafts| {
        let (remediation, workflow) = (drafts[0].clone(), drafts[2].name);
        for (kind, draft) in drafts.iter_mut().enumerate() {
            draft.kind = kind;
            draft.namespace = remediation.namespace;
            draft.created = remediation.created;
            draft.parent = if kind == 3 { workflow } else { remediation.name };
        }
        drafts
    })
}

impl Draft {
    /// The simplest record of a kind.
    pub(crate) fn plain(kind: usize) -> Self {
        Self {
            kind,
            namespace: 0,
            name: 0,
            created: 0,
            phase: 0,
            parent: 0,
            word: 0,
            target: 0,
            cluster: 0,
            correlation: 0,
            timing: 0,
            span: 0,
            environment: None,
            severity: None,
            fingerprint: None,
            action: None,
            message: None,
            finding: None,
            flag: None,
            spelling: 0,
            flaw: None,
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        KINDS[self.kind]
    }

    /// When the recorded resource was made. Children of two names are never made at the same time: which of them is
    /// newer is then no question of surrogate keys. Remediations are.
    fn created(&self) -> DateTime<Utc> {
        let apart = if self.kind == 0 { 0 } else { 10 * self.name };
        time(self.created) + TimeDelta::microseconds(i64::try_from(apart).expect("a small number"))
    }

    /// Whether it can be stored at `now`.
    pub(crate) fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.flaw.is_none() && self.created() <= now + TimeDelta::minutes(5)
    }

    /// The record as the ledger keeps it, if it is valid.
    pub(crate) fn canonical(&self) -> Map<String, Value> {
        let name = |prefix: &str, index: usize| json!(format!("{prefix}-{index}"));
        let pick =
            |list: &[&str], index: Option<usize>| index.map_or(Value::Null, |index| json!(list[index]));
        let at = |time: DateTime<Utc>| json!(time.to_rfc3339_opts(SecondsFormat::Micros, true));
        let start = self.created() + TimeDelta::seconds(1);
        let end = start + TimeDelta::seconds(SPANS[self.span]);
        let mut body = json!({
            "namespace": NAMESPACES[self.namespace],
            "phase": PHASES[self.phase],
            "message": pick(&MESSAGES, self.message),
            "createdAt": at(self.created()),
            "startedAt": if matches!(self.timing, 1 | 2) { at(start) } else { Value::Null },
            "completedAt": if self.timing >= 2 { at(end) } else { Value::Null },
            "correlationId": CORRELATIONS[self.correlation],
        });
        let (target_kind, target_name, target_namespace) = TARGETS[self.target];
        let target = json!({
            "targetType": target_kind, "targetName": target_name, "targetNamespace": target_namespace,
            "clusterName": CLUSTERS[self.cluster],
        });
        let own = match self.kind() {
            "remediation" => json!({
                "name": name("rr", self.name),
                "signalType": "prometheus",
                "signalName": ALERTS[self.word],
                "signalNamespace": target_namespace,
                "environment": pick(&ENVIRONMENTS, self.environment),
                "severity": pick(&SEVERITIES, self.severity),
                "fingerprint": pick(&FINGERPRINTS, self.fingerprint),
                "actionType": pick(&ACTIONS, self.action),
                "errorMessage": pick(&FINDINGS, self.finding),
                "labels": self.flag.map(|flag| json!({"app": "checkout", "canary": flag.to_string()})),
                "originalPayload": self.flag.filter(|flag| *flag).map(|_| "eyJhIjoxfQ=="),
            }),
            "aianalysis" => json!({
                "name": name("ai", self.name),
                "remediationRequestRef": name("rr", self.parent),
                "rootCause": pick(&FINDINGS, self.finding),
                "recommendedAction": pick(&ACTIONS, self.action),
                "confidence": self.severity.map(|_| 0.875),
                "tokensUsed": self.environment.map(|_| 4_321),
                "requiresApproval": self.flag,
            }),
            "workflow" => json!({
                "name": name("wf", self.name),
                "remediationRequestRef": name("rr", self.parent),
                "workflowName": WORKFLOWS[self.word],
                "currentStep": self.severity,
                "stepCount": self.severity.map(|_| SEVERITIES.len()),
                "isAutoApproved": self.flag,
            }),
            _ => json!({
                "name": name("ex", self.name),
                "workflowExecutionRef": name("wf", self.parent),
                "actionType": ACTIONS[self.word],
                "actionData": self.severity.map(|_| json!({"memory": "512Mi"})),
                "actionResult": pick(&FINDINGS, self.finding),
                "isRolledBack": self.flag,
            }),
        };
        let body = body.as_object_mut().expect("an object");
        if matches!(self.kind(), "remediation" | "execution") {
            body.extend(object(target));
        }
        body.extend(object(own));
        body.retain(|_, value| !value.is_null());
        std::mem::take(body)
    }

    /// The record as it is sent.
    pub(crate) fn body(&self) -> Value {
        let mut body = self.canonical();
        match self.spelling {
            1 => {
                let east = FixedOffset::east_opt(2 * 3_600).expect("an offset");
                body.insert("createdAt".to_owned(), json!(self.created().with_timezone(&east)));
                body.entry("message").or_insert(Value::Null);
            }
            2 => {
                if body.get("clusterName") == Some(&json!(CLUSTERS[0])) {
                    body.remove("clusterName");
                }
                if let Some(Value::String(kind)) = body.get_mut("targetType") {
                    *kind = kind.to_lowercase();
                }
            }
            _ => {}
        }
        match self.flaw {
            Some(Flaw::NoPhase) => drop(body.remove("phase")),
            Some(Flaw::OddPhase) => drop(body.insert("phase".to_owned(), json!("Done"))),
            Some(Flaw::UnknownField) => drop(body.insert("colour".to_owned(), json!("red"))),
            Some(Flaw::EndsBeforeItBegins) => {
                let before = self.created() - TimeDelta::seconds(1);
                body.insert("completedAt".to_owned(), json!(before));
            }
            None => {}
        }
        Value::Object(body)
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => unreachable!("{other} is no object"),
    }
}
