//! all-MiniLM-L6-v2, in process, on the CPU.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use safetensors::SafeTensors;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokenizers::{Tokenizer, TruncationParams};

use crate::bert::{Bert, BertConfig, WeightError, Weights};
use crate::model::{Model, ModelError, ModelInfo};
use crate::vector::normalise;

const NAME: &str = "all-MiniLM-L6-v2";
const DIMENSION: usize = 384;
const LAYERS: usize = 6;

/// How much the threads of the model give way to others, from 0 to 19. They compute for milliseconds where the rest of a
/// service and PostgreSQL need a processor for microseconds; with two processors nearly busy, the median of writes was 20 ms
/// without this and 13 ms with it, and the 99th percentile 190 ms and 100 ms.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// How much of a text the model was trained to read; the network itself would take 512.
const MAX_TOKENS: usize = 256;

/// Enough of the digest to tell two files apart in a table that people read.
const VERSION_HEX_DIGITS: usize = 12;

/// How exactly the model computes: the key `precision` of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats, as the model was trained: the vectors of PyTorch.
    #[default]
    Float32,
    /// Weights and what they are multiplied with in 8 bits: twice as fast, and other vectors, whose cosine with those of
    /// `Float32` was at least 0.99 for every text tried. Needs a processor with AVX-512 VNNI, or ARM.
    Int8,
}

impl Precision {
    /// As the configuration spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Int8 => "int8",
        }
    }
}

/// The sentence model all-MiniLM-L6-v2: 384 dimensions, reads the first 256 tokens of a text.
///
/// Vectors have length 1, so that their dot product is their cosine. The version in [`ModelInfo`] is the beginning
/// of the SHA-256 of the weights, in hexadecimal: other weights give other vectors, whatever the file is called. With
/// [`Precision::Int8`] it ends in `-int8`, because those vectors are others, too.
pub struct MiniLm {
    info: ModelInfo,
    tokenizer: Tokenizer,
    network: Bert,
    /// One for each core, or as many as `RAYON_NUM_THREADS` says.
    threads: ThreadPool,
}

/// A model directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is missing or unreadable.
    #[error(
        "cannot read {}: {source}; a model directory holds model.safetensors, tokenizer.json and config.json",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration is not the JSON of a BERT model.
    #[error("{} is not the configuration of a BERT model: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A well-formed file of some other model.
    #[error("{} does not belong to {NAME}: {reason}", path.display())]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// Which property differs, and how.
        reason: String,
    },
    /// The tokenizer file is damaged.
    #[error("{} is not a usable tokenizer: {source}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The weights are damaged, or not those of this network.
    #[error("{} does not hold the weights of {NAME} (an incomplete download?): {source}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// Which tensor is wrong, or what is wrong with the file.
        source: Box<dyn Error + Send + Sync>,
    },
    /// 8 bits on a processor that would compute wrong vectors with them.
    #[error(
        "this processor cannot compute {NAME} with 8 bits, for which it needs AVX-512 VNNI; use the precision float32"
    )]
    Precision,
    /// The system gave no thread.
    #[error("cannot start the threads of the embedding model: {0}")]
    Threads(#[source] ThreadPoolBuildError),
}

impl MiniLm {
    /// Reads the model from a directory with `model.safetensors`, `tokenizer.json` and `config.json`.
    ///
    /// Takes some hundred milliseconds and blocks.
    pub fn load(directory: &Path, precision: Precision) -> Result<Self, LoadError> {
        if !Bert::can_compute(precision) {
            return Err(LoadError::Precision);
        }
        let config = load_config(directory.join("config.json"))?;
        let tokenizer = load_tokenizer(directory.join("tokenizer.json"), &config)?;
        let path = directory.join("model.safetensors");
        let file = read(&path)?;
        let network = match SafeTensors::deserialize(&file)
            .map_err(WeightError::from)
            .and_then(|tensors| Bert::load(&Weights::of(&tensors), &config, precision))
        {
            Ok(network) => network,
            Err(source) => {
                let source = source.into();
                return Err(LoadError::Weights { path, source });
            }
        };
        let threads = ThreadPoolBuilder::new()
            .thread_name(|index| format!("embedder-{index}"))
            .start_handler(|_index| give_way())
            .build()
            .map_err(LoadError::Threads)?;
        let info = ModelInfo {
            name: NAME.to_owned(),
            version: version_of(&file, precision),
            dimension: DIMENSION,
        };
        Ok(Self {
            info,
            tokenizer,
            network,
            threads,
        })
    }
}

