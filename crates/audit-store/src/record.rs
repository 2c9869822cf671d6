//! The four kinds of record, as validated values.
//!
//! A value of these types has passed validation: what it holds can be stored. Serialised, it is the canonical wire
//! form: camelCase, absent fields left out, times in UTC with microseconds. That form is the ledger's payload.

mod ai_analysis;
pub(crate) mod canonical;
mod execution;
mod kubernetes_kind;
mod remediation;
mod vocabulary;
mod workflow;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

pub use ai_analysis::AiAnalysis;
pub use execution::Execution;
pub use kubernetes_kind::canonical_kind;
pub use remediation::Remediation;
pub use vocabulary::{Environment, Phase, Priority, RecordKind, Severity, SignalType, StepPhase};
pub use workflow::{StepStatus, Workflow};

/// What the records of all kinds have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// Name of the recorded custom resource.
    pub name: String,
    /// Namespace of the recorded custom resource.
    pub namespace: String,
    /// Phase of this version.
    pub phase: Phase,
    /// Human-readable state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the custom resource was made; part of the instance's identity.
    pub created_at: Timestamp,
    /// When work on it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it reached a terminal phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// Id that ties records of several services together.
    pub correlation_id: String,
}

/// A point in time at PostgreSQL's resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// Drops what is finer than a microsecond, and makes a leap second the next second, so that what is read back
    /// equals what was written.
    #[must_use]
    pub fn new(time: DateTime<Utc>) -> Self {
        Self(DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time))
    }

    /// The point in time.
    #[must_use]
    pub fn to_utc(self) -> DateTime<Utc> {
        self.0
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DateTime::<Utc>::deserialize(deserializer).map(Self::new)
    }
}

/// What the ledger holds of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    /// The record in its canonical wire form.
    pub value: serde_json::Value,
    /// The same as text, with sorted keys and without white space.
    pub text: String,
    /// SHA-256 of the text.
    pub sha256: [u8; 32],
}

/// A validated record of any kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// A remediation request.
    Remediation(Remediation),
    /// An AI analysis.
    AiAnalysis(AiAnalysis),
    /// A workflow execution.
    Workflow(Workflow),
    /// An action on the cluster.
    Execution(Execution),
}

impl Record {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        match self {
            Self::Remediation(_) => RecordKind::Remediation,
            Self::AiAnalysis(_) => RecordKind::AiAnalysis,
            Self::Workflow(_) => RecordKind::Workflow,
            Self::Execution(_) => RecordKind::Execution,
        }
    }

    /// What all kinds have.
    #[must_use]
    pub fn head(&self) -> &Head {
        match self {
            Self::Remediation(record) => &record.head,
            Self::AiAnalysis(record) => &record.head,
            Self::Workflow(record) => &record.head,
            Self::Execution(record) => &record.head,
        }
    }

    /// The record that has this payload. The payload is taken to be valid, since a record's was.
    ///
    /// # Errors
    /// `serde_json`'s error where it is the payload of no record of this kind.
    pub fn from_payload(kind: RecordKind, payload: serde_json::Value) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            RecordKind::Remediation => Self::Remediation(serde_json::from_value(payload)?),
            RecordKind::AiAnalysis => Self::AiAnalysis(serde_json::from_value(payload)?),
            RecordKind::Workflow => Self::Workflow(serde_json::from_value(payload)?),
            RecordKind::Execution => Self::Execution(serde_json::from_value(payload)?),
        })
    }

    /// The ledger's payload.
    ///
    /// The hash is taken over the payload's text. Its keys are sorted, because `serde_json` keeps objects as sorted
    /// maps, so neither the order of a sender's keys nor white space makes another version. Its numbers are as
    /// PostgreSQL gives them back, so that the hash can be taken again from the ledger.
    ///
    /// # Errors
    /// `serde_json`'s error where a value has no JSON form; a validated record always has one.
    pub fn payload(&self) -> Result<Payload, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        canonical::normalise(&mut value);
        let text = serde_json::to_string(&value)?;
        let sha256 = Sha256::digest(&text).into();
        Ok(Payload { value, text, sha256 })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use serde_json::json;

    use super::*;

    fn minimal() -> Workflow {
        Workflow {
            head: Head {
                name: "wf-1".into(),
                namespace: "kubernaut-system".into(),
                phase: Phase::Pending,
                message: None,
                created_at: Timestamp::new(Utc.timestamp_nanos(1_700_000_000_123_456_789)),
                started_at: None,
                completed_at: None,
                correlation_id: "c-1".into(),
            },
            remediation_request_ref: "rr-1".into(),
            ai_analysis_ref: None,
            workflow_name: "restart".into(),
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
    fn the_payload_is_the_wire_form_with_absent_fields_left_out() {
        let payload = Record::Workflow(minimal()).payload().unwrap();
        assert_eq!(
            payload.value,
            json!({
                "name": "wf-1", "namespace": "kubernaut-system", "phase": "Pending",
                "createdAt": "2023-11-14T22:13:20.123456Z", "correlationId": "c-1",
                "remediationRequestRef": "rr-1", "workflowName": "restart"
            })
        );
    }

    #[test]
    fn the_hash_is_of_the_content_with_sorted_keys() {
        let payload = Record::Workflow(minimal()).payload().unwrap();
        let text = concat!(
            r#"{"correlationId":"c-1","createdAt":"2023-11-14T22:13:20.123456Z","name":"wf-1","#,
            r#""namespace":"kubernaut-system","phase":"Pending","remediationRequestRef":"rr-1","workflowName":"restart"}"#
        );
        assert_eq!(payload.text, text);
        assert_eq!(payload.value.to_string(), text);
        assert_eq!(payload.sha256, <[u8; 32]>::from(Sha256::digest(text)));
    }

    #[test]
    fn a_leap_second_is_the_next_second() {
        let leap = DateTime::parse_from_rfc3339("2016-12-31T23:59:60.5Z")
            .unwrap()
            .with_timezone(&Utc);
        assert_eq!(
            serde_json::to_value(Timestamp::new(leap)).unwrap(),
            "2017-01-01T00:00:00.500000Z"
        );
    }

    #[test]
    fn another_content_has_another_hash() {
        let before = Record::Workflow(minimal()).payload().unwrap().sha256;
        let after = Record::Workflow(Workflow {
            workflow_name: "restart2".into(),
            ..minimal()
        })
        .payload()
        .unwrap()
        .sha256;
        assert_ne!(before, after);
    }
}
