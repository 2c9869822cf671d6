//! The forward pass of a BERT encoder, for sentence vectors only.
//!
//! The tokens of several texts lie one after another in one `[tokens, hidden]` matrix. What works token by token (the
//! products with the weights, nearly all of the time) sees one big matrix; only attention looks at each text by
//! itself. So nothing is padded and nothing masked, and a text gets the same vector, bit by bit, whatever travels with
//! it: each number of a product is summed in an order that depends on the depth alone.

mod attention;
mod layer;
mod linear;
mod norm;
mod quantised;
mod weights;

use rayon::prelude::*;
use rten_gemm::GemmError;
use serde::Deserialize;

use self::layer::{Buffers, Layer};
use self::norm::Norm;
pub(crate) use self::weights::{WeightError, Weights};
use crate::minilm::Precision;

/// So many tokens go through the layers together, unless one text alone has more. Fewer would read the weights, which
/// no cache holds, too often; more would push the values between two layers out of the cache of a core.
const GROUP_TOKENS: usize = 256;

/// The shape of the network: the part of `config.json` that the forward pass depends on.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct BertConfig {
    pub(crate) model_type: String,
    pub(crate) hidden_act: String,
    #[serde(default = "absolute")]
    pub(crate) position_embedding_type: String,
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) max_position_embeddings: usize,
    pub(crate) type_vocab_size: usize,
    pub(crate) layer_norm_eps: f64,
}

/// What a configuration that says nothing means.
fn absolute() -> String {
    "absolute".to_owned()
}

/// The weights, arranged for the pass below.
pub(crate) struct Bert {
    /// `[vocabulary, hidden]`
    words: Vec<f32>,
    /// `[positions, hidden]`, with the embedding of token type 0 added: a sentence has no other type.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    hidden: usize,
}

impl Bert {
    /// Takes the weights by the names that Hugging Face gives them; fails when one is missing or has another shape.
    pub(crate) fn load(
        weights: &Weights<'_>,
        config: &BertConfig,
        precision: Precision,
    ) -> Result<Self, WeightError> {
        let hidden = config.hidden_size;
        let embeddings = weights.below("embeddings");
        let words = embeddings.get("word_embeddings.weight", &[config.vocab_size, hidden])?;
        let mut positions = embeddings.get(
            "position_embeddings.weight",
            &[config.max_position_embeddings, hidden],
        )?;
        let types = embeddings.get("token_type_embeddings.weight", &[config.type_vocab_size, hidden])?;
        for position in positions.chunks_exact_mut(hidden) {
            add(position, &types[..hidden]);
        }
        let layers = (0..config.num_hidden_layers)
            .map(|index| {
                Layer::load(
                    &weights.below(&format!("encoder.layer.{index}")),
                    config,
                    precision,
                )
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            words,
            positions,
            norm: Norm::load(&embeddings.below("LayerNorm"), config)?,
            layers,
            hidden,
        })
    }

    /// Whether this processor can compute with this precision.
    pub(crate) fn can_compute(precision: Precision) -> bool {
        precision == Precision::Float32 || quantised::is_exact()
    }

    /// For each text, given as token ids, the mean of the last hidden states of its tokens.
    ///
    /// Runs on the threads of the Rayon pool it is called in: groups of texts beside each other, a single group on
    /// several by the columns of its products.
    pub(crate) fn sentence_means(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, GemmError> {
        let groups = groups(texts, rayon::current_num_threads());
        let means: Vec<Vec<Vec<f32>>> = groups
            .into_par_iter()
            .map(|group| self.group_means(group))
            .collect::<Result<_, _>>()?;
        Ok(means.into_iter().flatten().collect())
    }

    fn group_means(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, GemmError> {
        let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
        let mut hidden = Vec::with_capacity(lengths.iter().sum::<usize>() * self.hidden);
        for text in texts {
            for (position, token) in text.iter().enumerate() {
                let begin = hidden.len();
                hidden.extend_from_slice(row(&self.words, *token as usize, self.hidden));
                add(&mut hidden[begin..], row(&self.positions, position, self.hidden));
            }
        }
        self.norm.apply(&mut hidden);
        let mut buffers = Buffers::default();
        for layer in &self.layers {
            layer.forward(&mut hidden, &lengths, &mut buffers)?;
        }
        let mut rest = hidden.as_slice();
        Ok(lengths
            .into_iter()
            .map(|length| {
                let (tokens, others) = rest.split_at(length * self.hidden);
                rest = others;
                mean(tokens, self.hidden)
            })
            .collect())
    }
}

/// Cuts the texts, in their order, into groups of about as many tokens each: one for each thread, or more where those
/// would exceed [`GROUP_TOKENS`].
fn groups(texts: &[Vec<u32>], threads: usize) -> Vec<&[Vec<u32>]> {
    let tokens: usize = texts.iter().map(Vec::len).sum();
    let count = tokens.div_ceil(GROUP_TOKENS).next_multiple_of(threads.max(1));
    let most = tokens.div_ceil(count.max(1));
    let mut groups = Vec::new();
    let (mut begin, mut size) = (0, 0);
    for (index, text) in texts.iter().enumerate() {
        // On whichever side of the border the text lies with its greater half.
        if size > 0 && size + text.len() / 2 >= most {
            groups.push(&texts[begin..index]);
            (begin, size) = (index, 0);
        }
        size += text.len();
    }
    if begin < texts.len() {
        groups.push(&texts[begin..]);
    }
    groups
}

/// One row of a `[rows, width]` matrix.
fn row(matrix: &[f32], index: usize, width: usize) -> &[f32] {
    &matrix[index * width..][..width]
}

fn add(sum: &mut [f32], summand: &[f32]) {
    for (sum, summand) in sum.iter_mut().zip(summand) {
        *sum += summand;
    }
}

/// The mean of the rows of a `[rows, width]` matrix that has some.
fn mean(rows: &[f32], width: usize) -> Vec<f32> {
    let mut mean = vec![0.0; width];
    for row in rows.chunks_exact(width) {
        add(&mut mean, row);
    }
    let count = (rows.len() / width) as f32;
    for component in &mut mean {
        *component /= count;
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_every_text_and_share_the_tokens_evenly() {
        let texts = |lengths: &[usize]| lengths.iter().map(|length| vec![0; *length]).collect::<Vec<_>>();
        let sizes = |lengths: &[usize], threads| {
            let texts = texts(lengths);
            let groups = groups(&texts, threads);
            assert_eq!(groups.concat(), texts);
            groups
                .into_iter()
                .map(|group| group.iter().map(Vec::len).sum())
                .collect::<Vec<usize>>()
        };
        assert_eq!(sizes(&[], 2), [0; 0]);
        assert_eq!(sizes(&[20], 2), [20]);
        assert_eq!(sizes(&[20, 20], 2), [20, 20]);
        assert_eq!(sizes(&[20, 20], 1), [40]);
        assert_eq!(sizes(&[256, 3, 4, 5], 2), [256, 12]);
        assert_eq!(sizes(&[30; 8], 2), [120, 120]);
        assert_eq!(sizes(&[32; 32], 2), [256; 4]);
        assert_eq!(sizes(&[256; 3], 2), [256; 3]);
    }
}
