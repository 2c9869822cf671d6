//! How long the services take from nothing to ready.

use serde::Serialize;
use tokio::time::Instant;

use crate::services::{Plan, Services};

/// Starts of one Data Storage and one Context API at the same time, until `/readyz` of both answers 200. The model is on
/// this machine, the database runs and is migrated.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ColdStart {
    /// Seconds that each took, in their order.
    pub seconds: Vec<f64>,
    /// Their median.
    pub median_seconds: f64,
}

/// Starts and ends the services so many times.
///
/// # Errors
/// Where they do not start.
pub(crate) async fn measure(plan: &Plan, times: usize) -> anyhow::Result<ColdStart> {
    let mut seconds = Vec::new();
    for _ in 0..times {
        let begin = Instant::now();
        let services = Services::start(plan, 1, 1).await?;
        seconds.push(begin.elapsed().as_secs_f64());
        services.stop().await?;
    }
    Ok(ColdStart {
        median_seconds: median(&seconds),
        seconds,
    })
}

/// The middle one; of an even number the mean of both in the middle; 0 of none.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.len() / 2;
    match sorted.get(upper) {
        None => 0.0,
        Some(middle) if sorted.len() % 2 == 1 => *middle,
        Some(middle) => f64::midpoint(*middle, sorted[upper - 1]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 9.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 9.0, 2.0]), 3.0);
    }
}
