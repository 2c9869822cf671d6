//! Embedding texts that wait for a vector: the work that the backfill and a re-embedding have in common.

use std::time::Duration;

use audit_store::compatibility::ModelIdentity;
use audit_store::pending::{self, Failure, FailureKind, PendingText};
use audit_store::{StoreError, WriteStore};
use embedding::{EmbedError, EmbeddingCache};
use futures::{StreamExt, stream};
use service_kit::Clock;
use tokio::time::{Instant, timeout_at};

/// Texts claimed at once.
const CLAIM: i64 = 32;
/// How long a claim lasts.
const LEASE: Duration = Duration::from_secs(60);
/// How long its texts may take, so that the outcome is stored before the lease ends.
const DEADLINE: Duration = Duration::from_secs(45);
/// Texts at the model at once: enough for one batch, and few enough that a write does not queue behind many.
const AT_ONCE: usize = 8;

/// A claim that was worked on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Worked {
    /// How many texts it had.
    pub(crate) texts: usize,
    /// Whether nothing at all came of it, for reasons that pass: then the next texts would fare no better.
    pub(crate) embedder_is_away: bool,
}

/// Claims texts that are due, embeds them and stores what became of them; `None` where none is due.
pub(crate) async fn embed_due(
    store: &WriteStore,
    model: &ModelIdentity,
    vectors: &EmbeddingCache,
    clock: &Clock,
) -> Result<Option<Worked>, StoreError> {
    let claim = pending::claim(store, model, CLAIM, clock.now(), LEASE);
    let texts = store.bounded(claim).await?;
    if texts.is_empty() {
        return Ok(None);
    }
    let count = texts.len();
    let outcome = embed(vectors, texts).await;
    let embedder_is_away = outcome.embedder_is_away();
    if let Some(failure) = outcome.failures.first() {
        tracing::warn!(
            texts = outcome.failures.len(),
            error = failure.error,
            "texts were not embedded; they are tried again later"
        );
    }
    store
        .bounded(pending::fill(store, model, outcome.vectors))
        .await?;
    store
        .bounded(pending::fail(store, model, clock.now(), outcome.failures))
        .await?;
    Ok(Some(Worked {
        texts: count,
        embedder_is_away,
    }))
}

/// What became of claimed texts.
#[derive(Debug, Default)]
struct Outcome {
    /// Ids and vectors.
    vectors: Vec<(i64, Vec<f32>)>,
    failures: Vec<Failure>,
}

impl Outcome {
    fn embedder_is_away(&self) -> bool {
        self.vectors.is_empty()
            && self
                .failures
                .iter()
                .all(|failure| failure.kind == FailureKind::Passing)
    }
}

/// Embeds claimed texts, several at once. A text that fails takes no other with it.
async fn embed(cache: &EmbeddingCache, texts: Vec<PendingText>) -> Outcome {
    let deadline = Instant::now() + DEADLINE;
    let mut results = stream::iter(texts)
        .map(|text| async move {
            // Through the cache: a vector that was too late for its write is often there by now.
            let result = timeout_at(deadline, cache.get_or_embed(&text.text)).await;
            (text, result)
        })
        .buffer_unordered(AT_ONCE);
    let mut outcome = Outcome::default();
    while let Some((text, result)) = results.next().await {
        let (kind, error) = match result {
            Ok(Ok(vector)) => {
                outcome.vectors.push((text.id, vector.to_vec()));
                continue;
            }
            Ok(Err(error)) => (kind(&error), error.to_string()),
            Err(_elapsed) => (
                FailureKind::Passing,
                format!("no vector within {} s", DEADLINE.as_secs()),
            ),
        };
        tracing::debug!(text_id = text.id, error, ?kind, "a text was not embedded");
        outcome.failures.push(Failure { text, kind, error });
    }
    outcome
}

/// What an error says about the text.
fn kind(error: &EmbedError) -> FailureKind {
    match error {
        EmbedError::Refused(_) => FailureKind::Permanent,
        // A model that fails on a text may have been out of luck.
        error if error.is_permanent() => FailureKind::Suspicious,
        _ => FailureKind::Passing,
    }
}
