//! A product with weights.

use rten_gemm::{BiasVector, GemmError, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_tensor::Matrix;

use super::quantised::{self, Quantised};
use super::weights::{WeightError, Weights};
use crate::minilm::Precision;

/// `input × weight + bias`.
pub(super) enum Linear {
    Float(Float),
    Int8(Quantised),
}

/// A product of 32-bit floats.
pub(super) struct Float {
    /// `[in, out]`, in the order in which the processor reads it.
    weight: PackedBMatrix<f32>,
    /// `[out]`
    bias: Vec<f32>,
}

/// Weights and bias as the file has them: what [`Linear`] is made of.
pub(super) struct Unpacked {
    /// `[out, in]`
    pub(super) weight: Vec<f32>,
    /// `[out]`
    pub(super) bias: Vec<f32>,
    pub(super) input: usize,
}

/// What multiplies, and its memory.
#[derive(Default)]
pub(super) struct Workspace {
    pub(super) float: GemmExecutor,
    int8: quantised::Workspace,
}

/// What becomes of the numbers that stand where a result goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Replaced,
    AddedTo,
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

    pub(super) fn pack(self, precision: Precision) -> Linear {
        match precision {
            Precision::Float32 => {
                let weight = Matrix::from_data([self.bias.len(), self.input], self.weight.as_slice());
                Linear::Float(Float {
                    weight: GemmExecutor::default().prepack_b(weight.transposed()),
                    bias: self.bias,
                })
            }
            Precision::Int8 => Linear::Int8(Quantised::new(self)),
        }
    }
}

impl Linear {
    /// `[tokens, in]` to `[tokens, out]`, which replaces what `output` holds.
    pub(super) fn forward(
        &self,
        workspace: &mut Workspace,
        input: &[f32],
        output: &mut Vec<f32>,
    ) -> Result<(), GemmError> {
        let (depth, width) = match self {
            Self::Float(float) => (float.weight.rows(), float.weight.cols()),
            Self::Int8(quantised) => quantised.shape(),
        };
        output.resize(input.len() / depth * width, 0.0);
        self.product(workspace, input, output, Output::Replaced)
    }

    /// `[tokens, in]` to `[tokens, out]`, added to what `output` holds.
    pub(super) fn add_to(
        &self,
        workspace: &mut Workspace,
        input: &[f32],
        output: &mut [f32],
    ) -> Result<(), GemmError> {
        self.product(workspace, input, output, Output::AddedTo)
    }

    fn product(
        &self,
        workspace: &mut Workspace,
        input: &[f32],
        output: &mut [f32],
        kept: Output,
    ) -> Result<(), GemmError> {
        match self {
            Self::Float(float) => float.product(&workspace.float, input, output, kept),
            Self::Int8(quantised) => quantised.product(&mut workspace.int8, input, output, kept),
        }
    }
}

impl Float {
    fn product(
        &self,
        gemm: &GemmExecutor,
        input: &[f32],
        output: &mut [f32],
        kept: Output,
    ) -> Result<(), GemmError> {
        let depth = self.weight.rows();
        gemm.gemm(
            output,
            GemmInputA::Unpacked(Matrix::from_data([input.len() / depth, depth], input)),
            GemmInputB::Packed(&self.weight),
            GemmOptions {
                beta: match kept {
                    Output::Replaced => 0.0,
                    Output::AddedTo => 1.0,
                },
                bias: Some(BiasVector::Row(&self.bias)),
                ..GemmOptions::default()
            },
        )
    }
}
