use audit_store::record::{Head, Phase, StepPhase, StepStatus};
use serde_json::json;

use super::super::tests::{Kind, boolean, identifier, integer, object_name, step_statuses, time, violations};
use super::*;

fn kind() -> Kind {
    Kind {
        parse,
        minimal: json!({
            "name": "wf-1", "namespace": "kubernaut-system", "phase": "Pending",
            "createdAt": "2026-03-01T11:00:00.000000Z", "correlationId": "c-1", "remediationRequestRef": "rr-1",
            "workflowName": "restart-pod"
        }),
        full: json!({
            "name": "wf-2", "namespace": "kubernaut-system", "phase": "Failed", "message": "Step 3 failed.",
            "createdAt": "2026-03-01T11:00:00.000000Z", "startedAt": "2026-03-01T11:00:01.000000Z",
            "completedAt": "2026-03-01T11:00:09.000000Z", "correlationId": "c-2", "remediationRequestRef": "rr-2",
            "aiAnalysisRef": "ai-2", "workflowName": "drain-node", "isAutoApproved": true,
            "requiresApproval": false, "currentStep": 3, "stepCount": 4, "completedCount": 2, "failedCount": 1,
            "skippedCount": 1,
            "stepStatuses": [
                {
                    "name": "cordon", "phase": "Completed", "startedAt": "2026-03-01T11:00:01.000000Z",
                    "completedAt": "2026-03-01T11:00:02.000000Z", "retryCount": 2, "message": "it's \"cordoned\" 🔥"
                },
                {"name": "drain", "phase": "Skipped"}
            ]
        }),
    }
}

/// Bodies in which the numbers of steps have room.
fn roomy() -> Kind {
    let mut kind = kind();
    kind.minimal["stepCount"] = json!(1_000);
    kind
}

fn minimal() -> Workflow {
    Workflow {
        head: Head {
            name: "wf-1".into(),
            namespace: "kubernaut-system".into(),
            phase: Phase::Pending,
            message: None,
            created_at: time("2026-03-01T11:00:00Z"),
            started_at: None,
            completed_at: None,
            correlation_id: "c-1".into(),
        },
        remediation_request_ref: "rr-1".into(),
        ai_analysis_ref: None,
        workflow_name: "restart-pod".into(),
        is_auto_approved: None,
        requires_approval: None,
        current_step: None,
        step_count: None,
        completed_count: None,
        failed_count: None,
        skipped_count: None,
        step_statuses: None,
    }
}

#[test]
fn a_minimal_body_leaves_the_rest_absent() {
    let kind = kind();
    assert_eq!(kind.parse(&kind.minimal), Ok(Record::Workflow(minimal())));
}

#[test]
fn a_full_body_fills_every_field() {
    let kind = kind();
    let full = Workflow {
        head: Head {
            name: "wf-2".into(),
            namespace: "kubernaut-system".into(),
            phase: Phase::Failed,
            message: Some("Step 3 failed.".into()),
            created_at: time("2026-03-01T11:00:00Z"),
            started_at: Some(time("2026-03-01T11:00:01Z")),
            completed_at: Some(time("2026-03-01T11:00:09Z")),
            correlation_id: "c-2".into(),
        },
        remediation_request_ref: "rr-2".into(),
        ai_analysis_ref: Some("ai-2".into()),
        workflow_name: "drain-node".into(),
        is_auto_approved: Some(true),
        requires_approval: Some(false),
        current_step: Some(3),
        step_count: Some(4),
        completed_count: Some(2),
        failed_count: Some(1),
        skipped_count: Some(1),
        step_statuses: Some(vec![
            StepStatus {
                name: "cordon".into(),
                phase: StepPhase::Completed,
                started_at: Some(time("2026-03-01T11:00:01Z")),
                completed_at: Some(time("2026-03-01T11:00:02Z")),
                retry_count: Some(2),
                message: Some("it's \"cordoned\" 🔥".into()),
            },
            StepStatus {
                name: "drain".into(),
                phase: StepPhase::Skipped,
                started_at: None,
                completed_at: None,
                retry_count: None,
                message: None,
            },
        ]),
    };
    assert_eq!(kind.parse(&kind.full), Ok(Record::Workflow(full)));
}

#[test]
fn every_field_has_its_rule() {
    roomy().check_fields([
        ("remediationRequestRef", object_name()),
        ("aiAnalysisRef", object_name()),
        ("workflowName", identifier()),
        ("isAutoApproved", boolean()),
        ("requiresApproval", boolean()),
        ("currentStep", integer(0, 1_000)),
        ("stepCount", integer(1, 1_000)),
        ("completedCount", integer(0, 1_000)),
        ("failedCount", integer(0, 1_000)),
        ("skippedCount", integer(0, 1_000)),
        ("stepStatuses", step_statuses()),
    ]);
}

#[test]
fn null_is_absent_and_unknown_fields_are_refused() {
    kind().check_absence();
    kind().check_unknown_fields();
}

#[test]
fn times_are_in_order_and_not_ahead() {
    kind().check_times();
}

#[test]
fn an_empty_body_lacks_every_required_field() {
    let required = |pointer| (pointer, "required", "is required");
    assert_eq!(
        kind().parse(&json!({})).unwrap_err(),
        violations(
            [
                "/name",
                "/namespace",
                "/phase",
                "/createdAt",
                "/correlationId",
                "/remediationRequestRef",
                "/workflowName",
            ]
            .map(required)
        )
    );
}

