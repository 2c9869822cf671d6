//! How much of what it should find a search by vector finds, on what is stored now.

use std::time::Duration;

use pgvector::Vector;

use super::{Search, Tuning, nearest};
use crate::StoreError;
use crate::compatibility::ModelIdentity;
use crate::reader::{IncidentFilter, Reader};

/// Recall is measured among so many nearest incidents.
pub const RECALL_AT: i64 = 10;
/// Similarities that differ by less are equal: single precision has seven digits.
const NOISE: f64 = 1e-6;

/// The recall of one search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecallSample {
    /// How many of the nearest incidents the search found; others as similar as the farthest of them count too.
    pub found: u32,
    /// How many nearest incidents there are: [`RECALL_AT`], or all.
    pub nearest: u32,
}

impl Reader {
    /// Searches with the vector of a stored text as any search does, and again by comparing all texts, in one snapshot.
    /// `place`, 0 to 1, says which text: that share of the way from the least id to the greatest. `None` where no text has
    /// a vector of this model and an incident.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached, or a statement takes longer than `statement_timeout`.
    pub async fn recall(
        &self,
        model: &ModelIdentity,
        place: f64,
        statement_timeout: Duration,
    ) -> Result<Option<RecallSample>, StoreError> {
        let mut snapshot = self.snapshot().await?;
        sqlx::query!(
            "SELECT set_config('statement_timeout', $1, true) AS statement_timeout",
            // 0 would be no limit at all.
            statement_timeout.as_millis().max(1).to_string(),
        )
        .fetch_one(&mut *snapshot)
        .await?;
        let vector = sqlx::query_scalar!(
            r#"SELECT v.embedding AS "embedding!: Vector" FROM texts v
               WHERE v.model = $1 AND v.id >= (
                   SELECT min(b.id) + floor((max(b.id) - min(b.id)) * $2::double precision)::bigint FROM texts b
                   WHERE b.model = $1)
               ORDER BY v.id LIMIT 1"#,
            model.name,
            place,
        )
        .fetch_optional(&mut *snapshot)
        .await?;
        let Some(vector) = vector else {
            return Ok(None);
        };
        let search = Search {
            vector: vector.to_vec(),
            model: model.clone(),
            filter: IncidentFilter::default(),
            max_results: RECALL_AT,
            min_similarity: -2.0,
            except: None,
        };
        let exact = nearest::find(&mut snapshot, &search, &Tuning::EXACT).await?;
        let served = nearest::find(&mut snapshot, &search, &Tuning::MEASURED).await?;
        snapshot.commit().await?;
        Ok(exact.last().map(|farthest| {
            let found = served
                .iter()
                .filter(|candidate| candidate.similarity >= farthest.similarity - NOISE);
            RecallSample {
                found: u32::try_from(found.count()).unwrap_or(u32::MAX),
                nearest: u32::try_from(exact.len()).unwrap_or(u32::MAX),
            }
        }))
    }
}
