//! The life of an incident: a remediation request, its analysis, its workflow, and perhaps a second attempt.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Duration, Utc};
use serde_json::json;

use super::body::{Body, labels, payload, priority, slug, stamp, with_target};
use super::catalogue::{Cause, Remedy};
use super::rng::Rng;
use super::run::{Run, RunOf};
use super::template::{Scene, render};
use super::trouble::Spot;
use super::{DemoRecord, RecordKind};

/// Provider and model of the analyses, and how fast they are.
const MODELS: &[(&str, &str, f64)] = &[
    ("anthropic", "claude-sonnet-4-5", 0.1),
    ("anthropic", "claude-sonnet-4-5", 0.1),
    ("openai", "gpt-4.1", 0.2),
    ("local", "qwen2.5-72b-instruct", 0.0),
];
/// How an analysis fails.
const ANALYSIS_FAILURES: &[&str] = &[
    "The model provider answered 529 to every attempt",
    "The answer was not valid JSON, {int:2:4} times",
    "The investigation ran into its time limit",
];

/// The circumstances under which a signal comes in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occasion {
    pub(super) created: DateTime<Utc>,
    /// What the odds of the remedies are multiplied by.
    pub(super) luck: f64,
    pub(super) storm: Option<&'static str>,
    /// Whether there may be a second attempt when the first one fails.
    pub(super) may_retry: bool,
    /// Whether all intermediate states are reported.
    pub(super) watched: bool,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) records: Vec<DemoRecord>,
    /// How many remediation requests there were.
    pub(super) incidents: usize,
    pub(super) over: DateTime<Utc>,
}

/// What stays the same over the attempts.
struct Plot<'a> {
    spot: &'a Spot,
    occasion: &'a Occasion,
    scene: Scene,
    cause: &'static Cause,
    message: String,
    correlation: String,
}

/// Plays a signal through to its end.
pub(super) fn play(spot: &Spot, occasion: &Occasion, rng: &mut Rng) -> Played {
    let scene = Scene::of(spot.target, rng);
    let causes = spot.alert.causes;
    let usual = rng.chance(0.78);
    let cause = &causes[if usual {
        spot.habit
    } else {
        rng.weighted(causes.iter().map(|cause| cause.share))
    }];
    let message = render(cause.messages[spot.wording % cause.messages.len()], &scene, rng);
    let correlation = format!("rem-{}-{}", occasion.created.format("%Y-%m-%d"), rng.hex(8));
    let plot = Plot {
        spot,
        occasion,
        scene,
        cause,
        message,
        correlation,
    };

    let other = cause.remedies.len() - 1;
    let first = if rng.chance(spot.sense) { 0 } else { other };
    let mut records = Vec::new();
    let (mut over, solved) = plot.attempt(1, occasion.created, first, rng, &mut records);
    let mut incidents = 1;
    if !solved && occasion.may_retry && rng.chance(0.55) {
        let created = over + Duration::seconds(rng.skewed(90, 900));
        (over, _) = plot.attempt(2, created, other - first.min(other), rng, &mut records);
        incidents = 2;
    }
    Played {
        records,
        incidents,
        over,
    }
}

