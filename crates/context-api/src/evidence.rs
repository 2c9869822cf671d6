//! On the wire: how far a match can be trusted, and what to cite for it.

use audit_store::reader::{ActionTried, Evidence};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// The two-sided confidence level of intervals, and the quantile of the standard normal distribution that belongs to
/// it: 97.5 %.
const LEVEL: f64 = 0.95;
const QUANTILE: f64 = 1.959_963_984_540_054;

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
    interval: Interval,
}

/// Between which bounds the true share lies: the Wilson score interval without continuity correction.
#[derive(Debug, PartialEq, Serialize)]
struct Interval {
    low: f64,
    high: f64,
    /// Confidence level: 0.95.
    level: f64,
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
            interval: wilson(tried.successes, tried.attempts),
            action_type: tried.action_type,
            attempts: tried.attempts,
            successes: tried.successes,
        }
    }
}

/// The interval for a share p of n: (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n).
///
/// E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
/// Statistical Association 22 (1927), 209–212. It never leaves 0 to 1, and is fit for few samples.
#[expect(
    clippy::cast_precision_loss,
    reason = "at most a thousand incidents are counted"
)]
fn wilson(successes: i64, attempts: i64) -> Interval {
    let n = attempts as f64;
    let p = successes as f64 / n;
    let z2 = QUANTILE * QUANTILE;
    let scale = 1.0 + z2 / n;
    let middle = (p + z2 / (2.0 * n)) / scale;
    let half = QUANTILE * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt() / scale;
    Interval {
        // With one outcome only, one bound is 0 or 1 exactly; rounding must not say otherwise.
        low: if successes == 0 { 0.0 } else { middle - half },
        high: if successes == attempts { 1.0 } else { middle + half },
        level: LEVEL,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

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
        assert_eq!(body["actionsTried"][0]["interval"]["low"], 0.0);
    }

    #[test]
    fn intervals_are_those_computed_by_hand() {
        // 8 of 10: z² = 3.841459, scale = 1.3841459, middle = (0.8 + 0.19207294) / 1.3841459 = 0.71674016,
        // half = 1.95996398 √(0.016 + 0.00960365) / 1.3841459 = 0.22657769.
        let interval = wilson(8, 10);
        assert!((interval.low - 0.490_162).abs() < 1e-6, "{interval:?}");
        assert!((interval.high - 0.943_318).abs() < 1e-6, "{interval:?}");
        // All of 3: the lower bound is 1 / (1 + z²/3).
        let all = wilson(3, 3);
        assert!((all.low - 0.438_503).abs() < 1e-6, "{all:?}");
        assert_eq!((all.high, all.level), (1.0, 0.95));
    }
}
