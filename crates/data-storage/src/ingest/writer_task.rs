//! The tasks that own the write transactions.
//!
//! While one batch commits, the next one fills: records that arrive together are committed together, and a record
//! that arrives alone does not wait for company.

use std::sync::Arc;
use std::time::{Duration, Instant};

use audit_store::writer::{NewRecord, Receipt, write_isolating};
use audit_store::{StoreError, WriteStore};
use embedding::EmbeddingCache;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use super::fullness::Fullness;
use crate::config::WriterConfig;
use crate::metrics::{Metrics, WriteResult};

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
    model: String,
    queue: Arc<Mutex<mpsc::Receiver<Job>>>,
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
        let queue = Arc::new(Mutex::new(receiver));
        let mut tasks = JoinSet::new();
        for _ in 0..config.tasks.max(1) {
            let task = Self {
                store: store.clone(),
                model: vectors.embedder().model().name.clone(),
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
    /// answer to a COMMIT was lost. A record's time begins when it is queued: one that has waited for too long is
    /// refused instead of being tried when its client has given up.
    async fn write(&self, mut jobs: Vec<Job>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let late = jobs.extract_if(.., |job| job.queued.elapsed() >= self.retry_for);
            for job in late {
                self.answer(&job.record, job.reply, Err(StoreError::timed_out()));
            }
            if jobs.is_empty() {
                return;
            }
            jobs = self.attempt(jobs, pause).await;
            if jobs.is_empty() {
                return;
            }
            tracing::warn!(
                records = jobs.len(),
                "a batch could not be written and is tried again"
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One attempt; gives back what is worth another after a pause.
    async fn attempt(&self, jobs: Vec<Job>, pause: Duration) -> Vec<Job> {
        let started = Instant::now();
        let (records, waiting): (Vec<NewRecord>, Vec<_>) = jobs
            .into_iter()
            .map(|job| (job.record, (job.queued, job.reply)))
            .unzip();
        let results = write_isolating(&self.store, &self.model, &records).await;
        self.metrics.observe_commit(started.elapsed(), records.len());
        let mut again = Vec::new();
        for ((record, (queued, reply)), result) in records.into_iter().zip(waiting).zip(results) {
            match result {
                Err(error) if error.is_retryable() && queued.elapsed() + pause < self.retry_for => {
                    again.push(Job {
                        record,
                        queued,
                        reply,
                    });
                }
                result => self.answer(&record, reply, result),
            }
        }
        again
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
            Err(StoreError::Full(_)) => WriteResult::StorageFull,
            Err(StoreError::Unavailable(_) | StoreError::Contention(_) | StoreError::Timeout(_)) => {
                WriteResult::Unavailable
            }
            Err(StoreError::Inconsistent(_) | StoreError::Driver(_)) => WriteResult::Failed,
        };
        self.metrics.count_write(record.record().kind(), label);
        match &result {
            Ok(_) => self.fullness.has_room(),
            Err(StoreError::Full(_)) => self.fullness.is_full(),
            Err(_) => {}
        }
        // The client may have hung up; the record is stored all the same.
        drop(reply.send(result));
    }
}
