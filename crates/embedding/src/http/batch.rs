//! What becomes of a batch: tried again while that may help, halved while one of its texts may spoil it for the others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::embedder::{Answer, Job, respond};
use crate::error::{EmbedError, InvalidAnswer};
use crate::vector::InvalidVector;

use super::answer::Judged;
use super::backoff;
use super::client::{Client, Failure};
use super::gate::{Entry, Gate, Permit};
use super::options::{HttpOptions, InvalidOptions};

/// A text that no provider has a reason to refuse.
const HARMLESS: &str = "test";

/// A provider, and what is known of it.
pub(super) struct Asker {
    client: Client,
    gate: Gate,
    jitter: Mutex<StdRng>,
    retry_for: Duration,
    /// Whether a vector of this provider was ever usable.
    is_proven: AtomicBool,
}

/// Texts of one request, and who waits for their vectors.
struct Part {
    texts: Vec<String>,
    replies: Vec<oneshot::Sender<Answer>>,
}

impl Asker {
    pub(super) fn new(options: &HttpOptions, jitter: StdRng) -> Result<Self, InvalidOptions> {
        Ok(Self {
            client: Client::new(options)?,
            gate: Gate::new(options.breaker_failures, options.breaker_cool_off),
            jitter: Mutex::new(jitter),
            retry_for: options.retry_for,
            is_proven: AtomicBool::new(false),
        })
    }

    /// Answers every job of a batch that somebody still waits for.
    pub(super) async fn answer(&self, jobs: Vec<Job>) {
        let deadline = Instant::now() + self.retry_for;
        let mut parts = vec![jobs];
        while let Some(mut jobs) = parts.pop() {
            jobs.retain(|job| !job.reply.is_closed());
            if jobs.is_empty() {
                continue;
            }
            let mut part = Part::from(jobs);
            let asked = tokio::select! {
                asked = self.ask(&part.texts, deadline) => asked,
                // A request that nobody waits for only keeps others from being made.
                () = all_closed(&mut part.replies) => continue,
            };
            match asked {
                Ok(vectors) => {
                    for (vector, reply) in vectors.into_iter().zip(part.replies) {
                        respond(reply, vector.map_err(|error| InvalidAnswer::from(error).into()));
                    }
                }
                Err(Failure::Refused(_) | Failure::Unusable(_)) if part.texts.len() > 1 => {
                    let mut first = Vec::from(part);
                    let second = first.split_off(first.len() / 2);
                    parts.extend([second, first]);
                }
                Err(failure) => {
                    let error = self.judge(failure, deadline).await;
                    for reply in part.replies {
                        respond(reply, Err(error.clone()));
                    }
                }
            }
        }
    }

    /// What a failure means for the texts that nothing else can be tried for.
    async fn judge(&self, failure: Failure, deadline: Instant) -> EmbedError {
        match failure {
            // A provider that takes nothing at all, say for the name of its model, says nothing about this text.
            Failure::Refused(reason) if self.takes_others(deadline).await => {
                EmbedError::Refused(reason.into())
            }
            Failure::Unusable(answer) => answer.into(),
            Failure::Refused(reason) | Failure::Passing { reason, .. } | Failure::Lasting(reason) => {
                EmbedError::Unavailable(reason.into())
            }
        }
    }

    async fn takes_others(&self, deadline: Instant) -> bool {
        if !self.is_proven.load(Ordering::Relaxed) {
            // Its success is what sets the flag.
            let _ = self.ask(&[HARMLESS.to_owned()], deadline).await;
        }
        self.is_proven.load(Ordering::Relaxed)
    }

    /// Makes requests until one of them brings an answer, or the deadline or the gate says that none will.
    async fn ask(&self, texts: &[String], deadline: Instant) -> Result<Vec<Judged>, Failure> {
        let mut failed = None;
        let mut attempt = 0;
        loop {
            let permit = match self.permit(deadline).await {
                Ok(permit) => permit,
                // What was answered before says more.
                Err(reason) => return Err(failed.unwrap_or_else(|| Failure::Lasting(reason.to_owned()))),
            };
            let asked = self.client.post(texts, deadline).await;
            let is_shut = self.learn(permit, texts, &asked);
            let failure = match asked {
                Ok(vectors) => return Ok(vectors),
                Err(failure) => failure,
            };
            let Failure::Passing { advice, .. } = &failure else {
                return Err(failure);
            };
            let advice = advice.unwrap_or_default();
            let now = Instant::now();
            self.gate.hold(now + advice);
            let next = now + advice + self.pause(attempt);
            if is_shut || next >= deadline {
                return Err(failure);
            }
            failed = Some(failure);
            sleep_until(next).await;
            attempt += 1;
        }
    }

    /// Waits at the gate for a request, or says why there will be none before the deadline.
    async fn permit(&self, deadline: Instant) -> Result<Permit<'_>, &'static str> {
        loop {
            let now = Instant::now();
            if now >= deadline {
                return Err("the time was up before it was asked");
            }
            match self.gate.enter(now) {
                Entry::Go(permit) => return Ok(permit),
                // Not all at once when it is over.
                Entry::Wait(until) if until < deadline => sleep_until(until + self.pause(0)).await,
                Entry::Wait(_) => return Err("it asked to be left alone for longer than a text may wait"),
                Entry::Shut => return Err("it failed too often in a row and is left alone for now"),
            }
        }
    }

    /// Tells the gate what a request says about the provider's health, and returns whether the gate is shut.
    fn learn(&self, permit: Permit<'_>, texts: &[String], asked: &Result<Vec<Judged>, Failure>) -> bool {
        let is_well = match asked {
            Ok(vectors) => {
                if vectors.iter().any(Result::is_ok) {
                    self.is_proven.store(true, Ordering::Relaxed);
                }
                Some(!vectors.iter().all(is_of_another_model))
            }
            Err(Failure::Refused(_)) => Some(true),
            // It works, but too slowly for what it is asked.
            Err(Failure::Passing { is_well: true, .. }) => None,
            // One text may be the reason; if it is not, the halves will tell.
            Err(Failure::Unusable(_)) if texts.len() > 1 => None,
            Err(Failure::Passing { .. } | Failure::Lasting(_) | Failure::Unusable(_)) => Some(false),
        };
        match is_well {
            Some(true) => permit.succeeded(),
            Some(false) => return permit.failed(Instant::now()),
            None => drop(permit),
        }
        false
    }

    fn pause(&self, attempt: u32) -> Duration {
        let mut jitter = self.jitter.lock().unwrap_or_else(PoisonError::into_inner);
        backoff::pause(attempt, &mut *jitter)
    }
}

impl From<Vec<Job>> for Part {
    fn from(jobs: Vec<Job>) -> Self {
        let (texts, replies) = jobs.into_iter().map(|job| (job.text, job.reply)).unzip();
        Self { texts, replies }
    }
}

impl From<Part> for Vec<Job> {
    fn from(part: Part) -> Self {
        let jobs = part.texts.into_iter().zip(part.replies);
        jobs.map(|(text, reply)| Job { text, reply }).collect()
    }
}

fn is_of_another_model(vector: &Judged) -> bool {
    matches!(vector, Err(InvalidVector::Dimension { .. }))
}

/// Ends when nobody waits any more.
async fn all_closed(replies: &mut [oneshot::Sender<Answer>]) {
    for reply in replies {
        reply.closed().await;
    }
}
