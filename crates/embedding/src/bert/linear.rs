//! A product with weights.

use rten_gemm::{BiasVector, GemmError, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_tensor::Matrix;

use super::weights::{WeightError, Weights};

/// `input × weight + bias`.
pub(super) struct Linear {
    /// `[in, out]`, in the order in which the processor reads it.
    weight: PackedBMatrix<f32>,
    /// `[out]`
    bias: Vec<f32>,
}

/// Weights and bias as the file has them: what [`Linear`] is made of.
pub(super) struct Unpacked {
    /// `[out, in]`
    weight: Vec<f32>,
    /// `[out]`
    bias: Vec<f32>,
    input: usize,
}

impl Unpacked {
    pub(super) fn load(weights: &Weights<'_>, input: usize, output: usize) -> Result<Self, WeightError> {
        Ok(Self {
            weight: weights.get("weight", &[output, input])?,
            bias: weights.get("bias", &[output])?,
            input,
        })
    }

    /// The product multiplied by a number.
    pub(super) fn scaled(mut self, factor: f32) -> Self {
        for value in self.weight.iter_mut().chain(&mut self.bias) {
            *value *= factor;
        }
        self
    }

    /// Both products of one input, side by side.
    pub(super) fn beside(mut self, right: Self) -> Self {
        debug_assert_eq!(self.input, right.input);
        self.weight.extend(right.weight);
        self.bias.extend(right.bias);
        self
    }

    pub(super) fn pack(self) -> Linear {
        let weight = Matrix::from_data([self.bias.len(), self.input], self.weight.as_slice());
        Linear {
            weight: GemmExecutor::default().prepack_b(weight.transposed()),
            bias: self.bias,
        }
    }
}

impl Linear {
    /// `[tokens, in]` to `[tokens, out]`, which replaces what `output` holds.
    pub(super) fn forward(
        &self,
        gemm: &GemmExecutor,
        input: &[f32],
        output: &mut Vec<f32>,
    ) -> Result<(), GemmError> {
        output.resize(input.len() / self.weight.rows() * self.weight.cols(), 0.0);
        self.product(gemm, input, output, 0.0)
    }

    /// `[tokens, in]` to `[tokens, out]`, added to what `output` holds.
    pub(super) fn add_to(
        &self,
        gemm: &GemmExecutor,
        input: &[f32],
        output: &mut [f32],
    ) -> Result<(), GemmError> {
        self.product(gemm, input, output, 1.0)
    }

    fn product(
        &self,
        gemm: &GemmExecutor,
        input: &[f32],
        output: &mut [f32],
        beta: f32,
    ) -> Result<(), GemmError> {
        let depth = self.weight.rows();
        gemm.gemm(
            output,
            GemmInputA::Unpacked(Matrix::from_data([input.len() / depth, depth], input)),
            GemmInputB::Packed(&self.weight),
            GemmOptions {
                beta,
                bias: Some(BiasVector::Row(&self.bias)),
                ..GemmOptions::default()
            },
        )
    }
}
