//! Zipf's law: the resource of rank `k` has `1 / k` as much trouble as the first.

use rand::Rng;
use rand::rngs::StdRng;

/// Ranks from 0, drawn by their weight.
#[derive(Debug)]
pub(crate) struct Zipf {
    /// The sum of the weights up to and including each rank.
    sums: Vec<f64>,
}

impl Zipf {
    /// `ranks` must not be 0.
    pub(crate) fn new(ranks: usize) -> Self {
        let mut sum = 0.0;
        let sums = (1..=ranks)
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        Self { sums }
    }

    pub(crate) fn draw(&self, rng: &mut StdRng) -> usize {
        let drawn = rng.random::<f64>() * self.sums.last().copied().unwrap_or_default();
        self.sums
            .partition_point(|sum| *sum <= drawn)
            .min(self.sums.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_first_is_drawn_twice_as_often_as_the_second_and_ten_times_as_often_as_the_tenth() {
        let (zipf, mut rng) = (Zipf::new(10), StdRng::seed_from_u64(1));
        let mut counts = [0.0; 10];
        for _ in 0..100_000 {
            counts[zipf.draw(&mut rng)] += 1.0;
        }
        for (rank, count) in counts.iter().enumerate() {
            let expected = counts[0] / (rank + 1) as f64;
            assert!((count / expected - 1.0_f64).abs() < 0.05, "{counts:?}");
        }
    }
}
