//! What of a description is looked for literally.

/// Words of a description that are looked for together; of a longer one only its literals are.
const WORDS_TOGETHER: usize = 16;
/// Terms of one description.
const TERMS: usize = 8;
/// Characters of a word, as `written_words` of `migrations/0014` has them.
const WORD_LENGTH: usize = 64;
/// Capitals alone are a code (`ENOSPC`) from so many on; fewer are an abbreviation in every second sentence (`CPU`).
const CAPITALS: usize = 5;

/// Words that one record must all contain, in lower case.
pub(super) type Term = Vec<String>;

/// The terms of a description: all its words together, and each *literal*, a word that nobody writes by chance. That is
/// one with a hyphen, dot or underscore inside (`rr-checkout-oom-1`), with a capital inside (`OOMKilled`), with letters
/// and digits (`x509`), or of five capitals and more (`ENOSPC`). A number is one together with the word before it
/// (`code 137`).
pub(super) fn terms(description: &str) -> Vec<Term> {
    let tokens = tokens(description);
    let mut terms: Vec<Term> = Vec::new();
    let mut add = |mut words: Term| {
        words.iter_mut().for_each(|word| word.truncate(WORD_LENGTH));
        words.sort();
        words.dedup();
        if !words.is_empty() && !terms.contains(&words) && terms.len() < TERMS {
            terms.push(words);
        }
    };
    let all: Term = tokens.iter().map(|token| token.to_ascii_lowercase()).collect();
    if all.len() <= WORDS_TOGETHER {
        add(all);
    }
    let mut before: Option<&str> = None;
    for token in tokens {
        if is_literal(token) {
            add(vec![token.to_ascii_lowercase()]);
        } else if token.bytes().all(|byte| byte.is_ascii_digit())
            && let Some(before) = before
        {
            add(vec![before.to_ascii_lowercase(), token.to_owned()]);
        }
        before = Some(token);
    }
    terms
}

/// Runs of ASCII letters and digits with what joins them, as `written_words` finds them.
fn tokens(description: &str) -> Vec<&str> {
    let outside = |c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c));
    description
        .split(outside)
        .flat_map(joined_once)
        .filter(|token| !token.is_empty())
        .collect()
}

/// Splits where two joining characters meet (`a--b`, `end...`): those join nothing.
fn joined_once(run: &str) -> Vec<&str> {
    let joins = |byte: u8| b"-._".contains(&byte);
    let bytes = run.as_bytes();
    let mut parts = Vec::new();
    let mut start = 0;
    for at in 1..bytes.len() {
        if joins(bytes[at - 1]) && joins(bytes[at]) {
            parts.push(&run[start..at]);
            start = at;
        }
    }
    parts.push(&run[start..]);
    parts
        .into_iter()
        .map(|part| part.trim_matches(['-', '.', '_']))
        .collect()
}

fn is_literal(token: &str) -> bool {
    let any = |is: fn(&u8) -> bool| token.bytes().any(|byte| is(&byte));
    let letters = any(u8::is_ascii_alphabetic);
    let joined = token.contains(['-', '.', '_']);
    let capital_inside = token.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
    let lower = any(u8::is_ascii_lowercase);
    joined || letters && any(u8::is_ascii_digit) || capital_inside && (lower || token.len() >= CAPITALS)
}

#[cfg(test)]
mod tests {
    use super::terms;

    fn told(description: &str) -> Vec<String> {
        terms(description).iter().map(|words| words.join(" ")).collect()
    }

    #[test]
    fn a_literal_alone_is_its_words_and_itself() {
        assert_eq!(told("OOMKilled"), ["oomkilled"]);
        assert_eq!(told("rr-checkout-oom-1"), ["rr-checkout-oom-1"]);
        assert_eq!(told("exit code 137"), ["137 code exit", "137 code"]);
    }

    #[test]
    fn literals_in_a_sentence_are_looked_for_each_and_common_words_only_together() {
        assert_eq!(
            told("Pod api-7d9c8b6f5-x2x9p: ImagePullBackOff (ENOSPC, x509), CPU high, HTTP 503."),
            [
                "503 api-7d9c8b6f5-x2x9p cpu enospc high http imagepullbackoff pod x509",
                "api-7d9c8b6f5-x2x9p",
                "imagepullbackoff",
                "enospc",
                "x509",
                "503 http",
            ]
        );
        assert_eq!(told("the disk is full"), ["disk full is the"]);
    }

    #[test]
    fn a_long_description_is_looked_for_by_its_literals_only_and_by_eight_at_most() {
        let sentence =
            "and it says so at great length because people like to explain what they saw in detail";
        assert_eq!(told(sentence), [""; 0]);
        assert_eq!(told(&format!("{sentence} E0432")), ["e0432"]);
        let codes: Vec<_> = (0..20).map(|number| format!("E{number}")).collect();
        assert_eq!(told(&codes.join(" ")).len(), 8);
    }

    #[test]
    fn what_joins_nothing_is_left_out_and_a_word_ends_after_64_characters() {
        assert_eq!(told("--flag a..b _x_ …"), ["a b flag x"]);
        assert_eq!(told("Größe"), ["e gr"]);
        assert_eq!(told(&"a".repeat(100)), ["a".repeat(64)]);
        assert_eq!(told(" … "), [""; 0]);
    }
}
