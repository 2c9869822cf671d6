//! The forward pass of a BERT encoder, for sentence vectors only.
//!
//! The tokens of all texts of a batch lie one after another in one `[tokens, hidden]` matrix. What works token by
//! token (the products with the weights, nearly all of the time) sees one big matrix; only attention looks at each
//! text by itself. So nothing is padded and nothing masked, and a text gets the same vector whatever travels with it.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use candle_nn::ops::{layer_norm, softmax_last_dim};
use serde::Deserialize;

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
    words: Tensor,
    /// `[positions, hidden]`, with the embedding of token type 0 added: a sentence has no other type.
    positions: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
    heads: usize,
}

struct Layer {
    /// Query, key and value side by side, so that one product makes all three. The query is already divided by the
    /// square root of the head size.
    query_key_value: Linear,
    attention_output: Linear,
    attention_norm: Norm,
    expand: Linear,
    contract: Linear,
    output_norm: Norm,
}

struct Linear {
    /// `[in, out]`
    weight: Tensor,
    /// `[out]`
    bias: Tensor,
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f32,
}

impl Bert {
    /// Takes the weights by the names that Hugging Face gives them; fails when one is missing or has another shape.
    pub(crate) fn load(weights: &VarBuilder<'_>, config: &BertConfig) -> Result<Self> {
        let hidden = config.hidden_size;
        let embeddings = weights.pp("embeddings");
        let words = embeddings
            .pp("word_embeddings")
            .get((config.vocab_size, hidden), "weight")?;
        let positions = embeddings
            .pp("position_embeddings")
            .get((config.max_position_embeddings, hidden), "weight")?;
        let types = embeddings
            .pp("token_type_embeddings")
            .get((config.type_vocab_size, hidden), "weight")?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| Layer::load(&weights.pp("encoder.layer").pp(index), config))
            .collect::<Result<_>>()?;
        Ok(Self {
            words,
            positions: positions.broadcast_add(&types.get(0)?)?,
            norm: Norm::load(&embeddings.pp("LayerNorm"), config)?,
            layers,
            heads: config.num_attention_heads,
        })
    }

    /// For each text, given as token ids, the mean of the last hidden states of its tokens.
    pub(crate) fn sentence_means(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
        let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
        let tokens = texts.concat();
        let positions = lengths
            .iter()
            .flat_map(|length| 0..*length as u32)
            .collect::<Vec<_>>();
        let tokens = Tensor::new(tokens, &Device::Cpu)?;
        let positions = Tensor::new(positions, &Device::Cpu)?;
        let embedded = (self.words.embedding(&tokens)? + self.positions.embedding(&positions)?)?;

        let mut hidden = self.norm.forward(&embedded)?;
        for layer in &self.layers {
            hidden = layer.forward(&hidden, &lengths, self.heads)?;
        }

        spans(&lengths)
            .map(|(start, length)| hidden.narrow(0, start, length)?.mean(0)?.to_vec1())
            .collect()
    }
}

impl Layer {
    fn load(weights: &VarBuilder<'_>, config: &BertConfig) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let attention = weights.pp("attention.self");
        let head_size = hidden / config.num_attention_heads;
        let query = Linear::load(&attention.pp("query"), hidden, hidden)?;
        let key = Linear::load(&attention.pp("key"), hidden, hidden)?;
        let value = Linear::load(&attention.pp("value"), hidden, hidden)?;
        let scale = (head_size as f64).sqrt();
        let query_key_value = Linear {
            weight: Tensor::cat(&[(query.weight / scale)?, key.weight, value.weight], 1)?.contiguous()?,
            bias: Tensor::cat(&[(query.bias / scale)?, key.bias, value.bias], 0)?,
        };
        Ok(Self {
            query_key_value,
            attention_output: Linear::load(&weights.pp("attention.output.dense"), hidden, hidden)?,
            attention_norm: Norm::load(&weights.pp("attention.output.LayerNorm"), config)?,
            expand: Linear::load(&weights.pp("intermediate.dense"), hidden, inner)?,
            contract: Linear::load(&weights.pp("output.dense"), inner, hidden)?,
            output_norm: Norm::load(&weights.pp("output.LayerNorm"), config)?,
        })
    }

    /// `[tokens, hidden]` to `[tokens, hidden]`.
    fn forward(&self, hidden: &Tensor, lengths: &[usize], heads: usize) -> Result<Tensor> {
        let query_key_value = self.query_key_value.forward(hidden)?;
        let attended = spans(lengths)
            .map(|(start, length)| attention(&query_key_value.narrow(0, start, length)?, heads))
            .collect::<Result<Vec<_>>>()?;
        let attended = self.attention_output.forward(&Tensor::cat(&attended, 0)?)?;
        let hidden = self.attention_norm.forward(&(attended + hidden)?)?;

        let expanded = self.expand.forward(&hidden)?.gelu_erf()?;
        let contracted = self.contract.forward(&expanded)?;
        self.output_norm.forward(&(contracted + hidden)?)
    }
}

/// Self-attention within one text: `[tokens, 3 × hidden]` to `[tokens, hidden]`.
fn attention(query_key_value: &Tensor, heads: usize) -> Result<Tensor> {
    let (tokens, width) = query_key_value.dims2()?;
    let hidden = width / 3;
    let by_head = query_key_value
        .reshape((tokens, 3, heads, hidden / heads))?
        .permute((1, 2, 0, 3))?
        .contiguous()?;
    let (query, key, value) = (by_head.get(0)?, by_head.get(1)?, by_head.get(2)?);
    let shares = softmax_last_dim(&query.matmul(&key.t()?)?)?;
    shares.matmul(&value)?.transpose(0, 1)?.reshape((tokens, hidden))
}

/// Where each text begins and how long it is, in tokens.
fn spans(lengths: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    lengths.iter().scan(0, |next, length| {
        let start = *next;
        *next += length;
        Some((start, *length))
    })
}

impl Linear {
    fn load(weights: &VarBuilder<'_>, input: usize, output: usize) -> Result<Self> {
        // Stored `[out, in]`; turned once here rather than in every product.
        let weight = weights.get((output, input), "weight")?.t()?.contiguous()?;
        Ok(Self {
            weight,
            bias: weights.get(output, "bias")?,
        })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        input.matmul(&self.weight)?.broadcast_add(&self.bias)
    }
}

impl Norm {
    fn load(weights: &VarBuilder<'_>, config: &BertConfig) -> Result<Self> {
        let size = config.hidden_size;
        Ok(Self {
            weight: weights.get(size, "weight")?,
            bias: weights.get(size, "bias")?,
            epsilon: config.layer_norm_eps as f32,
        })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        layer_norm(input, &self.weight, &self.bias, self.epsilon)
    }
}

/// The weights of a safetensors file held in memory, as 32-bit floats.
pub(crate) fn weights_of(safetensors: &[u8]) -> Result<VarBuilder<'_>> {
    VarBuilder::from_slice_safetensors(safetensors, DType::F32, &Device::Cpu)
}
