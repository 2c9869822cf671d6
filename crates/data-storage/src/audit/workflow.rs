//! `POST /api/v1/audit/workflow`: the steps taken for a remediation.

use audit_store::record::{Record, RecordKind, Workflow};
use axum::Extension;
use axum::extract::State as Extract;
use axum::response::Response;
use serde_json::{Map, Value};
use service_kit::auth::Caller;
use service_kit::boundary::Correlation;
use service_kit::extract::JsonObject;
use service_kit::{Problem, Violation};

use crate::idempotency::RequestKey;
use crate::state::State;
use crate::validation::{
    Context, Fields, Refused, boolean, head, identifier, integer, object_name, step_statuses, validate,
};

/// Most steps of a workflow.
pub(crate) const MAX_STEPS: i64 = 1_000;

/// Stores one version of a workflow execution.
pub(crate) async fn post(
    Extract(state): Extract<State>,
    caller: Caller,
    Extension(correlation): Extension<Correlation>,
    key: RequestKey,
    JsonObject(body): JsonObject,
) -> Result<Response, Problem> {
    super::store(&state, &caller, &correlation, key, RecordKind::Workflow, body).await
}

pub(super) fn parse(body: &Map<String, Value>, context: &Context) -> Result<Record, Vec<Violation>> {
    validate(body, |fields| {
        let head = head(fields, context.now);
        let remediation_request_ref = fields.required("remediationRequestRef", object_name);
        let ai_analysis_ref = fields.optional("aiAnalysisRef", object_name);
        let workflow_name = fields.required("workflowName", identifier);
        let is_auto_approved = fields.optional("isAutoApproved", boolean);
        let requires_approval = fields.optional("requiresApproval", boolean);
        let current_step = fields.optional("currentStep", integer(0..=MAX_STEPS));
        let step_count = fields.optional("stepCount", integer(1..=MAX_STEPS));
        let completed_count = fields.optional("completedCount", integer(0..=MAX_STEPS));
        let failed_count = fields.optional("failedCount", integer(0..=MAX_STEPS));
        let skipped_count = fields.optional("skippedCount", integer(0..=MAX_STEPS));
        let step_statuses = step_statuses(fields);
        consistent_counts(
            fields,
            step_count,
            current_step,
            [completed_count, failed_count, skipped_count],
        );
        if let (Some(count), Some(steps)) = (step_count, &step_statuses)
            && i32::try_from(steps.len()).is_ok_and(|steps| steps > count)
        {
            fields.refuse(
                "stepStatuses",
                Refused::new("inconsistent", "must not have more entries than stepCount"),
            );
        }
        Some(Record::Workflow(Workflow {
            head: head?,
            remediation_request_ref: remediation_request_ref?,
            ai_analysis_ref,
            workflow_name: workflow_name?,
            is_auto_approved,
            requires_approval,
            current_step,
            step_count,
            completed_count,
            failed_count,
            skipped_count,
            step_statuses: step_statuses.map(|steps| steps.into_iter().flatten().collect()),
        }))
    })
}

/// The numbers of steps must fit together; without a number of all steps none of the others means anything.
fn consistent_counts(
    fields: &mut Fields<'_>,
    step_count: Option<i32>,
    current_step: Option<i32>,
    counts: [Option<i32>; 3],
) {
    const COUNTS: [&str; 3] = ["completedCount", "failedCount", "skippedCount"];
    let named = || std::iter::once(("currentStep", current_step)).chain(COUNTS.into_iter().zip(counts));
    let Some(steps) = step_count else {
        if fields.has("stepCount") {
            // It is invalid, and that is reported already.
            return;
        }
        for (name, _) in named() {
            if fields.has(name) {
                fields.refuse(name, Refused::new("inconsistent", "needs stepCount"));
            }
        }
        return;
    };
    let mut each_fits = true;
    for (name, number) in named() {
        if number.is_some_and(|number| number > steps) {
            each_fits = false;
            fields.refuse(
                name,
                Refused::new("inconsistent", "must not be greater than stepCount"),
            );
        }
    }
    if each_fits && counts.into_iter().flatten().sum::<i32>() > steps {
        fields.refuse(
            "stepCount",
            Refused::new(
                "inconsistent",
                "must not be less than completedCount, failedCount and skippedCount together",
            ),
        );
    }
}

#[cfg(test)]
mod tests;
