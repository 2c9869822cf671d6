//! `POST /api/v1/audit/aianalysis`: why it happened, and what should be done.

use audit_store::record::{AiAnalysis, Record, RecordKind, SignalType};
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
    Context, boolean, choice, head, identifier, integer, json_object, number, object_name, text, validate,
};

/// Longest investigation, in seconds: a year. It keeps the number finite and sane.
pub(crate) const MAX_INVESTIGATION_SECONDS: f64 = 31_536_000.0;

/// Stores one version of an AI analysis.
pub(crate) async fn post(
    Extract(state): Extract<State>,
    caller: Caller,
    Extension(correlation): Extension<Correlation>,
    key: RequestKey,
    JsonObject(body): JsonObject,
) -> Result<Response, Problem> {
    super::store(&state, &caller, &correlation, key, RecordKind::AiAnalysis, body).await
}

pub(super) fn parse(body: &Map<String, Value>, context: &Context) -> Result<Record, Vec<Violation>> {
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

#[cfg(test)]
mod tests {
    use audit_store::record::{Head, Phase};
    use serde_json::json;

    use super::super::tests::{
        Kind, boolean, choice, identifier, integer, json_object, number, object_name, text, time, violations,
    };
    use super::*;

    fn kind() -> Kind {
        Kind {
            parse,
            minimal: json!({
                "name": "ai-1", "namespace": "kubernaut-system", "phase": "Processing",
                "createdAt": "2026-03-01T11:00:00.000000Z", "correlationId": "c-1", "remediationRequestRef": "rr-1"
            }),
            full: json!({
                "name": "ai-2", "namespace": "kubernaut-system", "phase": "Completed", "message": "Found it.",
                "createdAt": "2026-03-01T11:00:00.000000Z", "startedAt": "2026-03-01T11:00:01.000000Z",
                "completedAt": "2026-03-01T11:00:43.000000Z", "correlationId": "c-2",
                "remediationRequestRef": "rr-2", "signalType": "prometheus",
                "signalContext": {"logs": ["OOMKilled"], "restarts": 7}, "llmProvider": "anthropic",
                "llmModel": "a model", "temperature": 0.2, "rootCause": "The cache has no limit. 🔥",
                "confidence": 0.93, "recommendedAction": "increase_memory", "requiresApproval": false,
                "investigationId": "inv-7", "tokensUsed": 5_120, "investigationTimeSeconds": 41.75
            }),
        }
    }

    fn minimal() -> AiAnalysis {
        AiAnalysis {
            head: Head {
                name: "ai-1".into(),
                namespace: "kubernaut-system".into(),
                phase: Phase::Processing,
                message: None,
                created_at: time("2026-03-01T11:00:00Z"),
                started_at: None,
                completed_at: None,
                correlation_id: "c-1".into(),
            },
            remediation_request_ref: "rr-1".into(),
            signal_type: None,
            signal_context: None,
            llm_provider: None,
            llm_model: None,
            temperature: None,
            root_cause: None,
            confidence: None,
            recommended_action: None,
            requires_approval: None,
            investigation_id: None,
            tokens_used: None,
            investigation_time_seconds: None,
        }
    }

    #[test]
    fn a_minimal_body_leaves_the_rest_absent() {
        let kind = kind();
        assert_eq!(kind.parse(&kind.minimal), Ok(Record::AiAnalysis(minimal())));
    }

    #[test]
    fn a_full_body_fills_every_field() {
        let kind = kind();
        let full = AiAnalysis {
            head: Head {
                name: "ai-2".into(),
                namespace: "kubernaut-system".into(),
                phase: Phase::Completed,
                message: Some("Found it.".into()),
                created_at: time("2026-03-01T11:00:00Z"),
                started_at: Some(time("2026-03-01T11:00:01Z")),
                completed_at: Some(time("2026-03-01T11:00:43Z")),
                correlation_id: "c-2".into(),
            },
            remediation_request_ref: "rr-2".into(),
            signal_type: Some(SignalType::Prometheus),
            signal_context: json!({"logs": ["OOMKilled"], "restarts": 7}).as_object().cloned(),
            llm_provider: Some("anthropic".into()),
            llm_model: Some("a model".into()),
            temperature: Some(0.2),
            root_cause: Some("The cache has no limit. 🔥".into()),
            confidence: Some(0.93),
            recommended_action: Some("increase_memory".into()),
            requires_approval: Some(false),
            investigation_id: Some("inv-7".into()),
            tokens_used: Some(5_120),
            investigation_time_seconds: Some(41.75),
        };
        assert_eq!(kind.parse(&kind.full), Ok(Record::AiAnalysis(full)));
    }

    #[test]
    fn every_field_has_its_rule() {
        kind().check_fields([
            ("remediationRequestRef", object_name()),
            ("signalType", choice(&["prometheus", "kubernetes-event"])),
            ("signalContext", json_object()),
            ("llmProvider", identifier()),
            ("llmModel", identifier()),
            ("temperature", number(0.0, 2.0)),
            ("rootCause", text()),
            ("confidence", number(0.0, 1.0)),
            ("recommendedAction", text()),
            ("requiresApproval", boolean()),
            ("investigationId", identifier()),
            ("tokensUsed", integer(1, i64::MAX)),
            ("investigationTimeSeconds", number(0.0, 31_536_000.0)),
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
                ]
                .map(required)
            )
        );
    }

    #[test]
    fn all_violations_are_reported_in_one_answer() {
        assert_eq!(
            kind()
                .with(&json!({
                    "name": "a\u{0}", "createdAt": "2026-03-01T13:00:00Z", "remediationRequestRef": "rr_1",
                    "signalContext": [], "temperature": 2.1, "confidence": "high", "requiresApproval": "no",
                    "tokensUsed": 0, "investigationTimeSeconds": -1, "confidenceLevel": 1
                }))
                .unwrap_err(),
            violations([
                ("/name", "nul", "must not contain U+0000"),
                ("/createdAt", "in-future", "must not be more than 5 minutes ahead"),
                (
                    "/remediationRequestRef",
                    "format",
                    "must be an RFC 1123 subdomain: at most 253 of a-z, 0-9, - and ., starting and ending with a letter or digit"
                ),
                ("/signalContext", "type", "must be an object"),
                ("/temperature", "out-of-range", "must be between 0 and 2"),
                ("/confidence", "type", "must be a number"),
                ("/requiresApproval", "type", "must be true or false"),
                (
                    "/tokensUsed",
                    "out-of-range",
                    "must be between 1 and 9223372036854775807"
                ),
                (
                    "/investigationTimeSeconds",
                    "out-of-range",
                    "must be between 0 and 31536000"
                ),
                (
                    "/confidenceLevel",
                    "unknown-field",
                    "is not a field of this record"
                ),
            ])
        );
    }

    #[test]
    fn a_number_may_be_written_in_any_form_json_has() {
        let record = |confidence: f64, tokens| {
            Ok(Record::AiAnalysis(AiAnalysis {
                confidence: Some(confidence),
                tokens_used: Some(tokens),
                ..minimal()
            }))
        };
        let sent = |text| kind().with(&serde_json::from_str(text).unwrap());
        assert_eq!(sent(r#"{"confidence": 1, "tokensUsed": 3e2}"#), record(1.0, 300));
        assert_eq!(sent(r#"{"confidence": 5e-1, "tokensUsed": 7.0}"#), record(0.5, 7));
    }
}
