//! Layer normalisation.

use rten_simd::SimdOp;
use rten_vecmath::{Normalize, NormalizeOptions, Sum, SumSquareSub};

use super::BertConfig;
use super::weights::{WeightError, Weights};

/// Mean 0 and variance 1 for each token, then scaled and shifted by what was learnt.
pub(super) struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    pub(super) fn load(weights: &Weights<'_>, config: &BertConfig) -> Result<Self, WeightError> {
        let size = config.hidden_size;
        Ok(Self {
            weight: weights.get("weight", &[size])?,
            bias: weights.get("bias", &[size])?,
            epsilon: config.layer_norm_eps as f32,
        })
    }

    /// Normalises each row of a `[tokens, hidden]` matrix in place.
    pub(super) fn apply(&self, tokens: &mut [f32]) {
        let size = self.weight.len() as f32;
        for token in tokens.chunks_exact_mut(self.weight.len()) {
            let mean = Sum::new(token).dispatch() / size;
            let variance = SumSquareSub::new(token, mean).dispatch() / size;
            Normalize::new_mut(
                token,
                NormalizeOptions {
                    pre_scale_bias: mean,
                    scale: (variance + self.epsilon).sqrt().recip(),
                    element_scale: Some(&self.weight),
                    element_bias: Some(&self.bias),
                    ..NormalizeOptions::default()
                },
            )
            .dispatch();
        }
    }
}
