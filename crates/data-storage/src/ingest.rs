//! The write path behind the handlers: embed within the budget, hand over to a writer task, await the commit.
//!
//! No request owns a transaction. A client that hangs up drops only its wait for the answer; the record goes its way.

mod backfill;
mod text;
mod writer_task;

use std::time::{Duration, Instant};

use audit_store::record::Record;
use audit_store::writer::{NewRecord, Receipt, RecordText};
use audit_store::{StoreError, WriteStore};
use chrono::{DateTime, Utc};
use embedding::{EmbeddingCache, text_sha256};
use service_kit::{Clock, Problem, ProblemKind};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::config::WriterConfig;
use crate::metrics::{Metrics, WriteResult};
use backfill::Backfill;
use writer_task::{Job, WriterTask};

/// How long a client waits before it tries again what the queue had no room for.
const QUEUE_FULL_RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a client waits before it tries again what the database was away for.
const UNAVAILABLE_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Where records go in; clones are handles of one queue.
#[derive(Clone)]
pub struct Ingest {
    queue: mpsc::Sender<Job>,
    vectors: EmbeddingCache,
    budget: Duration,
    metrics: Metrics,
}

/// The tasks behind an [`Ingest`].
pub struct Writers {
    tasks: JoinSet<()>,
    backfill: tokio::task::JoinHandle<()>,
}

impl Ingest {
    /// Starts the writer tasks and the worker that fills in late vectors.
    #[must_use]
    pub fn start(
        store: WriteStore,
        vectors: EmbeddingCache,
        budget: Duration,
        backfill_interval: Duration,
        config: WriterConfig,
        clock: Clock,
        metrics: Metrics,
    ) -> (Self, Writers) {
        let (queue, receiver) = mpsc::channel(config.queue.max(1));
        let tasks = WriterTask::spawn_all(&store, &vectors, receiver, config, &metrics);
        let backfill = Backfill::new(store, vectors.clone(), clock, metrics.clone());
        let backfill = tokio::spawn(backfill.run(backfill_interval));
        (
            Self {
                queue,
                vectors,
                budget,
                metrics,
            },
            Writers { tasks, backfill },
        )
    }

    /// Stores a record, and answers once it is committed.
    ///
    /// # Errors
    /// A 503 problem where the queue is full or the database is away, 422 where the database refuses the record, 500
    /// for anything unexpected.
    pub async fn store(
        &self,
        record: Record,
        actor: String,
        received_at: DateTime<Utc>,
    ) -> Result<Receipt, Problem> {
        let kind = record.kind();
        let text = self.text(&record).await;
        let mut new = NewRecord::new(record, actor, received_at).map_err(Problem::internal)?;
        new.text = text;
        let (reply, answer) = oneshot::channel();
        let job = Job {
            record: new,
            queued: Instant::now(),
            reply,
        };
        match self.queue.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.metrics.count_write(kind, WriteResult::QueueFull);
                return Err(Problem::unavailable(
                    "The write queue is full.",
                    QUEUE_FULL_RETRY_AFTER,
                ));
            }
            Err(TrySendError::Closed(_)) => {
                self.metrics.count_write(kind, WriteResult::Failed);
                return Err(Problem::unavailable(
                    "The writer has stopped.",
                    UNAVAILABLE_RETRY_AFTER,
                ));
            }
        }
        self.metrics.queue_depth.inc();
        match answer.await {
            Ok(Ok(receipt)) => Ok(receipt),
            Ok(Err(error)) => Err(problem(error)),
            // The writer is gone before it answered: the record may or may not be stored, and a retry finds out.
            Err(_) => Err(Problem::unavailable(
                "The service is stopping.",
                UNAVAILABLE_RETRY_AFTER,
            )),
        }
    }

    /// Tells whether the writer tasks take records, without keeping the queue open.
    pub(crate) fn openness(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let queue = self.queue.downgrade();
        move || queue.upgrade().is_some_and(|queue| !queue.is_closed())
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
        self.backfill.abort();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// What a client is told of an error of the store.
fn problem(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable(_) | StoreError::Contention(_) | StoreError::Timeout(_) => {
            Problem::unavailable("The database is not available.", UNAVAILABLE_RETRY_AFTER).with_cause(error)
        }
        StoreError::Rejected { .. } => Problem::new(ProblemKind::UNPROCESSABLE)
            .with_detail("The database refused the record.")
            .with_cause(error),
        StoreError::OtherModel(_) | StoreError::Inconsistent(_) | StoreError::Driver(_) => {
            Problem::internal(error)
        }
    }
}
