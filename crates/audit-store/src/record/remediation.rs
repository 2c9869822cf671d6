//! A remediation request: what happened to which resource, and what is being done about it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

use super::{Environment, Head, Priority, Severity, SignalType};

/// A remediation request: what happened to which resource, and what is being done about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remediation {
    /// What all kinds have.
    #[serde(flatten)]
    pub head: Head,
    /// Where the signal came from.
    pub signal_type: SignalType,
    /// Name of the alert, or reason of the event.
    pub signal_name: String,
    /// Namespace the signal was raised in; absent for a cluster-wide signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_namespace: Option<String>,
    /// Kind of the affected resource, in its canonical case.
    pub target_type: String,
    /// Name of the affected resource.
    pub target_name: String,
    /// Namespace of the affected resource; absent for a cluster-scoped one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_namespace: Option<String>,
    /// Cluster of the affected resource.
    pub cluster_name: String,
    /// Environment of the affected resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Severity of the signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Priority of the remediation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Fingerprint of the signal: 16 to 64 lower-case hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Kind of action chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_type: Option<String>,
    /// Parameters of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_parameters: Option<Map<String, Value>>,
    /// Machine-readable reason of the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Error of a failed remediation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Kubernetes labels of the signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The signal as received, in standard base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_payload: Option<String>,
}
