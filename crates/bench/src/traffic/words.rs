//! Texts that nobody sent before.

use serde_json::Value;

/// What syllables are made of. Words of them are read as words: they look neither like an id nor like a number.
const CONSONANTS: &[u8; 16] = b"bdfgklmnprstvzhj";
const VOWELS: &[u8; 4] = b"aeio";
/// Syllables of a word, and words in front of a message: 12 syllables of 6 bits tell 2^72 texts apart.
const SYLLABLES: u32 = 4;
const WORDS: u32 = 3;

/// Puts words in front of a record's message that no other number has.
pub(super) fn make_fresh(body: &mut Value, seed: u64, number: u64) {
    let message = body["message"].as_str().unwrap_or("no message");
    let message = format!("seen by {}: {message}", words(seed, number));
    body["message"] = message.into();
}

/// The words of a number, of a seed: its 48 low bits in the last two words, 24 bits of the seed in the first.
pub(crate) fn words(seed: u64, number: u64) -> String {
    // Spread over all bits, so that the first words of near numbers differ too. Odd, so that no two numbers meet.
    let spread = number.wrapping_mul(0x9e37_79b9_7f4b) & 0xffff_ffff_ffff;
    let mut bits = u128::from(spread) << 24 | u128::from(seed & 0xff_ffff);
    let mut text = String::new();
    for word in 0..WORDS {
        if word > 0 {
            text.push(' ');
        }
        for _ in 0..SYLLABLES {
            text.push(char::from(CONSONANTS[(bits & 15) as usize]));
            text.push(char::from(VOWELS[(bits >> 4 & 3) as usize]));
            bits >>= 6;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use embedding::{Parts, canonical_text};

    use super::*;

    #[test]
    fn every_number_has_a_canonical_text_of_its_own_and_repeated_messages_do_not() {
        let message = "container was OOMKilled, exit code 137, pod cart-7d9f6c5b8d-x2x4z";
        let canonical = |body: &Value| {
            canonical_text(&Parts {
                message: body["message"].as_str(),
                ..Parts::default()
            })
            .unwrap()
        };
        let (mut texts, mut repeated) = (HashSet::new(), HashSet::new());
        for number in 0..2_000 {
            let mut body = serde_json::json!({"message": message});
            repeated.insert(canonical(&body));
            make_fresh(&mut body, 42, number);
            texts.insert(canonical(&body));
        }
        assert_eq!((texts.len(), repeated.len()), (2_000, 1));
        assert_ne!(words(1, 0), words(2, 0));
    }
}
