//! The tasks that own the write transactions.
//!
//! While one batch commits, the next one fills: records that arrive together are committed together. What waits for company,
//! and for how long, is said in `pace`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use audit_store::compatibility::ModelIdentity;
use audit_store::writer::{Group, NewRecord, Receipt, write_groups};
use audit_store::{StoreError, WriteStore};
use embedding::EmbeddingCache;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{Instrument, Span};

use super::capacity::Reserved;
use super::fullness::Fullness;
use super::pace::{ENOUGH, Pace};
use crate::config::WriterConfig;
use crate::metrics::{Metrics, WriteResult};
use crate::model_identity;

/// First pause before a batch is tried again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Bytes of records after which a transaction takes no more: what many large records are to do takes longer than a
/// statement may.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Records that wait for their transaction.
pub(super) struct Job {
    pub(super) group: Group,
    pub(super) queued: Instant,
    /// Measures the wait: dropped when the job is taken.
    pub(super) queue_span: Span,
    pub(super) waiting: Waiting,
}

/// Who waits for the answer, and the room that is given back with it.
pub(super) struct Waiting {
    pub(super) reply: oneshot::Sender<Result<Vec<Receipt>, StoreError>>,
    pub(super) reserved: Reserved,
    /// What the transaction is linked to.
    pub(super) request_span: Span,
}

/// Where jobs come from, and when the next transaction may begin with them.
struct Queue {
    receiver: mpsc::Receiver<Job>,
    pace: Pace,
}

pub(super) struct WriterTask {
    store: WriteStore,
    model: ModelIdentity,
    queue: Arc<Mutex<Queue>>,
    max_batch: usize,
    retry_for: Duration,
    metrics: Metrics,
    fullness: Fullness,
}

impl WriterTask {
    /// Starts the configured number of tasks on one queue. They end when the queue is closed and empty.
    pub(super) fn spawn_all(
        store: &WriteStore,
        vectors: &EmbeddingCache,
        receiver: mpsc::Receiver<Job>,
        config: WriterConfig,
        metrics: &Metrics,
        fullness: &Fullness,
    ) -> JoinSet<()> {
        let queue = Arc::new(Mutex::new(Queue {
            receiver,
            pace: Pace::new(config.linger),
        }));
        let mut tasks = JoinSet::new();
        for _ in 0..config.tasks.max(1) {
            let task = Self {
                store: store.clone(),
                model: model_identity(vectors.embedder()),
                queue: Arc::clone(&queue),
                max_batch: config.max_batch.max(1),
                retry_for: config.retry_for,
                metrics: metrics.clone(),
                fullness: fullness.clone(),
            };
            tasks.spawn(task.run());
        }
        tasks
    }

    async fn run(self) {
        loop {
            let mut jobs = self.take().await;
            if jobs.is_empty() {
                return;
            }
            for job in &mut jobs {
                job.queue_span = Span::none();
                self.metrics.observe_queue_wait(job.queued.elapsed());
            }
            self.write(jobs).await;
        }
    }

    /// Waits for a job, and takes what is queued behind it, until there are enough records for a transaction. While many
    /// come, it waits for those that may share the transaction.
    async fn take(&self) -> Vec<Job> {
        // The lock is held only while waiting: whoever has it takes what is there, then lets the next one wait.
        let mut queue = self.queue.lock().await;
        let Queue { receiver, pace } = &mut *queue;
        let mut jobs = Vec::new();
        let (mut records, mut bytes) = (0, 0);
        let mut next = receiver.recv().await;
        let wait_until = pace.wait_until(Instant::now());
        while let Some(job) = next {
            records += job.group.records.len();
            bytes += job.group.records.iter().map(NewRecord::size).sum::<usize>();
            jobs.push(job);
            if records >= self.max_batch || bytes >= MAX_BATCH_BYTES {
                break;
            }
            next = match (receiver.try_recv(), wait_until) {
                (Ok(job), _) => Some(job),
                (Err(_), Some(until)) if records < ENOUGH => {
                    tokio::time::timeout_at(until.into(), receiver.recv())
                        .await
                        .unwrap_or_default()
                }
                (Err(_), _) => None,
            };
        }
        pace.begin(Instant::now(), jobs.len());
        jobs
    }

    /// Writes the groups of some jobs and answers each of them.
    ///
    /// What failed for a passing reason is tried again as a whole: the natural key makes that safe, even if the
    /// answer to a COMMIT was lost. A record's time begins when it is queued: one that has waited for too long is
    /// refused instead of being tried when its client has given up.
    async fn write(&self, mut jobs: Vec<Job>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let late = jobs.extract_if(.., |job| job.queued.elapsed() >= self.retry_for);
            for job in late {
                self.answer(&job.group, job.waiting, Err(StoreError::timed_out()));
            }
            if jobs.is_empty() {
                return;
            }
            jobs = self.attempt(jobs, pause).await;
            if jobs.is_empty() {
                return;
            }
            tracing::warn!(
                groups = jobs.len(),
                "a transaction failed for a passing reason and is tried again"
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One attempt; gives back what is worth another after a pause.
    async fn attempt(&self, jobs: Vec<Job>, pause: Duration) -> Vec<Job> {
        let started = Instant::now();
        let (groups, waiting): (Vec<Group>, Vec<_>) = jobs
            .into_iter()
            .map(|job| (job.group, (job.queued, job.waiting)))
            .unzip();
        let records = groups.iter().map(|group| group.records.len()).sum();
        // It serves many requests, so it is the child of none.
        let commit = tracing::info_span!(parent: None, "commit", records);
        for (_, waiting) in &waiting {
            commit.follows_from(&waiting.request_span);
        }
        let results = write_groups(&self.store, &self.model, &groups)
            .instrument(commit)
            .await;
        self.metrics.observe_commit(started.elapsed(), records);
        let mut again = Vec::new();
        for ((group, (queued, waiting)), result) in groups.into_iter().zip(waiting).zip(results) {
            match result {
                Err(error) if error.is_retryable() && queued.elapsed() + pause < self.retry_for => {
                    again.push(Job {
                        group,
                        queued,
                        queue_span: Span::none(),
                        waiting,
                    });
                }
                result => self.answer(&group, waiting, result),
            }
        }
        again
    }

    fn answer(&self, group: &Group, waiting: Waiting, result: Result<Vec<Receipt>, StoreError>) {
        let kinds = group.records.iter().map(|record| record.record().kind());
        match &result {
            Ok(receipts) => {
                self.fullness.has_room();
                for (kind, receipt) in kinds.zip(receipts) {
                    let label = if receipt.replayed {
                        WriteResult::Replayed
                    } else {
                        WriteResult::Created
                    };
                    self.metrics.count_write(kind, label);
                }
            }
            Err(error) => {
                if matches!(error, StoreError::Full(_)) {
                    self.fullness.is_full();
                }
                let label = match error {
                    StoreError::Rejected { .. } => WriteResult::Rejected,
                    StoreError::Full(_) => WriteResult::StorageFull,
                    StoreError::KeyReused => WriteResult::KeyReused,
                    StoreError::Unavailable(_) | StoreError::Contention(_) | StoreError::Timeout(_) => {
                        WriteResult::Unavailable
                    }
                    StoreError::OtherModel(_) | StoreError::Inconsistent(_) | StoreError::Driver(_) => {
                        WriteResult::Failed
                    }
                };
                kinds.for_each(|kind| self.metrics.count_write(kind, label));
            }
        }
        let Waiting { reply, reserved, .. } = waiting;
        drop(reserved);
        // The client may have hung up; the records are stored all the same.
        drop(reply.send(result));
    }
}
