//! A share that is kept exactly.

/// Of the first `n` answers `floor(n * share)` are yes, evenly spread, for every `n`.
#[derive(Debug)]
pub(super) struct Share {
    /// In millionths, so that nothing adds up but whole numbers.
    millionths: u64,
    owed: u64,
}

const WHOLE: u64 = 1_000_000;

impl Share {
    /// `share` is 0 to 1; beyond, it is the nearer of them.
    pub(super) fn new(share: f64) -> Self {
        Self {
            millionths: (share.clamp(0.0, 1.0) * WHOLE as f64).round() as u64,
            owed: 0,
        }
    }

    pub(super) fn next(&mut self) -> bool {
        self.owed += self.millionths;
        let due = self.owed >= WHOLE;
        if due {
            self.owed -= WHOLE;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_after_every_answer() {
        let mut share = Share::new(0.3);
        let mut yes = 0;
        for count in 1..=1_000_u64 {
            yes += u64::from(share.next());
            assert_eq!(yes, count * 3 / 10, "after {count}");
        }
    }
}
