//! What any embedding model offers.

use std::error::Error;

/// Which model made a vector. Vectors of two models must never be compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelInfo {
    /// For people and for the database: `all-MiniLM-L6-v2`, `hashed`.
    pub name: String,
    /// Changes whenever the same text would get another vector.
    pub version: String,
    /// How many components a vector has.
    pub dimension: usize,
}

/// Something that computes vectors, one batch at a time. It may block; [`Embedder`](crate::Embedder) gives it a thread.
pub trait Model: Send + 'static {
    /// Which model this is; the same for as long as it lives.
    fn info(&self) -> &ModelInfo;

    /// One vector of `info().dimension` components for each text, in the order of the texts.
    ///
    /// An error is about the whole batch. After an error or a panic the model is called again, with the texts one by
    /// one, so neither may leave it unusable.
    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError>;
}

/// The model could not compute the vectors of a batch.
#[derive(Debug, thiserror::Error)]
#[error("the embedding model failed: {0}")]
pub struct ModelError(#[source] Box<dyn Error + Send + Sync>);

impl ModelError {
    /// Wraps the cause, an error or a message.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
