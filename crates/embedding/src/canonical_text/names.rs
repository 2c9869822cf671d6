//! The stable part of a name: what all pods of one deployment have in common.

use super::words::push_words;

/// What stands for an identity that says nothing about what happened.
pub(super) const IDENTITY: &str = "*";
/// What stands for a quantity or a time.
pub(super) const QUANTITY: &str = "#";

/// The alphabet of Kubernetes' generated suffixes: no vowels and nothing that looks like one, so that no words arise.
const GENERATED: &str = "bcdfghjklmnpqrstvwxz2456789";
/// A pod's own suffix has this many characters.
const POD_SUFFIX: usize = 5;
/// Words that happen to be spelled in that alphabet.
const NOT_GENERATED: [&str; 4] = ["https", "http2", "grpcs", "xhtml"];

/// How many hexadecimal digits stand between the hyphens of a UUID.
const UUID_SEGMENTS: [usize; 5] = [8, 4, 4, 4, 12];

/// Machines and copies, which people like to number: `node12` is a node.
const NUMBERED: [&str; 14] = [
    "disk",
    "host",
    "instance",
    "master",
    "node",
    "partition",
    "pod",
    "replica",
    "server",
    "shard",
    "vm",
    "volume",
    "worker",
    "zone",
];

/// Rewrites a run of letters and digits, perhaps with hyphens inside.
pub(super) fn push_stable(out: &mut String, word: &str) {
    if word.contains('-') {
        push_stable_name(out, word);
    } else {
        push_stable_word(out, word);
    }
}

fn push_stable_word(out: &mut String, word: &str) {
    if word.chars().all(char::is_numeric) {
        out.push_str(QUANTITY);
        return;
    }
    if is_identity(word) {
        out.push_str(IDENTITY);
        return;
    }
    let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() < word.len() && NUMBERED.iter().any(|name| name.eq_ignore_ascii_case(stem)) {
        out.push_str(stem);
        return;
    }
    push_words(out, word);
}

fn push_stable_name(out: &mut String, name: &str) {
    let segments: Vec<&str> = name.split('-').collect();
    let uuid = uuid_at(&segments);
    let start = out.len();
    let mut after_hash = false;
    let mut first_kept = true;
    for (index, segment) in segments.iter().enumerate() {
        let (first, last) = (index == 0, index + 1 == segments.len());
        let hash = is_identity(segment) || (!first && is_replica_set_hash(segment));
        // `api-7d9c8b6f5-x2x9p`, also when somebody made the suffix up and used vowels.
        let suffix = last && (is_pod_suffix(segment) && !first || after_hash && is_short_suffix(segment));
        // `postgres-0`, `backup-28473920`, `vmss000003`
        let number = !first && (segment.chars().all(char::is_numeric) || trailing_digits(segment) >= 4);
        let in_uuid = uuid.is_some_and(|start| (start..start + UUID_SEGMENTS.len()).contains(&index));
        if !(hash || suffix || number || in_uuid) {
            if !first_kept {
                out.push('-');
            }
            first_kept = false;
            push_stable_word(out, segment);
        }
        after_hash = hash;
    }
    // `i-0abc…`, `vol`: what is left of an id is no name.
    if out[start..].chars().filter(|c| c.is_alphabetic()).count() < 2 {
        out.truncate(start);
        out.push_str(IDENTITY);
    }
}

/// Where a UUID begins in a name: `pvc-0b7e2c1a-5d53-4f0e-9d3e-0c2f6f1b7a11`.
fn uuid_at(segments: &[&str]) -> Option<usize> {
    segments.windows(UUID_SEGMENTS.len()).position(|window| {
        window.iter().zip(UUID_SEGMENTS).all(|(segment, length)| {
            segment.len() == length && segment.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    })
}

/// Digests, container ids and other tokens that nobody chose.
fn is_identity(word: &str) -> bool {
    if !word.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let letters = word.len() - digits;
    let hexadecimal = word.len() >= 7 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let long = word.len() >= 16 && digits >= 2;
    digits > 0 && letters > 0 && (hexadecimal || long || alternations(word) >= 4)
}

fn is_replica_set_hash(segment: &str) -> bool {
    let mixed = alternations(segment) >= 1;
    match segment.len() {
        6..=7 => mixed && segment.chars().all(|c| GENERATED.contains(c)),
        8..=10 => {
            segment.chars().all(|c| GENERATED.contains(c))
                || alternations(segment) >= 2
                    && segment
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        }
        _ => false,
    }
}

fn is_pod_suffix(segment: &str) -> bool {
    segment.len() == POD_SUFFIX
        && segment.chars().all(|c| GENERATED.contains(c))
        && !NOT_GENERATED.contains(&segment)
}

fn is_short_suffix(segment: &str) -> bool {
    (POD_SUFFIX - 1..=POD_SUFFIX).contains(&segment.len())
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// How often letters and digits take turns: 0 in `api`, 1 in `x509`, 4 in `x2x9p`.
fn alternations(word: &str) -> usize {
    word.as_bytes()
        .windows(2)
        .filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit())
        .count()
}

fn trailing_digits(word: &str) -> usize {
    word.bytes().rev().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::push_stable;

    fn stable(word: &str) -> String {
        let mut out = String::new();
        push_stable(&mut out, word);
        out
    }

    #[test]
    fn names_keep_their_stem() {
        for (name, stem) in [
            ("api-7d9c8b6f5-x2x9p", "api"),
            ("payment-api-6f8d9c7b54-abcde", "payment-api"),
            ("api-7d9c8b6f5", "api"),
            ("fluentd-x2x9p", "fluentd"),
            ("fluentd-bcdfg", "fluentd"),
            ("postgres-0", "postgres"),
            ("kafka-broker-12", "kafka-broker"),
            ("backup-28473920-k7x2p", "backup"),
            ("gke-prod-default-pool-1a2b3c4d-x7k2", "gke-prod-default-pool"),
            ("aks-nodepool1-12345678-vmss000003", "aks-nodepool1"),
            ("node12", "node"),
            ("worker-3", "worker"),
            ("i-0abcd1234ef567890", "*"),
            ("pvc-0b7e2c1a-5d53-4f0e-9d3e-0c2f6f1b7a11", "pvc"),
            ("pvc-deadbeef-beef-cafe-babe-aabbccddeeff", "pvc"),
            ("coredns-66bff467f8-2xq8r", "coredns"),
        ] {
            assert_eq!(stable(name), stem, "{name}");
            assert_eq!(stable(stem), stem, "{stem}");
        }
    }

    #[test]
    fn chosen_names_stay_whole() {
        for name in [
            "payment-api",
            "node-exporter",
            "cert-manager",
            "liveness",
            "back-off",
            "non-zero",
            "read-only",
            "x509",
            "web-https",
            "v1beta1",
            "oauth2",
            "k8s",
            "e2e",
            "i386",
            "amd64",
            "sha256",
            "s3",
            "deadbeef",
            "base64",
            "ingress-nginx-controller",
            "kube-dns",
            "Büro-Größe",
            "log4j2",
            "nodepool1",
        ] {
            assert_eq!(stable(name), name);
        }
    }

    #[test]
    fn ids_and_numbers_become_placeholders() {
        for (word, placeholder) in [
            ("3f2a9bc", "*"),
            ("4c01db0b339c", "*"),
            ("01HXYZ7K3M9QW2E8R4T6", "*"),
            ("x2x9p", "*"),
            ("12345", "#"),
            ("٣٤", "#"),
        ] {
            assert_eq!(stable(word), placeholder, "{word}");
        }
    }
}
