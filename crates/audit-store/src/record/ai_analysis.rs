//! An AI analysis: why it happened, and what should be done.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Head, SignalType};

/// An AI analysis: why it happened, and what should be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AiAnalysis {
    /// What all kinds have.
    #[serde(flatten)]
    pub head: Head,
    /// Name of the remediation request, in the same namespace.
    pub remediation_request_ref: String,
    /// Type of the analysed signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_type: Option<SignalType>,
    /// Context given to the analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_context: Option<Map<String, Value>>,
    /// Provider of the language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_provider: Option<String>,
    /// Language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_model: Option<String>,
    /// Sampling temperature, 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Root cause found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_cause: Option<String>,
    /// Confidence, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Action recommended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recommended_action: Option<String>,
    /// Whether a person must approve the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_approval: Option<bool>,
    /// Id of the investigation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub investigation_id: Option<String>,
    /// Tokens used by the language model, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_used: Option<i64>,
    /// Duration of the investigation in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub investigation_time_seconds: Option<f64>,
}
