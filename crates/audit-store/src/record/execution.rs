//! An action on the cluster, as one step of a workflow.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Head;

/// An action on the cluster, as one step of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// What all kinds have.
    #[serde(flatten)]
    pub head: Head,
    /// Name of the workflow execution, in the same namespace.
    pub workflow_execution_ref: String,
    /// Step of the workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_name: Option<String>,
    /// Kind of action.
    pub action_type: String,
    /// Input of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_data: Option<Map<String, Value>>,
    /// Kind of the resource acted on, in its canonical case.
    pub target_type: String,
    /// Name of the resource acted on.
    pub target_name: String,
    /// Namespace of the resource acted on; absent for a cluster-scoped one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_namespace: Option<String>,
    /// Cluster of the resource acted on.
    pub cluster_name: String,
    /// Whether a dry run was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_dry_run: Option<bool>,
    /// Whether validation was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_validation: Option<bool>,
    /// Whether a failure is to be rolled back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_rollback: Option<bool>,
    /// Result of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_result: Option<String>,
    /// resourceVersion of the target after the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// resourceVersion of the target before the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_version: Option<String>,
    /// Result of the dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run_result: Option<String>,
    /// Result of the validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_result: Option<String>,
    /// Warnings of the validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_warnings: Option<Vec<String>>,
    /// Whether the action was rolled back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_rolled_back: Option<bool>,
}
