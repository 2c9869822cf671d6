//! A re-embedding, carried out: texts are claimed, embedded with the new model and stored until none is left, then the
//! database is switched. Services with the old model go on all the while; [`audit_store::reembed`] tells how.

use std::time::Duration;

use audit_store::pending;
use audit_store::reembed::{ReembedError, Reembedding, State, Switched};
use embedding::{CacheOptions, Embedder, EmbeddingCache};
use service_kit::Clock;
use tokio::time::Instant;

use crate::late_vectors::embed_due;

/// How long is waited where every text left is held by another process or pauses after a failure.
const NOTHING_DUE: Duration = Duration::from_millis(500);
/// Vectors are stored and not asked for again, so next to nothing is remembered.
const CACHE: CacheOptions = CacheOptions {
    ttl: Duration::from_secs(60),
    max_bytes: 1024 * 1024,
};

/// How a re-embedding is carried out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReembedOptions {
    /// Texts embedded in a second at most, by this process; `None` for as many as the model can.
    pub texts_per_second: Option<u32>,
    /// Between two reports.
    pub report_every: Duration,
}

impl Default for ReembedOptions {
    /// Unbounded, a report every 5 s.
    fn default() -> Self {
        Self {
            texts_per_second: None,
            report_every: Duration::from_secs(5),
        }
    }
}

/// What a re-embedding tells while it lasts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Report {
    /// Texts are being embedded.
    Embedding(Progress),
    /// All texts are embedded that can be; the index over the vectors is being built.
    BuildingIndexes,
    /// The tables are about to be switched.
    Switching,
}

/// How many texts are done, whichever process embedded them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Texts that are to be embedded.
    pub texts: i64,
    /// Texts that have a vector of the new model.
    pub embedded: i64,
    /// Texts given up for now.
    pub poisoned: i64,
    /// Texts embedded in a second since this process began.
    pub per_second: f64,
    /// How long the rest takes at that rate; `None` before anything is known.
    pub remaining: Option<Duration>,
}

/// Carries a re-embedding out to its end, telling how far it is. It may be cut off at any time: what is embedded stays,
/// and what is claimed is free again after a minute.
///
/// # Errors
/// [`ReembedError`]; running it again goes on where it stopped.
pub async fn reembed(
    reembedding: &Reembedding,
    embedder: Embedder,
    clock: &Clock,
    options: ReembedOptions,
    report: impl FnMut(Report),
) -> Result<Switched, ReembedError> {
    let mut run = Run {
        reembedding,
        vectors: EmbeddingCache::new(embedder, CACHE),
        clock,
        options,
        report,
        began: Instant::now(),
        embedded_before: None,
        last_report: None,
    };
    // Twice, because texts arrive while the index is built, which takes a while. What arrives after the second time
    // is left to the services' worker.
    if run.embed_all().await? {
        (run.report)(Report::BuildingIndexes);
        reembedding.build_indexes().await?;
        run.embed_all().await?;
    }
    (run.report)(Report::Switching);
    reembedding.switch().await
}

/// One process's part in a re-embedding.
struct Run<'a, R> {
    reembedding: &'a Reembedding,
    vectors: EmbeddingCache,
    clock: &'a Clock,
    options: ReembedOptions,
    report: R,
    began: Instant,
    /// How many texts were embedded when this process began.
    embedded_before: Option<i64>,
    last_report: Option<Instant>,
}

impl<R: FnMut(Report)> Run<'_, R> {
    /// Embeds until no text is left but poisoned ones; `false` if another process has switched meanwhile.
    async fn embed_all(&mut self) -> Result<bool, ReembedError> {
        self.reembedding.copy_texts().await?;
        let (store, model) = (self.reembedding.store(), self.reembedding.target());
        loop {
            match self.reembedding.state().await? {
                State::UnderWay => {}
                State::Switched => return Ok(false),
                State::Aborted => return Err(ReembedError::Aborted),
            }
            let claimed_at = Instant::now();
            let Some(claim) = embed_due(store, model, &self.vectors, self.clock).await? else {
                let progress = self.progress().await?;
                let left = progress.texts - progress.embedded - progress.poisoned;
                self.tell(progress, left == 0);
                if left == 0 {
                    return Ok(true);
                }
                tokio::time::sleep(NOTHING_DUE).await;
                continue;
            };
            if self.may_tell() {
                let progress = self.progress().await?;
                self.tell(progress, true);
            }
            if claim.embedder_is_away {
                tokio::time::sleep(NOTHING_DUE).await;
            }
            if let Some(limit) = self.options.texts_per_second {
                tokio::time::sleep_until(claimed_at + time_for(claim.texts, limit)).await;
            }
        }
    }

    async fn progress(&mut self) -> Result<Progress, ReembedError> {
        let overview = pending::overview(self.reembedding.store()).await?;
        let texts = pending::count_texts(self.reembedding.store()).await?;
        let embedded = texts - overview.pending;
        let before = *self.embedded_before.get_or_insert(embedded);
        let left = overview.pending - overview.poisoned;
        let per_second =
            to_f64(embedded - before) / self.began.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        Ok(Progress {
            texts,
            embedded,
            poisoned: overview.poisoned,
            per_second,
            remaining: Duration::try_from_secs_f64(to_f64(left) / per_second).ok(),
        })
    }

    fn may_tell(&self) -> bool {
        self.last_report
            .is_none_or(|last| last.elapsed() >= self.options.report_every)
    }

    /// Tells how far it is, unless it was told a moment ago and it does not have to be.
    fn tell(&mut self, progress: Progress, must: bool) {
        if must || self.may_tell() {
            self.last_report = Some(Instant::now());
            (self.report)(Report::Embedding(progress));
        }
    }
}

/// How long so many texts take at a rate.
fn time_for(texts: usize, per_second: u32) -> Duration {
    Duration::from_secs(1) * u32::try_from(texts).unwrap_or(u32::MAX) / per_second.max(1)
}

/// Counts of texts are far smaller than 2^53.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn to_f64(count: i64) -> f64 {
    count as f64
}
