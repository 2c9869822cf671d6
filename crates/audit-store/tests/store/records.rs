//! Records straight into the writer, past validation.

use audit_store::record::{AiAnalysis, Head, Phase, Record, Timestamp, Workflow};
use audit_store::writer::NewRecord;
use testkit::Database;

/// The head of a record that is made now.
pub(crate) fn head(name: &str) -> Head {
    Head {
        name: name.into(),
        namespace: "kubernaut-system".into(),
        phase: Phase::Pending,
        message: None,
        created_at: Timestamp::new(Database::now()),
        started_at: None,
        completed_at: None,
        correlation_id: "c".into(),
    }
}

/// A workflow execution without anything that may be absent.
pub(crate) fn workflow(name: &str) -> NewRecord {
    let record = Record::Workflow(Workflow {
        head: head(name),
        remediation_request_ref: "rr-1".into(),
        ai_analysis_ref: None,
        workflow_name: "restart".into(),
        is_auto_approved: None,
        requires_approval: None,
        current_step: None,
        step_count: None,
        completed_count: None,
        failed_count: None,
        skipped_count: None,
        step_statuses: None,
    });
    NewRecord::new(record, "writer".into(), Database::now()).unwrap()
}

/// An analysis with a confidence, which validation would keep between 0 and 1.
pub(crate) fn analysis(name: &str, confidence: f64) -> NewRecord {
    let record = Record::AiAnalysis(AiAnalysis {
        head: head(name),
        remediation_request_ref: "rr-1".into(),
        signal_type: None,
        signal_context: None,
        llm_provider: None,
        llm_model: None,
        temperature: None,
        root_cause: None,
        confidence: Some(confidence),
        recommended_action: None,
        requires_approval: None,
        investigation_id: None,
        tokens_used: None,
        investigation_time_seconds: None,
    });
    NewRecord::new(record, "writer".into(), Database::now()).unwrap()
}
