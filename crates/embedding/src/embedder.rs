//! A model on a thread of its own, fed by any number of tasks.
//!
//! While one batch is computed the next one gathers in the queue, so a busy embedder works in batches and an idle
//! one answers at once, without waiting for company.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::{io, thread};

use tokio::sync::{mpsc, oneshot};

use crate::model::{Model, ModelError, ModelInfo};
use crate::vector::{InvalidVector, check_vector};

/// How much work an [`Embedder`] takes.
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

/// Why there is no vector.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EmbedError {
    /// Too many texts wait already. Trying later helps.
    #[error("the embedder is busy: its queue is full")]
    Busy,
    /// The model refused this text.
    #[error(transparent)]
    Model(Arc<ModelError>),
    /// The model answered, but not with vectors.
    #[error("the embedding model gave an unusable answer: {0}")]
    Invalid(#[from] InvalidAnswer),
    /// The model panicked on this text. It goes on with the next.
    #[error("the embedding model panicked")]
    Panicked,
    /// The embedder is gone, or the runtime is shutting down.
    #[error("the embedder has stopped")]
    Stopped,
}

/// What is wrong with the answer of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnswer {
    /// Not one vector for each text.
    #[error("{vectors} vectors for {texts} texts")]
    Count {
        /// Texts given.
        texts: usize,
        /// Vectors received.
        vectors: usize,
    },
    /// A vector that must not be stored.
    #[error(transparent)]
    Vector(#[from] InvalidVector),
}

/// A handle to the thread that owns a model; clones share it. The thread ends when the last handle is dropped.
#[derive(Debug, Clone)]
pub struct Embedder {
    jobs: mpsc::Sender<Job>,
    model: Arc<ModelInfo>,
    max_batch: usize,
}

type Answer = Result<Vec<f32>, EmbedError>;

#[derive(Debug)]
struct Job {
    text: String,
    reply: oneshot::Sender<Answer>,
}

impl Embedder {
    /// Gives the model a thread. Fails only when the system has no thread to give.
    pub fn start(model: impl Model, options: EmbedderOptions) -> io::Result<Self> {
        let info = Arc::new(model.info().clone());
        let max_batch = options.max_batch.max(1);
        let (jobs, queue) = mpsc::channel(options.queue.max(1));
        let worker = Worker {
            model,
            info: Arc::clone(&info),
            queue,
        };
        thread::Builder::new()
            .name("embedder".to_owned())
            .spawn(move || worker.run(max_batch))?;
        Ok(Self {
            jobs,
            model: info,
            max_batch,
        })
    }

    /// Which model computes.
    pub fn model(&self) -> &ModelInfo {
        &self.model
    }

    /// The vector of one text: of the model's dimension, finite and not zero.
    ///
    /// Waits for as long as the model takes; a caller in a hurry wraps it in a timeout. A text whose caller has gone
    /// is skipped when its turn comes.
    pub async fn embed(&self, text: String) -> Result<Vec<f32>, EmbedError> {
        self.enqueue(text)?.await.unwrap_or(Err(EmbedError::Stopped))
    }

    /// The vectors of many texts in their order, or the first error.
    ///
    /// However many there are, they take up no more of the queue than one batch at a time.
    pub async fn embed_all(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut vectors = Vec::with_capacity(texts.len());
        let mut texts = texts.into_iter();
        loop {
            let batch = texts.by_ref().take(self.max_batch);
            let replies: Vec<_> = batch.map(|text| self.enqueue(text)).collect::<Result<_, _>>()?;
            if replies.is_empty() {
                return Ok(vectors);
            }
            for reply in replies {
                vectors.push(reply.await.unwrap_or(Err(EmbedError::Stopped))?);
            }
        }
    }

    fn enqueue(&self, text: String) -> Result<oneshot::Receiver<Answer>, EmbedError> {
        let (reply, answer) = oneshot::channel();
        self.jobs
            .try_send(Job { text, reply })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => EmbedError::Busy,
                mpsc::error::TrySendError::Closed(_) => EmbedError::Stopped,
            })?;
        Ok(answer)
    }
}

struct Worker<M> {
    model: M,
    info: Arc<ModelInfo>,
    queue: mpsc::Receiver<Job>,
}

impl<M: Model> Worker<M> {
    fn run(mut self, max_batch: usize) {
        let mut batch = Vec::with_capacity(max_batch);
        while self.queue.blocking_recv_many(&mut batch, max_batch) > 0 {
            batch.retain(|job| !job.reply.is_closed());
            if !batch.is_empty() {
                self.answer(batch.drain(..));
            }
        }
    }

    fn answer(&mut self, batch: impl Iterator<Item = Job>) {
        let (texts, replies): (Vec<_>, Vec<_>) = batch.map(|job| (job.text, job.reply)).unzip();
        match self.vectors(&texts) {
            Ok(vectors) => {
                for (vector, reply) in vectors.into_iter().zip(replies) {
                    respond(reply, self.checked(vector));
                }
            }
            // Nothing to tell apart.
            Err(error) if texts.len() == 1 => {
                for reply in replies {
                    respond(reply, Err(error.clone()));
                }
            }
            // One bad text must not take the others with it, and the error does not say which one it was.
            Err(_) => {
                for (text, reply) in texts.into_iter().zip(replies) {
                    if !reply.is_closed() {
                        let answer = self
                            .vectors(&[text])
                            .and_then(|mut vectors| self.checked(vectors.remove(0)));
                        respond(reply, answer);
                    }
                }
            }
        }
    }

    /// Exactly one vector for each text, not yet checked.
    fn vectors(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        // A panic that ended this thread would leave the service without embeddings until its next start. The trait
        // asks models to stay usable after a panic, which is what unwind safety is about.
        let vectors = catch_unwind(AssertUnwindSafe(|| self.model.embed(texts)))
            .map_err(|_panic| EmbedError::Panicked)?
            .map_err(|error| EmbedError::Model(Arc::new(error)))?;
        if vectors.len() != texts.len() {
            return Err(InvalidAnswer::Count {
                texts: texts.len(),
                vectors: vectors.len(),
            }
            .into());
        }
        Ok(vectors)
    }

    fn checked(&self, vector: Vec<f32>) -> Answer {
        check_vector(&vector, self.info.dimension).map_err(InvalidAnswer::from)?;
        Ok(vector)
    }
}

fn respond(reply: oneshot::Sender<Answer>, answer: Answer) {
    // The caller may have gone meanwhile; then nobody wants the answer.
    let _ = reply.send(answer);
}

#[cfg(test)]
mod tests;
