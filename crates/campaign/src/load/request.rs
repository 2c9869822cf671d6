//! A request on its way, and the records it is made of.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use testkit::records;

/// The kinds of record, as the ledger and the paths name them.
pub const KINDS: [&str; 4] = ["remediation", "aianalysis", "workflow", "execution"];
/// The phases that an instance goes through, in order.
pub const PHASES: [&str; 3] = ["Pending", "Processing", "Completed"];

/// What happens most of the time.
const MESSAGES: [&str; 6] = [
    "the container was killed for want of memory",
    "the image cannot be pulled",
    "the probe of the container fails",
    "the volume cannot be mounted",
    "the node is under pressure",
    "the certificate has expired",
];
/// One record in so many has a text that nobody else has.
const NEW_TEXT: usize = 31;
/// Between two instances of a client.
const STEP: TimeDelta = TimeDelta::milliseconds(50);

/// A version that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) kind: &'static str,
    /// The number of its instance among those of the client.
    pub(super) made: usize,
    /// Index into [`PHASES`].
    pub(super) phase: usize,
    /// Its ledger id, of a replay.
    pub(super) known: Option<i64>,
}

/// A request, which is sent until all of it is acknowledged.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) path: String,
    pub(super) key: Option<String>,
    pub(super) body: String,
    pub(super) versions: Vec<Version>,
    pub(super) batch: bool,
    pub(super) atomic: bool,
}

/// Name and time of an instance.
pub(super) fn instance(
    series: &str,
    begin: DateTime<Utc>,
    kind: &str,
    made: usize,
) -> (String, DateTime<Utc>) {
    let steps = i32::try_from(made).unwrap_or(i32::MAX);
    (format!("{kind}-{series}-{made}"), begin + STEP * steps)
}

/// The record of a version.
///
/// Every analysis and workflow refers to a remediation of the same client, every execution to a workflow.
#[must_use]
pub fn body(series: &str, begin: DateTime<Utc>, kind: &str, made: usize, phase: usize) -> Value {
    let (name, created_at) = instance(series, begin, kind, made);
    // The kinds take turns, so these are numbers of a remediation and of a workflow.
    let family = made - made % KINDS.len();
    let remediation = format!("remediation-{series}-{family}");
    let workflow = format!("workflow-{series}-{}", family + 2);
    let record = match kind {
        "remediation" => records::remediation(&name),
        "aianalysis" => records::analysis(&name, &remediation),
        "workflow" => records::workflow(&name, &remediation),
        _ => records::execution(&name, &workflow),
    };
    let mut message = MESSAGES[made / KINDS.len() % MESSAGES.len()].to_owned();
    if made.is_multiple_of(NEW_TEXT) {
        // Letters only: what looks like a number or an id is no part of the text.
        let word: String = name.bytes().map(|byte| char::from(b'a' + byte % 26)).collect();
        message = format!("{message}: {word}");
    }
    records::with(
        record,
        json!({"createdAt": created_at, "phase": PHASES[phase], "message": message}),
    )
}
