//! What the history promises.

mod rules;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{DemoRecord, HistoryOptions, RecordKind, history};

/// A Monday noon; any other moment would do.
fn options() -> HistoryOptions {
    let end = DateTime::parse_from_rfc3339("2026-02-02T12:00:00.5Z").expect("it is RFC 3339");
    HistoryOptions::new(end.to_utc())
}

fn of_kind(records: &[DemoRecord], kind: RecordKind) -> Vec<&Value> {
    records
        .iter()
        .filter(|record| record.kind == kind)
        .map(|record| &record.body)
        .collect()
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field].as_str().unwrap_or_default()
}

/// The last version of each record of a kind.
fn latest(records: &[DemoRecord], kind: RecordKind) -> Vec<&Value> {
    let by_name: BTreeMap<&str, &Value> = of_kind(records, kind)
        .into_iter()
        .map(|body| (text(body, "name"), body))
        .collect();
    by_name.into_values().collect()
}

fn distinct<'a>(bodies: &[&'a Value], field: &str) -> BTreeSet<&'a str> {
    bodies.iter().filter_map(|body| body[field].as_str()).collect()
}

fn count(bodies: &[&Value], field: &str, value: &str) -> usize {
    bodies.iter().filter(|body| body[field] == value).count()
}

#[test]
fn the_default_history_has_exactly_these_records() {
    let records = history(&options());
    let kinds = [
        RecordKind::Remediation,
        RecordKind::AiAnalysis,
        RecordKind::Workflow,
        RecordKind::Execution,
    ];
    let counts = kinds.map(|kind| of_kind(&records, kind).len());
    assert_eq!(counts, [5_518, 2_453, 2_477, 7_719]);
    assert_eq!(records.len(), 18_167);
    assert_eq!(latest(&records, RecordKind::Remediation).len(), 2_400);
}

#[test]
fn the_same_options_give_the_same_history() {
    assert_eq!(history(&options()), history(&options()));
    let other = HistoryOptions { seed: 7, ..options() };
    assert_ne!(history(&options()), history(&other));
}

/// The same value with its members in alphabetical order, whether or not `serde_json` keeps another one.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<&String, Value> =
                members.iter().map(|(key, value)| (key, sorted(value))).collect();
            members
                .into_iter()
                .map(|(key, value)| (key.clone(), value))
                .collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[test]
fn the_history_is_the_same_on_every_machine() {
    let mut hash = Sha256::new();
    for record in history(&options()).iter().take(5_000) {
        hash.update(record.kind.path());
        hash.update(record.at.to_rfc3339());
        hash.update(sorted(&record.body).to_string());
    }
    assert_eq!(
        format!("{:x}", hash.finalize()),
        "c78bd6ba122c2b867e5013d389b4a1219e2790d4d9be6c8622e4065577917d69"
    );
}

#[test]
fn there_are_as_many_incidents_as_asked_for() {
    for (incidents, days) in [
        (0, 1),
        (1, 1),
        (57, 3),
        (3_000, 1),
        (300, 10),
        (2_001, 90),
        (5_000, 30),
    ] {
        let records = history(&HistoryOptions {
            incidents,
            days,
            ..options()
        });
        assert_eq!(
            latest(&records, RecordKind::Remediation).len(),
            incidents,
            "{incidents} in {days} days"
        );
        rules::check(&records, options().end);
    }
}

#[test]
fn every_record_keeps_the_rules_of_data_storage() {
    rules::check(&history(&options()), options().end);
}

#[test]
fn another_seed_keeps_the_rules_too() {
    for seed in 0..5 {
        rules::check(
            &history(&HistoryOptions {
                seed,
                incidents: 2_000,
                ..options()
            }),
            options().end,
        );
    }
}

#[test]
fn it_spans_the_whole_time_in_order() {
    let records = history(&options());
    assert!(records.is_sorted_by_key(|record| record.at));
    let start = options().end - Duration::days(90);
    let first: DateTime<Utc> = records.first().expect("not empty").at;
    let last = records.last().expect("not empty").at;
    assert!(
        first >= start && first < start + Duration::days(2),
        "begins at {first}"
    );
    assert!(
        last <= options().end && last > options().end - Duration::hours(1),
        "ends at {last}"
    );
}