#[test]
fn all_violations_are_reported_in_one_answer() {
    let nul = "must not contain U+0000";
    assert_eq!(
        kind()
            .with(&json!({
                "correlationId": "a b", "workflowName": null, "aiAnalysisRef": 1, "isAutoApproved": "yes",
                "currentStep": 1.5, "stepCount": 2, "failedCount": -1, "skippedCount": 3,
                "stepStatuses": [
                    {"name": "a\u{0}", "phase": "Completed", "message": "\u{0}", "retryCount": -1},
                    "b",
                    {"id\u{0}": 1, "startedAt": "soon"}
                ],
                "steps": 3
            }))
            .unwrap_err(),
        violations([
            (
                "/correlationId",
                "format",
                "must be 1 to 128 of A-Z, a-z, 0-9, ., _, : and -"
            ),
            ("/aiAnalysisRef", "type", "must be a string"),
            ("/workflowName", "required", "is required"),
            ("/isAutoApproved", "type", "must be true or false"),
            ("/currentStep", "type", "must be a whole number"),
            ("/failedCount", "out-of-range", "must be between 0 and 1000"),
            ("/stepStatuses/0/name", "nul", nul),
            (
                "/stepStatuses/0/retryCount",
                "out-of-range",
                "must be between 0 and 2147483647"
            ),
            ("/stepStatuses/0/message", "nul", nul),
            ("/stepStatuses/1", "type", "must be an object"),
            ("/stepStatuses/2/name", "required", "is required"),
            ("/stepStatuses/2/phase", "required", "is required"),
            (
                "/stepStatuses/2/startedAt",
                "format",
                "must be an RFC 3339 time such as 2026-01-31T12:00:00Z"
            ),
            (
                "/stepStatuses/2/id\u{0}",
                "unknown-field",
                "is not a field of this record"
            ),
            (
                "/skippedCount",
                "inconsistent",
                "must not be greater than stepCount"
            ),
            // The refused entries count as entries.
            (
                "/stepStatuses",
                "inconsistent",
                "must not have more entries than stepCount"
            ),
            ("/steps", "unknown-field", "is not a field of this record"),
        ])
    );
}

const NUMBERS: [&str; 4] = ["currentStep", "completedCount", "failedCount", "skippedCount"];

#[test]
fn no_number_of_steps_is_greater_than_all_steps() {
    for name in NUMBERS {
        let pointer = format!("/{name}");
        let refused = [(
            pointer.as_str(),
            "inconsistent",
            "must not be greater than stepCount",
        )];
        for (number, result) in [(0, Ok(())), (7, Ok(())), (8, Err(violations(refused)))] {
            assert_eq!(
                kind().with(&json!({"stepCount": 7, name: number})).map(|_| ()),
                result,
                "{name} {number}"
            );
        }
    }
}

#[test]
fn numbers_of_steps_need_the_number_of_all_steps() {
    for name in NUMBERS {
        let pointer = format!("/{name}");
        let needed = (pointer.as_str(), "inconsistent", "needs stepCount");
        assert_eq!(kind().with(&json!({name: 0})).unwrap_err(), violations([needed]));
        assert_eq!(
            kind().with(&json!({name: -1})).unwrap_err(),
            violations([
                (pointer.as_str(), "out-of-range", "must be between 0 and 1000"),
                needed,
            ])
        );
        // Where the number of all steps is there but wrong, that alone is the violation.
        assert_eq!(
            kind().with(&json!({name: 1, "stepCount": 0})).unwrap_err(),
            violations([("/stepCount", "out-of-range", "must be between 1 and 1000")])
        );
    }
    assert!(
        kind()
            .with(&json!({"stepStatuses": [{"name": "a", "phase": "Pending"}]}))
            .is_ok()
    );
}

#[test]
fn ended_steps_are_no_more_than_all_steps() {
    let sum = |completed, failed, skipped| {
        kind()
            .with(&json!({
                "stepCount": 7, "currentStep": 7, "completedCount": completed, "failedCount": failed,
                "skippedCount": skipped
            }))
            .map(|_| ())
    };
    assert_eq!(sum(Some(4), Some(2), Some(1)), Ok(()));
    assert_eq!(sum(None, Some(7), None), Ok(()));
    let too_many = violations([(
        "/stepCount",
        "inconsistent",
        "must not be less than completedCount, failedCount and skippedCount together",
    )]);
    assert_eq!(sum(Some(4), Some(2), Some(2)), Err(too_many.clone()));
    assert_eq!(sum(Some(7), None, Some(1)), Err(too_many));
    // Once a number does not fit by itself, their sum says nothing new.
    assert_eq!(
        sum(Some(8), Some(2), None),
        Err(violations([(
            "/completedCount",
            "inconsistent",
            "must not be greater than stepCount"
        )]))
    );
}

#[test]
fn there_are_no_more_entries_than_steps() {
    let with = |entries| {
        let step = json!({"name": "a", "phase": "Pending"});
        kind()
            .with(&json!({"stepCount": 2, "stepStatuses": vec![step; entries]}))
            .map(|_| ())
    };
    assert_eq!(with(0), Ok(()));
    assert_eq!(with(2), Ok(()));
    assert_eq!(
        with(3),
        Err(violations([(
            "/stepStatuses",
            "inconsistent",
            "must not have more entries than stepCount"
        )]))
    );
}
