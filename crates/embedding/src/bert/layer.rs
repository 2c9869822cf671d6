//! One layer of the encoder.

use rten_gemm::GemmError;
use rten_simd::SimdUnaryOp;
use rten_vecmath::Gelu;

use super::BertConfig;
use super::attention::{self, Attention};
use super::linear::{Linear, Unpacked, Workspace};
use super::norm::Norm;
use super::weights::{WeightError, Weights};
use crate::minilm::Precision;

/// Attention within each text, then a small network of its own for each token.
pub(super) struct Layer {
    /// Query, key and value side by side, so that one product makes all three. The query is already divided by the
    /// square root of the head size.
    query_key_value: Linear,
    attention: Attention,
    attention_output: Linear,
    attention_norm: Norm,
    expand: Linear,
    contract: Linear,
    output_norm: Norm,
}

/// What stands between two steps, kept from layer to layer because fresh memory costs as much as the step.
#[derive(Default)]
pub(super) struct Buffers {
    /// `[tokens, 3 × hidden]`
    query_key_value: Vec<f32>,
    /// `[tokens, hidden]`
    attended: Vec<f32>,
    /// `[tokens, intermediate]`
    expanded: Vec<f32>,
    attention: attention::Buffers,
    products: Workspace,
}

impl Layer {
    pub(super) fn load(
        weights: &Weights<'_>,
        config: &BertConfig,
        precision: Precision,
    ) -> Result<Self, WeightError> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let linear = |name: &str, input, output| Unpacked::load(&weights.below(name), input, output);
        let head_size = hidden / config.num_attention_heads;
        let query = linear("attention.self.query", hidden, hidden)?.scaled((head_size as f32).sqrt().recip());
        let key = linear("attention.self.key", hidden, hidden)?;
        let value = linear("attention.self.value", hidden, hidden)?;
        Ok(Self {
            query_key_value: query.beside(key).beside(value).pack(precision),
            attention: Attention {
                heads: config.num_attention_heads,
                head_size,
            },
            attention_output: linear("attention.output.dense", hidden, hidden)?.pack(precision),
            attention_norm: Norm::load(&weights.below("attention.output.LayerNorm"), config)?,
            expand: linear("intermediate.dense", hidden, inner)?.pack(precision),
            contract: linear("output.dense", inner, hidden)?.pack(precision),
            output_norm: Norm::load(&weights.below("output.LayerNorm"), config)?,
        })
    }

    /// Replaces the hidden states, `[tokens, hidden]`, of texts of these lengths by those of the next layer.
    pub(super) fn forward(
        &self,
        hidden: &mut [f32],
        lengths: &[usize],
        buffers: &mut Buffers,
    ) -> Result<(), GemmError> {
        let products = &mut buffers.products;
        self.query_key_value
            .forward(products, hidden, &mut buffers.query_key_value)?;
        buffers.attended.resize(hidden.len(), 0.0);
        self.attention.forward(
            &products.float,
            &buffers.query_key_value,
            lengths,
            &mut buffers.attended,
            &mut buffers.attention,
        )?;
        self.attention_output
            .add_to(products, &buffers.attended, hidden)?;
        self.attention_norm.apply(hidden);

        self.expand.forward(products, hidden, &mut buffers.expanded)?;
        Gelu {}.map_mut(&mut buffers.expanded);
        self.contract.add_to(products, &buffers.expanded, hidden)?;
        self.output_norm.apply(hidden);
        Ok(())
    }
}
