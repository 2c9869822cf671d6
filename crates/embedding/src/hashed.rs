//! A model for tests: no weights, no download, the same vectors everywhere and for ever.

use sha2::{Digest, Sha256};

use crate::model::{Model, ModelError, ModelInfo};
use crate::vector::normalise;

/// Two words in a row say less than each word, or sharing one word of two would hardly count.
const PAIR_WEIGHT: f32 = 0.5;

/// Feature hashing: every word and every pair of neighbouring words adds to, or takes from, one component.
///
/// Equal texts have equal vectors and texts that share words are similar. Case and punctuation do not matter.
#[derive(Debug)]
pub struct Hashed {
    info: ModelInfo,
}

impl Hashed {
    /// A model whose vectors have `dimension` components.
    ///
    /// # Panics
    ///
    /// If `dimension` is 0.
    pub fn new(dimension: usize) -> Self {
        assert!(dimension > 0, "a vector needs at least one dimension");
        Self {
            info: ModelInfo {
                name: "hashed".to_owned(),
                version: "1".to_owned(),
                dimension,
            },
        }
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0; self.info.dimension];
        let text = text.to_lowercase();
        let words: Vec<&str> = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        for word in &words {
            add(&mut vector, &["word", word], 1.0);
        }
        for pair in words.windows(2) {
            add(&mut vector, &["pair", pair[0], pair[1]], PAIR_WEIGHT);
        }
        // No words, or words that cancel each other out: the text still deserves a direction.
        if vector.iter().all(|component| *component == 0.0) {
            add(&mut vector, &["text", &text], 1.0);
        }
        normalise(&mut vector);
        vector
    }
}

impl Model for Hashed {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        Ok(texts.iter().map(|text| self.vector(text)).collect())
    }
}

fn add(vector: &mut [f32], feature: &[&str], weight: f32) {
    let digest = Sha256::digest(feature.join("\0"));
    let mut position = [0; 8];
    position.copy_from_slice(&digest[..8]);
    let index = (u64::from_le_bytes(position) % vector.len() as u64) as usize;
    let sign = if digest[8] & 1 == 0 { 1.0 } else { -1.0 };
    vector[index] += sign * weight;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::{check_vector, cosine_similarity};

    fn embed(text: &str) -> Vec<f32> {
        Hashed::new(384).embed(&[text.to_owned()]).unwrap().remove(0)
    }

    #[test]
    fn equal_texts_have_equal_vectors() {
        assert_eq!(embed("pod restarted"), embed("pod restarted"));
        assert_eq!(embed("Pod restarted!"), embed("pod, restarted"));
    }

    #[test]
    fn vectors_do_not_change_between_builds() {
        assert_eq!(
            Hashed::new(4).embed(&["disk full".to_owned()]).unwrap(),
            [[-0.4472136, 0.0, -0.8944272, 0.0]]
        );
    }

    #[test]
    fn sharing_words_is_being_similar() {
        let one = embed("container killed because of memory limit");
        let near = embed("container restarted because of memory limit");
        let far = embed("certificate expires tomorrow");
        assert!(cosine_similarity(&one, &near) > 0.6);
        assert!(cosine_similarity(&one, &far) < 0.3);
    }

    #[test]
    fn word_order_matters_a_little() {
        let (one, other) = (embed("a b c d"), embed("d c b a"));
        assert_ne!(one, other);
        assert!(cosine_similarity(&one, &other) > 0.5);
    }

    #[test]
    fn any_text_has_a_direction() {
        for text in ["", " ", "!?", "数据库", "a", "🚀"] {
            for dimension in [1, 2, 384] {
                let vector = Hashed::new(dimension)
                    .embed(&[text.to_owned()])
                    .unwrap()
                    .remove(0);
                assert_eq!(
                    check_vector(&vector, dimension),
                    Ok(()),
                    "{text:?} in {dimension}"
                );
            }
        }
    }
}
