//! The cases of `corpus/`. Blocks are separated by empty lines; `#` begins a remark, `<` a line of the input, `>` a line
//! of the output, `=` a line that stays as it is. `«name»` is a made-up credential, see `credentials.rs`.

use std::collections::BTreeSet;

use redaction::{Findings, contains_secret, redact_bytes, redact_text};

use crate::credentials::{STANDALONE, credential, filled};

/// One case of the corpus.
pub(crate) struct Case {
    pub(crate) input: String,
    pub(crate) output: String,
}

/// The cases of a file.
pub(crate) fn cases(file: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for block in file.split("\n\n") {
        let (mut input, mut output) = (Vec::new(), Vec::new());
        for line in block.lines().filter(|line| !line.starts_with('#')) {
            let (mark, content) = line.split_at(1);
            let content = filled(content.strip_prefix(' ').unwrap_or(content));
            match mark {
                "<" => input.push(content),
                ">" => output.push(content),
                "=" => {
                    input.push(content.clone());
                    output.push(content);
                }
                other => panic!("a line begins with {other:?}: {line}"),
            }
        }
        if !input.is_empty() {
            cases.push(Case {
                input: input.join("\n"),
                output: output.join("\n"),
            });
        }
    }
    let distinct: BTreeSet<&str> = cases.iter().map(|case| &*case.input).collect();
    assert_eq!(distinct.len(), cases.len(), "a case stands twice");
    cases
}

/// Every case that comes out otherwise, as one report.
fn assert_cases(cases: &[Case], redact: impl Fn(&str) -> String) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let actual = redact(&case.input);
            (actual != case.output).then(|| {
                format!(
                    "input:    {}\nexpected: {}\nactual:   {actual}\n",
                    case.input, case.output
                )
            })
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} cases differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn redacted(text: &str) -> String {
    redact_text(text, &mut Findings::new()).into_owned()
}

#[test]
fn secrets_in_text_become_stars_and_nothing_else_changes() {
    let cases = cases(include_str!("corpus/secrets.txt"));
    assert_eq!(cases.len(), 132);
    assert!(cases.iter().all(|case| case.input != case.output));
    assert_cases(&cases, redacted);
}

#[test]
fn what_looks_like_a_secret_and_is_none_stays() {
    let cases = cases(include_str!("corpus/lookalikes.txt"));
    assert_eq!(cases.len(), 169);
    assert_cases(&cases, redacted);
}

#[test]
fn every_case_is_a_fixed_point_and_no_longer_than_before() {
    for case in cases(include_str!("corpus/secrets.txt"))
        .into_iter()
        .chain(cases(include_str!("corpus/lookalikes.txt")))
    {
        assert_eq!(redacted(&case.output), case.output);
        assert!(case.output.len() <= case.input.len(), "{}", case.input);
    }
}

#[test]
fn a_case_embedded_in_a_log_line_is_redacted_as_well() {
    for case in cases(include_str!("corpus/secrets.txt")) {
        // These count on the beginning of a line.
        if case.input.contains('\n')
            || case.input.starts_with(['{', '['])
            || case.output.starts_with("db.example")
        {
            continue;
        }
        let line = redacted(&format!(
            "2026-06-15T10:00:00Z E0615 1 main.go:42] {}",
            case.input
        ));
        let secret = longest_removed(&case);
        if secret.len() < 5 {
            continue;
        }
        assert!(!line.contains(&secret), "{secret} is left in: {line}");
    }
}

/// The longest piece that is in the input and not in the output: a secret.
fn longest_removed(case: &Case) -> String {
    case.input
        .split(|c: char| c.is_whitespace() || "\"'\\,;&=:@".contains(c))
        .filter(|piece| !case.output.contains(piece))
        .max_by_key(|piece| piece.len())
        .unwrap()
        .to_owned()
}

#[test]
fn bytes_that_are_no_text_stay_and_the_text_between_them_is_redacted() {
    let mut findings = Findings::new();
    let binary = [0xff, 0xfe, 0x00, 0x80, 0xc3];
    assert_eq!(&*redact_bytes(&binary, &mut findings), &binary);
    assert!(findings.is_empty());
    assert_eq!(&*redact_bytes(b"pwd=hunter2", &mut findings), b"pwd=***");
    assert_eq!(
        &*redact_bytes(b"\xff\xfe pwd=hunter2 \xe9t\xe9", &mut findings),
        b"\xff\xfe pwd=*** \xe9t\xe9"
    );
    assert_eq!(findings.by_rule().collect::<Vec<_>>(), [("assignment", 2)]);
}

#[test]
fn findings_name_the_rules_that_fired() {
    let mut findings = Findings::new();
    let text = filled("password=hunter2 then «github» and «github-fine» at postgres://app:hunter2@db/shop");
    let redacted = redact_text(&text, &mut findings);
    assert_eq!(
        redacted,
        "password=*** then *** and *** at postgres://app:***@db/shop"
    );
    assert_eq!(
        findings.by_rule().collect::<Vec<_>>(),
        [("assignment", 1), ("github", 2), ("url_password", 1)]
    );
    assert_eq!(findings.total(), 4);
}

#[test]
fn every_rule_has_a_name_of_its_own_and_a_description() {
    let rules: Vec<_> = redaction::rules().collect();
    let names: BTreeSet<_> = rules.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), rules.len());
    for (name, description) in rules {
        assert!(
            name.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        );
        assert!(!description.is_empty());
    }
}

#[test]
fn every_rule_fires_in_some_case_of_the_corpus() {
    let mut findings = Findings::new();
    for file in [
        include_str!("corpus/secrets.txt"),
        include_str!("corpus/json.txt"),
    ] {
        for case in cases(file) {
            let _ = redact_text(&case.input, &mut findings);
        }
    }
    let fired: BTreeSet<_> = findings.by_rule().map(|(name, _)| name).collect();
    let missing: Vec<_> = redaction::rules()
        .map(|(name, _)| name)
        .filter(|name| !fired.contains(name) && *name != "unsettled")
        .collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn identifiers_with_a_credential_are_recognised() {
    for name in STANDALONE {
        assert!(contains_secret(&credential(name)), "{name}");
        assert!(
            contains_secret(&format!("incident-{}", credential(name))),
            "{name}"
        );
    }
    assert!(contains_secret("https://app:hunter2@example.com/"));
    assert!(contains_secret("-----BEGIN RSA PRIVATE KEY-----"));
}

#[test]
fn identifiers_that_only_talk_of_secrets_are_not() {
    for name in [
        "rotate-db-password",
        "KubeSecretMissing",
        "token=expired",
        "password=hunter2",
        "checkout-7d9f8b6c5d-x7k2p",
        "0123456789abcdef0123456789abcdef01234567",
        "b3c1e1f4-2f0a-4c1e-9a55-0d7c0c8e5f10",
        "https://example.com:8080/a@b",
        "sk-bratislava-node-pool-1-blue",
        "restart_pod",
        "",
    ] {
        assert!(!contains_secret(name), "{name}");
    }
}
