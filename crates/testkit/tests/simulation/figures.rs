//! The figures that Context API must compute: success rates, and what a controller needs before it tries again.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use crate::history::Filter;
use crate::picture::{Incident, Picture, Workflow, newest_first, present};

/// Most attempts, earlier remediations, failures of these, and related alerts.
const MOST: usize = 20;
/// How far back history counts.
const LOOK_BACK: TimeDelta = TimeDelta::days(90);
/// Of the standard normal distribution, for 95 %.
const QUANTILE: f64 = 1.959_963_984_540_054;

/// What is asked of the success rates.
pub(crate) struct Asked<'a> {
    pub(crate) filter: &'a Filter,
    pub(crate) keys: &'a [&'static str],
    pub(crate) days: u64,
    pub(crate) min_samples: i64,
}

/// The answer of the success rates.
pub(crate) fn rates(picture: &Picture, asked: &Asked<'_>, now: DateTime<Utc>) -> Value {
    let range = TimeDelta::days(i64::try_from(asked.days).expect("a small number"));
    let (since, before) = (now - range, now - range * 2);
    let ended: Vec<&Incident> = picture
        .list(asked.filter, true, now)
        .into_iter()
        .filter(|incident| incident.created() >= before && incident.created() < now)
        .filter(|incident| matches!(incident.version.phase(), "Completed" | "Failed"))
        .collect();
    // Absent keys come last, which `None` does not.
    let mut groups: BTreeMap<Vec<(bool, Option<&str>)>, Vec<&Incident>> = BTreeMap::new();
    for incident in &ended {
        let version = &incident.version;
        let key = ["workflow", "action", "alert", "environment"].map(|key| {
            let value = match key {
                _ if !asked.keys.contains(&key) => None,
                "workflow" => incident.workflow(),
                "action" => version.text("actionType"),
                "alert" => version.text("signalName"),
                _ => version.text("environment"),
            };
            (value.is_none(), value)
        });
        groups.entry(key.to_vec()).or_default().push(incident);
    }
    let in_window = |incidents: &[&Incident]| incidents.iter().filter(|one| one.created() >= since).count();
    let mut groups: Vec<_> = groups
        .into_iter()
        .filter(|(_, incidents)| in_window(incidents) > 0)
        .collect();
    groups.sort_by_key(|(_, incidents)| Reverse(in_window(incidents)));
    let told: Vec<Value> = groups
        .iter()
        .map(|(key, incidents)| {
            let names = ["workflow", "actionType", "alertName", "environment"];
            let mut group = figures(incidents, since, asked.min_samples);
            for (name, (_, value)) in names.into_iter().zip(key) {
                group.insert(name.to_owned(), json!(value));
            }
            present(Value::Object(group))
        })
        .collect();
    json!({
        "window": {"since": since, "until": now, "previousSince": before},
        "groupBy": asked.keys,
        "minSamples": asked.min_samples,
        "overall": present(Value::Object(figures(&ended, since, asked.min_samples))),
        "totalGroups": told.len(),
        "groups": told,
        "limit": 50,
    })
}

