//! The one way to a vector: a queue, whoever works behind it.
//!
//! Behind it is a model on a thread ([`Embedder::start`]) or a provider on the network ([`Embedder::http`]). Both take
//! what waits as one batch, so a busy embedder works in batches and an idle one answers at once, without waiting for
//! company.

use std::sync::Arc;
use std::{io, thread};

use tokio::sync::{mpsc, oneshot};

use crate::error::EmbedError;
use crate::model::{Model, ModelInfo};
use crate::worker::Worker;

/// How much work an [`Embedder`] with a model of its own takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbedderOptions {
    /// At most so many texts go through the model together. At least 1.
    pub max_batch: usize,
    /// At most so many texts wait; the next one is refused with [`EmbedError::Busy`]. At least 1.
    pub queue: usize,
}

impl Default for EmbedderOptions {
    fn default() -> Self {
        Self {
            max_batch: 32,
            queue: 1024,
        }
    }
}

/// A handle to whatever computes vectors; clones share it. Its thread or task ends when the last handle is dropped.
#[derive(Debug, Clone)]
pub struct Embedder {
    jobs: mpsc::Sender<Job>,
    model: Arc<ModelInfo>,
}

/// One vector of the model's dimension, finite and not zero.
pub(crate) type Answer = Result<Vec<f32>, EmbedError>;

/// A text, and who waits for its vector.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) text: String,
    pub(crate) reply: oneshot::Sender<Answer>,
}

impl Embedder {
    /// Gives the model a thread. Fails only when the system has no thread to give.
    pub fn start(model: impl Model, options: EmbedderOptions) -> io::Result<Self> {
        let (embedder, queue) = Self::with_queue(model.info().clone(), options.queue);
        let worker = Worker::new(model, Arc::clone(&embedder.model), queue);
        thread::Builder::new()
            .name("embedder".to_owned())
            .spawn(move || worker.run(options.max_batch.max(1)))?;
        Ok(embedder)
    }

    /// A handle, and the end of its queue that somebody must empty.
    pub(crate) fn with_queue(model: ModelInfo, capacity: usize) -> (Self, mpsc::Receiver<Job>) {
        let (jobs, queue) = mpsc::channel(capacity.max(1));
        let model = Arc::new(model);
        (Self { jobs, model }, queue)
    }

    /// Which model computes.
    pub fn model(&self) -> &ModelInfo {
        &self.model
    }

    /// The vector of one text: of the model's dimension, finite and not zero.
    ///
    /// Waits for as long as it takes; a caller in a hurry wraps it in a timeout. A text whose caller has gone is
    /// skipped when its turn comes.
    pub async fn embed(&self, text: String) -> Result<Vec<f32>, EmbedError> {
        let (reply, answer) = oneshot::channel();
        self.jobs
            .try_send(Job { text, reply })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => EmbedError::Busy,
                mpsc::error::TrySendError::Closed(_) => EmbedError::Stopped,
            })?;
        answer.await.unwrap_or(Err(EmbedError::Stopped))
    }
}

/// Answers whoever waits.
pub(crate) fn respond(reply: oneshot::Sender<Answer>, answer: Answer) {
    // The caller may have gone meanwhile; then nobody wants the answer.
    let _ = reply.send(answer);
}