#[test]
fn it_is_as_varied_as_real_clusters() {
    let records = history(&options());
    let incidents = latest(&records, RecordKind::Remediation);
    assert!(distinct(&incidents, "signalName").len() >= 80);
    assert_eq!(distinct(&incidents, "clusterName").len(), 2);
    assert_eq!(distinct(&incidents, "environment").len(), 3);
    assert!(distinct(&incidents, "targetNamespace").len() >= 12);
    assert!(distinct(&incidents, "targetType").len() >= 12);
    assert!(distinct(&incidents, "severity").len() >= 5);
    assert_eq!(distinct(&incidents, "priority").len(), 4);
    assert_eq!(distinct(&incidents, "signalType").len(), 2);
    assert!(distinct(&incidents, "actionType").len() >= 30);
    let cluster_scoped: Vec<&&Value> = incidents
        .iter()
        .filter(|body| body.get("targetNamespace").is_none())
        .collect();
    assert!(cluster_scoped.len() > 100);
    assert!(cluster_scoped.iter().all(|body| body["targetType"] == "Node"));
    let payloads = incidents
        .iter()
        .filter(|body| body.get("originalPayload").is_some())
        .count();
    assert!((20..200).contains(&payloads), "{payloads}");
}

#[test]
fn there_are_all_outcomes_and_some_incidents_are_open() {
    let records = history(&options());
    let incidents = latest(&records, RecordKind::Remediation);
    let (completed, failed) = (
        count(&incidents, "phase", "Completed"),
        count(&incidents, "phase", "Failed"),
    );
    assert!(
        completed > 1_400 && failed > 400,
        "{completed} completed, {failed} failed"
    );
    assert_eq!(incidents.len() - completed - failed, 14);
    let recent = (options().end - Duration::hours(4)).to_rfc3339();
    let open = incidents
        .iter()
        .filter(|body| ["Pending", "Processing"].contains(&text(body, "phase")));
    assert!(
        open.into_iter()
            .all(|body| text(body, "createdAt") > recent.as_str())
    );

    let analyses = latest(&records, RecordKind::AiAnalysis);
    assert!(count(&analyses, "phase", "Failed") > 20);
    let executions = latest(&records, RecordKind::Execution);
    assert!(
        executions
            .iter()
            .filter(|body| body["isRolledBack"] == true)
            .count()
            > 100
    );
    assert!(
        executions
            .iter()
            .filter(|body| body["enableDryRun"] == true)
            .count()
            > 100
    );
    let retried = |body: &&&Value| {
        body["stepStatuses"]
            .as_array()
            .is_some_and(|steps| steps.iter().any(|step| step["retryCount"] == 1))
    };
    assert!(
        latest(&records, RecordKind::Workflow)
            .iter()
            .filter(retried)
            .count()
            > 100
    );
}

#[test]
fn the_same_trouble_comes_back() {
    let records = history(&options());
    let mut times = BTreeMap::new();
    let mut chains: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for incident in latest(&records, RecordKind::Remediation) {
        *times.entry(text(incident, "fingerprint")).or_insert(0) += 1;
        chains
            .entry(text(incident, "correlationId"))
            .or_default()
            .push(incident);
    }
    assert!(times.values().filter(|times| **times >= 5).count() > 100);
    assert!(times.values().any(|times| *times > 40));
    assert!(chains.values().all(|attempts| attempts.len() <= 2));
    chains.retain(|_, attempts| attempts.len() == 2);
    for attempts in chains.values_mut() {
        attempts.sort_by_key(|attempt| text(attempt, "createdAt"));
        assert_eq!(attempts[0]["fingerprint"], attempts[1]["fingerprint"]);
        assert_eq!(attempts[0]["phase"], "Failed");
    }
    let solved = chains
        .values()
        .filter(|attempts| attempts[1]["phase"] == "Completed")
        .count();
    assert!(
        chains.len() > 200 && solved * 2 > chains.len(),
        "{solved} of {}",
        chains.len()
    );
}

#[test]
fn an_incident_is_dealt_with_once_at_a_time() {
    let records = history(&options());
    let mut spans: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for incident in latest(&records, RecordKind::Remediation) {
        let over = incident["completedAt"].as_str().unwrap_or("9");
        spans
            .entry(text(incident, "fingerprint"))
            .or_default()
            .push((text(incident, "createdAt"), over));
    }
    for (fingerprint, spans) in &mut spans {
        spans.sort_unstable();
        assert!(
            spans.windows(2).all(|pair| pair[0].1 <= pair[1].0),
            "{fingerprint}: {spans:?}"
        );
    }
}
