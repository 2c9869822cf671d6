//! The weights of a safetensors file held in memory.

use safetensors::{Dtype, SafeTensorError, SafeTensors};

/// The tensors whose names begin alike.
pub(crate) struct Weights<'a> {
    file: &'a SafeTensors<'a>,
    /// Empty, or ending in a dot.
    prefix: String,
}

/// A tensor is missing, or not what the network needs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WeightError {
    #[error(transparent)]
    File(#[from] SafeTensorError),
    #[error("{name} holds {found:?}, not 32-bit floats")]
    Type { name: String, found: Dtype },
    #[error("{name} has the shape {found:?}, not {expected:?}")]
    Shape {
        name: String,
        expected: Vec<usize>,
        found: Vec<usize>,
    },
}

impl<'a> Weights<'a> {
    /// All tensors of a file.
    pub(crate) fn of(file: &'a SafeTensors<'a>) -> Self {
        Self {
            file,
            prefix: String::new(),
        }
    }

    /// Those whose names go on with this and a dot.
    pub(super) fn below(&self, name: &str) -> Self {
        Self {
            file: self.file,
            prefix: format!("{}{name}.", self.prefix),
        }
    }

    /// The tensor of this name and shape, row by row.
    pub(super) fn get(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightError> {
        let name = format!("{}{name}", self.prefix);
        let tensor = self.file.tensor(&name)?;
        if tensor.dtype() != Dtype::F32 {
            let found = tensor.dtype();
            return Err(WeightError::Type { name, found });
        }
        if tensor.shape() != shape {
            return Err(WeightError::Shape {
                name,
                expected: shape.to_owned(),
                found: tensor.shape().to_owned(),
            });
        }
        let (floats, _) = tensor.data().as_chunks();
        Ok(floats.iter().copied().map(f32::from_le_bytes).collect())
    }
}
