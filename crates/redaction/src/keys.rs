//! Which names say that their value is a secret.
//!
//! The end of a name decides: `DB_PASSWORD`, `dbPassword` and `spring.datasource.password` are passwords, while
//! `passwordPolicy`, `tokenCount` and `secretName` are not. Names are compared in lower case and without separators.

use std::sync::LazyLock;

use regex::Regex;

use crate::values;

/// What the value under a name is, which decides how far it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A password, or a key by a name that leaves no doubt.
    Certain,
    /// A token: a small number is a count or a position.
    Token,
    /// A password, or the working directory.
    PasswordOrDirectory,
    /// Several tokens, or how many: numbers stay.
    Tokens,
    /// Several passwords or keys, or how many.
    Several,
    /// Several secrets, the names of some, or how many.
    SecretsOrNames,
    /// A secret, or the name of a Kubernetes Secret.
    SecretOrName,
    /// A secret key, or the name of an entry of a Secret.
    KeyOrEntry,
    /// Credentials, a connection string: often a heading of something else.
    Heading,
    /// Base64 of `user:password`.
    EncodedPair,
    /// The Authorization header: a scheme and credentials.
    Authorization,
    /// Cookies: pairs.
    Cookie,
}

/// Names that end like this, wherever the word begins.
const ENDINGS: &[(&str, Kind)] = &[
    ("password", Kind::Certain),
    ("passwords", Kind::Several),
    ("passwd", Kind::Certain),
    ("passphrase", Kind::Certain),
    ("passcode", Kind::Certain),
    ("storepass", Kind::Certain),
    ("keypass", Kind::Certain),
    ("apikey", Kind::Certain),
    ("apikeys", Kind::Several),
    ("apisecret", Kind::Certain),
    ("apisecrets", Kind::Several),
    ("secretaccesskey", Kind::Certain),
    ("secretkeybase", Kind::Certain),
    ("privatekey", Kind::Certain),
    ("privatekeys", Kind::Several),
    ("accountkey", Kind::Certain),
    ("sharedkey", Kind::Certain),
    ("storagekey", Kind::Certain),
    ("encryptionkey", Kind::Certain),
    ("signingkey", Kind::Certain),
    ("masterkey", Kind::Certain),
    ("hmackey", Kind::Certain),
    ("unsealkey", Kind::Certain),
    ("unsealkeys", Kind::Several),
    ("recoverykeys", Kind::Several),
    ("authkey", Kind::Certain),
    ("clientkeydata", Kind::Certain),
    ("dockerconfigjson", Kind::Certain),
    ("clientsecret", Kind::Certain),
    ("clientsecrets", Kind::Several),
    ("consumersecret", Kind::Certain),
    ("appsecret", Kind::Certain),
    ("sharedsecret", Kind::Certain),
    ("webhooksecret", Kind::Certain),
    ("hmacsecret", Kind::Certain),
    ("jwtsecret", Kind::Certain),
    ("cookiesecret", Kind::Certain),
    ("sessionsecret", Kind::Certain),
    ("authsecret", Kind::Certain),
    ("signingsecret", Kind::Certain),
    ("tokensecret", Kind::Certain),
    ("sessionid", Kind::Token),
    ("sessid", Kind::Token),
    ("secretkey", Kind::KeyOrEntry),
    ("accesskey", Kind::KeyOrEntry),
    ("token", Kind::Token),
    ("tokens", Kind::Tokens),
    ("secretid", Kind::SecretOrName),
    ("secret", Kind::SecretOrName),
    ("secrets", Kind::SecretsOrNames),
    ("credentials", Kind::Heading),
    ("credential", Kind::Heading),
    ("connectionstring", Kind::Heading),
    ("connstring", Kind::Heading),
    ("connstr", Kind::Heading),
    ("authorization", Kind::Authorization),
];

/// Names whose last word this is.
const LAST_WORDS: &[(&str, Kind)] = &[
    ("pwd", Kind::PasswordOrDirectory),
    ("oldpwd", Kind::PasswordOrDirectory),
    ("pass", Kind::Certain),
    ("otp", Kind::Token),
    ("creds", Kind::Heading),
    ("cred", Kind::Heading),
    ("dsn", Kind::Heading),
    ("auth", Kind::EncodedPair),
    ("cookie", Kind::Cookie),
    ("cookies", Kind::Cookie),
];

/// Names that end like a secret and are none: positions in a list, marks of a language model, names of Secrets.
const OTHERS: &[&str] = &[
    "pagetoken",
    "nexttoken",
    "continuetoken",
    "continuationtoken",
    "paginationtoken",
    "synctoken",
    "cancellationtoken",
    "canceltoken",
    "eostoken",
    "bostoken",
    "padtoken",
    "unktoken",
    "masktoken",
    "septoken",
    "clstoken",
    "stoptoken",
    "stoptokens",
    "starttoken",
    "endtoken",
    "specialtokens",
    "maxtokens",
    "pullsecret",
    "pullsecrets",
    "unexpectedtoken",
    "invalidtoken",
    "imagepullsecret",
    "imagepullsecrets",
    "mountablesecrets",
];

