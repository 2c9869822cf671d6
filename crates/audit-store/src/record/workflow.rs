//! A workflow execution: the steps taken for a remediation.

use serde::{Deserialize, Serialize};

use super::{Head, StepPhase, Timestamp};

/// A workflow execution: the steps taken for a remediation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workflow {
    /// What all kinds have.
    #[serde(flatten)]
    pub head: Head,
    /// Name of the remediation request, in the same namespace.
    pub remediation_request_ref: String,
    /// Name of the analysis that chose the workflow, in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ai_analysis_ref: Option<String>,
    /// Name of the workflow definition.
    pub workflow_name: String,
    /// Whether it was approved by policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_auto_approved: Option<bool>,
    /// Whether a person must approve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_approval: Option<bool>,
    /// Number of the step reached, 0 before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step: Option<i32>,
    /// Number of steps, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_count: Option<i32>,
    /// Steps completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_count: Option<i32>,
    /// Steps failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_count: Option<i32>,
    /// Steps skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped_count: Option<i32>,
    /// State of each step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_statuses: Option<Vec<StepStatus>>,
}

/// State of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Name of the step.
    pub name: String,
    /// Its phase.
    pub phase: StepPhase,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// How often it was tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<i32>,
    /// Human-readable state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
