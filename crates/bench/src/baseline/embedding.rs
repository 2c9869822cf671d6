//! What the model costs without a service around it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use embedding::Model;

use super::Baseline;
use crate::histogram::Latencies;

/// Texts at once: one as for a question, as many as the services give the model together, and as many as it pays to
/// compare with other runtimes (`crates/embedding/compare`).
const BATCHES: [usize; 3] = [1, 8, 32];

/// Embeds texts one by one for a time, then in batches for as long each. It blocks.
///
/// # Errors
/// Where the model fails.
pub(crate) fn measure(
    model: &mut impl Model,
    texts: &[String],
    duration: Duration,
) -> anyhow::Result<Vec<Baseline>> {
    BATCHES
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
