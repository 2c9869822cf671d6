//! A model on a thread of its own, fed by any number of tasks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::embedder::{Answer, Job, respond};
use crate::error::{EmbedError, InvalidAnswer};
use crate::model::{Model, ModelInfo};
use crate::vector::check_vector;

pub(crate) struct Worker<M> {
    model: M,
    info: Arc<ModelInfo>,
    queue: mpsc::Receiver<Job>,
}

impl<M: Model> Worker<M> {
    pub(crate) fn new(model: M, info: Arc<ModelInfo>, queue: mpsc::Receiver<Job>) -> Self {
        Self { model, info, queue }
    }

    /// Works until the last handle is gone.
    pub(crate) fn run(mut self, max_batch: usize) {
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

#[cfg(test)]
mod tests;