/// Lets the threads of requests, and other processes, go before this thread.
fn give_way() {
    // Elsewhere the niceness is that of the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "the threads of the embedding model compete with requests");
    }
}

impl fmt::Debug for MiniLm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MiniLm")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl Model for MiniLm {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let tokens = texts
            .iter()
            .map(|text| {
                Ok(self
                    .tokenizer
                    .encode_fast(text.as_str(), true)?
                    .get_ids()
                    .to_vec())
            })
            .collect::<Result<Vec<_>, Box<dyn Error + Send + Sync>>>()
            .map_err(ModelError::new)?;
        let mut vectors = self
            .threads
            .install(|| self.network.sentence_means(&tokens))
            .map_err(ModelError::new)?;
        for vector in &mut vectors {
            normalise(vector);
        }
        Ok(vectors)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    fs::read(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })
}

fn load_config(path: PathBuf) -> Result<BertConfig, LoadError> {
    let config: BertConfig = match serde_json::from_slice(&read(&path)?) {
        Ok(config) => config,
        Err(source) => return Err(LoadError::Config { path, source }),
    };
    // Vectors of another network stored under this name would poison every search.
    let reason = if config.model_type != "bert" {
        format!("model_type is {:?}, not \"bert\"", config.model_type)
    } else if config.hidden_act != "gelu" {
        format!("hidden_act is {:?}, not \"gelu\"", config.hidden_act)
    } else if config.position_embedding_type != "absolute" {
        format!(
            "position_embedding_type is {:?}, not \"absolute\"",
            config.position_embedding_type
        )
    } else if config.hidden_size != DIMENSION {
        format!("hidden_size is {}, not {DIMENSION}", config.hidden_size)
    } else if config.num_hidden_layers != LAYERS {
        format!("num_hidden_layers is {}, not {LAYERS}", config.num_hidden_layers)
    } else if config.num_attention_heads == 0 || !DIMENSION.is_multiple_of(config.num_attention_heads) {
        format!(
            "{DIMENSION} is no multiple of num_attention_heads, {}",
            config.num_attention_heads
        )
    } else if config.max_position_embeddings < MAX_TOKENS {
        format!(
            "max_position_embeddings is {}, less than {MAX_TOKENS}",
            config.max_position_embeddings
        )
    } else {
        return Ok(config);
    };
    Err(LoadError::OtherModel { path, reason })
}

fn load_tokenizer(path: PathBuf, config: &BertConfig) -> Result<Tokenizer, LoadError> {
    let truncation = TruncationParams {
        max_length: MAX_TOKENS,
        ..TruncationParams::default()
    };
    let mut tokenizer = match Tokenizer::from_bytes(read(&path)?) {
        Ok(tokenizer) => tokenizer,
        Err(source) => return Err(LoadError::Tokenizer { path, source }),
    };
    // The file asks for 128 tokens, padded to that length; the sentence model is specified with 256 and we never pad.
    tokenizer.with_padding(None);
    if let Err(source) = tokenizer.with_truncation(Some(truncation)) {
        return Err(LoadError::Tokenizer { path, source });
    }
    let size = tokenizer.get_vocab_size(true);
    if size != config.vocab_size {
        let reason = format!("it has {size} tokens, config.json says {}", config.vocab_size);
        return Err(LoadError::OtherModel { path, reason });
    }
    Ok(tokenizer)
}

fn version_of(weights: &[u8], precision: Precision) -> String {
    let mut hex: String = Sha256::digest(weights)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hex.truncate(VERSION_HEX_DIGITS);
    match precision {
        Precision::Float32 => {}
        // Another way to round is another version.
        Precision::Int8 => hex.push_str("-int8"),
    }
    hex
}
