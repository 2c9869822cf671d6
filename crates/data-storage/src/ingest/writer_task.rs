//! The tasks that own the write transactions.
//!
//! While one batch commits, the next one fills: records that arrive together are committed together, and a record
//! that arrives alone does not wait for company.

use std::sync::Arc;
use std::time::{Duration, Instant};

use audit_store::compatibility::ModelIdentity;
use audit_store::writer::{NewRecord, Receipt, write_isolating};
use audit_store::{StoreError, WriteStore};
use embedding::EmbeddingCache;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::config::WriterConfig;
use crate::metrics::{Metrics, WriteResult};
use crate::model_identity;

/// First pause before a batch is tried again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A record that waits for its transaction, and who waits for it.
pub(super) struct Job {
    pub(super) record: NewRecord,
    pub(super) queued: Instant,
    pub(super) reply: oneshot::Sender<Result<Receipt, StoreError>>,
}

pub(super) struct WriterTask {
    store: WriteStore,
    model: ModelIdentity,
    queue: Arc<Mutex<mpsc::Receiver<Job>>>,
    max_batch: usize,
    retry_for: Duration,
    metrics: Metrics,
}

impl WriterTask {
    /// Starts the configured number of tasks on one queue. They end when the queue is closed and empty.
    pub(super) fn spawn_all(
        store: &WriteStore,
        vectors: &EmbeddingCache,
        receiver: mpsc::Receiver<Job>,
        config: WriterConfig,
        metrics: &Metrics,
    ) -> JoinSet<()> {
        let queue = Arc::new(Mutex::new(receiver));
        let mut tasks = JoinSet::new();
        for _ in 0..config.tasks.max(1) {
            let task = Self {
                store: store.clone(),
                model: model_identity(vectors.embedder()),
                queue: Arc::clone(&queue),
                max_batch: config.max_batch.max(1),
                retry_for: config.retry_for,
                metrics: metrics.clone(),
            };
            tasks.spawn(task.run());
        }
        tasks
    }

    async fn run(self) {
        loop {
            let mut jobs = Vec::new();
            // The lock is held only while waiting: whoever has it takes what is there, then lets the next one wait.
            let taken = self.queue.lock().await.recv_many(&mut jobs, self.max_batch).await;
            if taken == 0 {
                return;
            }
            for job in &jobs {
                self.metrics.queue_depth.dec();
                self.metrics.observe_queue_wait(job.queued.elapsed());
            }
            self.write(jobs).await;
        }
    }

    /// Writes a batch and answers each of its records.
    ///
    /// What failed for a passing reason is tried again as a whole: the natural key makes that safe, even if the
    /// answer to a COMMIT was lost.
    async fn write(&self, jobs: Vec<Job>) {
        let deadline = Instant::now() + self.retry_for;
        let mut pause = FIRST_PAUSE;
        let (mut records, mut replies): (Vec<NewRecord>, Vec<_>) =
            jobs.into_iter().map(|job| (job.record, job.reply)).unzip();
        while !records.is_empty() {
            let started = Instant::now();
            let results = write_isolating(&self.store, &self.model, &records).await;
            self.metrics.observe_commit(started.elapsed(), records.len());
            let may_retry = Instant::now() + pause < deadline;
            let mut again = (Vec::new(), Vec::new());
            for ((record, reply), result) in records.into_iter().zip(replies).zip(results) {
                match result {
                    Err(error) if error.is_retryable() && may_retry => {
                        again.0.push(record);
                        again.1.push(reply);
                    }
                    result => self.answer(&record, reply, result),
                }
            }
            (records, replies) = again;
            if !records.is_empty() {
                tracing::warn!(
                    records = records.len(),
                    "a batch could not be written and is tried again"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    fn answer(
        &self,
        record: &NewRecord,
        reply: oneshot::Sender<Result<Receipt, StoreError>>,
        result: Result<Receipt, StoreError>,
    ) {
        let label = match &result {
            Ok(receipt) if receipt.replayed => WriteResult::Replayed,
            Ok(_) => WriteResult::Created,
            Err(StoreError::Rejected { .. }) => WriteResult::Rejected,
            Err(StoreError::Unavailable(_) | StoreError::Contention(_) | StoreError::Timeout(_)) => {
                WriteResult::Unavailable
            }
            Err(StoreError::OtherModel(_) | StoreError::Inconsistent(_) | StoreError::Driver(_)) => {
                WriteResult::Failed
            }
        };
        self.metrics.count_write(record.record().kind(), label);
        // The client may have hung up; the record is stored all the same.
        drop(reply.send(result));
    }
}
