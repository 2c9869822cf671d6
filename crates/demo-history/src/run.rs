//! The run of a workflow: its steps, their executions, and where it fails if it fails.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Map, Value, json};

use super::action::Action;
use super::body::{Body, stamp, with_target};
use super::catalogue::Remedy;
use super::inventory::Target;
use super::rng::Rng;
use super::template::{Scene, render};
use super::workflow::{Step, Workflow};
use super::{DemoRecord, RecordKind};

/// How long an approval is waited for.
const APPROVAL_LIMIT: i64 = 3_600;

/// What is to be run, and what it belongs to.
pub(super) struct RunOf<'a> {
    pub(super) target: &'a Target,
    pub(super) scene: &'a Scene,
    pub(super) remedy: &'a Remedy,
    pub(super) request: &'a str,
    pub(super) analysis: &'a str,
    pub(super) correlation: &'a str,
    pub(super) confidence: f64,
    pub(super) odds: f64,
    pub(super) watched: bool,
}

/// What came of it.
pub(super) struct Run {
    pub(super) over: DateTime<Utc>,
    /// Why it failed.
    pub(super) error: Option<String>,
    /// The parameters of the remedy.
    pub(super) parameters: Value,
}

/// How one step ended.
struct Outcome {
    began: DateTime<Utc>,
    ended: DateTime<Utc>,
    retries: u32,
    message: String,
    failed: bool,
}

/// One execution that can still be reported as rolled back.
struct Undo {
    body: Body,
    step: usize,
}

impl RunOf<'_> {
    /// Runs the workflow that was created at `created`.
    pub(super) fn play(&self, created: DateTime<Utc>, rng: &mut Rng, records: &mut Vec<DemoRecord>) -> Run {
        let flow = self.remedy.workflow;
        let name = format!("wf-{}-{}", flow.name, rng.hex(8));
        let guarded = flow.guarded && self.confidence < 0.9 && self.target.environment() == "production";
        let body = Body::new(RecordKind::Workflow, &name, self.correlation, created)
            .with("remediationRequestRef", self.request)
            .with("aiAnalysisRef", self.analysis)
            .with("workflowName", flow.name)
            .with("isAutoApproved", !guarded)
            .with("requiresApproval", guarded)
            .with("stepCount", flow.steps.len());
        let parameters = fill_in(flow.action(), self.scene, rng);

        let mut clock = created + Duration::seconds(rng.int(1, 4));
        if guarded {
            if self.watched {
                let waiting = progress(body.clone(), flow, &[], "Pending", 0)
                    .with("phase", "Pending")
                    .with("message", "Waiting for approval");
                records.push(waiting.report(created));
            }
            if rng.chance(0.04) {
                let over = created + Duration::seconds(APPROVAL_LIMIT);
                let error = "Nobody approved the workflow within its time limit".to_owned();
                let refused = progress(body, flow, &[], "Skipped", 0)
                    .with("phase", "Failed")
                    .with("message", error.as_str())
                    .with("completedAt", stamp(over));
                records.push(refused.report(over));
                return Run {
                    over,
                    error: Some(error),
                    parameters,
                };
            }
            clock += Duration::seconds(rng.skewed(40, 2_700));
        }
        let body = body.with("startedAt", stamp(clock));
        if self.watched || rng.chance(0.05) {
            let running = progress(body.clone(), flow, &[], "Pending", 0)
                .with("phase", "Processing")
                .with(
                    "message",
                    format!("Running the first of {} steps", flow.steps.len()),
                );
            records.push(running.report(clock));
        }

        let failure = (!rng.chance(self.odds)).then(|| self.failure(rng));
        let mut outcomes = Vec::new();
        let mut undo = None;
        for (index, step) in flow.steps.iter().enumerate() {
            let error = failure
                .as_ref()
                .filter(|(at, _)| *at == index)
                .map(|(_, error)| error.as_str());
            let data = if index == flow.remedy {
                parameters.clone()
            } else {
                fill_in(step.action, self.scene, rng)
            };
            let step = StepRun {
                of: self,
                workflow: &name,
                step,
                data,
                error,
            };
            let (outcome, last) = step.play(clock, rng, records);
            clock = outcome.ended + Duration::seconds(rng.int(0, 2));
            if index == flow.remedy {
                undo = Some(Undo {
                    body: last,
                    step: index,
                });
            }
            let failed = outcome.failed;
            outcomes.push(outcome);
            if failed {
                break;
            }
        }
        if let (Some((at, _)), Some(Undo { body, step })) = (&failure, undo)
            && flow.action().reversible
            && rng.chance(0.6)
        {
            // What was changed is put back, whether the change failed itself or did not help.
            clock += Duration::seconds(rng.int(3, 40));
            let phase = if *at == step { "Failed" } else { "Completed" };
            records.push(body.with("isRolledBack", true).with("phase", phase).report(clock));
        }

        let (failure_step, error) = failure.unzip();
        // The error itself stays with its step and with the request: one text to embed, not one per workflow.
        let message = match (&failure_step, flow.steps.len()) {
            (Some(step), _) => format!("Stopped at step {}", flow.steps[*step].name),
            (None, count) => format!("All {count} steps completed"),
        };
        let ended = progress(body, flow, &outcomes, "Skipped", outcomes.len())
            .with("phase", if error.is_some() { "Failed" } else { "Completed" })
            .with("message", message)
            .with("completedAt", stamp(clock));
        records.push(ended.report(clock));
        Run {
            over: clock,
            error,
            parameters,
        }
    }

    /// Which step fails, and how. Mostly everything is carried out and does not help.
    fn failure(&self, rng: &mut Rng) -> (usize, String) {
        let flow = self.remedy.workflow;
        let last = flow.steps.len() - 1;
        let changing: Vec<usize> = (0..last)
            .filter(|index| flow.steps[*index].action.changes)
            .collect();
        let (step, text) = if changing.is_empty() || rng.chance(0.6) {
            (last, self.remedy.unresolved)
        } else {
            let step = if rng.chance(0.75) {
                flow.remedy.min(last)
            } else {
                *rng.pick(&changing)
            };
            let failures = flow.steps[step].action.failures;
            (
                step,
                failures[if rng.chance(0.7) { 0 } else { failures.len() - 1 }],
            )
        };
        (step, render(text, self.scene, rng))
    }
}

