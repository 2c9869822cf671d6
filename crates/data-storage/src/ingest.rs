//! The write path behind the handlers: redact, make room, embed within the budget, hand over to a writer task, await the commit.
//!
//! No request owns a transaction. A client that hangs up drops only its wait for the answer; the record goes its way.

mod backfill;
mod capacity;
mod fullness;
mod pace;
pub(crate) mod redact;
mod text;
mod writer_task;

use std::time::{Duration, Instant};

use audit_store::record::{Record, RecordKind};
use audit_store::writer::{Group, IdempotencyKey, NewRecord, Receipt, RecordText};
use audit_store::{StoreError, WriteStore};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use embedding::{EmbeddingCache, text_sha256};
use futures::future::join_all;
use redaction::Findings;
use service_kit::problem::ProblemKind;
use service_kit::{Clock, Problem, Violation};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{Instrument, Span};

use crate::config::Config;
use crate::idempotency::KEY_REUSED;
use crate::metrics::{Metrics, WriteResult};
use backfill::Backfill;
use capacity::Capacity;
use fullness::{FULL_FOR, Fullness};
use writer_task::{Job, Waiting, WriterTask};

/// How long a client waits before it tries again what the queue had no room for.
const QUEUE_FULL_RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a client waits before it tries again what the database was away for.
const UNAVAILABLE_RETRY_AFTER: Duration = Duration::from_secs(5);

/// 503 for want of space, by a type of its own: somebody has to make room, and waiting alone does not help.
pub(crate) const STORAGE_FULL: ProblemKind = ProblemKind::new(
    "storage-full",
    "The database has no space left",
    StatusCode::SERVICE_UNAVAILABLE,
);

/// Where records go in; clones are handles of one queue.
#[derive(Clone)]
pub struct Ingest {
    queue: mpsc::Sender<Job>,
    capacity: Capacity,
    vectors: EmbeddingCache,
    budget: Duration,
    metrics: Metrics,
    fullness: Fullness,
}

/// The tasks behind an [`Ingest`]. Dropping it ends them where they are.
pub struct Writers {
    tasks: JoinSet<()>,
    backfill: JoinSet<()>,
}

/// Records that are stored together or not at all, on their way in.
#[derive(Debug)]
pub struct Submission {
    /// The records.
    pub records: Vec<Record>,
    /// Identity of the caller.
    pub actor: String,
    /// When they came.
    pub received_at: DateTime<Utc>,
    /// The key of their request.
    pub key: Option<IdempotencyKey>,
}

impl Ingest {
    /// Starts the writer tasks and the worker that fills in late vectors.
    #[must_use]
    pub fn start(
        store: WriteStore,
        vectors: EmbeddingCache,
        config: &Config,
        clock: Clock,
        metrics: Metrics,
    ) -> (Self, Writers) {
        let (writer, budget) = (config.writer, config.embedding.budget);
        let backfill_interval = config.embedding.backfill_interval;
        let capacity = Capacity::new(writer.queue, writer.queue_bytes, metrics.queue_depth.clone());
        // Each job has room of at least one record, so the channel is never the narrower of the two.
        let (queue, receiver) = mpsc::channel(writer.queue.max(1));
        let fullness = Fullness::default();
        let tasks = WriterTask::spawn_all(&store, &vectors, receiver, writer, &metrics, &fullness);
        let backfill = Backfill::new(store, vectors.clone(), clock, metrics.clone());
        let backfill = JoinSet::from_iter([backfill.run(backfill_interval)]);
        (
            Self {
                queue,
                capacity,
                vectors,
                budget,
                metrics,
                fullness,
            },
            Writers { tasks, backfill },
        )
    }

