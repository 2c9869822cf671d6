//! What was found, by rule.

use std::collections::BTreeMap;

/// How many secrets each rule replaced; says nothing about the secrets themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    by_rule: BTreeMap<&'static str, usize>,
}

impl Findings {
    /// Nothing found yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many secrets were replaced.
    #[must_use]
    pub fn total(&self) -> usize {
        self.by_rule.values().sum()
    }

    /// Whether nothing was replaced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_rule.is_empty()
    }

    /// The rules that replaced something, with how often, in order of their names; see [`rules`](crate::rules).
    pub fn by_rule(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.by_rule.iter().map(|(&rule, &count)| (rule, count))
    }

    pub(crate) fn count(&mut self, rule: &'static str) {
        *self.by_rule.entry(rule).or_default() += 1;
    }
}
