//! The text that stands for a record when records are compared by meaning.
//!
//! It says what happened and why, never where or when. `#` stands for a quantity or a time, `*` for an identity (an
//! address, an id, a digest); a Kubernetes name loses its random suffix and keeps its stem. What carries meaning as a
//! number stays: exit codes, signals, HTTP statuses. Identifiers become words (`restart_pod`, `KubePodCrashLooping`),
//! because the model knows words.
//!
//! The same rules serve the writer and the query, and they leave their own output unchanged.

mod lexer;
mod names;
#[cfg(test)]
mod tests;
mod words;

/// Changes whenever the same record would get another canonical text.
pub const CANONICAL_TEXT_VERSION: u32 = 1;

/// No canonical text has more characters. The model reads 256 tokens, which is well below.
pub const MAX_CANONICAL_CHARS: usize = 2_000;

/// One long part (a stack trace) must not push the others out of what the model reads.
const MAX_PART_CHARS: usize = 600;

/// What of an input is looked at, in characters. Records are limited to about as much.
const MAX_INPUT_CHARS: usize = 10_240;

/// Rewriting settles after one or two rounds; odd inputs take a few more.
const MAX_ROUNDS: usize = 8;

/// The meaningful fields of a record of any kind, as received. Absent and empty are the same.
///
/// | part | remediation | AI analysis | workflow | execution |
/// |---|---|---|---|---|
/// | `signal` | signal name | signal type | workflow name | |
/// | `reason` | reason | | | action result |
/// | `message` | message | message | message | message |
/// | `error` | error message | | | |
/// | `root_cause` | | root cause | | |
/// | `action` | action type | recommended action | | action type |
/// | `details` | | | step messages | dry run, validation, warnings |
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts<'a> {
    /// What was noticed, by name.
    pub signal: Option<&'a str>,
    /// The short reason, often one CamelCase word.
    pub reason: Option<&'a str>,
    /// The sentence for people.
    pub message: Option<&'a str>,
    /// What failed.
    pub error: Option<&'a str>,
    /// Why it happened.
    pub root_cause: Option<&'a str>,
    /// What was, or should be, done about it.
    pub action: Option<&'a str>,
    /// Whatever else was said, in order.
    pub details: Vec<&'a str>,
}

/// The canonical text of a record: its parts as sentences, most telling first; `None` when no word is left.
pub fn canonical_text(parts: &Parts<'_>) -> Option<String> {
    let named = [
        parts.signal,
        parts.reason,
        parts.message,
        parts.error,
        parts.root_cause,
        parts.action,
    ];
    let mut sentences: Vec<String> = Vec::new();
    for part in named.into_iter().flatten().chain(parts.details.iter().copied()) {
        // Records repeat themselves: the error is the message again, every step says the same.
        if let Some(sentence) = settle(part, MAX_PART_CHARS)
            && !sentences
                .iter()
                .any(|earlier| earlier.eq_ignore_ascii_case(&sentence))
        {
            sentences.push(sentence);
        }
    }
    canonical_query(&sentences.join(". "))
}

/// The canonical text of a description that somebody wrote to search with; `None` when no word is left.
pub fn canonical_query(text: &str) -> Option<String> {
    settle(text, MAX_CANONICAL_CHARS)
}

/// Rewrites until nothing changes any more, so that the canonical text of a canonical text is itself.
fn settle(text: &str, max_chars: usize) -> Option<String> {
    let mut current = text[..end_of_char(text, MAX_INPUT_CHARS)].to_owned();
    for _ in 0..MAX_ROUNDS {
        let rewritten = lexer::rewrite(&current);
        let next = shortened(trimmed(&rewritten), max_chars);
        if next == current {
            break;
        }
        current = next.to_owned();
    }
    current.chars().any(char::is_alphabetic).then_some(current)
}

/// Without the punctuation around it, which depends on where the text was cut out.
fn trimmed(text: &str) -> &str {
    text.trim_start_matches([' ', '.', ',', ';', ':', '-'])
        .trim_end_matches([' ', '.', ',', ';', ':', '-'])
}

/// Cut after a whole word, where there is one.
fn shortened(text: &str, max_chars: usize) -> &str {
    let end = end_of_char(text, max_chars);
    if end == text.len() {
        return text;
    }
    let head = &text[..end];
    trimmed(head.rsplit_once(' ').map_or(head, |(words, _)| words))
}

/// The byte position after at most `count` characters.
fn end_of_char(text: &str, count: usize) -> usize {
    text.char_indices()
        .nth(count)
        .map_or(text.len(), |(index, _)| index)
}
