//! What a value looks like: a secret, a place where a secret would stand, or a word of a sentence.

mod words;

use words::{PROSE, STATUS};

/// For patterns that need no second look.
pub(crate) fn anything(_: &str) -> bool {
    true
}

/// What replaces a secret: `***`, or fewer stars for fewer characters.
pub(crate) fn mask(secret: &str) -> &'static str {
    let stars = "***";
    &stars[..secret.chars().take(stars.len()).count()]
}

/// Whether a value was redacted already, here (`***`, `***~2` for a name) or elsewhere (`xxxxx`, `•••`, `...`).
pub(crate) fn is_masked(value: &str) -> bool {
    let unnumbered = match value.rsplit_once('~') {
        Some((head, number)) if number.bytes().all(|b| b.is_ascii_digit()) => head,
        _ => value,
    };
    let only = |masks: &[char]| value.chars().all(|c| masks.contains(&c));
    !value.is_empty()
        && (unnumbered.bytes().all(|b| b == b'*') && !unnumbered.is_empty()
            || value.chars().nth(2).is_some()
                && (only(&['x']) || only(&['X']) || only(&['•']) || only(&['.']))
            || only(&['…']))
}

/// Whether something is a value at all rather than a stand-in: empty, masked, a placeholder, a reference, an
/// expression of a program, a boolean or a word like "missing".
pub(crate) fn is_given(value: &str) -> bool {
    !value.trim().is_empty()
        && !is_masked(value)
        && !is_placeholder(value)
        && !is_reference(value)
        && !is_expression(value)
        && !is_status(value)
}

/// What may follow the scheme of an Authorization header.
pub(crate) fn is_credential(value: &str) -> bool {
    is_given(value) && !is_prose(value)
}

/// `$(NAME)`, `${NAME}`, `$NAME`, `<password>`, `{{ .Values.password }}`, `%s`, `#{NAME}`.
fn is_placeholder(value: &str) -> bool {
    let enclosed = |open: &str, close: char, inner: fn(char) -> bool| {
        value
            .strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close))
            .is_some_and(|name| !name.is_empty() && name.chars().all(inner))
    };
    let in_name = |c: char| c.is_ascii_alphanumeric() || "_.-:/".contains(c);
    if value.starts_with("$(") || value.starts_with("{{") || value.starts_with("${{") {
        return true;
    }
    if let Some(rest) = value.strip_prefix('<') {
        return match rest.split_once('>') {
            Some((name, after)) => {
                name.starts_with(|c: char| c.is_ascii_alphabetic())
                    && name.chars().all(|c| in_name(c) || " '".contains(c))
                    && after.is_empty()
            }
            // The first word of `<set to the key 'password' in secret 'db-creds'>`.
            None => !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphabetic()),
        };
    }
    if let Some(name) = value.strip_prefix('$') {
        if !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        {
            return true;
        }
        if name.starts_with('{') {
            // A default after `:-` may be the secret, so a name alone is a placeholder.
            return enclosed("${", '}', |c| c.is_ascii_alphanumeric() || "_.".contains(c));
        }
    }
    enclosed("{", '}', |c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        || enclosed("#{", '}', |c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        || enclosed("[", ']', |c| c.is_ascii_alphabetic() || c == ' ' || c == '_')
        || (value.starts_with('%')
            && (value.len() == 2 || value.starts_with("%!") || value.starts_with("%(")))
}

/// Roots under which a value is the path of a file that holds the secret.
const ROOTS: [&str; 17] = [
    "/var/",
    "/etc/",
    "/run/",
    "/home/",
    "/root/",
    "/opt/",
    "/tmp/",
    "/mnt/",
    "/srv/",
    "/usr/",
    "/secrets/",
    "/vault/",
    "/data/",
    "/app/",
    "/proc/",
    "./",
    "../",
];

/// Schemes of places where secrets are kept.
const KEEPERS: [&str; 12] = [
    "arn:",
    "vault:",
    "file:",
    "env:",
    "op://",
    "ssm:",
    "secretref:",
    "awssm:",
    "gcpsm:",
    "azurekv:",
    "keyvault:",
    "@Microsoft.KeyVault(",
];

/// Says where the secret is instead of what it is.
pub(crate) fn is_reference(value: &str) -> bool {
    ROOTS.iter().any(|root| value.starts_with(root))
        || KEEPERS.iter().any(|keeper| value.starts_with(keeper))
        || (value.starts_with("projects/") && value.contains("/secrets/"))
        || value.starts_with("~/")
}

/// `getToken()`, `os.environ["TOKEN"]`: the text of a program, not a value.
fn is_expression(value: &str) -> bool {
    let name = value
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || b"_.".contains(b))
        .count();
    name > 0
        && !value.as_bytes()[0].is_ascii_digit()
        && matches!(
            value.as_bytes().get(name..),
            Some([b'(', ..] | [b'[', b'"' | b'\'', ..])
        )
}

fn is_word_of(words: &[&str], value: &str) -> bool {
    let bare = value.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    bare.len() <= 16 && words.binary_search(&bare.to_ascii_lowercase().as_str()).is_ok()
}

/// `true`, `null`, `YES`, `expired`, `missing`: what is said of a secret in place of it.
pub(crate) fn is_status(value: &str) -> bool {
    is_word_of(STATUS, value)
}

/// A word that leads into a sentence.
pub(crate) fn is_prose(value: &str) -> bool {
    is_word_of(PROSE, value) || is_status(value)
}

