//! Why there is no vector.

use std::sync::Arc;

use crate::model::ModelError;
use crate::vector::InvalidVector;

/// Why there is no vector.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EmbedError {
    /// Too many texts wait already. Trying later helps.
    #[error("the embedder is busy: its queue is full")]
    Busy,
    /// The model refused this text.
    #[error(transparent)]
    Model(Arc<ModelError>),
    /// An answer came, but no vector that can be used.
    #[error("the embedding model gave an unusable answer: {0}")]
    Invalid(#[from] InvalidAnswer),
    /// The model panicked on this text. It goes on with the next.
    #[error("the embedding model panicked")]
    Panicked,
    /// The provider refused this very text, while it takes others.
    #[error("the embedding provider refused the text: {0}")]
    Refused(Arc<str>),
    /// The provider is away, overloaded, or answers nothing of use. It says nothing about the text.
    #[error("the embedding provider is unavailable: {0}")]
    Unavailable(Arc<str>),
    /// The embedder is gone, or the runtime is shutting down.
    #[error("the embedder has stopped")]
    Stopped,
}

impl EmbedError {
    /// Whether the text is at fault: the same model will fail on it again, and on no other text because of it.
    ///
    /// What is not permanent has nothing to do with the text and may be over in a second.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Model(_) | Self::Panicked | Self::Refused(_) => true,
            Self::Invalid(answer) => answer.is_about_the_text(),
            Self::Busy | Self::Unavailable(_) | Self::Stopped => false,
        }
    }
}

/// What is wrong with the answer of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnswer {
    /// Not one vector for each text.
    #[error("{vectors} vectors for {texts} texts")]
    Count {
        /// Texts given.
        texts: usize,
        /// Vectors received.
        vectors: usize,
    },
    /// The indexes of the vectors are not those of the texts: one is missing, another comes twice or belongs to none.
    #[error("the indexes of the vectors are not those of the {texts} texts")]
    Indexes {
        /// Texts given.
        texts: usize,
    },
    /// Not the JSON that was agreed on.
    #[error("it cannot be read: {0}")]
    Unreadable(Arc<str>),
    /// A vector that must not be stored.
    #[error(transparent)]
    Vector(#[from] InvalidVector),
}

impl InvalidAnswer {
    fn is_about_the_text(&self) -> bool {
        match self {
            Self::Count { .. }
            | Self::Vector(InvalidVector::NotFinite { .. } | InvalidVector::NoDirection) => true,
            // Another dimension is another model, and garbage comes from something in between.
            Self::Indexes { .. } | Self::Unreadable(_) | Self::Vector(InvalidVector::Dimension { .. }) => {
                false
            }
        }
    }
}