impl Plot<'_> {
    /// One remediation request. Answers when it was over and whether it helped.
    fn attempt(
        &self,
        number: usize,
        created: DateTime<Utc>,
        remedy: usize,
        rng: &mut Rng,
        records: &mut Vec<DemoRecord>,
    ) -> (DateTime<Utc>, bool) {
        let name = format!("rr-{}-{}", slug(self.spot.alert.name), rng.hex(8));
        let request = self.request(&name, number, created, rng);
        if self.occasion.watched || rng.chance(0.3) {
            records.push(request.clone().with("phase", "Pending").report(created));
        }
        let started = created + Duration::seconds(rng.skewed(2, 40));
        let request = request.with("startedAt", stamp(started));
        records.push(request.clone().with("phase", "Processing").report(started));

        let remedy = &self.cause.remedies[remedy];
        let Some((analysis, analysed, confidence)) = self.analyse(&name, started, remedy, rng, records)
        else {
            let over = started + Duration::seconds(rng.int(310, 420));
            let failed = request
                .with("phase", "Failed")
                .with(
                    "errorMessage",
                    "There was no usable analysis, and nothing was tried",
                )
                .with("completedAt", stamp(over));
            records.push(failed.report(over));
            return (over, false);
        };

        let again = if number > 1 { 1.08 } else { 1.0 };
        let run = RunOf {
            target: self.spot.target,
            scene: &self.scene,
            remedy,
            request: &name,
            analysis: &analysis,
            correlation: &self.correlation,
            confidence,
            odds: (remedy.odds * self.spot.luck * self.occasion.luck * again).clamp(0.02, 0.97),
            watched: self.occasion.watched,
        };
        let Run {
            over,
            error,
            parameters,
        } = run.play(analysed + Duration::seconds(rng.int(1, 5)), rng, records);
        let over = over + Duration::seconds(rng.int(1, 8));
        let solved = error.is_none();
        let ended = request
            .with("phase", if solved { "Completed" } else { "Failed" })
            .with("actionType", remedy.workflow.action().name)
            .with("actionParameters", parameters)
            .with_some("errorMessage", error)
            .with("completedAt", stamp(over));
        records.push(ended.report(over));
        (over, solved)
    }

    /// What all versions of the remediation request say.
    fn request(&self, name: &str, number: usize, created: DateTime<Utc>, rng: &mut Rng) -> Body {
        let (alert, target) = (self.spot.alert, self.spot.target);
        let environment = target.environment();
        let payload = rng
            .chance(0.03)
            .then(|| BASE64.encode(payload(alert, target, &self.message, self.occasion.created).to_string()));
        with_target(
            Body::new(RecordKind::Remediation, name, &self.correlation, created),
            target,
        )
        .with("signalType", alert.source.signal_type())
        .with("signalName", alert.name)
        .with_some("signalNamespace", target.namespace)
        .with("environment", environment)
        .with("severity", alert.severity)
        .with("priority", priority(alert.severity, environment))
        .with("fingerprint", self.spot.fingerprint.as_str())
        .with("reason", self.cause.reason)
        .with("message", self.message.as_str())
        .with("labels", labels(alert, target, number, self.occasion.storm))
        .with_some("originalPayload", payload)
    }

    /// The analysis, or two when the first one fails. Answers the name of the one that is used, when it was ready
    /// and how sure it is.
    fn analyse(
        &self,
        request: &str,
        started: DateTime<Utc>,
        remedy: &Remedy,
        rng: &mut Rng,
        records: &mut Vec<DemoRecord>,
    ) -> Option<(String, DateTime<Utc>, f64)> {
        let mut created = started + Duration::seconds(rng.int(1, 3));
        if rng.chance(0.035) {
            let (_, body) = self.analysis(request, created, rng);
            let seconds = rng.int(40, 300);
            let failed = created + Duration::seconds(seconds);
            let message = render(rng.pick::<&str>(ANALYSIS_FAILURES), &self.scene, rng);
            let body = body
                .with("phase", "Failed")
                .with("message", message)
                .with("tokensUsed", rng.int(900, 9_000))
                .with("investigationTimeSeconds", seconds)
                .with("requiresApproval", false)
                .with("completedAt", stamp(failed));
            records.push(body.report(failed));
            if rng.chance(0.4) {
                return None;
            }
            created = failed + Duration::seconds(rng.int(5, 20));
        }
        let (name, body) = self.analysis(request, created, rng);
        if self.occasion.watched {
            records.push(body.clone().with("phase", "Processing").report(created));
        }
        let seconds = rng.skewed(9, 160);
        let done = created + Duration::seconds(seconds);
        let (low, high) = self.cause.confidence;
        let confidence = (rng.float(low, high) * 1_000.0).round() / 1_000.0;
        let body = body
            .with("phase", "Completed")
            .with("rootCause", self.cause.root_cause)
            .with("confidence", confidence)
            .with("recommendedAction", remedy.workflow.action().name)
            .with("requiresApproval", remedy.workflow.guarded && confidence < 0.9)
            .with("tokensUsed", rng.skewed(1_800, 24_000))
            .with("investigationTimeSeconds", seconds)
            .with("message", self.cause.advice)
            .with("completedAt", stamp(done));
        records.push(body.report(done));
        Some((name, done, confidence))
    }

    /// What all versions of an analysis say.
    fn analysis(&self, request: &str, created: DateTime<Utc>, rng: &mut Rng) -> (String, Body) {
        let alert = self.spot.alert;
        let (provider, model, temperature) = *rng.pick(MODELS);
        let name = format!("ai-{}-{}", slug(alert.name), rng.hex(8));
        let context = json!({
            "alertName": alert.name,
            "severity": alert.severity,
            "environment": self.spot.target.environment(),
            "logLinesRead": rng.skewed(40, 2_000),
            "eventsRead": rng.skewed(3, 60),
            "pastIncidentsRead": rng.skewed(0, 20),
        });
        let body = Body::new(RecordKind::AiAnalysis, &name, &self.correlation, created)
            .with("remediationRequestRef", request)
            .with("signalType", alert.source.signal_type())
            .with("signalContext", context)
            .with("llmProvider", provider)
            .with("llmModel", model)
            .with("temperature", temperature)
            .with("investigationId", format!("inv-{}", rng.hex(12)))
            .with("startedAt", stamp(created));
        (name, body)
    }
}