/// The figures of terminal incidents of two windows, of which the later begins at `since`.
fn figures(incidents: &[&Incident], since: DateTime<Utc>, min_samples: i64) -> Map<String, Value> {
    let (now, before): (Vec<&Incident>, Vec<&Incident>) = incidents
        .iter()
        .copied()
        .partition(|incident| incident.created() >= since);
    let count = |incidents: &[&Incident], phase: &str| {
        incidents
            .iter()
            .filter(|incident| incident.version.phase() == phase)
            .count() as f64
    };
    let enough = |incidents: &[&Incident]| incidents.len() as i64 >= min_samples;
    let rate = |incidents: &[&Incident]| {
        enough(incidents).then(|| count(incidents, "Completed") / incidents.len() as f64)
    };
    let interval = |incidents: &[&Incident]| {
        enough(incidents).then(|| wilson(count(incidents, "Completed"), incidents.len() as f64))
    };
    let trend = match (interval(&now), interval(&before)) {
        (Some((low, _)), Some((_, high))) if low > high => "improving",
        (Some((_, high)), Some((low, _))) if high < low => "worsening",
        (Some(_), Some(_)) => "steady",
        _ => "unknown",
    };
    let mut seconds: Vec<f64> = now
        .iter()
        .filter_map(|incident| incident.duration_ms())
        .map(|ms| ms as f64 / 1_000.0)
        .collect();
    seconds.sort_by(f64::total_cmp);
    let percentile = |part: f64| {
        let place = part * (seconds.len().checked_sub(1)? as f64);
        let (low, high) = (seconds[place.floor() as usize], seconds[place.ceil() as usize]);
        Some(low + (high - low) * place.fract())
    };
    let mean = (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / seconds.len() as f64);
    let figures = json!({
        "totalExecutions": now.len(),
        "successful": count(&now, "Completed") as u64,
        "failed": count(&now, "Failed") as u64,
        "sufficient": enough(&now),
        "successRate": rate(&now),
        "confidenceInterval": interval(&now).map(|(low, high)| json!({"low": low, "high": high, "level": 0.95})),
        "durationSamples": seconds.len(),
        "avgDurationSeconds": mean,
        "p50DurationSeconds": percentile(0.5),
        "p95DurationSeconds": percentile(0.95),
        "p99DurationSeconds": percentile(0.99),
        "lastExecution": now.iter().map(|incident| incident.created()).max(),
        "trend": trend,
        "previousExecutions": before.len(),
        "previousSuccessRate": rate(&before),
    });
    match figures {
        Value::Object(figures) => figures,
        other => unreachable!("{other} is no object"),
    }
}

/// The Wilson score interval: where |p - successes / n| is the quantile times the standard error at p. Solved as a
/// quadratic equation in p.
fn wilson(successes: f64, n: f64) -> (f64, f64) {
    let z2 = QUANTILE * QUANTILE;
    let (a, b, c) = (n + z2, -(2.0 * successes + z2), successes * successes / n);
    let root = (b * b - 4.0 * a * c).max(0.0).sqrt();
    (
        ((-b - root) / (2.0 * a)).max(0.0),
        ((-b + root) / (2.0 * a)).min(1.0),
    )
}

