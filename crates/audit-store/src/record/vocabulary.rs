//! The closed vocabularies of records, spelled as on the wire.

use serde::{Deserialize, Serialize};

/// The kinds of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RecordKind {
    /// A remediation request.
    #[serde(rename = "remediation")]
    Remediation,
    /// An AI analysis.
    #[serde(rename = "aianalysis")]
    AiAnalysis,
    /// A workflow execution.
    #[serde(rename = "workflow")]
    Workflow,
    /// An action on the cluster.
    #[serde(rename = "execution")]
    Execution,
}

impl RecordKind {
    /// All values, in order.
    pub const ALL: &'static [Self] = &[
        Self::Remediation,
        Self::AiAnalysis,
        Self::Workflow,
        Self::Execution,
    ];

    /// The value as spelled on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Remediation => "remediation",
            Self::AiAnalysis => "aianalysis",
            Self::Workflow => "workflow",
            Self::Execution => "execution",
        }
    }

    /// The value spelled so; case matters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.as_str() == text)
    }
}

/// Phase of a custom resource, in the order it moves through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Seen, not started.
    Pending,
    /// Under way.
    Processing,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
}

impl Phase {
    /// All values, in order.
    pub const ALL: &'static [Self] = &[Self::Pending, Self::Processing, Self::Completed, Self::Failed];

    /// The value as spelled on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Processing => "Processing",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }

    /// The value spelled so; case matters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.as_str() == text)
    }
}

/// Phase of one step of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StepPhase {
    /// Not started.
    Pending,
    /// Under way.
    Processing,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Not needed, or not reached.
    Skipped,
}

impl StepPhase {
    /// All values, in order.
    pub const ALL: &'static [Self] = &[
        Self::Pending,
        Self::Processing,
        Self::Completed,
        Self::Failed,
        Self::Skipped,
    ];

    /// The value as spelled on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Processing => "Processing",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Skipped => "Skipped",
        }
    }

    /// The value spelled so; case matters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.as_str() == text)
    }
}

/// Where a signal came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SignalType {
    /// An alert of Prometheus.
    #[serde(rename = "prometheus")]
    Prometheus,
    /// An event of Kubernetes.
    #[serde(rename = "kubernetes-event")]
    KubernetesEvent,
}

impl SignalType {
    /// All values, in order.
    pub const ALL: &'static [Self] = &[Self::Prometheus, Self::KubernetesEvent];

    /// The value as spelled on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::KubernetesEvent => "kubernetes-event",
        }
    }

    /// The value spelled so; case matters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.as_str() == text)
    }
}

/// Severity of a signal, highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Needs action now.
    #[serde(rename = "critical")]
    Critical,
    /// Needs action soon.
    #[serde(rename = "high")]
    High,
    /// Needs attention.
    #[serde(rename = "warning")]
    Warning,
    /// Needs attention some day.
    #[serde(rename = "medium")]
    Medium,
    /// Hardly matters.
    #[serde(rename = "low")]
    Low,
    /// Matters to nobody's sleep.
    #[serde(rename = "info")]
    Info,
}

impl Severity {
    /// All values, in order.
    pub const ALL: &'static [Self] = &[
        Self::Critical,
        Self::High,
        Self::Warning,
        Self::Medium,
        Self::Low,
        Self::Info,
    ];

    /// The value as spelled on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Warning => "warning",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Info => "info",
        }
    }

    /// The value spelled so; case matters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.as_str() == text)
    }
}

/// Environment of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Environment {
    /// Production.
    #[serde(rename = "production")]
    Production,
    /// Staging.
    #[serde(rename = "staging")]
    Staging,
    /// Development.
    #[serde(rename = "development")]
    Development,
    /// Test.
    #[serde(rename = "test")]
    Test,
}

impl Environment {
    /// All values, in order.
    pub const ALL: &'static [Self] = &[Self::Production, Self::Staging, Self::Development, Self::Test];

    /// The value as spelled on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Staging => "staging",
            Self::Development => "development",
            Self::Test => "test",
        }
    }

    /// The value spelled so; case matters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.as_str() == text)
    }
}

/// Priority of a remediation, highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Priority {
    /// Highest.
    P0,
    /// High.
    P1,
    /// Normal.
    P2,
    /// Low.
    P3,
}

impl Priority {
    /// All values, in order.
    pub const ALL: &'static [Self] = &[Self::P0, Self::P1, Self::P2, Self::P3];

    /// The value as spelled on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
        }
    }

    /// The value spelled so; case matters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.as_str() == text)
    }
}

impl Phase {
    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_spelled_alike_for_serde_and_for_sql() {
        for phase in Phase::ALL {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.as_str());
        }
        for kind in RecordKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for signal in SignalType::ALL {
            assert_eq!(serde_json::to_value(signal).unwrap(), signal.as_str());
        }
        for severity in Severity::ALL {
            assert_eq!(serde_json::to_value(severity).unwrap(), severity.as_str());
        }
        for environment in Environment::ALL {
            assert_eq!(serde_json::to_value(environment).unwrap(), environment.as_str());
        }
        for priority in Priority::ALL {
            assert_eq!(serde_json::to_value(priority).unwrap(), priority.as_str());
        }
        for step in StepPhase::ALL {
            assert_eq!(serde_json::to_value(step).unwrap(), step.as_str());
        }
    }

    #[test]
    fn case_matters() {
        assert_eq!(Phase::parse("Completed"), Some(Phase::Completed));
        assert_eq!(Phase::parse("completed"), None);
    }
}
