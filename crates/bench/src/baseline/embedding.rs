//! What the model costs without a service around it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use embedding::Model;

use super::Baseline;
use crate::histogram::Latencies;

/// Texts of the larger batch: as many as the services give the model at once.
const BATCH: usize = 8;

/// Embeds texts one by one for a time, then in batches for as long. It blocks.
///
/// # Errors
/// Where the model fails.
pub(crate) fn measure(
    model: &mut impl Model,
    texts: &[String],
    duration: Duration,
) -> anyhow::Result<Vec<Baseline>> {
    [1, BATCH]
        .into_iter()
        .map(|size| {
            let mut latencies = Latencies::default();
            let mut done = 0;
            let begin = Instant::now();
            for batch in texts.chunks_exact(size).cycle() {
                if begin.elapsed() >= duration {
                    break;
                }
                let one = Instant::now();
                model.embed(batch)?;
                latencies.record(one.elapsed());
                done += size;
            }
            let per_second = done as f64 / begin.elapsed().as_secs_f64();
            let milliseconds = format!("{:.2}", 1_000.0 / per_second.max(f64::MIN_POSITIVE));
            Ok(Baseline {
                name: format!(
                    "the model alone, {size} text{} at once",
                    if size > 1 { "s" } else { "" }
                ),
                per_second,
                unit: "texts",
                latency: latencies.quantiles(),
                notes: BTreeMap::from([("millisecondsPerText", milliseconds)]),
            })
        })
        .collect()
}
