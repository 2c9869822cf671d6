//! On the wire: how far a match can be trusted, and what to cite for it.

use audit_store::reader::{ActionTried, Evidence, SEEN_UP_TO};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use service_kit::openapi::schema::{
    Field, array, boolean, count, integer, named, optional, required, sent, string, time,
};

use crate::confidence::{Interval, wilson};

/// The fields of an [`EvidenceBody`].
pub(crate) fn fields() -> [Field; 6] {
    [
        required(
            "timesSeen",
            integer(1, SEEN_UP_TO),
            "How many incidents are counted: those that pass the filters and have a record of the kind `matchedOn` whose \
             text is `matchedText`, up to 1000.",
        ),
        required(
            "timesSeenExact",
            boolean(),
            "Whether these are all there are. If not, they are the newest where `matchedOn` is `remediation`, else any.",
        ),
        required(
            "lastSeen",
            time(),
            "`createdAt` of the newest of the incidents counted.",
        ),
        required(
            "actionsTried",
            array(named("ActionTried")),
            "What was tried in the incidents counted, the most often tried first.",
        ),
        optional(
            "contradicted",
            named("Contradiction"),
            "Present if the match is Completed and its action failed later on the same resource.",
        ),
        required(
            "recordIds",
            array(integer(1, i64::MAX)),
            "Ledger ids to cite: the last event of the incident, and behind it those of the record that matched if it is \
             another, the newest first; at most 11.",
        ),
    ]
}

/// The schemas of the parts of an [`EvidenceBody`].
pub(crate) fn schemas() -> [(&'static str, Value); 2] {
    let tried = sent(
        "How a kind of action ended.",
        [
            required("actionType", string(), "Kind of action."),
            required(
                "attempts",
                integer(1, SEEN_UP_TO),
                "Incidents with this action in phase Completed or Failed.",
            ),
            required("successes", count(), "Those in phase Completed."),
            optional(
                "confidenceInterval",
                named("ConfidenceInterval"),
                "Between which bounds the true share of successes lies.",
            ),
        ],
    );
    let contradiction = sent(
        "A later failure of the action that a match speaks for.",
        [required(
            "incidentId",
            integer(1, i64::MAX),
            "The newest incident of the same resource (cluster, namespace, kind and name) with the same kind of action \
             that was created after the match and is Failed.",
        )],
    );
    [("ActionTried", tried), ("Contradiction", contradiction)]
}

/// An example of an [`EvidenceBody`].
pub(crate) fn example() -> Value {
    json!({
        "timesSeen": 10, "timesSeenExact": true, "lastSeen": "2026-06-15T10:00:00Z",
        "actionsTried": [{
            "actionType": "increase_memory_limit", "attempts": 10, "successes": 8,
            "confidenceInterval": {"low": 0.490_162, "high": 0.943_318, "level": 0.95},
        }],
        "recordIds": [4711],
    })
}

/// What speaks for and against a match. *The incidents counted* pass the filters and have a record of the kind
/// `matchedOn` whose text is `matchedText`.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EvidenceBody {
    /// How many incidents are counted: 1 to 1 000.
    times_seen: i64,
    /// Whether these are all there are. If not, they are the newest where `matchedOn` is `remediation`, else any.
    times_seen_exact: bool,
    /// createdAt of the newest of the incidents counted.
    last_seen: DateTime<Utc>,
    /// What was tried in the incidents counted, the most often tried first.
    actions_tried: Vec<ActionBody>,
    /// Present if the match is Completed and its action failed later on the same resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    contradicted: Option<Contradiction>,
    /// Ledger ids to cite: the last event of the incident, and behind it those of the record that matched if it is
    /// another, the newest first; at most 11.
    record_ids: Vec<i64>,
}

/// How a kind of action ended.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ActionBody {
    action_type: String,
    /// Incidents with this action in phase Completed or Failed.
    attempts: i64,
    /// Those in phase Completed.
    successes: i64,
    /// Of the share of successes.
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence_interval: Option<Interval>,
}

/// The later failure.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Contradiction {
    /// The newest incident of the same resource (cluster, namespace, kind and name) with the same kind of action that
    /// was created after the match and is Failed.
    incident_id: i64,
}

impl From<Evidence> for EvidenceBody {
    fn from(evidence: Evidence) -> Self {
        Self {
            times_seen: evidence.times_seen,
            times_seen_exact: evidence.all_counted,
            last_seen: evidence.last_seen,
            actions_tried: evidence.actions.into_iter().map(ActionBody::from).collect(),
            contradicted: evidence
                .contradicted_by
                .map(|incident_id| Contradiction { incident_id }),
            record_ids: evidence.record_ids,
        }
    }
}

impl From<ActionTried> for ActionBody {
    fn from(tried: ActionTried) -> Self {
        Self {
            confidence_interval: wilson(tried.successes, tried.attempts),
            action_type: tried.action_type,
            attempts: tried.attempts,
            successes: tried.successes,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The evidence of a match that stands alone.
    pub(crate) fn least() -> Evidence {
        Evidence {
            times_seen: 1,
            all_counted: true,
            last_seen: "2026-03-10T12:00:00Z".parse().unwrap(),
            actions: Vec::new(),
            contradicted_by: None,
            record_ids: vec![70],
        }
    }

    /// What [`least`] looks like on the wire.
    pub(crate) fn least_on_the_wire() -> Value {
        json!({
            "timesSeen": 1, "timesSeenExact": true, "lastSeen": "2026-03-10T12:00:00Z", "actionsTried": [],
            "recordIds": [70],
        })
    }

    #[test]
    fn evidence_tells_what_was_tried_and_what_contradicts_it() {
        assert_eq!(json!(EvidenceBody::from(least())), least_on_the_wire());
        let body = json!(EvidenceBody::from(Evidence {
            actions: vec![ActionTried {
                action_type: "restart_pod".into(),
                attempts: 1,
                successes: 0,
            }],
            contradicted_by: Some(9),
            ..least()
        }));
        assert_eq!(body["contradicted"], json!({"incidentId": 9}));
        assert_eq!(body["actionsTried"][0]["actionType"], "restart_pod");
        assert_eq!(body["actionsTried"][0]["confidenceInterval"]["low"], 0.0);
    }
}