/// Words after the telling one that change nothing: `passwordOld`, `TOKEN_2`, `password_hash`.
const QUALIFIERS: &[&str] = &[
    "old",
    "new",
    "current",
    "previous",
    "prod",
    "base64",
    "b64",
    "plain",
    "plaintext",
    "cleartext",
    "value",
    "string",
    "confirm",
    "confirmation",
    "hash",
    "enc",
    "encrypted",
];

#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant, and every test compiles it"
)]
static CANDIDATE: LazyLock<Regex> = LazyLock::new(|| Regex::new(CANDIDATES).expect("the pattern is valid"));

/// A piece that every telling name contains.
pub(crate) const CANDIDATES: &str =
    "(?i-u:pass|pwd|secret|token|key|cred|dsn|connection|connstr|auth|cookie|sessid|session_?id|otp|dockerc)";

/// The next place where a telling name may stand.
pub(crate) fn candidate(text: &str, from: usize) -> Option<std::ops::Range<usize>> {
    CANDIDATE.find_at(text, from).map(|found| found.range())
}

/// What is under a name, if the name tells.
pub(crate) fn kind(name: &str) -> Option<Kind> {
    if !CANDIDATE.is_match(name) {
        return None;
    }
    let mut words = words(end(name));
    loop {
        let kind = kind_of_words(&words);
        let last = words.last()?;
        let qualifies = QUALIFIERS.contains(&last.as_str()) || last.bytes().all(|b| b.is_ascii_digit());
        if kind.is_some() || !qualifies {
            return kind;
        }
        words.pop();
    }
}

fn kind_of_words(words: &[String]) -> Option<Kind> {
    let joined = words.concat();
    let joined = joined.trim_end_matches(|c: char| c.is_ascii_digit());
    if OTHERS.iter().any(|other| joined.ends_with(other)) {
        return None;
    }
    let last = words.last()?.trim_end_matches(|c: char| c.is_ascii_digit());
    LAST_WORDS
        .iter()
        .find(|(word, _)| last == *word)
        .or_else(|| ENDINGS.iter().find(|(ending, _)| joined.ends_with(ending)))
        .map(|&(_, kind)| kind)
}

/// Whether a name is more than the bare word that sentences use: `DB_PASSWORD`, `apiKey`, `X-Auth-Token`.
pub(crate) fn is_compound(name: &str) -> bool {
    words(end(name)).len() > 1
}

/// What of a long name is read: its end, which decides.
fn end(name: &str) -> &str {
    match name.char_indices().rev().nth(95) {
        Some((start, _)) => &name[start..],
        None => name,
    }
}

/// The words of `DB_PASSWORD`, `dbPassword`, `db-password` or `HTTPToken`, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = name.chars().peekable();
    let mut previous = ' ';
    while let Some(c) = chars.next() {
        let begins = c.is_ascii_uppercase()
            && (previous.is_ascii_lowercase()
                || previous.is_ascii_digit()
                || (previous.is_ascii_uppercase() && chars.peek().is_some_and(char::is_ascii_lowercase)));
        if (begins || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        previous = c;
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

impl Kind {
    /// Whether a value that is set apart (by quotes, by JSON) is the secret that the name announces.
    pub(crate) fn holds(self, value: &str) -> bool {
        if !values::is_given(value) || values::is_sentence(value) {
            return false;
        }
        if values::is_number(value) {
            return self.holds_number(value);
        }
        match self {
            Kind::Certain | Kind::Several => !values::is_web_address(value),
            Kind::Token => !values::is_web_address(value) && !values::is_token_name(value),
            Kind::Heading => value.contains('/') || !values::is_object_name(value),
            Kind::PasswordOrDirectory => !value.starts_with('/'),
            Kind::Tokens => !value.contains(' '),
            Kind::SecretOrName | Kind::SecretsOrNames => {
                !values::is_web_address(value) && !values::is_object_name(value)
            }
            Kind::KeyOrEntry => !names_entry(value),
            Kind::EncodedPair => values::is_encoded_user_and_password(value),
            Kind::Cookie => value.contains('='),
            // After a scheme its own rule finds what is secret.
            Kind::Authorization => {
                values::looks_issued(value)
                    && value.len() >= 16
                    && !value.contains(' ')
                    && !values::is_scheme(value)
            }
        }
    }

    /// Whether a number is the secret. One or two digits never are: nothing that short protects anything, and `***`
    /// would be longer.
    pub(crate) fn holds_number(self, number: &str) -> bool {
        let least = match self {
            Kind::Certain | Kind::PasswordOrDirectory | Kind::SecretOrName | Kind::KeyOrEntry => 3,
            Kind::Token | Kind::Heading => 6,
            Kind::Several
            | Kind::Tokens
            | Kind::SecretsOrNames
            | Kind::EncodedPair
            | Kind::Cookie
            | Kind::Authorization => return false,
        };
        values::digits(number) >= least
    }
}

/// `secretKey: DB_PASSWORD` names an entry of a Secret.
fn names_entry(value: &str) -> bool {
    kind(value).is_some()
        || matches!(
            value,
            "username" | "user" | "tls.crt" | "ca.crt" | "tls.key" | "config" | "value"
        )
}