/// The recovery context of a name, as far as it follows from the state of records and not from the words in them;
/// `Err` is the status of a refusal.
pub(crate) fn recovery(
    picture: &Picture,
    name: &str,
    namespace: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Value, u16> {
    let named = |incident: &&Incident| {
        incident.version.text("name") == Some(name)
            && namespace.is_none_or(|namespace| incident.version.text("namespace") == Some(namespace))
    };
    let instances = newest_first(picture.incidents.iter().filter(named));
    let incident = *instances.first().ok_or(404u16)?;
    if instances
        .iter()
        .any(|other| other.version.text("namespace") != incident.version.text("namespace"))
    {
        return Err(409);
    }
    let place = (incident.created(), incident.id);
    let earlier = newest_first(picture.incidents.iter().filter(|other| {
        other.resource() == incident.resource()
            && other.created() >= now - LOOK_BACK
            && (other.created(), other.id) < place
    }));
    let mut failures = failures(incident, "remediation");
    let earlier = earlier
        .into_iter()
        .take(MOST)
        .flat_map(|incident| self::failures(incident, "resource"));
    failures.extend(earlier.take(MOST));
    let current = incident.workflows.last().map_or(1, |newest| {
        incident.workflows.len() + usize::from(newest.version.phase() == "Failed")
    });
    let alike = picture.incidents.iter().filter(|other| {
        other.id != incident.id
            && ["signalName", "targetType"]
                .iter()
                .all(|field| other.version.text(field) == incident.version.text(field))
            && other.created() >= now - LOOK_BACK
            && matches!(other.version.phase(), "Completed" | "Failed")
    });
    Ok(json!({
        "remediationRequestId": name,
        "namespace": incident.version.text("namespace"),
        "incidentId": incident.id,
        "currentAttempt": current,
        "lookBackDays": LOOK_BACK.num_days(),
        "incident": incident.told(),
        "previousFailures": failures,
        "relatedAlerts": related(picture, incident, now),
        "occurrences": alike.count(),
    }))
}

/// The failed attempts of an incident, oldest first.
fn failures(incident: &Incident, scope: &str) -> Vec<Value> {
    let attempts: Vec<(usize, &Workflow)> = incident.workflows.iter().enumerate().collect();
    let newest = &attempts[attempts.len().saturating_sub(MOST)..];
    let failed: Vec<Value> = newest
        .iter()
        .filter(|(_, workflow)| workflow.version.phase() == "Failed")
        .map(|(place, workflow)| {
            let version = &workflow.version;
            let action = workflow
                .executions
                .iter()
                .rev()
                .find(|execution| execution.phase() == "Failed");
            let action = action.and_then(|execution| execution.text("actionType"));
            let seconds = seconds(version.time("startedAt"), version.time("completedAt"));
            present(json!({
                "scope": scope, "incidentId": incident.id, "workflowRef": version.text("name"),
                "workflowName": version.text("workflowName"), "attemptNumber": place + 1,
                "action": action.or_else(|| incident.version.text("actionType")), "durationSeconds": seconds,
                "timestamp": version.time("completedAt").unwrap_or_else(|| version.created()),
            }))
        })
        .collect();
    if failed.is_empty() && incident.version.phase() == "Failed" {
        let version = &incident.version;
        return vec![present(json!({
            "scope": scope, "incidentId": incident.id, "action": version.text("actionType"),
            "durationSeconds": seconds(version.time("startedAt"), version.time("completedAt")),
            "timestamp": version.time("completedAt").unwrap_or_else(|| version.created()),
        }))];
    }
    failed
}

fn seconds(start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) -> Option<f64> {
    Some((end? - start?).num_milliseconds() as f64 / 1_000.0)
}

/// Whether a reason holds of an incident.
type Holds<'a> = dyn Fn(&Incident) -> bool + 'a;

/// Other incidents that may have to do with one, newest first, each with the strongest reason.
fn related(picture: &Picture, incident: &Incident, now: DateTime<Utc>) -> Vec<Value> {
    let same = |other: &Incident, field: &str| {
        incident.version.text(field).is_some() && other.version.text(field) == incident.version.text(field)
    };
    let recent = |other: &Incident| other.created() >= now - LOOK_BACK;
    let near = |other: &Incident| (other.created() - incident.created()).abs() <= TimeDelta::hours(1);
    let reasons: [(&str, &Holds<'_>); 3] = [
        ("correlation-id", &|other| {
            same(other, "correlationId") && recent(other)
        }),
        ("fingerprint", &|other| {
            same(other, "fingerprint") && recent(other)
        }),
        ("resource", &|other| {
            other.resource() == incident.resource() && near(other)
        }),
    ];
    let mut strongest: BTreeMap<i64, (&Incident, &str)> = BTreeMap::new();
    for (reason, holds) in reasons {
        let found = newest_first(
            picture
                .incidents
                .iter()
                .filter(|other| other.id != incident.id && holds(other)),
        );
        for other in found.into_iter().take(MOST) {
            strongest.entry(other.id).or_insert((other, reason));
        }
    }
    newest_first(strongest.values().map(|(other, _)| *other))
        .into_iter()
        .take(MOST)
        .map(|other| {
            present(json!({
                "incidentId": other.id, "alertName": other.version.text("signalName"),
                "alertFingerprint": other.version.text("fingerprint"), "timestamp": other.created(),
                "correlation": strongest[&other.id].1,
            }))
        })
        .collect()
}