/// One step of a run.
struct StepRun<'a> {
    of: &'a RunOf<'a>,
    workflow: &'a str,
    step: &'a Step,
    data: Value,
    /// Why it fails.
    error: Option<&'a str>,
}

impl StepRun<'_> {
    /// Executes the step, perhaps after a dry run, perhaps twice. Answers the last execution as well.
    fn play(&self, began: DateTime<Utc>, rng: &mut Rng, records: &mut Vec<DemoRecord>) -> (Outcome, Body) {
        let action = self.step.action;
        let mut clock = began;
        if action.changes && rng.chance(0.07) {
            let body = self.execution(clock, true, rng);
            clock += Duration::seconds(rng.int(1, 5));
            let dry = body
                .with("phase", "Completed")
                .with("actionResult", "dry-run")
                .with("dryRunResult", "Accepted by the API server, nothing was changed")
                .with("message", "Dry run only")
                .with("completedAt", stamp(clock));
            records.push(dry.report(clock));
        }
        let hiccup = if self.error.is_some() { 0.35 } else { 0.04 };
        let mut retries = 0;
        if action.changes && rng.chance(hiccup) {
            let transient = self.error.unwrap_or(action.failures[action.failures.len() - 1]);
            let message = render(transient, self.of.scene, rng);
            let body = self.execution(clock, false, rng);
            clock += Duration::seconds(rng.skewed(action.seconds.0, action.seconds.1));
            records.push(self.end(body, false, &message, clock).report(clock));
            clock += Duration::seconds(rng.int(5, 30));
            retries = 1;
        }
        let body = self.execution(clock, false, rng);
        clock += Duration::seconds(rng.skewed(action.seconds.0, action.seconds.1));
        let message = self
            .error
            .map_or_else(|| render(action.done, self.of.scene, rng), str::to_owned);
        let body = self.end(body, self.error.is_none(), &message, clock);
        records.push(body.report(clock));
        (
            Outcome {
                began,
                ended: clock,
                retries,
                message,
                failed: self.error.is_some(),
            },
            body,
        )
    }

    /// What all executions of the step say.
    fn execution(&self, created: DateTime<Utc>, dry: bool, rng: &mut Rng) -> Body {
        let action = self.step.action;
        let name = format!("ex-{}-{}", self.step.name, rng.hex(8));
        let previous = rng.int(40_000_000, 990_000_000);
        let current = if action.changes && !dry {
            previous + rng.int(1, 4_000)
        } else {
            previous
        };
        let warned = action.changes && rng.chance(0.06);
        let warnings = if warned {
            json!(["The object is managed by Helm; the next release overwrites the change"])
        } else {
            json!([])
        };
        let body = Body::new(RecordKind::Execution, &name, self.of.correlation, created);
        let body = if action.on_node() && self.of.target.kind != "Node" {
            body.with("targetType", "Node")
                .with("targetName", self.of.scene.node.as_str())
                .with("clusterName", self.of.target.cluster.name())
        } else {
            with_target(body, self.of.target)
        };
        body.with("workflowExecutionRef", self.workflow)
            .with("stepName", self.step.name)
            .with("actionType", action.name)
            .with("actionData", self.data.clone())
            .with("enableDryRun", dry)
            .with("enableValidation", action.changes)
            .with("enableRollback", action.reversible)
            .with("resourceVersion", current.to_string())
            .with("previousVersion", previous.to_string())
            .with(
                "validationResult",
                if warned { "passed-with-warnings" } else { "passed" },
            )
            .with("validationWarnings", warnings)
            .with("isRolledBack", false)
            .with("startedAt", stamp(created))
    }

    fn end(&self, body: Body, worked: bool, message: &str, at: DateTime<Utc>) -> Body {
        body.with("phase", if worked { "Completed" } else { "Failed" })
            .with("actionResult", if worked { "success" } else { "failure" })
            .with("message", message)
            .with("completedAt", stamp(at))
    }
}

