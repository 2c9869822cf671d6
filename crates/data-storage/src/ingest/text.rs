//! The canonical text of each kind of record: what happened and why, never where or when.

use audit_store::record::{AiAnalysis, Execution, Record, Remediation, Workflow};
use embedding::{Parts, canonical_text};

/// `None` where nothing in the record can be searched by meaning.
pub(super) fn canonical(record: &Record) -> Option<String> {
    canonical_text(&match record {
        Record::Remediation(record) => remediation(record),
        Record::AiAnalysis(record) => analysis(record),
        Record::Workflow(record) => workflow(record),
        Record::Execution(record) => execution(record),
    })
}

fn remediation(record: &Remediation) -> Parts<'_> {
    Parts {
        signal: Some(&record.signal_name),
        reason: record.reason.as_deref(),
        message: record.head.message.as_deref(),
        error: record.error_message.as_deref(),
        action: record.action_type.as_deref(),
        ..Parts::default()
    }
}

fn analysis(record: &AiAnalysis) -> Parts<'_> {
    Parts {
        message: record.head.message.as_deref(),
        root_cause: record.root_cause.as_deref(),
        action: record.recommended_action.as_deref(),
        ..Parts::default()
    }
}

fn workflow(record: &Workflow) -> Parts<'_> {
    Parts {
        signal: Some(&record.workflow_name),
        message: record.head.message.as_deref(),
        details: record
            .step_statuses
            .iter()
            .flatten()
            .filter_map(|step| step.message.as_deref())
            .collect(),
        ..Parts::default()
    }
}

fn execution(record: &Execution) -> Parts<'_> {
    let results = [&record.dry_run_result, &record.validation_result];
    Parts {
        reason: record.action_result.as_deref(),
        message: record.head.message.as_deref(),
        action: Some(&record.action_type),
        details: results
            .into_iter()
            .filter_map(|result| result.as_deref())
            .chain(record.validation_warnings.iter().flatten().map(String::as_str))
            .collect(),
        ..Parts::default()
    }
}