    /// Stores records, all or none, and answers once they are committed.
    ///
    /// # Errors
    /// A 503 problem where there is no room or the database is away or full, 422 where the key stands for another request or
    /// the database refuses a record, 500 for anything unexpected.
    pub async fn store(&self, submission: Submission) -> Result<Vec<Receipt>, Problem> {
        let Submission {
            records,
            actor,
            received_at,
            key,
        } = submission;
        let kinds: Vec<RecordKind> = records.iter().map(Record::kind).collect();
        let mut findings = Findings::new();
        let mut records = records
            .into_iter()
            .map(|record| redact::prepare(record, actor.clone(), received_at, &mut findings))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Problem::internal)?;
        self.metrics.count_redactions(&findings);
        let bytes = records.iter().map(NewRecord::size).sum();
        let Some(reserved) = self.capacity.reserve(records.len(), bytes) else {
            self.count(&kinds, WriteResult::QueueFull);
            return Err(Problem::unavailable(
                "The write queue is full.",
                QUEUE_FULL_RETRY_AFTER,
            ));
        };
        let embed = tracing::info_span!("embed", texts = records.len());
        let texts = join_all(records.iter().map(|record| self.text(record.record())))
            .instrument(embed)
            .await;
        for (record, text) in records.iter_mut().zip(texts) {
            record.text = text;
        }
        let (reply, answer) = oneshot::channel();
        let job = Job {
            group: Group { records, key },
            queued: Instant::now(),
            queue_span: tracing::info_span!("queue"),
            waiting: Waiting {
                reply,
                reserved,
                request_span: Span::current(),
            },
        };
        match self.queue.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.count(&kinds, WriteResult::QueueFull);
                return Err(Problem::unavailable(
                    "The write queue is full.",
                    QUEUE_FULL_RETRY_AFTER,
                ));
            }
            Err(TrySendError::Closed(_)) => {
                self.count(&kinds, WriteResult::Failed);
                return Err(Problem::unavailable(
                    "The writer has stopped.",
                    UNAVAILABLE_RETRY_AFTER,
                ));
            }
        }
        match answer.await {
            Ok(Ok(receipts)) => Ok(receipts),
            Ok(Err(error)) => Err(problem(error)),
            // The writer is gone before it answered: the record may or may not be stored, and a retry finds out.
            Err(_) => Err(Problem::unavailable(
                "The service is stopping.",
                UNAVAILABLE_RETRY_AFTER,
            )),
        }
    }

    /// Stores one record.
    ///
    /// # Errors
    /// Those of [`Self::store`].
    pub async fn store_one(
        &self,
        record: Record,
        actor: String,
        received_at: DateTime<Utc>,
        key: Option<IdempotencyKey>,
    ) -> Result<Receipt, Problem> {
        let submission = Submission {
            records: vec![record],
            actor,
            received_at,
            key,
        };
        let receipts = self.store(submission).await?;
        let receipt = receipts.into_iter().next();
        receipt.ok_or_else(|| Problem::internal("a stored record has no receipt"))
    }

    fn count(&self, kinds: &[RecordKind], result: WriteResult) {
        for kind in kinds {
            self.metrics.count_write(*kind, result);
        }
    }

    /// Tells why a record would not be stored, if there is a reason, without keeping the queue open.
    pub(crate) fn obstacle(&self) -> impl Fn() -> Option<&'static str> + Send + Sync + 'static {
        let (queue, fullness) = (self.queue.downgrade(), self.fullness.clone());
        move || {
            if queue.upgrade().is_none_or(|queue| queue.is_closed()) {
                Some("the writer has stopped")
            } else if fullness.holds() {
                Some("the database has no space left")
            } else {
                None
            }
        }
    }

    /// The canonical text of a record, with its vector if that is there within the budget.
    async fn text(&self, record: &Record) -> Option<RecordText> {
        let text = text::canonical(record)?;
        let started = Instant::now();
        let vector = match tokio::time::timeout(self.budget, self.vectors.get_or_embed(&text)).await {
            Ok(Ok(vector)) => Some(vector.to_vec()),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a text was not embedded; its vector follows");
                None
            }
            // The work goes on and ends in the cache, where the backfill's or the next record's request finds it.
            Err(_) => None,
        };
        self.metrics.observe_embedding(started.elapsed());
        if vector.is_none() {
            self.metrics.embeddings_late.inc();
        }
        Some(RecordText {
            sha256: text_sha256(&text),
            text,
            vector,
        })
    }
}

impl Writers {
    /// Waits until every queued record is answered. All [`Ingest`] handles must be gone, or it waits for ever.
    pub async fn drained(mut self) {
        self.backfill.abort_all();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// What a client is told of an error of the store.
fn problem(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable(_) | StoreError::Contention(_) | StoreError::Timeout(_) => {
            Problem::unavailable("The database is not available.", UNAVAILABLE_RETRY_AFTER).with_cause(error)
        }
        StoreError::Full(_) => Problem::new(STORAGE_FULL)
            .with_detail("The record was not stored. It can be sent again once there is room.")
            .with_retry_after(FULL_FOR)
            .with_cause(error),
        // Not what PostgreSQL says: it quotes values.
        StoreError::Rejected { .. } => Problem::new(ProblemKind::UNPROCESSABLE)
            .with_detail("The database refused the record.")
            .with_cause(error.to_string()),
        StoreError::KeyReused => Problem::new(KEY_REUSED)
            .with_detail("The key was given with another request before.")
            .with_violations([Violation::header(
                "Idempotency-Key",
                "reused",
                "must name one request only",
            )]),
        StoreError::OtherModel(_) | StoreError::Inconsistent(_) | StoreError::Driver(_) => {
            Problem::internal(error)
        }
    }
}
