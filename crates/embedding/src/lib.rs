//! Text in, vector out: how the history of remediations becomes searchable by meaning.
//!
//! A text takes four steps. [`canonical_text`] keeps what happened and why and drops where and when, so that the
//! thousandth crash loop of a deployment is the text of the first. [`EmbeddingCache`] remembers the vectors of
//! recent texts and asks what lies behind it (the database) before anything is computed. [`Embedder`] is a queue that
//! takes waiting texts together. Behind it a [`Model`] computes on a thread of its own, [`MiniLm`] for real and
//! [`Hashed`] in tests, or a provider on the network is asked ([`Embedder::http`]).
//!
//! The service that writes and the service that reads both use this crate: a query finds a record only when both
//! went through the same canonical text and the same model.
//!
//! To add a model, implement [`Model`] in a file of its own. The embedder checks whatever comes back, so a model
//! need not.

mod bert;
mod cache;
mod canonical_text;
mod embedder;
mod error;
mod hashed;
mod http;
mod minilm;
mod model;
mod vector;
mod worker;

pub use cache::{CacheOptions, CacheStats, EmbeddingCache, text_sha256};
pub use canonical_text::{
    CANONICAL_TEXT_VERSION, MAX_CANONICAL_CHARS, Parts, canonical_query, canonical_text,
};
pub use embedder::{Embedder, EmbedderOptions};
pub use error::{EmbedError, InvalidAnswer};
pub use hashed::Hashed;
pub use http::{ApiKey, HttpOptions, InvalidOptions, Provider};
pub use minilm::{LoadError, MiniLm, Precision};
pub use model::{Model, ModelError, ModelInfo};
pub use vector::{InvalidVector, check_vector, cosine_similarity};
