//! What a readiness probe reads.

use std::collections::BTreeMap;

use serde::Serialize;

use super::check::{Check, CheckFailure};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Status {
    #[serde(rename = "starting")]
    Starting,
    #[serde(rename = "started")]
    Started,
    #[serde(rename = "ready")]
    Ready,
    #[serde(rename = "degraded")]
    Degraded,
    #[serde(rename = "not ready")]
    NotReady,
    #[serde(rename = "shutting down")]
    ShuttingDown,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::NotReady => "not ready",
            Self::ShuttingDown => "shutting down",
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) status: Status,
    checks: BTreeMap<&'static str, CheckReport>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum CheckReport {
    Ok,
    Failed { reason: String },
}

impl Report {
    /// A report of a status that no check tells.
    pub(super) fn unchecked(status: Status) -> Self {
        Self {
            status,
            checks: BTreeMap::new(),
        }
    }

    /// `runs` are the outcomes of `checks`, in their order.
    pub(super) fn of(checks: &[Check], runs: &[Result<(), CheckFailure>]) -> Self {
        let mut status = Status::Ready;
        let mut reports = BTreeMap::new();
        for (check, run) in checks.iter().zip(runs) {
            let report = match run {
                Ok(()) => CheckReport::Ok,
                Err(failure) => {
                    if check.required {
                        status = Status::NotReady;
                    } else if status == Status::Ready {
                        status = Status::Degraded;
                    }
                    CheckReport::Failed {
                        reason: failure.reason().to_owned(),
                    }
                }
            };
            reports.insert(check.name, report);
        }
        Self {
            status,
            checks: reports,
        }
    }
}
