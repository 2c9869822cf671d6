//! What a vector must be before anyone stores it or searches with it.

/// Why a vector is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVector {
    /// It belongs to another model.
    #[error("the vector has {found} dimensions, the model has {expected}")]
    Dimension {
        /// What the model says.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// A NaN or an infinity: every distance to it would be NaN.
    #[error("component {index} of the vector is not a finite number")]
    NotFinite {
        /// The first such component, from 0.
        index: usize,
    },
    /// Its length is zero (or too small or too large for `f32`), so it has no direction and no cosine.
    #[error("the vector has no direction: its length is zero or out of range")]
    NoDirection,
}

/// Accepts a vector of `dimension` finite components with a direction.
pub fn check_vector(vector: &[f32], dimension: usize) -> Result<(), InvalidVector> {
    if vector.len() != dimension {
        return Err(InvalidVector::Dimension {
            expected: dimension,
            found: vector.len(),
        });
    }
    if let Some(index) = vector.iter().position(|component| !component.is_finite()) {
        return Err(InvalidVector::NotFinite { index });
    }
    // The database computes in f32: what over- or underflows there has no usable distance either.
    let squared_length: f32 = vector.iter().map(|component| component * component).sum();
    if squared_length.is_normal() {
        Ok(())
    } else {
        Err(InvalidVector::NoDirection)
    }
}

/// The cosine of the angle between two vectors of one dimension, from -1 to 1.
///
/// NaN when either has no direction; components beyond the shorter of the two are ignored.
pub fn cosine_similarity(left: &[f32], right: &[f32]) -> f64 {
    let dot: f64 = left
        .iter()
        .zip(right)
        .map(|(l, r)| f64::from(*l) * f64::from(*r))
        .sum();
    dot / (length(left) * length(right))
}

/// Scales a vector to length 1; one without direction is left as it is.
pub(crate) fn normalise(vector: &mut [f32]) {
    let length = length(vector);
    if length > 0.0 && length.is_finite() {
        for component in vector {
            *component = (f64::from(*component) / length) as f32;
        }
    }
}

fn length(vector: &[f32]) -> f64 {
    vector
        .iter()
        .map(|component| f64::from(*component).powi(2))
        .sum::<f64>()
        .sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_vectors_with_a_direction_pass() {
        assert_eq!(check_vector(&[0.6, -0.8], 2), Ok(()));
        assert_eq!(
            check_vector(&[1.0], 2),
            Err(InvalidVector::Dimension {
                expected: 2,
                found: 1
            })
        );
        assert_eq!(
            check_vector(&[1.0, f32::NAN], 2),
            Err(InvalidVector::NotFinite { index: 1 })
        );
        assert_eq!(
            check_vector(&[f32::INFINITY, 0.0], 2),
            Err(InvalidVector::NotFinite { index: 0 })
        );
        assert_eq!(check_vector(&[0.0, -0.0], 2), Err(InvalidVector::NoDirection));
        assert_eq!(check_vector(&[1e-30, 0.0], 2), Err(InvalidVector::NoDirection));
        assert_eq!(check_vector(&[3e38, 3e38], 2), Err(InvalidVector::NoDirection));
        assert_eq!(check_vector(&[], 0), Err(InvalidVector::NoDirection));
    }

    #[test]
    fn normalised_vectors_have_length_one() {
        let mut vector = [3.0, 4.0];
        normalise(&mut vector);
        assert_eq!(vector, [0.6, 0.8]);

        let mut zero = [0.0, 0.0];
        normalise(&mut zero);
        assert_eq!(zero, [0.0, 0.0]);
    }

    #[test]
    fn cosine_is_of_the_angle() {
        assert!((cosine_similarity(&[1.0, 0.0], &[5.0, 0.0]) - 1.0).abs() < 1e-12);
        assert!(cosine_similarity(&[1.0, 0.0], &[0.0, 2.0]).abs() < 1e-12);
        assert!((cosine_similarity(&[1.0, 0.0], &[-2.0, 0.0]) + 1.0).abs() < 1e-12);
        assert!(cosine_similarity(&[0.0], &[1.0]).is_nan());
    }
}
