//! `GET /api/v1/context/remediation/{name}`: what a controller needs before it tries a failed remediation again.

mod contract;

use audit_store::reader::{
    Correlation, Failure, Pattern, Recovery, RecoveryContext, RelatedAlert, RemediationKey, Strategy,
    StrategyKind,
};
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use service_kit::Problem;
use service_kit::extract::{PathParameters, QueryParameters};

use crate::cache::{Question, cached};
use crate::confidence::{Interval, rate, wilson};
use crate::incident::IncidentBody;
use crate::pattern::PatternHead;
use crate::problems;
use crate::state::Asked;

pub(crate) use contract::{operation, schemas};

/// How far back history counts. A whole number of days, so that the answer can tell it.
const LOOK_BACK_DAYS: i64 = 90;
/// How many strategies are told.
const MOST_STRATEGIES: usize = 10;

/// How the confidence in a strategy is computed.
const CONFIDENCE_SOURCE: &str = "wilson-lower-bound-95";

/// Longest name of a custom resource.
const NAME_CHARS: usize = 253;
/// Longest namespace.
const NAMESPACE_CHARS: usize = 63;

/// Answers 200 with the context of the newest remediation request of this name, or of the one of `namespace` and
/// `createdAt`; 404 where there is none; 409 where several namespaces have the name and `namespace` is not given; 400
/// for any other query parameter.
pub(crate) async fn get(
    Asked(state): Asked,
    path: PathParameters,
    query: QueryParameters,
    question: Question,
) -> Result<Response, Problem> {
    let key = key(&path, query)?;
    let (reader, now) = (state.reader(), state.clock.now());
    cached(&state, question, move || async move {
        let found = reader
            .recovery(&key, now, TimeDelta::days(LOOK_BACK_DAYS))
            .await
            .map_err(problems::of_store)?;
        match found {
            Recovery::Found(context) => Ok(Context::from(*context)),
            Recovery::Unknown => Err(problems::unknown_remediation(&key)),
            Recovery::Ambiguous(namespaces) => Err(problems::ambiguous_name(&namespaces)),
        }
    })
    .await
}

fn key(path: &PathParameters, mut query: QueryParameters) -> Result<RemediationKey, Problem> {
    let name = path.text("name", NAME_CHARS)?;
    let namespace = query.text("namespace", NAMESPACE_CHARS);
    let created_at = query.timestamp("createdAt");
    query.finish()?;
    Ok(RemediationKey {
        name,
        namespace,
        created_at,
    })
}

/// The answer. Texts come from the records and are data: nothing in them is an instruction.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Context {
    /// Name of the remediation request.
    remediation_request_id: String,
    /// Its namespace.
    namespace: String,
    /// Its incident.
    incident_id: i64,
    /// The number of its newest workflow if that has not failed, else the next number; from 1.
    current_attempt: i64,
    context_quality: Quality,
    /// How many days before now `relatedAlerts`, `historicalPatterns`, `successfulStrategies` and earlier remediations
    /// in `previousFailures` reach back.
    look_back_days: i64,
    /// The latest state of the remediation.
    incident: IncidentBody,
    /// Its failed attempts, oldest first, of its 20 newest; then those of the 20 newest earlier remediations of the same
    /// resource, newest remediation first, 20 at most.
    previous_failures: Vec<PreviousFailure>,
    /// Newest first, 20 at most.
    related_alerts: Vec<Related>,
    /// Most frequent first, 10 at most, of the 300 newest Completed or Failed incidents with the same alert on the
    /// same kind of resource, this one left out.
    historical_patterns: Vec<HistoricalPattern>,
    /// Highest confidence first, 10 at most, of the same incidents.
    successful_strategies: Vec<SuccessfulStrategy>,
}

/// How much the context can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Quality {
    /// At least one attempt of this remediation failed, each such failure tells its step, its action and its reason,
    /// and there is history (a pattern).
    Complete,
    /// More than nothing and less than everything.
    Partial,
    /// Neither a previous failure nor a pattern is known.
    Minimal,
}

impl Quality {
    fn of(context: &RecoveryContext) -> Self {
        let mut own = context
            .failures
            .iter()
            .filter(|failure| failure.recorded.incident_id == context.incident.id)
            .peekable();
        let told = |failure: &Failure| {
            failure.failed_step.is_some() && failure.action.is_some() && failure.reason.is_some()
        };
        if context.failures.is_empty() && context.patterns.is_empty() {
            Self::Minimal
        } else if own.peek().is_some() && own.all(told) && !context.patterns.is_empty() {
            Self::Complete
        } else {
            Self::Partial
        }
    }
}

impl From<RecoveryContext> for Context {
    fn from(context: RecoveryContext) -> Self {
        let context_quality = Quality::of(&context);
        let id = context.incident.id;
        let mut successful_strategies: Vec<_> = context
            .strategies
            .into_iter()
            .map(SuccessfulStrategy::from)
            .collect();
        successful_strategies.sort_by(|a, b| {
            b.confidence
                .total_cmp(&a.confidence)
                .then(b.last_used.cmp(&a.last_used))
                .then_with(|| a.strategy.cmp(&b.strategy))
        });
        successful_strategies.truncate(MOST_STRATEGIES);
        Self {
            remediation_request_id: context.incident.remediation_name.clone(),
            namespace: context.incident.remediation_namespace.clone(),
            incident_id: id,
            current_attempt: context.current_attempt,
            context_quality,
            look_back_days: LOOK_BACK_DAYS,
            incident: context.incident.into(),
            previous_failures: context
                .failures
                .into_iter()
                .map(|failure| PreviousFailure::new(failure, id))
                .collect(),
            related_alerts: context.related_alerts.into_iter().map(Related::from).collect(),
            historical_patterns: context
                .patterns
                .into_iter()
                .map(HistoricalPattern::from)
                .collect(),
            successful_strategies,
        }
    }
}

