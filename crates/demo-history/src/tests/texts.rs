//! The texts of the history: filled in, varied, and few enough to embed on one processor.

use std::collections::BTreeSet;

use super::{options, text};
use crate::catalogue::alerts;
use crate::{DemoRecord, RecordKind, history};

/// What of a record is worth an embedding.
fn content(record: &DemoRecord) -> String {
    let fields: &[&str] = match record.kind {
        RecordKind::Remediation => &["signalName", "reason", "message", "errorMessage", "actionType"],
        RecordKind::AiAnalysis => &["rootCause", "recommendedAction", "message"],
        RecordKind::Workflow => &["workflowName", "message"],
        RecordKind::Execution => &["stepName", "actionType", "message"],
    };
    fields
        .iter()
        .map(|field| text(&record.body, field))
        .collect::<Vec<_>>()
        .join(" | ")
}

/// Pods, identifiers and numbers give way to placeholders, about as the canonical text does it.
fn canonical(text: &str) -> String {
    text.split_inclusive([' ', ':', ',', ';', '_'])
        .map(|word| {
            let bare = word.trim_end_matches([' ', ':', ',', ';', '_', '.']);
            let last = bare.rsplit('-').next().unwrap_or_default();
            let random = last.len() == 5 && !last.contains(['a', 'e', 'i', 'o', 'u']);
            let hex = bare.len() >= 16 && bare.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
            if bare.contains('-') && random || hex {
                "<id>".to_owned()
            } else {
                numberless(word)
            }
        })
        .collect()
}

fn numberless(word: &str) -> String {
    let mut text = String::new();
    for letter in word.chars() {
        match letter {
            '0'..='9' if text.ends_with('#') => {}
            '.' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            _ => text.push(letter),
        }
    }
    text
}

#[test]
fn every_placeholder_is_filled_in() {
    for record in history(&options()) {
        let body = record.body.to_string();
        for word in ["{pod", "{node", "{int", "{dec", "{ip", "{hex", "{uid"] {
            assert!(!body.contains(word), "{word} in {body}");
        }
    }
}

#[test]
fn the_distinct_texts_are_few_enough_to_embed() {
    let texts: BTreeSet<String> = history(&options())
        .iter()
        .map(|record| canonical(&content(record)))
        .collect();
    assert!(
        (1_000..=1_600).contains(&texts.len()),
        "{} distinct texts",
        texts.len()
    );
}

#[test]
fn the_catalogue_is_consistent() {
    let mut names = BTreeSet::new();
    for alert in alerts() {
        assert!(names.insert(alert.name), "{} twice", alert.name);
        assert!(!alert.on.is_empty() && !alert.causes.is_empty());
        for cause in alert.causes {
            assert!(
                !cause.messages.is_empty() && !cause.remedies.is_empty(),
                "{}",
                alert.name
            );
            assert!(
                0.0 < cause.confidence.0
                    && cause.confidence.0 < cause.confidence.1
                    && cause.confidence.1 < 1.0
            );
            for remedy in cause.remedies {
                assert!((0.0..1.0).contains(&remedy.odds), "{}", alert.name);
                assert!(
                    (2..=6).contains(&remedy.workflow.steps.len()),
                    "{}",
                    remedy.workflow.name
                );
                assert!(remedy.workflow.action().changes, "{}", remedy.workflow.name);
            }
        }
    }
    assert!(names.len() >= 80);
}