/// Words, the first of which says something of a secret in place of it: `must not be empty`.
pub(crate) fn is_sentence(value: &str) -> bool {
    value.split_once(' ').is_some_and(|(first, rest)| {
        is_status(first) && rest.contains(char::is_alphabetic) && !rest.split(' ').any(looks_random)
    })
}

/// The scheme of an Authorization header.
pub(crate) fn is_scheme(word: &str) -> bool {
    SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// Registered ones and those in wide use.
const SCHEMES: [&str; 11] = [
    "bearer",
    "basic",
    "token",
    "digest",
    "negotiate",
    "ntlm",
    "apikey",
    "api-key",
    "splunk",
    "bot",
    "aws4-hmac-sha256",
];

pub(crate) fn has_letter_and_digit(value: &str) -> bool {
    value.bytes().any(|b| b.is_ascii_digit()) && value.bytes().any(|b| b.is_ascii_alphabetic())
}

/// What nobody writes as a word: six characters or more, letters with digits or with the signs of passwords.
pub(crate) fn looks_random(value: &str) -> bool {
    value.chars().nth(5).is_some()
        && !is_prose(value)
        && (has_letter_and_digit(value)
            || value.contains(['!', '@', '#', '$', '%', '^', '&', '*', '+', '=', '~']))
}

/// What an issuer of tokens made: letters with digits, and no version, address or path.
pub(crate) fn looks_issued(value: &str) -> bool {
    is_given(value) && has_letter_and_digit(value) && !value.contains("//") && !is_object_name(value)
}

/// A number as digits.
pub(crate) fn is_number(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|b| b.is_ascii_digit() || b".,_+-eE".contains(&b))
        && value.bytes().any(|b| b.is_ascii_digit())
}

pub(crate) fn digits(value: &str) -> usize {
    value.bytes().filter(u8::is_ascii_digit).count()
}

/// `1.2.3`, `v1.2`, `latest`: the tag of an image.
pub(crate) fn is_version(value: &str) -> bool {
    let number = value.strip_prefix('v').unwrap_or(value);
    value == "latest"
        || (number.contains('.')
            && number
                .split(['.', '-'])
                .all(|part| !part.is_empty() && part.bytes().take(1).all(|b| b.is_ascii_digit())))
}

/// The name of a Kubernetes object as people choose them: `db-creds`, `shop/db-creds`, `default-token-x7k2p`.
///
/// Words of letters, digits only at the end of one (`redis2`, `v2`) or in the random suffix.
pub(crate) fn is_object_name(value: &str) -> bool {
    let segments = value.split(['-', '/', '.']);
    let count = segments.clone().count();
    (2..=12).contains(&count)
        && value.len() <= 253
        && segments.enumerate().all(|(index, segment)| {
            let letters = segment.trim_end_matches(|c: char| c.is_ascii_digit());
            let word = letters.bytes().all(|b| b.is_ascii_lowercase()) && segment.len() <= 24;
            let suffix = index + 1 == count
                && segment.len() <= 10
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            !segment.is_empty() && (word && (index > 0 || !letters.is_empty()) || suffix)
        })
}

/// The name of the Secret of a service account: `default-token-x7k2p`.
pub(crate) fn is_token_name(value: &str) -> bool {
    value
        .rsplit_once("-token-")
        .is_some_and(|(_, suffix)| suffix.len() == 5)
        && is_object_name(value)
}

/// Where something is on the web; a password in it is found by its own rule.
pub(crate) fn is_web_address(value: &str) -> bool {
    value.starts_with("https://") || value.starts_with("http://")
}

/// The colon after a host starts a port, not a password.
pub(crate) fn is_url_password(value: &str) -> bool {
    let port = value.bytes().take_while(u8::is_ascii_digit).count();
    let after_port = value.as_bytes().get(port).copied();
    let is_port = port > 0 && port <= 5 && matches!(after_port, Some(b'/' | b'?' | b'#' | b','));
    is_given(value) && !is_port && !value.starts_with('/')
}

/// What stands right behind `-p`: a password rather than the rest of another flag.
pub(crate) fn is_attached_password(value: &str) -> bool {
    is_given(value)
        && !matches!(
            value,
            "od" | "ort" | "revious" | "rofile" | "roject" | "ath" | "rint"
        )
}

/// An API key of a model provider: random letters and digits, not the words of a name that starts with `sk-`.
pub(crate) fn is_model_provider_key(value: &str) -> bool {
    let mixed = value.bytes().any(|b| b.is_ascii_uppercase()) && value.bytes().any(|b| b.is_ascii_digit());
    let long_run = value
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|run| run.len() >= 32 && has_letter_and_digit(run));
    !value.starts_with("sk-") || mixed || long_run
}

/// Base64 whose content names a private key in its first line.
pub(crate) fn is_encoded_private_key(value: &str) -> bool {
    decode_base64(value, 64).is_some_and(|head| {
        head.windows(b"PRIVATE KEY".len())
            .any(|window| window == b"PRIVATE KEY")
    })
}

/// Base64 of `user:password`, as in Basic authentication and in the `auth` of a Docker configuration.
pub(crate) fn is_encoded_user_and_password(value: &str) -> bool {
    decode_base64(value, 512).is_some_and(|plain| {
        plain.contains(&b':') && plain.len() >= 3 && plain.iter().all(|b| (0x20..0x7f).contains(b))
    })
}

/// At most `limit` bytes of what is encoded; `None` where it is not base64.
fn decode_base64(value: &str, limit: usize) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in value.trim_end_matches('=').bytes() {
        if plain.len() >= limit {
            break;
        }
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(digit)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            plain.push((bits >> held & 0xff) as u8);
        }
    }
    Some(plain)
}
