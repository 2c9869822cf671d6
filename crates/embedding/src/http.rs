//! Vectors from any OpenAI-compatible `POST /v1/embeddings`: OpenAI, Ollama, vLLM, TEI.
//!
//! A text goes `queue → batch → gate → client → answer`. What waits while requests are under way goes together
//! (here); a batch is tried again, and halved, until every text has its own answer (`batch`); the gate knows when
//! the provider should be left alone (`gate`); the client makes one request and says what became of it (`client`);
//! and the answer is distrusted to the last number (`answer`).

mod answer;
mod api_key;
mod backoff;
mod batch;
mod client;
mod gate;
mod options;

use std::sync::Arc;

use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::embedder::{Embedder, Job};
use crate::model::ModelInfo;
use batch::Asker;

pub use api_key::ApiKey;
pub use options::{HttpOptions, InvalidOptions, Provider};

/// How much of what somebody else wrote stands in an error message, in characters.
const MAX_QUOTED_CHARS: usize = 200;

impl Embedder {
    /// An embedder that asks a provider over HTTP. Makes no request before the first text. Must be called in a Tokio
    /// runtime.
    ///
    /// Vectors have length 1, whatever length the provider gives them. `jitter` spreads the pauses between requests
    /// that are made again.
    ///
    /// # Errors
    /// [`InvalidOptions`], naming the option.
    pub fn http(options: &HttpOptions, jitter: StdRng) -> Result<Self, InvalidOptions> {
        let asker = Arc::new(Asker::new(options, jitter)?);
        let model = ModelInfo {
            name: options.model.clone(),
            version: options.version.clone(),
            dimension: options.dimension,
        };
        let (embedder, queue) = Self::with_queue(model, options.queue);
        tokio::spawn(dispatch(queue, asker, options.max_batch, options.max_in_flight));
        Ok(embedder)
    }
}

/// Makes batches of what waits until the last handle is gone.
async fn dispatch(mut queue: mpsc::Receiver<Job>, asker: Arc<Asker>, max_batch: usize, max_in_flight: usize) {
    let mut batches = JoinSet::new();
    loop {
        // First a place, then the texts: until there is one, they gather.
        while batches.try_join_next().is_some() {}
        if batches.len() == max_in_flight {
            batches.join_next().await;
        }
        let mut jobs = Vec::new();
        if queue.recv_many(&mut jobs, max_batch).await == 0 {
            return;
        }
        jobs.retain(|job| !job.reply.is_closed());
        if !jobs.is_empty() {
            let asker = Arc::clone(&asker);
            batches.spawn(async move { asker.answer(jobs).await });
        }
    }
}

/// One short line of what somebody else wrote.
fn shorten(text: &str) -> String {
    let mut words = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if !word.is_empty() {
            if !words.is_empty() {
                words.push(' ');
            }
            words.push_str(word);
        }
    }
    match words.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_becomes_one_short_line() {
        assert_eq!(shorten(" a\r\n\tb\u{1b}[31m  c "), "a b [31m c");
        assert_eq!(shorten(&"x".repeat(200)), "x".repeat(200));
        assert_eq!(shorten(&"ü".repeat(201)), format!("{}…", "ü".repeat(200)));
    }
}