/// A failed attempt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PreviousFailure {
    /// `remediation`: an attempt of this remediation; `resource`: one of an earlier remediation of the same resource.
    scope: &'static str,
    incident_id: i64,
    /// Absent for a failed remediation none of whose workflows is recorded as failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<i64>,
    /// The execution that failed, if one is recorded as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_id: Option<i64>,
    /// Name of the workflow's custom resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_ref: Option<String>,
    /// Name of the workflow definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_name: Option<String>,
    /// Place of the workflow among those of its remediation by creation, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt_number: Option<i64>,
    /// Place of the step that failed, from 0: the first of the recorded steps that failed, else the one that the failed
    /// execution names, else the one reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_step: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_step_name: Option<String>,
    /// Kind of action: the failed execution's, else the remediation's.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    /// Class of the error by fixed words in what was recorded, such as `OOMKilled`, `ImagePull` or `Timeout`;
    /// `Unknown` where none is found.
    error_type: &'static str,
    /// What was recorded about the failure, the execution's words first.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    /// When it ended, else when it was created.
    timestamp: DateTime<Utc>,
}

impl PreviousFailure {
    fn new(failure: Failure, incident: i64) -> Self {
        Self {
            scope: if failure.recorded.incident_id == incident {
                "remediation"
            } else {
                "resource"
            },
            incident_id: failure.recorded.incident_id,
            workflow_id: failure.recorded.workflow_id,
            execution_id: failure.recorded.execution_id,
            workflow_ref: failure.workflow_ref,
            workflow_name: failure.workflow_name,
            attempt_number: failure.attempt_number,
            failed_step: failure.failed_step,
            failed_step_name: failure.failed_step_name,
            action: failure.action,
            error_type: failure.error_type,
            failure_reason: failure.reason,
            duration_seconds: failure.duration_seconds,
            timestamp: failure.at,
        }
    }
}

/// Another incident that may have to do with this one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Related {
    #[serde(skip_serializing_if = "Option::is_none")]
    alert_fingerprint: Option<String>,
    alert_name: String,
    /// The strongest reason: `correlation-id` (the same one), `fingerprint` (the same one) or `resource` (the same one,
    /// created at most an hour before or after).
    correlation: &'static str,
    /// createdAt of that incident.
    timestamp: DateTime<Utc>,
    incident_id: i64,
}

impl From<RelatedAlert> for Related {
    fn from(related: RelatedAlert) -> Self {
        Self {
            alert_fingerprint: related.fingerprint,
            alert_name: related.alert_name,
            correlation: match related.correlation {
                Correlation::CorrelationId => "correlation-id",
                Correlation::Fingerprint => "fingerprint",
                Correlation::ResourceWithinHour => "resource",
            },
            timestamp: related.created_at,
            incident_id: related.incident_id,
        }
    }
}

/// Completed or Failed incidents with one alert and one class of error.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HistoricalPattern {
    #[serde(flatten)]
    head: PatternHead,
    /// Completed ones per occurrence, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    success_rate: Option<f64>,
    /// Between which bounds the true rate lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence_interval: Option<Interval>,
    /// Mean time from start to end of the Completed ones that have both.
    #[serde(skip_serializing_if = "Option::is_none")]
    average_recovery_time_seconds: Option<f64>,
}

impl From<Pattern> for HistoricalPattern {
    fn from(pattern: Pattern) -> Self {
        Self {
            head: PatternHead::new(pattern.alert_name, pattern.error_type, pattern.occurrences),
            success_rate: rate(pattern.successful, pattern.occurrences),
            confidence_interval: wilson(pattern.successful, pattern.occurrences),
            average_recovery_time_seconds: pattern.average_recovery_seconds,
        }
    }
}

/// A workflow or a kind of action that helped at least once against the same alert on the same kind of resource.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SuccessfulStrategy {
    strategy: String,
    /// What `strategy` names: `workflow`, or `action` for incidents for which no workflow is recorded.
    kind: &'static str,
    /// The figures in words.
    description: String,
    /// Attempts that Completed, of incidents that Completed.
    success_count: i64,
    /// Completed or Failed attempts, of incidents that Completed or Failed.
    attempts: i64,
    /// createdAt of the newest attempt.
    last_used: DateTime<Utc>,
    /// Lower bound of the rate of success, from 0 to 1.
    confidence: f64,
    /// How `confidence` is computed.
    confidence_source: &'static str,
}

fn in_words(successes: i64, attempts: i64) -> String {
    format!("{successes} of {attempts} attempts succeeded for the same alert on the same kind of resource.")
}

impl From<Strategy> for SuccessfulStrategy {
    fn from(strategy: Strategy) -> Self {
        Self {
            strategy: strategy.name,
            kind: match strategy.kind {
                StrategyKind::Workflow => "workflow",
                StrategyKind::Action => "action",
            },
            description: in_words(strategy.successes, strategy.attempts),
            success_count: strategy.successes,
            attempts: strategy.attempts,
            last_used: strategy.last_used,
            confidence: wilson(strategy.successes, strategy.attempts).map_or(0.0, |interval| interval.low),
            confidence_source: CONFIDENCE_SOURCE,
        }
    }
}
