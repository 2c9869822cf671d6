//! A history with everything that makes folding hard.

use audit_store::WriteStore;
use audit_store::record::{
    AiAnalysis, Environment, Execution, Head, Phase, Record, Remediation, Severity, SignalType, StepPhase,
    StepStatus, Timestamp, Workflow,
};
use audit_store::writer::{NewRecord, RecordText, write_batch};
use chrono::{DateTime, Days, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use testkit::Database;

pub(super) fn head(name: &str, phase: Phase, created_at: DateTime<Utc>) -> Head {
    Head {
        name: name.into(),
        namespace: "kubernaut-system".into(),
        phase,
        message: Some(format!("{name} is {}", phase.as_str())),
        created_at: Timestamp::new(created_at),
        started_at: None,
        completed_at: None,
        correlation_id: format!("corr-{name}"),
    }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

pub(super) fn remediation(head: Head, target: &str, action_type: Option<&str>) -> Record {
    Record::Remediation(Remediation {
        head,
        signal_type: SignalType::Prometheus,
        signal_name: "KubePodCrashLooping".into(),
        signal_namespace: None,
        target_type: if target.starts_with("node") {
            "Node"
        } else {
            "Deployment"
        }
        .into(),
        target_name: target.into(),
        target_namespace: (!target.starts_with("node")).then(|| "shop".into()),
        cluster_name: "prod-eu-1".into(),
        environment: Some(Environment::Production),
        severity: Some(Severity::High),
        priority: None,
        fingerprint: None,
        action_type: action_type.map(Into::into),
        action_parameters: object(json!({"zero": -0.0, "large": 1e17, "list": [1, 2.5, null, "x"]})),
        reason: None,
        error_message: None,
        labels: Some([("app".to_owned(), target.to_owned())].into()),
        original_payload: Some("eyJhIjoxfQ==".into()),
    })
}

fn analysis(head: Head, remediation: &str) -> Record {
    Record::AiAnalysis(AiAnalysis {
        head,
        remediation_request_ref: remediation.into(),
        signal_type: None,
        signal_context: object(json!({"restarts": 7, "huge": 1.5e300, "minus": -9e18})),
        llm_provider: None,
        llm_model: Some("llama-4".into()),
        temperature: Some(-0.0),
        root_cause: Some("the limit is too low".into()),
        confidence: Some(0.875),
        recommended_action: None,
        requires_approval: Some(false),
        investigation_id: None,
        tokens_used: Some(4321),
        investigation_time_seconds: Some(12.5),
    })
}

fn workflow(head: Head, remediation: &str) -> Record {
    Record::Workflow(Workflow {
        head,
        remediation_request_ref: remediation.into(),
        ai_analysis_ref: None,
        workflow_name: "raise-limit".into(),
        is_auto_approved: Some(true),
        requires_approval: None,
        current_step: Some(1),
        step_count: Some(2),
        completed_count: Some(1),
        failed_count: None,
        skipped_count: None,
        step_statuses: Some(vec![StepStatus {
            name: "patch".into(),
            phase: StepPhase::Completed,
            started_at: None,
            completed_at: None,
            retry_count: Some(0),
            message: None,
        }]),
    })
}

fn execution(head: Head, workflow: &str, target: &str, is_rolled_back: Option<bool>) -> Record {
    Record::Execution(Execution {
        head,
        workflow_execution_ref: workflow.into(),
        step_name: Some("patch".into()),
        action_type: "increase_memory_limit".into(),
        action_data: object(json!({"memory": "512Mi"})),
        target_type: "Deployment".into(),
        target_name: target.into(),
        target_namespace: Some("shop".into()),
        cluster_name: "prod-eu-1".into(),
        enable_dry_run: Some(true),
        enable_validation: None,
        enable_rollback: None,
        action_result: None,
        resource_version: None,
        previous_version: None,
        dry_run_result: None,
        validation_result: None,
        validation_warnings: Some(vec!["no PodDisruptionBudget".into()]),
        is_rolled_back,
    })
}

/// A record on its way in, as Data Storage makes it. The vectors of equal texts are equal, of others orthogonal.
pub(super) fn new(record: Record, text: Option<(&str, Option<usize>)>) -> NewRecord {
    let mut new = NewRecord::new(record, "system:test".into(), Database::now()).unwrap();
    new.text = text.map(|(text, axis)| RecordText {
        text: text.into(),
        sha256: Sha256::digest(text).into(),
        vector: axis.map(|axis| (0..64).map(|index| f32::from(u8::from(index == axis))).collect()),
    });
    new
}

/// Writes the history in several batches, and answers how many rows the ledger has then.
///
/// Event ids, in order: 1 to 4 are `rr-1`, Pending and Completed, then `rr-2`, and `rr-1` of another day.
pub(super) async fn write(store: &WriteStore, database: &Database) -> u64 {
    let day = |day: u64| Database::now() - Days::new(day);
    let (today, last_month) = (day(0) - TimeDelta::hours(1), day(20));
    let crash = Some(("crash loop", Some(0)));
    let memory = Some(("memory limit", Some(1)));
    let pending = Some(("not embedded yet", None));
    let rr1 = |phase, action| remediation(head("rr-1", phase, today), "checkout", action);
    let batches = [
        vec![new(rr1(Phase::Pending, None), crash)],
        vec![new(rr1(Phase::Completed, Some("restart_pod")), crash)],
        vec![
            new(
                remediation(head("rr-2", Phase::Failed, last_month), "node-7", None),
                pending,
            ),
            new(
                remediation(head("rr-1", Phase::Pending, last_month), "checkout", None),
                None,
            ),
        ],
        // Late news, a replay, and one record twice in a batch.
        vec![
            new(rr1(Phase::Processing, Some("scale")), memory),
            new(rr1(Phase::Pending, None), crash),
            new(analysis(head("ai-1", Phase::Completed, today), "rr-1"), memory),
            new(analysis(head("ai-1", Phase::Completed, today), "rr-1"), memory),
        ],
        // Children before their parent, and two versions of an instance in one batch, the older one last.
        vec![
            new(
                execution(head("ex-1", Phase::Failed, today), "wf-1", "checkout", Some(true)),
                None,
            ),
            new(
                execution(head("ex-1", Phase::Pending, today), "wf-1", "checkout", None),
                None,
            ),
            new(workflow(head("wf-2", Phase::Pending, last_month), "rr-2"), None),
        ],
        vec![
            new(workflow(head("wf-1", Phase::Completed, today), "rr-1"), memory),
            new(workflow(head("wf-1", Phase::Failed, today), "rr-1"), memory),
            new(analysis(head("ai-2", Phase::Pending, last_month), "rr-2"), None),
        ],
    ];
    let mut events = 0;
    for batch in batches {
        let receipts = write_batch(store, database.model(), &batch).await.unwrap();
        events += receipts.iter().filter(|receipt| !receipt.replayed).count() as u64;
    }
    events
}