/// The counts and states of the steps, of which `outcomes` have run and the others are `rest`.
fn progress(body: Body, flow: &Workflow, outcomes: &[Outcome], rest: &str, current: usize) -> Body {
    let states: Vec<Value> = flow
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| match outcomes.get(index) {
            Some(outcome) => json!({
                "name": step.name,
                "phase": if outcome.failed { "Failed" } else { "Completed" },
                "startedAt": stamp(outcome.began),
                "completedAt": stamp(outcome.ended),
                "retryCount": outcome.retries,
                "message": outcome.message,
            }),
            None => json!({ "name": step.name, "phase": rest, "retryCount": 0 }),
        })
        .collect();
    let failed = outcomes.iter().filter(|outcome| outcome.failed).count();
    let skipped = if rest == "Skipped" {
        flow.steps.len() - outcomes.len()
    } else {
        0
    };
    body.with("currentStep", current)
        .with("completedCount", outcomes.len() - failed)
        .with("failedCount", failed)
        .with("skippedCount", skipped)
        .with("stepStatuses", states)
}

/// The action's parameters, filled in; what reads as a number or a truth value becomes one.
fn fill_in(action: &Action, scene: &Scene, rng: &mut Rng) -> Value {
    let fields: Map<String, Value> = action
        .parameters
        .iter()
        .map(|(name, template)| {
            let text = render(template, scene, rng);
            let value = match (text.parse::<i64>(), text.parse::<bool>()) {
                (Ok(number), _) => Value::from(number),
                (_, Ok(truth)) => Value::from(truth),
                _ => Value::from(text),
            };
            ((*name).to_owned(), value)
        })
        .collect();
    Value::Object(fields)
}
