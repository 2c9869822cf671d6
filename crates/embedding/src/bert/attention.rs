//! Self-attention within each text.

use rten_gemm::{GemmError, GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_simd::SimdOp;
use rten_tensor::Matrix;
use rten_vecmath::Softmax;

pub(super) struct Attention {
    pub(super) heads: usize,
    pub(super) head_size: usize,
}

/// What stands between two steps.
#[derive(Default)]
pub(super) struct Buffers {
    /// How much each token of a text heeds each other, `[tokens, tokens]`.
    shares: Vec<f32>,
    /// What one head makes of a text, `[tokens, head]`.
    attended: Vec<f32>,
}

impl Attention {
    /// `[tokens, 3 × hidden]`, query, key and value of each token side by side, to `[tokens, hidden]`.
    pub(super) fn forward(
        &self,
        gemm: &GemmExecutor,
        query_key_value: &[f32],
        lengths: &[usize],
        output: &mut [f32],
        buffers: &mut Buffers,
    ) -> Result<(), GemmError> {
        let hidden = self.heads * self.head_size;
        let (mut query_key_value, mut output) = (query_key_value, output);
        for length in lengths {
            let (text, texts) = query_key_value.split_at(length * 3 * hidden);
            let (attended, rest) = output.split_at_mut(length * hidden);
            for head in 0..self.heads {
                self.head(gemm, text, head, attended, buffers)?;
            }
            (query_key_value, output) = (texts, rest);
        }
        Ok(())
    }

    /// One head of one text.
    fn head(
        &self,
        gemm: &GemmExecutor,
        text: &[f32],
        head: usize,
        output: &mut [f32],
        buffers: &mut Buffers,
    ) -> Result<(), GemmError> {
        let hidden = self.heads * self.head_size;
        let length = output.len() / hidden;
        let text = Matrix::from_data([length, 3 * hidden], text);
        let part = |index: usize| {
            let begin = index * hidden + head * self.head_size;
            text.slice((.., begin..begin + self.head_size))
        };
        let (query, key, value) = (part(0), part(1), part(2));

        let Buffers { shares, attended } = buffers;
        shares.resize(length * length, 0.0);
        attended.resize(length * self.head_size, 0.0);
        product(gemm, query, key.transposed(), shares)?;
        for row in shares.chunks_exact_mut(length) {
            Softmax::new_mut(row).dispatch();
        }
        product(
            gemm,
            Matrix::from_data([length, length], shares.as_slice()),
            value,
            attended,
        )?;
        for (row, output) in attended
            .chunks_exact(self.head_size)
            .zip(output.chunks_exact_mut(hidden))
        {
            output[head * self.head_size..][..self.head_size].copy_from_slice(row);
        }
        Ok(())
    }
}

fn product(
    gemm: &GemmExecutor,
    left: Matrix<'_>,
    right: Matrix<'_>,
    output: &mut [f32],
) -> Result<(), GemmError> {
    gemm.gemm(
        output,
        GemmInputA::Unpacked(left),
        GemmInputB::Unpacked(right),
        GemmOptions::default(),
    )
}
