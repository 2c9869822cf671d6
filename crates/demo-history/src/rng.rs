//! Random numbers that never change: SplitMix64, written out here so that no dependency's update can change the
//! demo history under the tests that count it.

/// A SplitMix64 generator (Steele, Lea and Flood, 2014). Statistically good enough for made-up incidents, and eight
/// lines long. What is computed from it uses only operations that IEEE 754 rounds exactly.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for one thing, so that what is drawn for it does not move everything after it.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.bits())
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..1`, with the 53 bits that an `f64` can hold.
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in `low..=high`. The bias of the modulo is far below anything that could be seen here.
    pub(super) fn int(&mut self, low: i64, high: i64) -> i64 {
        let width = high.abs_diff(low).saturating_add(1);
        low + (self.bits() % width) as i64
    }

    pub(super) fn float(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Between `low` and `high`, with most of the mass near `low`: how long things take.
    pub(super) fn skewed(&mut self, low: i64, high: i64) -> i64 {
        let share = self.unit();
        let share = share * share;
        low + ((high - low) as f64 * share).round() as i64
    }

    /// An index below `length`, which must not be zero.
    pub(super) fn index(&mut self, length: usize) -> usize {
        (self.bits() % length as u64) as usize
    }

    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// An index drawn in proportion to `weights`; the last one when rounding leaves a remainder.
    pub(super) fn weighted(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let mut rest = self.unit() * weights.clone().sum::<f64>();
        let mut last = 0;
        for (index, weight) in weights.enumerate() {
            if rest < weight {
                return index;
            }
            rest -= weight;
            last = index;
        }
        last
    }

    /// `length` characters of `alphabet`.
    pub(super) fn word(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(*self.pick(alphabet))).collect()
    }

    pub(super) fn hex(&mut self, length: usize) -> String {
        self.word(b"0123456789abcdef", length)
    }

    /// The five characters that Kubernetes appends to a generated name: no vowels, so that no words appear.
    pub(super) fn suffix(&mut self) -> String {
        self.word(b"bcdfghjklmnpqrstvwxz2456789", 5)
    }
}
