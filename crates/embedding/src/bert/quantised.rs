//! A product with weights of 8 bits.
//!
//! Each output has a scale for its weights, each token a scale and a zero point for what it brings, found anew in every
//! product. So a token's result depends on no other token, whatever travels with it.
//!
//! With `x ≈ (q − z)·s` and `w ≈ v·t`, a result is `Σ x·w ≈ s·t·(Σ q·v − z·Σ v)`: a product of whole numbers, from which
//! the sum of the weights, known beforehand, is taken `z` times. rten-gemm 0.27 could do that too, but takes the zero
//! points of the first eight rows for all others.

use rten_gemm::{GemmError, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::SimdOp;
use rten_tensor::Matrix;
use rten_vecmath::{ExtendInit, MinMax, Quantize};

use super::linear::{Output, Unpacked};

/// Weights lie between minus and plus this.
const MOST_WEIGHT: f32 = 127.0;
/// What a token brings lies between 0 and this.
const MOST_INPUT: f32 = 255.0;

/// `input × weight + bias`, in whole numbers but for the scales and the bias.
pub(super) struct Quantised {
    /// `[in, out]`, in the order in which the processor reads it.
    weight: PackedBMatrix<i8>,
    /// The scale of the weights of each output, `[out]`.
    scales: Vec<f32>,
    /// Their sum, `[out]`.
    sums: Vec<i32>,
    /// `[out]`
    bias: Vec<f32>,
}

/// What multiplies, and its memory.
#[derive(Default)]
pub(super) struct Workspace {
    gemm: GemmExecutor<u8, i8, i32>,
    /// `[tokens, in]`
    input: Vec<u8>,
    /// For each token.
    parameters: Vec<TokenParameters>,
    /// `[tokens, out]`
    product: Vec<i32>,
}

struct TokenParameters {
    scale: f32,
    zero_point: u8,
}

/// Whether this processor multiplies whole numbers of 8 bits without loss. Those of x86 that lack VNNI cut off large
/// sums of two products.
pub(super) fn is_exact() -> bool {
    !GemmExecutor::<u8, i8, i32>::default().may_saturate()
}

impl Quantised {
    pub(super) fn new(unpacked: Unpacked) -> Self {
        let mut weights: Vec<i8> = Vec::with_capacity(unpacked.weight.len());
        let (mut scales, mut sums) = (Vec::new(), Vec::new());
        for row in unpacked.weight.chunks_exact(unpacked.input) {
            let largest = row
                .iter()
                .fold(0.0, |largest: f32, weight| largest.max(weight.abs()));
            // Weights that are all zero stay so with any scale.
            let scale = if largest > 0.0 { largest / MOST_WEIGHT } else { 1.0 };
            let begin = weights.len();
            weights.extend(row.iter().map(|weight| (weight / scale).round_ties_even() as i8));
            scales.push(scale);
            sums.push(weights[begin..].iter().copied().map(i32::from).sum());
        }
        let weight = Matrix::from_data([scales.len(), unpacked.input], weights.as_slice());
        Self {
            weight: GemmExecutor::<u8, i8, i32>::default().prepack_b(weight.transposed()),
            scales,
            sums,
            bias: unpacked.bias,
        }
    }

    /// Numbers of inputs and outputs.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.weight.rows(), self.weight.cols())
    }

    /// `[tokens, in]` to `[tokens, out]`.
    pub(super) fn product(
        &self,
        workspace: &mut Workspace,
        input: &[f32],
        output: &mut [f32],
        kept: Output,
    ) -> Result<(), GemmError> {
        let (depth, width) = self.shape();
        workspace.quantise(input, depth);
        let tokens = workspace.parameters.len();
        workspace.product.resize(tokens * width, 0);
        workspace.gemm.gemm(
            &mut workspace.product,
            GemmInputA::Unpacked(Matrix::from_data([tokens, depth], workspace.input.as_slice())),
            GemmInputB::Packed(&self.weight),
            GemmOptions::default(),
        )?;
        let rows = workspace
            .product
            .chunks_exact(width)
            .zip(output.chunks_exact_mut(width));
        for ((products, results), token) in rows.zip(&workspace.parameters) {
            // No overflow: at most 1536 × 255 × 127, below 2^26, for the layers of MiniLM.
            let zero_point = i32::from(token.zero_point);
            let outputs = self.scales.iter().zip(&self.sums).zip(&self.bias);
            let values = products
                .iter()
                .zip(outputs)
                .map(|(product, ((scale, sum), bias))| {
                    (product - zero_point * sum) as f32 * (token.scale * scale) + bias
                });
            match kept {
                Output::Replaced => results
                    .iter_mut()
                    .zip(values)
                    .for_each(|(result, value)| *result = value),
                Output::AddedTo => results
                    .iter_mut()
                    .zip(values)
                    .for_each(|(result, value)| *result += value),
            }
        }
        Ok(())
    }
}

impl Workspace {
    /// Each row of a `[tokens, depth]` matrix in whole numbers, and what they mean.
    fn quantise(&mut self, input: &[f32], depth: usize) {
        self.input.clear();
        self.parameters.clear();
        self.input.reserve(input.len());
        for token in input.chunks_exact(depth) {
            let (least, most) = MinMax::new(token).dispatch();
            // Zero, which no rounding may move, is always between them.
            let (least, most) = (least.min(0.0), most.max(0.0));
            let scale = if most > least {
                (most - least) / MOST_INPUT
            } else {
                1.0
            };
            let zero_point = (-least / scale).round_ties_even() as u8;
            self.input.extend_init(|place| {
                Quantize::new(token, &mut place[..depth], scale.recip(), zero_point).dispatch()
            });
            self.parameters.push(TokenParameters { scale, zero_point });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from -1 to 1 without a pattern.
    fn numbers(count: usize) -> Vec<f32> {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn it_is_the_product_of_floats_to_within_rounding_for_every_token() {
        let (tokens, depth, width) = (40, 1_536, 96);
        let weight = numbers(depth * width);
        let bias = numbers(width);
        let mut input = numbers(tokens * depth);
        // Tokens of their own scale and zero point, one of them of zeros alone.
        for (index, token) in input.chunks_exact_mut(depth).enumerate() {
            for value in token {
                *value = *value * index as f32 + (index % 7) as f32;
            }
        }
        input[..depth].fill(0.0);
        let quantised = Quantised::new(Unpacked {
            weight: weight.clone(),
            bias: bias.clone(),
            input: depth,
        });
        let mut workspace = Workspace::default();
        let mut output = vec![1.0; tokens * width];
        quantised
            .product(&mut workspace, &input, &mut output, Output::AddedTo)
            .unwrap();
        let mut replaced = vec![9.0; tokens * width];
        quantised
            .product(&mut workspace, &input, &mut replaced, Output::Replaced)
            .unwrap();

        for (index, token) in input.chunks_exact(depth).enumerate() {
            let length = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
            for column in 0..width {
                let weights = &weight[column * depth..][..depth];
                let exact: f32 = token.iter().zip(weights).map(|(x, w)| x * w).sum::<f32>() + bias[column];
                let found = output[index * width + column] - 1.0;
                // Rounding is at random, so it grows with the square root of the depth: about seven standard deviations.
                let tolerance = 1e-5 + 0.04 * length(token) * length(weights) / (depth as f32).sqrt();
                assert!(
                    (found - exact).abs() < tolerance,
                    "token {index}, output {column}: {found} instead of {exact}"
                );
                assert!((replaced[index * width + column] - found).abs() < 1e-4 * exact.abs().max(1.0));
            }
        }
    }
}
