//! `POST /api/v1/audit/aianalysis`: why it happened, and what should be done.

use audit_store::record::{AiAnalysis, Record, SignalType};
use axum::extract::State as Extract;
use axum::response::Response;
use serde_json::{Map, Value};
use service_kit::extract::JsonObject;
use service_kit::{Problem, Violation};

use crate::state::State;
use crate::validation::{
    Context, boolean, choice, head, identifier, integer, json_object, number, object_name, text, validate,
};

/// Longest investigation, in seconds: a year. It keeps the number finite and sane.
const MAX_INVESTIGATION_SECONDS: f64 = 31_536_000.0;

/// Stores one version of an AI analysis.
pub(crate) async fn post(
    Extract(state): Extract<State>,
    JsonObject(body): JsonObject,
) -> Result<Response, Problem> {
    super::store(&state, &body, parse).await
}

fn parse(body: &Map<String, Value>, context: &Context) -> Result<Record, Vec<Violation>> {
    validate(body, |fields| {
        let head = head(fields, context.now);
        let remediation_request_ref = fields.required("remediationRequestRef", object_name);
        let signal_type = fields.optional("signalType", choice(SignalType::ALL, SignalType::as_str));
        let signal_context = fields.optional("signalContext", json_object);
        let llm_provider = fields.optional("llmProvider", identifier);
        let llm_model = fields.optional("llmModel", identifier);
        let temperature = fields.optional("temperature", number(0.0..=2.0));
        let root_cause = fields.optional("rootCause", text);
        let confidence = fields.optional("confidence", number(0.0..=1.0));
        let recommended_action = fields.optional("recommendedAction", text);
        let requires_approval = fields.optional("requiresApproval", boolean);
        let investigation_id = fields.optional("investigationId", identifier);
        let tokens_used = fields.optional("tokensUsed", integer(1..=i64::MAX));
        let investigation_time_seconds = fields.optional(
            "investigationTimeSeconds",
            number(0.0..=MAX_INVESTIGATION_SECONDS),
        );
        Some(Record::AiAnalysis(AiAnalysis {
            head: head?,
            remediation_request_ref: remediation_request_ref?,
            signal_type,
            signal_context,
            llm_provider,
            llm_model,
            temperature,
            root_cause,
            confidence,
            recommended_action,
            requires_approval,
            investigation_id,
            tokens_used,
            investigation_time_seconds,
        }))
    })
}
